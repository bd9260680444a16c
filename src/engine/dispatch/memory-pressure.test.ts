import assert from "node:assert/strict";
import { test } from "node:test";
import { type MemoryObservation, type MemoryPressure, nextPressure, noPressure } from "./memory-pressure.ts";

const of = (availableBytes: number, stalledPercent?: number): MemoryObservation => ({
	availableBytes,
	totalBytes: 1000,
	stalledPercent,
});
const after = (level: MemoryPressure["level"]): MemoryPressure => ({ level, calmSinceMs: undefined });

for (const [available, stalled, level] of [
	[100, 0, "ample"],
	[99, 0, "tight"],
	[50, 0, "tight"],
	[49, 0, "short"],
	[249, 10, "ample"],
	[249, 11, "tight"],
	[249, 26, "short"],
	// A function that has come to its own limit.
	[250, 99, "ample"],
	[900, undefined, "ample"],
] as const)
	test(`${available / 10} % available and ${stalled ?? "an unknown part"} % of the time stalled is ${level}, at once`, () => {
		assert.equal(nextPressure(noPressure, of(available, stalled), 0).level, level);
	});

test("without an observation there is none", () => {
	assert.deepEqual(nextPressure(after("short"), undefined, 0), noPressure);
});

test("a level is left after 30 s of clearly less, one that comes back begins anew", () => {
	let state = after("tight");
	const at = (available: number, nowMs: number) => {
		state = nextPressure(state, of(available), nowMs);
		return state.level;
	};
	assert.equal(at(149, 0), "tight", "not clearly");
	assert.equal(at(149, 60_000), "tight");
	assert.equal(at(150, 60_001), "tight");
	assert.equal(at(140, 80_000), "tight");
	assert.equal(at(150, 80_001), "tight");
	assert.equal(at(150, 110_000), "tight");
	assert.equal(at(150, 110_001), "ample");
});

test("from short it goes down by as much as is seen", () => {
	let state = after("short");
	for (const nowMs of [0, 30_000]) state = nextPressure(state, of(80), nowMs);
	assert.equal(state.level, "tight");
	state = after("short");
	for (const nowMs of [0, 30_000]) state = nextPressure(state, of(900), nowMs);
	assert.equal(state.level, "ample");
});

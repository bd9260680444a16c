import assert from "node:assert/strict";
import { test } from "node:test";
import { decidePoolSize, emptyPool, MEMORY_MS, type PoolSizeState, SLOT_MS } from "./pool-size.ts";

const BOUNDS = { floor: 2, ceiling: 64 };
const HOUR_MS = 3_600_000;

/** The same numbers every time (mulberry32). */
function randomOf(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

const take = (state: PoolSizeState, taken: number, nowMs: number, memoryIsShort = false) =>
	decidePoolSize(state, { taken, memoryIsShort }, BOUNDS, nowMs);

test("the floor at first, a burst's size after it, and the floor again when it is forgotten", () => {
	assert.equal(take(emptyPool, 0, 0).size, 2);
	let { state } = take(emptyPool, 5, 1_000);
	const next = take(state, 7, 1_000 + SLOT_MS - 1);
	assert.equal(next.size, 12, "two halves of one moment");
	state = take(next.state, 3, 60_000).state;
	assert.equal(take(state, 0, 1_000 + MEMORY_MS - 1).size, 12);
	assert.equal(take(state, 0, 1_000 + MEMORY_MS).size, 3, "the smaller one is remembered for longer");
	assert.equal(take(state, 0, 60_000 + MEMORY_MS).size, 2);
	assert.deepEqual(take(state, 0, 60_000 + MEMORY_MS).state, emptyPool);
});

test("memory that is short leaves the floor, and the burst comes back with the memory", () => {
	const { state } = take(emptyPool, 40, 0);
	const short = take(state, 1, 10, true);
	assert.equal(short.size, 2);
	assert.equal(take(short.state, 0, 20).size, 41);
});

test("a pool that is switched off stays so", () => {
	const none = { floor: 0, ceiling: 0 };
	for (const memoryIsShort of [false, true])
		assert.equal(decidePoolSize(emptyPool, { taken: 100, memoryIsShort }, none, 0).size, 0);
});

for (const seed of [1, 2, 3, 4, 5, 6])
	test(`hours of bursts, a trickle, short memory and a clock that steps: seed ${seed}`, () => {
		const random = randomOf(seed);
		let state = emptyPool;
		let most = 0;
		/** Of all takes since `MEMORY_MS` ago, by the moment that a fresh slot would count them in. */
		let takes: { atMs: number; taken: number }[] = [];
		let nowMs = 0;
		for (let end = 6 * HOUR_MS; nowMs < end; ) {
			nowMs += random() < 0.5 ? random() * 50 : random() ** 4 * 400_000;
			if (random() < 0.001) {
				// No monotonic clock does that; it must be survived all the same.
				nowMs = Math.max(0, nowMs - random() * 100_000);
				takes = takes.filter(({ atMs }) => atMs <= nowMs);
			}
			const taken = random() < 0.3 ? 0 : random() < 0.9 ? 1 : Math.floor(random() * 200);
			const memoryIsShort = random() < 0.05;
			const frozen = structuredClone(state);
			const decision = decidePoolSize(state, { taken, memoryIsShort }, BOUNDS, nowMs);
			assert.deepEqual(state, frozen, "what it was given is left alone");
			state = decision.state;
			if (taken > 0) takes.push({ atMs: nowMs, taken });
			takes = takes.filter(({ atMs }) => nowMs - atMs < MEMORY_MS + SLOT_MS);
			const { size } = decision;
			assert.ok(size >= BOUNDS.floor && size <= BOUNDS.ceiling, `${size}`);
			if (memoryIsShort) assert.equal(size, BOUNDS.floor);
			const single = Math.max(
				0,
				...takes.filter(({ atMs }) => nowMs - atMs < MEMORY_MS - SLOT_MS).map((one) => one.taken),
			);
			const together = Math.max(0, ...takes.map(({ atMs }) => within(takes, atMs)));
			if (!memoryIsShort) {
				assert.ok(size >= Math.min(BOUNDS.ceiling, single), `${size} after ${single} at once`);
				assert.ok(size <= Math.max(BOUNDS.floor, together), `${size} though never more than ${together} together`);
			}
			most = Math.max(most, state.slots.length);
			const counts = state.slots.map((slot) => slot.taken);
			assert.deepEqual(
				counts,
				[...new Set(counts)].sort((a, b) => b - a),
				"each slot is the busiest since",
			);
		}
		assert.ok(most <= MEMORY_MS / SLOT_MS, `${most} slots are remembered`);
	});

function within(takes: readonly { atMs: number; taken: number }[], fromMs: number): number {
	return takes.reduce((sum, { atMs, taken }) => (atMs >= fromMs && atMs - fromMs < SLOT_MS ? sum + taken : sum), 0);
}

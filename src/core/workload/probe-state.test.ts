import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultStartupProbe, eagerPauseMs, nextProbeState, startupBudgetMs, unknownProbe } from "./probe-state.ts";
import { failuresAfter, restartDelayMs } from "./restart-delay.ts";

test("a verdict changes only after as many like answers in a row as its threshold", () => {
	const thresholds = { successThreshold: 2, failureThreshold: 3 };
	let state = unknownProbe;
	const verdicts = [true, false, true, true, false, false, true, false, false, false, true, true].map((well) => {
		state = nextProbeState(state, well, thresholds);
		return state.verdict[0];
	});
	assert.equal(verdicts.join(""), "uuussssssffs");
});

test("a startup probe has the time of all its attempts", () => {
	const probe = {
		...defaultStartupProbe(80),
		timeoutMs: 1000,
		periodMs: 10_000,
		failureThreshold: 3,
		initialDelayMs: 500,
	};
	assert.equal(startupBudgetMs(probe), 21_500);
	assert.equal(startupBudgetMs(defaultStartupProbe(80)), 240_000);
	assert.equal(startupBudgetMs({ ...probe, periodMs: 0 }), 240_500);
});

test("looks at a container on its way come late by a small part of what it took", () => {
	for (const [since, pause] of [
		[0, 1],
		[32, 1],
		[320, 10],
		[1600, 50],
		[100_000, 50],
	] as const)
		assert.equal(eagerPauseMs(since), pause);
});

test("restarts come at once, after 10 s, doubled up to 5 minutes, and are forgiven after 10 minutes", () => {
	assert.deepEqual(
		[1, 2, 3, 4, 5, 6, 7, 8, 100].map(restartDelayMs),
		[0, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000],
	);
	assert.deepEqual([failuresAfter(0, 5), failuresAfter(4, 599_999), failuresAfter(4, 600_000)], [1, 5, 1]);
});

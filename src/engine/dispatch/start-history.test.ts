import assert from "node:assert/strict";
import { test } from "node:test";
import { historyMs, StartHistory } from "./start-history.ts";

test("starts within two seconds of the first are one burst", () => {
	const history = new StartHistory();
	for (const at of [0, 10, 1999, 2000, 2001, 90_000]) history.record(at);
	assert.deepEqual(history.bursts(90_000), [
		{ atMs: 0, starts: 3 },
		{ atMs: 2000, starts: 2 },
		{ atMs: 90_000, starts: 1 },
	]);
});

test("old ones are forgotten, and there are never many", () => {
	const history = new StartHistory();
	for (let n = 0; n < 1000; n++) history.record(n * 5000);
	assert.equal(history.bursts(5_000_000).length, 24);
	assert.equal(history.bursts(4_995_000 + historyMs).length, 1);
	assert.deepEqual(history.bursts(4_995_001 + historyMs), []);
});

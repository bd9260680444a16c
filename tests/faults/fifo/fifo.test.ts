import assert from "node:assert/strict";
import { test } from "node:test";
import { runFifo } from "./run.ts";

test("a FIFO queue keeps its order and loses nothing while it is killed and its consumers fail", async (t) => {
	const report = await runFifo({ messages: 3000, groups: 8, kills: 2, seed: 7, perThousand: 10 });
	t.diagnostic(JSON.stringify(report));
	assert.deepEqual([report.told, report.violations, report.lost], [[], 0, 0]);
	assert.equal(report.messages, 3000);
	assert.equal(report.kills, 2);
});

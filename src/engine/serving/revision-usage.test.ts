import assert from "node:assert/strict";
import { test } from "node:test";
import { RevisionUsage } from "./revision-usage.ts";

test("A request that is handed back counts where it is answered, and only there", () => {
	const usage = new RevisionUsage();
	usage.onOutcome({ status: undefined, durationMs: 1, failure: "connect", unanswered: true });
	assert.deepEqual([usage.requests, usage.failures, usage.aborted], [0, 0, 0]);
	usage.onOutcome({ status: 200, durationMs: 1, failure: undefined, unanswered: false });
	usage.onOutcome({ status: 502, durationMs: 1, failure: "connect", unanswered: false });
	usage.onOutcome({ status: undefined, durationMs: 1, failure: undefined });
	assert.deepEqual([usage.requests, usage.failures, usage.aborted], [3, 1, 1]);
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Collector } from "./suite-run.ts";

const heard = (required: boolean, ...events: object[]) => {
	const collector = new Collector("API", required);
	for (const event of events) collector.hear(JSON.stringify(event));
	collector.hear("not JSON");
	return collector.end().map(({ name, result, detail }) => ({ name, result, ...(detail !== undefined && { detail }) }));
};

describe("What the suite's programs tell", () => {
	it("is one result for each test and subtest, with the last words of what did not pass", () => {
		const results = heard(
			true,
			{ Action: "run", Test: "TestA" },
			{ Action: "output", Test: "TestA", Output: "=== RUN   TestA\n" },
			{ Action: "output", Test: "TestA", Output: "    a_test.go:1: fine\n" },
			{ Action: "pass", Test: "TestA", Elapsed: 1.5 },
			{ Action: "run", Test: "TestB/sub" },
			{ Action: "output", Test: "TestB/sub", Output: "    b_test.go:2: no URL\n" },
			{ Action: "output", Test: "TestB/sub", Output: "--- FAIL: TestB/sub (0.00s)\n" },
			{ Action: "fail", Test: "TestB/sub" },
			{ Action: "skip", Test: "TestC" },
		);
		assert.deepEqual(results, [
			{ name: "TestA", result: "passed" },
			{ name: "TestB/sub", result: "failed", detail: "b_test.go:2: no URL" },
			{ name: "TestC", result: "skipped" },
		]);
	});
	it("a test without a result has failed, and so has a program without a test", () => {
		const panic = { Action: "output", Output: "panic: test timed out after 1m0s\n" };
		const [open] = heard(true, { Action: "run", Test: "TestA" }, panic);
		assert.deepEqual(open, {
			name: "TestA",
			result: "failed",
			detail: "no result in time\npanic: test timed out after 1m0s",
		});
		assert.deepEqual(heard(true), [{ name: "the suite", result: "failed", detail: "it told nothing" }]);
	});
	it("an optional test that can't pass has its reason", () => {
		const [one] = heard(
			false,
			{ Action: "run", Test: "TestRouteCreation" },
			{ Action: "fail", Test: "TestRouteCreation" },
		);
		assert.match(one?.detail ?? "", /by services only/);
	});
});

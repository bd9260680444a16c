import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { setUp } from "../testing/dispatcher.ts";

const options = { spares: { maxTotal: 3, maxPerFunction: 1, keepMs: 600_000 } };

test("an event whose spare died while it stood ready gets another sandbox", async (t) => {
	let starts = 0;
	const onStart = () => {
		if (starts++ === 0)
			throw new SlipwayError("SANDBOX_FAILED", "The sandbox's first process has ended before its start");
	};
	const { invoke, runtime, dispatcher, current } = setUp(t, { options, onStart });
	dispatcher.expect(current.get("f")!);
	while (runtime.created.length < 1) await new Promise((resolve) => setTimeout(resolve, 1));
	assert.deepEqual((await invoke({ n: 1 })).json, { n: 1 });
	assert.equal(starts, 2);
});

test("one that can't be started at all is told", async (t) => {
	const onStart = () => {
		throw new SlipwayError("SANDBOX_FAILED", "No sandbox starts");
	};
	const { invoke, runtime, dispatcher, current } = setUp(t, { options, onStart });
	dispatcher.expect(current.get("f")!);
	while (runtime.created.length < 1) await new Promise((resolve) => setTimeout(resolve, 1));
	await assert.rejects(invoke(), (error) => isSlipwayError(error, "SANDBOX_FAILED"));
});

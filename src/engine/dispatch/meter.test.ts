import assert from "node:assert/strict";
import { test } from "node:test";
import type { ColdStart } from "../../core/invocation/cold-start.ts";
import type { FunctionRevision } from "../../core/invocation/function-contract.ts";
import type { InvocationReport, LifecycleEvent } from "../../core/invocation/lifecycle.ts";
import { Histogram } from "./histogram.ts";
import { Meter } from "./meter.ts";

const named = (name: string) => ({ name }) as FunctionRevision;
const ended = (more: Partial<InvocationReport> = {}): LifecycleEvent => ({
	type: "invocation-end",
	requestId: "id",
	atMs: 0,
	report: {
		durationMs: 3,
		billedMs: 4,
		memorySizeMiB: 128,
		maxMemoryUsedMiB: 20,
		initMs: undefined,
		coldStart: undefined,
		failure: undefined,
		traceId: undefined,
		...more,
	},
});
const coldStart: ColdStart = {
	arrivedMs: 0,
	spare: true,
	steps: [
		{ stage: "queue", ms: 1 },
		{ stage: "process", ms: 2 },
		{ stage: "init", ms: 30 },
		{ stage: "process", ms: 2 },
		{ stage: "init", ms: 40 },
		{ stage: "first-poll", ms: 0.05 },
	],
};

test("A histogram counts a value in the first bucket whose bound it does not exceed", () => {
	const histogram = new Histogram([1, 5]);
	for (const ms of [0, 1, 1.01, 5, 5.01, 1e9]) histogram.observe(ms);
	assert.deepEqual([...histogram.counts], [2, 2, 2]);
});

test("Invocations, errors, refusals and cold starts are counted by function", () => {
	const seen: string[] = [];
	const meter = new Meter([(event) => void seen.push(event.type)]);
	meter.record(ended(), named("f"));
	meter.record(ended({ failure: { kind: "timeout", timeoutS: 3 }, coldStart }), named("f"));
	meter.record({ type: "invocation-refused", requestId: "id", code: "THROTTLED", atMs: 0 }, named("f"));
	meter.record({ type: "invocation-refused", requestId: "id", code: "SANDBOX_FAILED", atMs: 0 }, named("f"));
	meter.record(ended(), named("g"));
	const { invocations, errors, throttles, platformFailures, coldStarts, spareStarts, stages, durations } =
		meter.usage("f");
	assert.deepEqual([invocations, errors, throttles, platformFailures, coldStarts, spareStarts], [2, 1, 1, 1, 1, 1]);
	assert.deepEqual(
		Object.entries(stages ?? {}).map(([stage, { sumMs, counts }]) => [stage, sumMs, counts.reduce((a, b) => a + b)]),
		[
			["queue", 1, 1],
			["sandbox", 0, 1],
			["process", 4, 1],
			["init", 70, 1],
			["first-poll", 0.05, 1],
		],
	);
	assert.equal(durations?.sumMs, 6);
	assert.equal(meter.usage("g").stages, undefined, "which takes no room where there was none");
	assert.equal(seen.length, 5);
});

test("Functions that are gone are forgotten, whoever asks or not", () => {
	const there = new Set(["f0"]);
	const meter = new Meter([], (name) => there.has(name));
	for (let index = 0; index < 5000; index++) meter.record(ended(), named(`f${index}`));
	assert.deepEqual([...meter.all().keys()], ["f0"]);
	meter.forget("f0");
	assert.equal(meter.usage("f0").invocations, 0);
	assert.equal(meter.all().size, 0);
});

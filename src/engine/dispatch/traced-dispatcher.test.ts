import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import type { ColdStart } from "../../core/invocation/cold-start.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import type { Span } from "../../core/trace/span.ts";
import { TracedDispatcher } from "./traced-dispatcher.ts";

const traceId = "5759e988bd862e3fe1be46a994272793";
const root = "Root=1-5759e988-bd862e3fe1be46a994272793";
const caller = "53995c3f42cd8ad8";
const coldStart: ColdStart = {
	arrivedMs: 0,
	spare: true,
	steps: [
		{ stage: "queue", ms: 1 },
		{ stage: "sandbox", ms: 0 },
		{ stage: "process", ms: 2.5 },
		{ stage: "init", ms: 3 },
		{ stage: "first-poll", ms: 0.5 },
	],
};

function traced(answer: Partial<InvocationResult> | Error = {}) {
	const spans: Span[] = [];
	const seen: InvocationRequest[] = [];
	const dispatcher = new TracedDispatcher({
		invoke: async (_name, request) => {
			seen.push(request);
			if (answer instanceof Error) throw answer;
			const result = { payload: Buffer.of(), functionError: undefined, executedVersion: "3", logTail: undefined };
			return { ...result, coldStart: undefined, ...answer };
		},
		sink: { send: (sent) => void spans.push(...sent), counts: { exported: 0, dropped: 0 } },
		clock: systemClock,
		ids: randomIds,
	});
	const invoke = (header: string | undefined, more: Partial<InvocationRequest> = {}) =>
		dispatcher.invoke("hello", {
			requestId: "id-1",
			payload: Buffer.of(),
			invokedArn: "arn:hello:live",
			...(header !== undefined && { traceId: header }),
			...more,
		});
	return { invoke, spans, seen };
}

test("A warm invocation is one span below its caller's, and the function sees that span as its parent", async () => {
	const { invoke, spans, seen } = traced();
	await invoke(`${root};Parent=${caller};Sampled=1;Lineage=a:1`, { trigger: "http" });
	const [span = assert.fail("no span")] = spans;
	assert.equal(spans.length, 1);
	assert.deepEqual([span.traceId, span.parentSpanId, span.name, span.kind], [traceId, caller, "hello", "server"]);
	assert.match(span.spanId, /^[0-9a-f]{16}$/);
	assert.ok(span.endMs >= span.startMs && Math.abs(span.startMs - Date.now()) < 5000);
	assert.deepEqual(JSON.parse(JSON.stringify(span.attributes)), {
		"faas.name": "hello",
		"faas.invocation_id": "id-1",
		"faas.trigger": "http",
		"cloud.resource_id": "arn:hello:live",
		"faas.version": "3",
		"faas.coldstart": false,
	});
	assert.equal(span.error, undefined);
	assert.equal(seen[0]?.traceId, `${root};Parent=${span.spanId};Sampled=1;Lineage=a:1`);
});

test("A trace that begins here has no parent, and its function one all the same", async () => {
	const { invoke, spans, seen } = traced();
	await invoke(`${root};Sampled=1`);
	assert.equal(spans[0]?.parentSpanId, undefined);
	assert.equal(spans[0]?.attributes["faas.trigger"], "other");
	assert.equal(seen[0]?.traceId, `${root};Parent=${spans[0]?.spanId};Sampled=1`);
});

test("A cold start has a span for each stage, one after the other below the invocation's", async () => {
	const { invoke, spans } = traced({ coldStart });
	await invoke(`${root};Parent=${caller};Sampled=1`);
	const [invocation = assert.fail("no span"), ...stages] = spans;
	assert.equal(invocation.attributes["faas.coldstart"], true);
	assert.equal(invocation.attributes["slipway.cold_start.spare"], true);
	assert.ok(stages.every((stage) => stage.parentSpanId === invocation.spanId && stage.traceId === traceId));
	assert.equal(new Set(spans.map(({ spanId }) => spanId)).size, 6);
	assert.deepEqual(
		stages.map(({ name, startMs, endMs }) => [name, startMs - invocation.startMs, endMs - invocation.startMs]),
		[
			["cold start: queue", 0, 1],
			["cold start: sandbox", 1, 1],
			["cold start: process", 1, 3.5],
			["cold start: init", 3.5, 6.5],
			["cold start: first-poll", 6.5, 7],
		],
	);
});

test("A function that fails and a refusal are spans with an error", async () => {
	const failed = traced({ functionError: "Unhandled", errorType: "Sandbox.Timedout" });
	await failed.invoke(`${root};Sampled=1`);
	assert.equal(failed.spans[0]?.attributes["error.type"], "Sandbox.Timedout");
	assert.match(failed.spans[0]?.error ?? "", /Sandbox\.Timedout/);
	const refused = traced(new SlipwayError("THROTTLED", "Rate Exceeded."));
	await assert.rejects(refused.invoke(`${root};Sampled=1`), /Rate Exceeded/);
	assert.equal(refused.spans[0]?.attributes["error.type"], "THROTTLED");
});

test("What is not sampled, or has no trace id of W3C's length, has no span and goes on as it is", async () => {
	const { invoke, spans, seen } = traced({ coldStart });
	const headers = [
		`${root};Parent=${caller};Sampled=0`,
		"Root=mine;Parent=1;Sampled=1",
		`${root};Parent=${caller}`,
		undefined,
	];
	for (const header of headers) await invoke(header);
	assert.deepEqual(spans, []);
	assert.deepEqual(
		seen.map((request) => request.traceId),
		headers,
	);
});

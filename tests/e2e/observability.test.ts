/** A cold start as one sees it from outside of a real daemon: the header, the REPORT line, the metrics and the spans. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { FunctionClient } from "./function-client.ts";
import { missingForFunctionImages, pushShellRuntime } from "./function-image.ts";
import { slipway } from "./slipway.ts";

const skip = missingForFunctionImages();
const stages = ["queue", "sandbox", "process", "init", "first-poll"];

interface OtlpSpan {
	traceId: string;
	spanId: string;
	parentSpanId?: string;
	name: string;
	startTimeUnixNano: string;
	endTimeUnixNano: string;
	attributes: { key: string; value: Record<string, unknown> }[];
}

/** Keeps the spans that arrive; refuses until told otherwise. */
async function collector(context: TestContext) {
	const spans: OtlpSpan[] = [];
	const services = new Set<unknown>();
	const server = createServer(async (request, response) => {
		const body = JSON.parse((await buffer(request)).toString());
		assert.equal(request.url, "/v1/traces");
		for (const { resource, scopeSpans } of body.resourceSpans) {
			services.add(resource.attributes.find(({ key }: { key: string }) => key === "service.name")?.value.stringValue);
			for (const scope of scopeSpans) spans.push(...scope.spans);
		}
		response.setHeader("content-type", "application/json");
		response.end("{}");
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	context.after(() => {
		server.closeAllConnections();
		server.close();
	});
	return { spans, services, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function invoke(daemon: LocalDaemon, name: string, headers: Record<string, string> = {}): Promise<Response> {
	return fetch(`${daemon.url}/2015-03-31/functions/${name}/invocations`, {
		method: "POST",
		body: '{"do":"sh","command":"grep -i trace-id /tmp/headers"}',
		headers: { authorization: `Bearer ${daemon.credentials.token}`, "x-amz-log-type": "Tail", ...headers },
	});
}

/** Milliseconds by stage. */
function timing(answer: Response): Record<string, number> | undefined {
	const header = answer.headers.get("server-timing");
	if (header === null) return undefined;
	return Object.fromEntries(
		header.split(", ").map((metric) => {
			const [, name = "", ms] = /^([\w-]+);dur=(\d+\.\d{3})(?:;desc=spare)?$/.exec(metric) ?? assert.fail(metric);
			return [name, Number(ms)];
		}),
	);
}

const milliseconds = ({ startTimeUnixNano, endTimeUnixNano }: OtlpSpan) =>
	Number(BigInt(endTimeUnixNano) - BigInt(startTimeUnixNano)) / 1e6;
const attribute = (span: OtlpSpan, name: string) =>
	Object.values(span.attributes.find(({ key }) => key === name)?.value ?? {})[0];

test("A cold start is the same in header, REPORT line, metrics, spans and command line", { skip }, async (context) => {
	const { spans, services, url } = await collector(context);
	const env = { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_SERVICE_NAME: "box-1" };
	const daemon = await startDaemon({ env });
	let stopped = false;
	context.after(() => stopped || daemon[Symbol.asyncDispose]());
	using client = new FunctionClient(daemon);
	await client.createActive("seen", await pushShellRuntime(daemon, "shell"));

	const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
	const cold = await invoke(daemon, "seen", { traceparent: `00-${trace}-00f067aa0ba902b7-01` });
	assert.equal(cold.status, 200, await cold.clone().text());
	const ms = timing(cold) ?? assert.fail("the answer to a cold start has no Server-Timing");
	assert.deepEqual(Object.keys(ms), stages);
	const tail = Buffer.from(cold.headers.get("x-amz-log-result") ?? "", "base64").toString();
	assert.ok(tail.includes(`\tCold Start: ${cold.headers.get("server-timing")}\t`), tail);
	await client.idle();
	const warm = await invoke(daemon, "seen", { traceparent: `00-${trace}-00f067aa0ba902b7-00` });
	assert.equal(timing(warm), undefined);
	await client.idle();
	const alone = await invoke(daemon, "seen");
	const [, seenTrace, seenParent] =
		/Root=1-([0-9a-f]{8}-[0-9a-f]{24});Parent=([0-9a-f]{16});Sampled=1/.exec(await alone.text()) ?? [];

	await client.idle();
	const metrics = await (await client.native("/metrics")).text();
	const sample = (series: string) => Number(metrics.split(`\n${series} `)[1]?.split("\n")[0]);
	assert.equal(sample('slipway_function_invocations_total{function="seen"}'), 3);
	assert.equal(sample('slipway_function_cold_starts_total{function="seen"}'), 1);
	for (const stage of stages) {
		const series = `slipway_function_cold_start_stage_seconds_sum{function="seen",stage="${stage}"}`;
		assert.ok(Math.abs(sample(series) * 1000 - (ms[stage] ?? 0)) < 0.001, `${series} ${sample(series)} ${ms[stage]}`);
	}
	const shown = await slipway(daemon.home, ["function", "get", "seen", "--json"]);
	const { usage } = JSON.parse(shown.out);
	assert.deepEqual([usage.invocations, usage.coldStarts, usage.lastColdStart.initMs], [3, 1, ms.init]);
	const listed = await slipway(daemon.home, ["ps", "--json"]);
	const served = JSON.parse(listed.out).find(({ invocations }: { invocations: number }) => invocations === 3);
	// Two stages, each rounded to a microsecond.
	const startMs = (ms.process ?? 0) + (ms.init ?? 0) - 0.002;
	assert.ok(served.startMs >= startMs, `ps has what the start took: ${served.startMs} ms of ${startMs}`);

	// The batch is sent when the daemon stops, at the latest.
	await daemon[Symbol.asyncDispose]();
	stopped = true;
	assert.deepEqual([...services], ["box-1"]);
	const [invocation = assert.fail("the cold invocation has no span")] = spans.filter(
		({ name, traceId }) => name === "seen" && traceId === trace,
	);
	assert.equal(invocation.parentSpanId, "00f067aa0ba902b7");
	assert.equal(attribute(invocation, "faas.coldstart"), true);
	assert.equal(attribute(invocation, "faas.invocation_id"), cold.headers.get("x-amzn-requestid"));
	const parts = spans.filter(({ parentSpanId }) => parentSpanId === invocation.spanId);
	assert.deepEqual(
		parts.map(({ name }) => name),
		stages.map((stage) => `cold start: ${stage}`),
	);
	for (const [index, stage] of stages.entries())
		assert.ok(Math.abs(milliseconds(parts[index]!) - (ms[stage] ?? 0)) < 0.003, stage);
	const others = spans.filter(({ name, traceId }) => name === "seen" && traceId !== trace);
	assert.deepEqual(
		others.map((span) => [attribute(span, "faas.coldstart"), span.parentSpanId, span.traceId, span.spanId]),
		[[false, undefined, seenTrace?.replace("-", ""), seenParent]],
		"the function sees the span as its parent; a trace that begins here is sampled, one that its caller does not sample is not",
	);
});

test("A collector that does not answer holds up neither an invocation nor the end", { skip }, async (context) => {
	const server = createServer(() => {});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	context.after(() => {
		server.closeAllConnections();
		server.close();
	});
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	const daemon = await startDaemon({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: url } });
	let stopped = false;
	context.after(() => stopped || daemon[Symbol.asyncDispose]());
	using client = new FunctionClient(daemon);
	await client.createActive("seen", await pushShellRuntime(daemon, "shell"));
	for (let round = 0; round < 5; round++) {
		assert.equal((await invoke(daemon, "seen")).status, 200);
		await client.idle();
	}
	const began = performance.now();
	await daemon[Symbol.asyncDispose]();
	stopped = true;
	assert.ok(performance.now() - began < 15_000, "three seconds are for the spans");
});

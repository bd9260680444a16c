import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import type { FunctionRevision } from "../../core/invocation/function-contract.ts";
import { Meter } from "../../engine/dispatch/meter.ts";
import { newCounters, serviceCounters } from "../gateway/counters.ts";
import { apiFront } from "./api.ts";
import { fakeApiDeps } from "./fake-engine.ts";
import { fakeWorkloads } from "./fake-workloads.ts";
import type { ApiDeps } from "./ports.ts";

async function served(context: TestContext, more: Partial<ApiDeps> = {}) {
	const input = {
		closing: new AbortController().signal,
		clock: systemClock,
		ids: randomIds,
		log: silentLog,
		accountId: "123456789012",
		home: "/nowhere",
	};
	const front = apiFront({ ...fakeApiDeps(input), token: "t", ...more });
	const server = createServer((request, response) => void front(request, response));
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	context.after(() => server.close());
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/_slipway`;
	const call = (path: string, init: RequestInit = {}) =>
		fetch(url + path, { ...init, headers: { authorization: "Bearer t", connection: "close", ...init.headers } });
	return { url, call };
}

/** Samples by name and labels; throws for a line that is none. */
function samples(text: string): Map<string, number> {
	const found = new Map<string, number>();
	for (const line of text.split("\n").filter((each) => each !== "" && !each.startsWith("#"))) {
		const [, series, value] = /^([a-z_]+(?:\{(?:[a-z_]+="[^"]*",?)+\})?) (\S+)$/.exec(line) ?? assert.fail(line);
		assert.ok(!found.has(series!), `${series} is there twice`);
		found.set(series!, Number(value));
	}
	return found;
}

test("Prometheus's text: what functions did and what there is, by token only", async (context) => {
	const { call, url } = await served(context, { spans: () => ({ exported: 7, dropped: 2 }) });
	assert.equal((await fetch(`${url}/metrics`, { headers: { connection: "close" } })).status, 401);
	for (const name of ["hello", "broken"]) {
		const body = JSON.stringify({ name, image: "x" });
		await call("/functions", { method: "POST", body, headers: { "content-type": "application/json" } });
		await call(`/functions/${name}/invocations`, { method: "POST" });
	}
	const answer = await call("/metrics");
	assert.equal(answer.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
	const text = await answer.text();
	assert.match(text, /^# TYPE slipway_function_invocations_total counter$/m);
	assert.match(text, /^# TYPE slipway_function_cold_start_stage_seconds histogram$/m);
	const found = samples(text);
	for (const [series, value] of [
		['slipway_function_invocations_total{function="hello"}', 1],
		['slipway_function_errors_total{function="hello"}', 0],
		['slipway_function_errors_total{function="broken"}', 1],
		['slipway_function_cold_starts_total{function="hello"}', 1],
		['slipway_function_throttles_total{function="hello"}', 0],
		['slipway_function_sandboxes{function="hello"}', 1],
		['slipway_function_duration_seconds_bucket{function="hello",le="0.0025"}', 0],
		['slipway_function_duration_seconds_bucket{function="hello",le="0.005"}', 1],
		['slipway_function_duration_seconds_bucket{function="hello",le="900.0"}', 1],
		['slipway_function_duration_seconds_bucket{function="hello",le="+Inf"}', 1],
		['slipway_function_duration_seconds_sum{function="hello"}', 0.003],
		['slipway_function_cold_start_stage_seconds_sum{function="hello",stage="init"}', 0.00225],
		['slipway_function_cold_start_stage_seconds_bucket{function="hello",stage="first-poll",le="0.0001"}', 0],
		['slipway_function_cold_start_stage_seconds_bucket{function="hello",stage="first-poll",le="0.0005"}', 1],
		['slipway_sandboxes{state="idle"}', 1],
		['slipway_sandboxes{state="busy"}', 0],
		['slipway_spares{stage="created"}', 2],
		["slipway_functions", 2],
		["process_cpu_seconds_total", 1.5],
		["process_resident_memory_bytes", 1024],
		["process_start_time_seconds", 2],
		["slipway_spans_exported_total", 7],
		["slipway_spans_dropped_total", 2],
	] as const)
		assert.equal(found.get(series), value, series);
	await call("/functions/hello", { method: "DELETE" });
	const later = await (await call("/metrics")).text();
	assert.ok(!later.includes('"hello"'), "a function that is gone is forgotten");
});

test("OpenMetrics for those who accept it: another head, and an end", async (context) => {
	const { call } = await served(context);
	const accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3";
	const answer = await call("/metrics", { headers: { accept } });
	assert.equal(answer.headers.get("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
	const text = await answer.text();
	assert.match(text, /^# TYPE slipway_function_invocations counter$/m);
	assert.ok(text.endsWith("\n# EOF\n"));
	assert.ok(!text.includes("slipway_spans"), "there are no spans here");
	const families = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
	assert.equal(new Set(families).size, families.length);
});

test("Thousands of functions are written in parts, and whole", async (context) => {
	const meter = new Meter();
	const report = {
		durationMs: 1,
		billedMs: 1,
		memorySizeMiB: 128,
		maxMemoryUsedMiB: 1,
		initMs: undefined,
		coldStart: undefined,
		failure: undefined,
		traceId: undefined,
	};
	for (let index = 0; index < 2000; index++)
		meter.record({ type: "invocation-end", requestId: "i", atMs: 0, report }, {
			name: `f${index}`,
		} as FunctionRevision);
	const { call } = await served(context, { meter });
	const found = samples(await (await call("/metrics")).text());
	assert.equal([...found.keys()].filter((name) => name.startsWith("slipway_function_invocations_total")).length, 2000);
});

test("The gateway's requests by service and class, and each revision's instances", async (context) => {
	const workloads = await fakeWorkloads();
	context.after(() => workloads[Symbol.asyncDispose]());
	const counters = newCounters();
	const shop = serviceCounters(counters, "default", "shop");
	shop.requests["2xx"] = 5;
	shop.cold = 1;
	shop.waitedMs = 1500;
	counters.requests["2xx"] = 7;
	counters.failures["queue-full"] = 3;
	const spec = { template: { spec: { containers: [{ image: "shop:1" }] } } };
	const manifest = { apiVersion: "serving.knative.dev/v1", kind: "Service", metadata: { name: "shop" }, spec };
	await workloads.services.apply("default", manifest, { user: "me" });
	const { call } = await served(context, { workloads: { ...workloads, gateway: counters } });
	let found = new Map<string, number>();
	const labels = 'namespace="default",service="shop"';
	for (
		let tries = 0;
		tries < 100 && !found.get(`slipway_revision_instances{${labels},revision="shop-00001"}`);
		tries++
	) {
		found = samples(await (await call("/metrics")).text());
		await new Promise((resolve) => setTimeout(resolve, 10));
	}
	assert.equal(found.get(`slipway_revision_instances{${labels},revision="shop-00001"}`), 1);
	assert.equal(found.get(`slipway_revision_waiting_requests{${labels},revision="shop-00001"}`), 0);
	assert.equal(found.get(`slipway_gateway_requests_total{${labels},code="2xx"}`), 5);
	assert.equal(found.get('slipway_gateway_requests_total{namespace="",service="",code="2xx"}'), 2);
	assert.equal(found.get('slipway_gateway_failures_total{cause="queue-full"}'), 3);
	assert.equal(found.get(`slipway_service_cold_requests_total{${labels}}`), 1);
	assert.equal(found.get(`slipway_service_wait_seconds_total{${labels}}`), 1.5);
});

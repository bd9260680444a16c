/** Against a collector that is a real HTTP server, and decodes what arrives. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { type Clock, systemClock } from "../../base/clock.ts";
import { silentLog } from "../../base/log.ts";
import type { Span } from "../../core/trace/span.ts";
import { OtlpExporter } from "./otlp-exporter.ts";

interface Received {
	headers: IncomingHttpHeaders;
	resource: Record<string, unknown>;
	spans: { name: string; [key: string]: unknown }[];
}

type Answer = (response: ServerResponse, received: Received) => void;
const accept: Answer = (response) => response.end("{}");

/** Waits run 100 times as fast. */
const fast: Clock = {
	...systemClock,
	sleep: (ms, signal) => systemClock.sleep(ms / 100, signal),
	after: (ms, callback) => systemClock.after(ms / 100, callback),
};

async function collector(context: TestContext, answer: Answer = accept) {
	const requests: Received[] = [];
	const server = createServer(async (request, response) => {
		// One that the exporter gave up, or that the test's end cut off, is none.
		const bytes = await buffer(request).catch(() => undefined);
		if (!bytes) return;
		const body = JSON.parse(bytes.toString());
		const [{ resource, scopeSpans }] = body.resourceSpans;
		const attributes = Object.fromEntries(
			resource.attributes.map(({ key, value }: { key: string; value: object }) => [key, Object.values(value)[0]]),
		);
		const received = { headers: request.headers, resource: attributes, spans: scopeSpans[0].spans };
		requests.push(received);
		answer(response, received);
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	context.after(() => {
		server.closeAllConnections();
		server.close();
	});
	return { requests, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces` };
}

function exporter(endpoint: string, clock = fast, timeoutMs = 2000) {
	const lines: Record<string, unknown>[] = [];
	const log = { ...silentLog, warn: (_message: string, fields = {}) => void lines.push(fields) };
	const resource = { version: "1.2.3", attributes: { "service.name": "box" } };
	const headers = { "api-key": "k" };
	return {
		lines,
		sink: new OtlpExporter({ endpoint, headers, timeoutMs, resource, clock, log, random: () => 0.5 }),
	};
}

function span(name: string, more: Partial<Span> = {}): Span {
	return {
		traceId: "5759e988bd862e3fe1be46a994272793",
		spanId: "53995c3f42cd8ad8",
		name,
		kind: "server",
		startMs: 1_795_000_000_000.25,
		endMs: 1_795_000_000_012.5,
		attributes: {},
		...more,
	};
}

const many = (count: number) => Array.from({ length: count }, (_, index) => span(`s${index}`));

async function until(holds: () => boolean): Promise<void> {
	for (const end = performance.now() + 5000; !holds() && performance.now() < end; )
		await new Promise((resolve) => setTimeout(resolve, 2));
}

test("A span arrives as OTLP's JSON has it, with the resource and the headers", async (t) => {
	const { requests, url } = await collector(t);
	const { sink } = exporter(url, systemClock);
	sink.send([
		span("hello", {
			parentSpanId: "00f067aa0ba902b7",
			attributes: { "faas.coldstart": true, "faas.name": "hello", count: 3, part: 0.5, none: undefined },
			error: "It failed",
		}),
		span("part", { kind: "internal" }),
	]);
	assert.equal(requests.length, 0, "a batch is collected first");
	await sink[Symbol.asyncDispose]();
	const [{ headers, resource, spans } = assert.fail("nothing arrived")] = requests;
	assert.deepEqual([headers["content-type"], headers["api-key"]], ["application/json", "k"]);
	assert.deepEqual(resource, { "service.name": "box" });
	assert.deepEqual(spans, [
		{
			traceId: "5759e988bd862e3fe1be46a994272793",
			spanId: "53995c3f42cd8ad8",
			parentSpanId: "00f067aa0ba902b7",
			name: "hello",
			kind: 2,
			startTimeUnixNano: "1795000000000250000",
			endTimeUnixNano: "1795000000012500000",
			attributes: [
				{ key: "faas.coldstart", value: { boolValue: true } },
				{ key: "faas.name", value: { stringValue: "hello" } },
				{ key: "count", value: { intValue: "3" } },
				{ key: "part", value: { doubleValue: 0.5 } },
			],
			status: { code: 2, message: "It failed" },
		},
		{
			traceId: "5759e988bd862e3fe1be46a994272793",
			spanId: "53995c3f42cd8ad8",
			name: "part",
			kind: 1,
			startTimeUnixNano: "1795000000000250000",
			endTimeUnixNano: "1795000000012500000",
			attributes: [],
		},
	]);
	assert.deepEqual(sink.counts, { exported: 2, dropped: 0 });
});

test("A full batch goes at once, others after a while", async (t) => {
	const { requests, url } = await collector(t);
	const { sink } = exporter(url, systemClock);
	sink.send(many(600));
	await until(() => requests.length === 2);
	assert.deepEqual(
		requests.map(({ spans }) => spans.length),
		[512, 88],
	);
	const slow = exporter(url);
	slow.sink.send(many(1));
	await until(() => requests.length === 3);
	assert.equal(requests[2]?.spans.length, 1);
	await sink[Symbol.asyncDispose]();
	await slow.sink[Symbol.asyncDispose]();
});

test("A collector that is busy (429, 503) is asked again, when it said so, with the same spans", async (t) => {
	const answers: Answer[] = [
		(response) => response.writeHead(429, { "retry-after": "1" }).end(),
		(response) => response.writeHead(503).end(),
		accept,
	];
	const at: number[] = [];
	const { requests, url } = await collector(t, (response, received) => {
		at.push(performance.now());
		answers.shift()?.(response, received);
	});
	const { sink, lines } = exporter(url);
	sink.send(many(3));
	await until(() => sink.counts.exported === 3);
	assert.deepEqual(
		requests.map(({ spans }) => spans.map(({ name }) => name)),
		[
			["s0", "s1", "s2"],
			["s0", "s1", "s2"],
			["s0", "s1", "s2"],
		],
	);
	assert.ok(at[1]! - at[0]! >= 9, "a second, at a hundredth");
	assert.deepEqual([sink.counts.dropped, lines], [0, []]);
	await sink[Symbol.asyncDispose]();
});

test("A collector that stays busy costs spans, not memory: past the bounds they are dropped, counted and logged", async (t) => {
	const { requests, url } = await collector(t, (response) => response.writeHead(429).end());
	const { sink, lines } = exporter(url);
	for (let round = 0; round < 100; round++) sink.send(many(100));
	const held = 2048 + 512;
	assert.equal(sink.counts.dropped, 10_000 - held, "all but the queue and the batch that is on its way");
	assert.deepEqual(lines, [
		{ spans: lines[0]?.spans, reason: "More came than the collector takes", collector: new URL(url).origin },
	]);
	await until(() => sink.counts.dropped > 10_000 - held);
	assert.equal(requests.length, 5, "the first batch, five times");
	await sink[Symbol.asyncDispose]();
	assert.deepEqual(sink.counts, { exported: 0, dropped: 10_000 });
	const logged = lines.reduce((sum, line) => sum + Number(line.spans), 0);
	assert.equal(logged, 10_000, "the log has them all");
	assert.ok(lines.length <= 2, "in a few lines");
	sink.send(many(1));
	assert.equal(sink.counts.dropped, 10_001, "after the end there is nobody to send");
});

test("What a collector refuses for good is not sent again, nor what it refuses in part", async (t) => {
	const partial = { partialSuccess: { rejectedSpans: "2", errorMessage: "too old" } };
	const answers: Answer[] = [
		(response) => response.writeHead(400).end("no"),
		(response) => response.end(JSON.stringify(partial)),
		(response) => response.end("fine"),
		(response) => response.end('{"partialSuccess":{"rejectedSpans":"99"}}'),
	];
	const { requests, url } = await collector(t, (response, received) => answers.shift()?.(response, received));
	const { sink, lines } = exporter(url);
	for (const [sent, exported, dropped] of [
		[3, 0, 3],
		[5, 3, 5],
		[1, 4, 5],
		[2, 4, 7],
	] as const) {
		sink.send(many(sent));
		await until(() => sink.counts.exported === exported && sink.counts.dropped === dropped);
		assert.deepEqual(sink.counts, { exported, dropped });
	}
	assert.equal(requests.length, 4);
	await sink[Symbol.asyncDispose]();
	assert.equal(lines[0]?.reason, "The collector answered 400");
	assert.equal(lines.at(-1)?.reason, "The collector refused them: ");
});

test("A collector that is down, or takes for ever, holds up nothing: not the sender, nor the end", async (t) => {
	const { url } = await collector(t, () => {});
	const slow = exporter(url, fast, 60_000);
	slow.sink.send(many(2000));
	await new Promise((resolve) => setTimeout(resolve, 20));
	const began = performance.now();
	await slow.sink[Symbol.asyncDispose]();
	assert.ok(performance.now() - began < 1500, "the end is cut at three seconds, at a hundredth");
	assert.deepEqual(slow.sink.counts, { exported: 0, dropped: 2000 });

	const down = exporter("http://127.0.0.1:1/v1/traces");
	down.sink.send(many(5));
	await down.sink[Symbol.asyncDispose]();
	assert.deepEqual(down.sink.counts, { exported: 0, dropped: 5 });
	assert.match(String(down.lines[0]?.reason), /can't be reached: .*(ECONNREFUSED|bad port)/);
});

test("A collector that comes back gets what waited", async (t) => {
	let up = false;
	const { url } = await collector(t, (response, received) => (up ? accept(response, received) : response.destroy()));
	const { sink } = exporter(url);
	sink.send(many(700));
	await new Promise((resolve) => setTimeout(resolve, 30));
	assert.equal(sink.counts.exported, 0);
	up = true;
	await until(() => sink.counts.exported === 700);
	assert.deepEqual(sink.counts, { exported: 700, dropped: 0 });
	await sink[Symbol.asyncDispose]();
});

test("Long texts are cut before they wait: a function says what its error is called", async (t) => {
	const { requests, url } = await collector(t);
	const { sink } = exporter(url);
	const [span] = many(1);
	const text = "é".repeat(1024 * 1024);
	sink.send([{ ...span!, attributes: { "error.type": text, count: 3 }, error: text }]);
	await sink[Symbol.asyncDispose]();
	const [sent] = requests[0]!.spans as unknown as [Record<string, unknown>];
	const cut = `${"é".repeat(1024)}…`;
	assert.deepEqual(sent.attributes, [
		{ key: "error.type", value: { stringValue: cut } },
		{ key: "count", value: { intValue: "3" } },
	]);
	assert.deepEqual(sent.status, { code: 2, message: cut });
});

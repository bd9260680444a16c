import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { systemClock } from "../../base/clock.ts";
import { type ErrorCode, errorCodes, isSlipwayError, SlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { jsonLog } from "../../base/log.ts";
import { SlipwayClient } from "../../client/client.ts";
import { nodeFetch } from "../../client/node-fetch.ts";
import {
	components,
	functionListSchema,
	functionSchema,
	imageStreamSchema,
	logStreamSchema,
	problemSchema,
	sandboxListSchema,
} from "../../client/schema.ts";
import { apiFront, apiRoutes } from "./api.ts";
import { fakeApiDeps, fakeStatus } from "./fake-engine.ts";
import { openApiDocument } from "./openapi.ts";
import type { ApiDeps } from "./ports.ts";

const token = "slw_test";

async function served(context: TestContext, change: (deps: ApiDeps) => Partial<ApiDeps> = () => ({})) {
	const home = await mkdtemp(join(tmpdir(), "slipway-api-"));
	const closing = new AbortController();
	const log: string[] = [];
	const fakes = fakeApiDeps({
		accountId: "123456789012",
		closing: closing.signal,
		clock: systemClock,
		ids: randomIds,
		log: jsonLog((line) => log.push(line)),
		home,
	});
	const deps = { ...fakes, token, status: () => fakeStatus, ...change(fakes) };
	const server = createServer(apiFront(deps));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	context.after(async () => {
		closing.abort();
		server.closeAllConnections();
		server.close();
		await rm(home, { recursive: true });
	});
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	const call = (path: string, init: RequestInit = {}) =>
		fetch(`${url}/_slipway${path}`, { ...init, headers: { authorization: `Bearer ${token}`, ...init.headers } });
	return { url, call, log, home, closing, client: new SlipwayClient({ url, token, fetch: nodeFetch }) };
}

async function problem(response: Response, status: number) {
	assert.equal(response.headers.get("content-type"), "application/problem+json");
	assert.equal(response.status, status);
	const body = problemSchema.parse(await response.json());
	assert.equal(body.status, status);
	assert.equal(body.requestId, response.headers.get("slipway-request-id"));
	return body;
}

test("Without the token there is nothing but the document", async (context) => {
	const { url } = await served(context);
	for (const authorization of [
		undefined,
		"Bearer",
		"Bearer wrong",
		`Basic ${btoa(`x:${token}`)}`,
		`Bearer ${token} `,
	]) {
		const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
		const response = await fetch(`${url}/_slipway/status`, { headers });
		if (authorization === `Bearer ${token} `) assert.equal(response.status, 200, "HTTP trims field values");
		else {
			assert.equal(response.headers.get("www-authenticate"), 'Bearer realm="slipway"');
			assert.equal((await problem(response, 401)).code, "UNAUTHENTICATED");
		}
	}
	assert.equal((await fetch(`${url}/_slipway/openapi.json`)).status, 200);
});

test("Functions: create, get, list by pages, delete", async (context) => {
	const { client, call } = await served(context);
	for (let index = 0; index < 5; index++) await client.createFunction({ name: `f${index}`, image: "127.0.0.1/x:1" });
	functionSchema.parse(await client.getFunction("f3"));
	const page = functionListSchema.parse(await (await call("/functions?limit=2&after=f1")).json());
	assert.deepEqual(
		page.functions.map((fn) => fn.name),
		["f2", "f3"],
	);
	assert.equal(page.next, "f3");
	const names = await Array.fromAsync(client.functions(), (fn) => fn.name);
	assert.deepEqual(names, ["f0", "f1", "f2", "f3", "f4"]);
	await client.deleteFunction("f0");
	await assert.rejects(client.getFunction("f0"), (error) => isSlipwayError(error, "NOT_FOUND"));
	await assert.rejects(client.createFunction({ name: "f1", image: "x" }), (error) =>
		isSlipwayError(error, "ALREADY_EXISTS"),
	);
});

test("Spares: what is given changes, what is not a count is refused; stop tells how many end", async (context) => {
	const { client, call } = await served(context);
	const { spares } = await client.createFunction({ name: "f", image: "127.0.0.1/x:1" });
	assert.deepEqual(spares, { created: "auto", initialized: "auto" });
	assert.deepEqual((await client.setSpares("f", { initialized: 2 })).spares, { created: "auto", initialized: 2 });
	assert.deepEqual((await client.getFunction("f")).spares, { created: "auto", initialized: 2 });
	for (const body of ['{"created":-1}', '{"created":"many"}', '{"created":101}', '{"creatd":1}', "[]"])
		await problem(await call("/functions/f/spares", { method: "PUT", body }), 400);
	await assert.rejects(client.setSpares("g", { created: 1 }), (error) => isSlipwayError(error, "NOT_FOUND"));
	assert.equal(await client.stopFunction("f"), 1);
	await assert.rejects(client.stopFunction("g"), (error) => isSlipwayError(error, "NOT_FOUND"));
});

const malformed: [string, string, RequestInit, RegExp][] = [
	["no JSON", "/functions", { method: "POST", body: "{" }, /not JSON/],
	["no object", "/functions", { method: "POST", body: "[]" }, /expected object/],
	["no UTF-8", "/functions", { method: "POST", body: new Uint8Array([0x22, 0xff, 0x22]) }, /not JSON/],
	["missing field", "/functions", { method: "POST", body: '{"name":"a"}' }, /Field 'image'/],
	["unknown field", "/functions", { method: "POST", body: '{"name":"a","image":"b","memory":1}' }, /memory/],
	["bad name", "/functions", { method: "POST", body: '{"name":"a b","image":"b"}' }, /Field 'name': must be 1 to 64/],
	[
		"memory out of range",
		"/functions",
		{ method: "POST", body: '{"name":"a","image":"b","memoryMiB":1}' },
		/memoryMiB/,
	],
	["bad name in the path", "/functions/a%20b", {}, /Parameter 'name': must be 1 to 64/],
	["broken escape", "/functions/%zz", {}, /percent-encoded/],
	["bad limit", "/functions?limit=0", {}, /Query parameter 'limit'/],
	["unknown parameter", "/functions?page=2", {}, /page/],
	["bad flag", "/functions/hello/logs?follow=perhaps", {}, /Query parameter 'follow'/],
];
for (const [what, path, init, message] of malformed)
	test(`Malformed input (${what}) is a 400 that names it`, async (context) => {
		const { call } = await served(context);
		const { code, detail } = await problem(await call(path, init), 400);
		assert.equal(code, "INVALID");
		assert.match(detail, message);
	});

test("Unknown paths and methods say what there is", async (context) => {
	const { call } = await served(context);
	assert.match((await problem(await call("/nope"), 404)).detail, /no operation at \/_slipway\/nope/);
	assert.match((await problem(await call("/functions", { method: "DELETE" }), 404)).detail, /GET, POST is/);
	assert.match((await problem(await call(""), 404)).hint ?? "", /openapi\.json/);
});

test("Invoke: the payload as it is, failures marked, the tail and the cold start beside it", async (context) => {
	const { client, call } = await served(context);
	await client.createFunction({ name: "hello", image: "x" });
	const precise = '{"n":12345678901234567890}';
	const result = await client.invoke("hello", precise, { tail: true });
	assert.equal(Buffer.from(result.payload).toString(), `{"echo":${precise}}`);
	assert.equal(result.functionError, undefined);
	assert.equal(result.logTail, "START\nEND\n");
	const stages = { queueMs: 0.25, sandboxMs: 1.5, processMs: 2, initMs: 2.25, firstPollMs: 0.125, spare: false };
	assert.deepEqual(result.coldStart, stages);
	assert.match(result.requestId, /^[0-9a-f-]{36}$/);
	const empty = await call("/functions/hello/invocations", { method: "POST" });
	assert.equal(await empty.text(), '{"echo":{}}');
	await client.createFunction({ name: "broken", image: "x" });
	assert.equal((await client.invoke("broken", "{}")).functionError, "Unhandled");
});

test("Invoke: 6 MiB pass, one byte more is a 413, announced or not", async (context) => {
	const { client, call } = await served(context);
	await client.createFunction({ name: "hello", image: "x" });
	const largest = Buffer.alloc(6 * 1024 * 1024, "1");
	assert.equal((await client.invoke("hello", largest)).payload.length, largest.length + '{"echo":}'.length);
	const larger = Buffer.concat([largest, Buffer.from("1")]);
	const announced = await call("/functions/hello/invocations", { method: "POST", body: larger });
	assert.equal((await problem(announced, 413)).code, "TOO_LARGE");
	const stream = new Blob([larger]).stream();
	await assert.rejects(
		// Our client sends a stream in chunks: the refusal comes while it sends.
		client.importImage(stream, 1024 * 1024 * 1024),
		(error) => isSlipwayError(error, "TOO_LARGE"),
	);
});

test("Throttling says when to come again; a bug says nothing but its request id", async (context) => {
	const { client, call, log } = await served(context);
	for (const name of ["throttled", "bug"]) await client.createFunction({ name, image: "x" });
	const throttled = await call("/functions/throttled/invocations", { method: "POST" });
	assert.equal(throttled.headers.get("retry-after"), "2");
	assert.equal((await problem(throttled, 429)).code, "THROTTLED");
	const bug = await problem(await call("/functions/bug/invocations", { method: "POST" }), 500);
	assert.equal(bug.code, "INTERNAL");
	assert(!JSON.stringify(bug).includes("secret detail"));
	assert.match(log.join(""), new RegExp(`${bug.requestId}.*secret detail`));
});

test("Every code comes back out of the client as it went into the API", async (context) => {
	let code: ErrorCode = "INVALID";
	const { client } = await served(context, () => ({
		status: () => {
			throw new SlipwayError(code, "Said", { hint: "Do", reason: "Because" });
		},
	}));
	for (code of Object.keys(errorCodes) as ErrorCode[])
		await assert.rejects(client.status(), (error) => {
			assert(isSlipwayError(error, code), code);
			assert.deepEqual([error.message, error.hint, error.reason], ["Said", "Do", "Because"]);
			return true;
		});
});

test("Logs: a range as NDJSON, and a follower that misses nothing and repeats nothing", async (context) => {
	const { client, call, closing } = await served(context);
	await client.createFunction({ name: "hello", image: "x" });
	for (let index = 0; index < 3; index++) await client.invoke("hello", String(index));
	const response = await call("/functions/hello/logs?limit=2");
	assert.equal(response.headers.get("content-type"), "application/x-ndjson");
	const lines = (await response.text()).trimEnd().split("\n");
	assert.equal(lines.length, 2);
	for (const line of lines) logStreamSchema.parse(JSON.parse(line));

	const seen: string[] = [];
	const following = (async () => {
		for await (const { message } of client.logs("hello", { follow: true })) {
			seen.push(message);
			if (seen.length === 10) closing.abort(); // The daemon stops: the stream ends by itself.
		}
	})();
	for (let index = 3; index < 10; index++) await client.invoke("hello", String(index));
	await following;
	assert.deepEqual(
		seen,
		Array.from({ length: 10 }, (_, index) => `event ${index}`),
	);
});

test("A follower that leaves stops the reading behind it", async (context) => {
	const stopped = Promise.withResolvers<void>();
	const { client } = await served(context, (fakes) => ({
		logs: {
			...fakes.logs,
			async *follow(_group, { signal }) {
				signal.addEventListener("abort", () => stopped.resolve());
				await stopped.promise;
				yield* [];
			},
		},
	}));
	await client.createFunction({ name: "hello", image: "x" });
	await client.invoke("hello", "1");
	const leave = new AbortController();
	await assert.rejects(async () => {
		for await (const _ of client.logs("hello", { follow: true, signal: leave.signal })) leave.abort();
	});
	await stopped.promise;
});

test("Images: the archive is streamed to a file that is gone afterwards, with progress", async (context) => {
	const { client, call, home } = await served(context);
	const archive = new Blob([Buffer.alloc(300_000, 7)]);
	const stages: string[] = [];
	const images = await client.importImage(archive.stream(), archive.size, {
		repository: "team/x:1",
		onProgress: ({ stage }) => stages.push(stage),
	});
	assert.deepEqual(images[0]?.references, ["127.0.0.1/team/x:1"]);
	assert.equal(stages[0], "receive");
	assert.equal(stages.at(-1), "unpack");
	assert.deepEqual(await readdir(join(home, "tmp")), []);
	await assert.rejects(client.importImage(archive.stream(), archive.size, { repository: "evil" }), (error) => {
		assert(isSlipwayError(error, "INVALID_IMAGE"));
		assert.equal(error.reason, "LayerPathEscape");
		return true;
	});
	assert.deepEqual(await readdir(join(home, "tmp")), [], "nothing is left of a refused archive");
	const pulled = await call("/images/pull", { method: "POST", body: '{"reference":"reg.example/a:1"}' });
	for (const line of (await pulled.text()).trimEnd().split("\n")) imageStreamSchema.parse(JSON.parse(line));
	await assert.rejects(client.inspectImage("a/b:1"), /'a\/b:1' was not found/);
});

test("An upload that breaks off leaves no file and no line in the log", async (context) => {
	const { home, url, log } = await served(context);
	const files = () => readdir(join(home, "tmp")).catch(() => []);
	const until = async (count: number) => {
		for (let tries = 0; (await files()).length !== count && tries < 200; tries++) await sleep(10);
		assert.equal((await files()).length, count);
	};
	const leave = new AbortController();
	const slow = new ReadableStream<Uint8Array>({
		pull: async (controller) => {
			await sleep(5);
			controller.enqueue(new Uint8Array(1000));
		},
	});
	const sending = nodeFetch(new URL("/_slipway/images/import", url), {
		method: "POST",
		body: slow,
		headers: { authorization: `Bearer ${token}`, "content-length": "1000000" },
		signal: leave.signal,
	});
	await until(1);
	leave.abort();
	await assert.rejects(async () => (await sending).text());
	await until(0);
	assert.deepEqual(log, []);
});

test("Sandboxes have the documented shape", async (context) => {
	const { call } = await served(context);
	sandboxListSchema.parse(await (await call("/sandboxes")).json());
});

interface OpenApi {
	openapi: string;
	paths: Record<string, Record<string, Operation>>;
	components: { schemas: Record<string, z.core.JSONSchema.JSONSchema> };
}
interface Operation {
	operationId: string;
	summary: string;
	parameters?: { name: string; in: string }[];
	responses: Record<string, unknown>;
}

test("The OpenAPI document is whole: every reference resolves, every id is unique, every path parameter is declared", async (context) => {
	const { call } = await served(context);
	const document = (await (await call("/openapi.json")).json()) as OpenApi;
	assert.equal(document.openapi, "3.1.0");
	const text = JSON.stringify(document);
	for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g))
		assert(name && name in document.components.schemas, `${name} is not defined`);
	assert.deepEqual(Object.keys(document.components.schemas), Object.keys(components));
	const ids = new Set<string>();
	for (const [path, operations] of Object.entries(document.paths))
		for (const [method, operation] of Object.entries(operations)) {
			assert(!ids.has(operation.operationId), operation.operationId);
			ids.add(operation.operationId);
			assert(operation.summary && operation.responses.default, `${method} ${path}`);
			const declared = (operation.parameters ?? []).filter((one) => one.in === "path");
			assert.deepEqual(
				declared.map((one) => `{${one.name}}`),
				path.match(/\{\w+\}/g) ?? [],
			);
		}
	// Each component is a JSON Schema that a validator can read back.
	for (const schema of Object.values(document.components.schemas)) z.fromJSONSchema(schema);
});

test("Every route is in the document", () => {
	const deps = fakeApiDeps({
		accountId: "1",
		closing: new AbortController().signal,
		clock: systemClock,
		ids: randomIds,
		log: jsonLog(() => undefined),
		home: "/nowhere",
	});
	const routes = apiRoutes(deps);
	const { paths } = openApiDocument(routes, "/_slipway", "1") as { paths: Record<string, Record<string, unknown>> };
	for (const { path, method } of routes) assert(paths[path]?.[method.toLowerCase()], `${method} ${path}`);
});

/** What the gateway refuses, and what it says: smuggling, names, limits, full queues. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { SlipwayError } from "../base/error.ts";
import { raw, type TestGatewayOptions, testGateway, testRoute, until } from "./testing-gateway.ts";

/** Counts what arrives: a smuggled request would be one too many. */
async function counting(context: TestContext, options: TestGatewayOptions = {}) {
	const urls: string[] = [];
	const server = createServer((request, response) => {
		urls.push(request.url ?? "");
		request.resume().on("end", () => response.end("ok"));
	});
	const gateway = await testGateway(context, server, options);
	return { ...gateway, urls, port: gateway.listener.port };
}

const host = "Host: hello.localhost\r\n";
const inner = "GET /smuggled HTTP/1.1\r\nHost: hello.localhost\r\n\r\n";
const refused: [string, string, RegExp][] = [
	[
		"Content-Length and Transfer-Encoding",
		`POST / HTTP/1.1\r\n${host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
		/400/,
	],
	[
		"two lengths that differ",
		`POST / HTTP/1.1\r\n${host}Content-Length: 0\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`,
		/400/,
	],
	["a list of lengths", `POST / HTTP/1.1\r\n${host}Content-Length: 0, ${inner.length}\r\n\r\n${inner}`, /400/],
	["a negative length", `POST / HTTP/1.1\r\n${host}Content-Length: -1\r\n\r\n`, /400/],
	["a length with a plus", `POST / HTTP/1.1\r\n${host}Content-Length: +5\r\n\r\nhello`, /400/],
	["bare LF", `POST / HTTP/1.1\n${host}\n\n`, /400/],
	["bare LF in a header", `GET / HTTP/1.1\r\n${host}X: a\nTransfer-Encoding: chunked\r\n\r\n`, /400/],
	["a folded header", `GET / HTTP/1.1\r\n${host}X: a\r\n b\r\n\r\n`, /400/],
	["a space before the colon", `POST / HTTP/1.1\r\n${host}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`, /400/],
	["NUL in a header", `GET / HTTP/1.1\r\n${host}X: a\0b\r\n\r\n`, /400/],
	[
		"another coding",
		`POST / HTTP/1.1\r\n${host}Transfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n0\r\n\r\n`,
		/501/,
	],
	[
		"a coding that ends in no chunks",
		`POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n`,
		/400/,
	],
	["xchunked", `POST / HTTP/1.1\r\n${host}Transfer-Encoding: xchunked\r\nConnection: close\r\n\r\n0\r\n\r\n`, /400/],
	["chunks in HTTP/1.0", `POST / HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, /400/],
	[
		"huge chunk extensions",
		`POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1;${"x".repeat(40_000)}\r\na\r\n0\r\n\r\n`,
		/413|400/,
	],
	[
		"a chunk size that is none",
		`POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n`,
		/400/,
	],
	["the absolute form", `GET http://other.localhost/ HTTP/1.1\r\n${host}Connection: close\r\n\r\n`, /400/],
	["two hosts", `GET / HTTP/1.1\r\n${host}Host: other.localhost\r\n\r\n`, /400/],
	["no host", "GET / HTTP/1.1\r\n\r\n", /400/],
	["TRACE", `TRACE / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`, /405/],
	["101 headers", `GET / HTTP/1.1\r\n${host}${"X: 1\r\n".repeat(100)}Connection: close\r\n\r\n`, /431/],
	["3000 headers", `GET / HTTP/1.1\r\n${"X: 1\r\n".repeat(3000)}${host}Connection: close\r\n\r\n`, /431|400|404/],
	["40 KB of headers", `GET / HTTP/1.1\r\n${host}X: ${"a".repeat(40_000)}\r\n\r\n`, /431/],
	["a long path", `GET /${"a".repeat(17_000)} HTTP/1.1\r\n${host}Connection: close\r\n\r\n`, /414/],
	["another protocol's version", `GET / HTTP/3.0\r\n${host}\r\n`, /400/],
];
for (const [name, bytes, expected] of refused)
	test(`Refused: ${name}`, async (context) => {
		const { port, urls } = await counting(context);
		const answer = await raw(port, bytes);
		const statuses = [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status!);
		assert.match(statuses.at(-1) ?? answer, expected);
		await new Promise((resolve) => setTimeout(resolve, 20));
		assert(!urls.includes("/smuggled"), "nothing was smuggled");
		if (!name.includes("chunk")) assert.deepEqual(urls, []);
	});

test("CONNECT is not served, and neither is an Upgrade to HTTP/2: it is a request like any other", async (context) => {
	const { port, urls } = await counting(context);
	assert.equal(await raw(port, `CONNECT hello.localhost:80 HTTP/1.1\r\n${host}\r\n`), "");
	assert.deepEqual(urls, []);
	const upgrade =
		"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
	assert.match(await raw(port, `GET /java HTTP/1.1\r\n${host}${upgrade}`), /^HTTP\/1\.1 200/);
	assert.deepEqual(urls, ["/java"]);
});

const names: [string, RegExp][] = [
	["hello.localhost", /200/],
	["HELLO.LocalHost:4747", /200/],
	["hello.default.localhost.", /200/],
	["nobody.localhost", /404[\s\S]*There is no service 'nobody' here\r?\n`slipway service ls`/],
	["hello.other.localhost", /404[\s\S]*no service 'hello' in the namespace 'other'/],
	["a.b.c.localhost", /404[\s\S]*No service or route/],
	["blue---hello.localhost", /404[\s\S]*'hello' with the tag 'blue'/],
	["hello.localhost.evil.example", /404[\s\S]*Nothing is served/],
	["-x.localhost", /404/],
	["h\u00e9llo.localhost", /404|400/],
	["user@hello.localhost", /404|400/],
	["hello.localhost:99999999", /404/],
	[`${"a".repeat(64)}.localhost`, /404/],
];
for (const [name, expected] of names)
	test(`Host ${name.slice(0, 40)}`, async (context) => {
		const { port } = await counting(context);
		assert.match(await raw(port, `GET / HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`), expected);
	});

test("An internal service is not there for the outside, and is for containers", async (context) => {
	const { port, front } = await counting(context, { route: { ingress: "internal" } });
	assert.match(await raw(port, `GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`), /^HTTP\/1\.1 404/);
	assert(front.internal.owns("hello.internal") && front.internal.owns("hello.default.internal:80"));
	assert(!front.internal.owns("hello.localhost"));
	const { createInternalServer } = await import("../front/gateway/internal-server.ts");
	const { createServer: listen } = await import("node:net");
	const internal = createInternalServer(front.internal, systemClock);
	const server = listen(internal.accept).listen(0, "127.0.0.1");
	context.after(() => {
		server.close();
		internal[Symbol.dispose]();
	});
	await until(() => server.listening, "it listens");
	const { port: inside } = server.address() as { port: number };
	assert.match(
		await raw(inside, "GET / HTTP/1.1\r\nHost: hello.internal\r\nConnection: close\r\n\r\n"),
		/^HTTP\/1\.1 200/,
	);
	assert.match(await raw(inside, "GET / HTTP/1.1\r\nHost: x.internal\r\nConnection: close\r\n\r\n"), /^HTTP\/1\.1 404/);
	assert.match(
		await raw(inside, "GET / HTTP/1.1\r\nHost: hello.localhost\r\nConnection: close\r\n\r\n"),
		/^HTTP\/1\.1 404/,
	);
});

const errors: [SlipwayError, RegExp][] = [
	[
		new SlipwayError("THROTTLED", "Too many wait", { reason: "QueueFull", retryAfterMs: 2500 }),
		/^HTTP\/1\.1 429 [\s\S]*retry-after: 3\r\n[\s\S]*Too many wait/,
	],
	[new SlipwayError("DEADLINE", "None came"), /^HTTP\/1\.1 504 /],
	[new SlipwayError("UNAVAILABLE", "It does not start"), /^HTTP\/1\.1 503 [\s\S]*retry-after: 1\r\n/],
	[new SlipwayError("NOT_FOUND", "It is gone"), /^HTTP\/1\.1 503 /],
];
for (const [error, expected] of errors)
	test(`${error.code} of an admission`, async (context) => {
		const { port, records } = await counting(context, { admit: () => Promise.reject(error) });
		assert.match(await raw(port, `GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`), expected);
		assert(records[0]?.failure);
		const json = await raw(port, `GET / HTTP/1.1\r\n${host}Accept: application/json\r\nConnection: close\r\n\r\n`);
		assert.match(json, /\{"error":".*","reason":".*"\}/);
	});

test("A bug is a 500 without words", async (context) => {
	const { port } = await counting(context, { admit: () => Promise.reject(new Error("secret")) });
	const answer = await raw(port, `GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
	assert.match(answer, /^HTTP\/1\.1 500[\s\S]*Internal error/);
	assert.doesNotMatch(answer, /secret/);
});

test("Nothing ready is a 503 with the reason; a revision that has just gone is looked for once more", async (context) => {
	const none = await counting(context, { route: { targets: [], reason: "RevisionFailed: exit 1" } });
	assert.match(
		await raw(none.port, `GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`),
		/^HTTP\/1\.1 503[\s\S]*RevisionFailed: exit 1/,
	);
	const asked: string[] = [];
	let route = testRoute();
	const moved = await counting(context, {
		deps: { routes: { find: () => route } },
		admit: async ({ name }) => {
			asked.push(name);
			route = testRoute({ targets: [{ revision: "hello-00002", percent: 100 }] });
			throw new SlipwayError("NOT_FOUND", "gone");
		},
	});
	await raw(moved.port, `GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
	assert.deepEqual(asked, ["hello-00001", "hello-00002"]);
});

test("Who waits for a service that is deleted is told so", async (context) => {
	let route: ReturnType<typeof testRoute> | undefined = testRoute();
	const { port, records } = await counting(context, {
		deps: { routes: { find: () => route } },
		admit: async () => {
			route = undefined;
			throw new SlipwayError("NOT_FOUND", "gone");
		},
	});
	const answer = await raw(port, `GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
	assert.match(answer, /^HTTP\/1\.1 404[\s\S]*The service was deleted while the request waited/);
	assert.equal(records[0]?.failure, "not-found");
});

test("Whoever has the affinity cookie goes where it was before", async (context) => {
	const { port } = await counting(context, { route: { sessionAffinity: true }, revision: { sessionAffinity: true } });
	const first = await raw(port, `GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
	const [, cookie] =
		/Set-Cookie: (SLIPWAY_AFFINITY=hello-00001~i-1); Path=\/; Max-Age=2592000; HttpOnly/.exec(first) ?? [];
	assert(cookie, first);
	const second = await raw(port, `GET / HTTP/1.1\r\n${host}Cookie: a=b; ${cookie}\r\nConnection: close\r\n\r\n`);
	assert.doesNotMatch(second, /Set-Cookie/);
});

test("The access log has one record for each request, without its query", async (context) => {
	const { port, records, front } = await counting(context);
	await raw(
		port,
		`POST /a?token=1 HTTP/1.1\r\n${host}User-Agent: t\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc`,
	);
	await until(() => records.length === 1, "recorded");
	const { time, durationMs, traceId, requestId, ...rest } = records[0]!;
	assert(Date.parse(time) > 0 && durationMs > 0 && traceId.length === 32 && requestId.length === 32);
	assert.deepEqual(rest, {
		method: "POST",
		host: "hello.localhost",
		path: "/a",
		protocol: "HTTP/1.1",
		bytesIn: 3,
		bytesOut: 2,
		clientAddress: "127.0.0.1",
		status: 200,
		waitedMs: 0,
		revision: "hello-00001",
		instance: "i-1",
		namespace: "default",
		service: "hello",
		userAgent: "t",
	});
	assert.deepEqual(front.counters.requests, { "1xx": 0, "2xx": 1, "3xx": 0, "4xx": 0, "5xx": 0, gone: 0 });
	assert.equal(front.counters.openRequests, 0);
});

test("Random bytes and broken requests do not end it", async (context) => {
	const { port, listener } = await counting(context);
	let seed = Number(process.env.SEED ?? 20_261_121);
	context.diagnostic(`seed ${seed}`);
	const random = (below: number) => {
		seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
		return (seed >>> 8) % below;
	};
	const starts = [
		`GET / HTTP/1.1\r\n${host}`,
		`POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
		`GET / HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
		"",
	];
	const sockets = Array.from({ length: 300 }, () => {
		const bytes = Buffer.from(
			starts[random(starts.length)]! +
				Buffer.from(Array.from({ length: random(200) }, () => random(256))).toString("latin1"),
			"latin1",
		);
		for (let flips = random(4); flips > 0 && bytes.length > 0; flips--) bytes[random(bytes.length)] = random(256);
		const socket = connect(port, "127.0.0.1");
		socket.on("error", () => {}).resume();
		const cut = random(bytes.length + 1);
		socket.write(bytes.subarray(0, cut));
		setTimeout(() => socket.end(bytes.subarray(cut)), random(30));
		return socket;
	});
	await new Promise((resolve) => setTimeout(resolve, 300));
	for (const socket of sockets) socket.destroy();
	await until(() => listener.openRequests === 0, "nothing is left open");
	assert.match(await raw(port, `GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`), /^HTTP\/1\.1 200/);
});

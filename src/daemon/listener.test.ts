import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isSlipwayError } from "../base/error.ts";
import { jsonLog, silentLog } from "../base/log.ts";
import {
	chooseFront,
	type Front,
	type Fronts,
	type Listener,
	type ListenerOptions,
	startListener,
} from "./listener.ts";
import { cutStalled, cutStalledStream } from "./listener-open-requests.ts";

const named =
	(name: string): Front =>
	(_request: IncomingMessage, response: ServerResponse) =>
		void response.end(name);

const fronts = (make: (name: string) => Front) => ({
	aws: make("aws"),
	registry: make("registry"),
	api: make("api"),
	cloudEvents: make("cloudEvents"),
	functionUrl: make("functionUrl"),
});

async function listener(context: TestContext, options: Partial<ListenerOptions> = {}): Promise<Listener> {
	const started = await startListener({
		fronts: fronts(named),
		listen: { host: "127.0.0.1", port: 0 },
		ready: () => true,
		log: silentLog,
		...options,
	});
	context.after(() => started.close(AbortSignal.abort()));
	return started;
}

const sigv4 =
	"AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=00";
const chosen: [string, string, Record<string, string>, ReturnType<typeof chooseFront>][] = [
	["POST", "/_slipway/cloud-events/default", {}, "cloudEvents"],
	["GET", "/v2/", {}, "registry"],
	["GET", "/v2", {}, "registry"],
	["GET", "/v2/hello/manifests/1", { authorization: "Basic QVdTOng=" }, "registry"],
	["GET", "/v2/apis", { authorization: sigv4 }, "aws"],
	["GET", "/v2x", {}, undefined],
	["POST", "/2015-03-31/functions/hello/invocations", {}, "aws"],
	["POST", "/2015-03-31/functions/hello/invocations", { authorization: "Bearer t" }, "aws"],
	["GET", "/2015-03-31/functions", { authorization: sigv4 }, "aws"],
	["GET", "/anything?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=1", {}, "aws"],
	["POST", "/", { authorization: sigv4 }, "aws"],
	["POST", "/", { "x-amz-target": "AmazonEC2ContainerRegistry_V20150921.ListImages" }, "aws"],
	["POST", "/", { "content-type": "application/x-www-form-urlencoded; charset=utf-8" }, "aws"],
	["GET", "/", {}, undefined],
	["GET", "/_slipway/status", {}, "api"],
	["GET", "/_slipway", {}, "api"],
	["GET", "/_slipwayx", {}, undefined],
	["GET", "/healthz", {}, "health"],
	["GET", "/readyz?verbose", {}, "health"],
	["GET", "/healthzz", {}, undefined],
	["GET", "/2015-03-31", {}, undefined],
	["GET", "/", { host: "abc123.lambda-url.us-east-1.localhost:4747" }, "functionUrl"],
	["GET", "/v2/", { host: "abc123.LAMBDA-URL.eu-west-1.on.aws" }, "functionUrl"],
	["POST", "/2015-03-31/functions", { host: "x.lambda-url.us-east-1.on.aws", authorization: sigv4 }, "functionUrl"],
	["GET", "/healthz", { host: "x.lambda-url.us-east-1.localhost" }, "functionUrl"],
	["GET", "/healthz", { host: "lambda-url.us-east-1.localhost" }, "health"],
	["GET", "/healthz", { host: "a.b.lambda-url.us-east-1.localhost" }, "health"],
];
for (const [method, url, headers, expected] of chosen)
	test(`${method} ${url} ${Object.keys(headers)} is for ${expected ?? "nobody"}`, () => {
		assert.equal(chooseFront({ method, url, headers }), expected);
	});

test("A service's host has all of its paths; the Kubernetes-style API has its own on other hosts", () => {
	const gateway = { owns: (host: string | undefined) => host === "a.localhost" } as unknown as NonNullable<
		Fronts["gateway"]
	>;
	const some = { gateway, knative: named("knative") };
	const front = (url: string, host: string, only = false) =>
		chooseFront({ method: "GET", url, headers: { host } }, some, only);
	for (const path of ["/", "/v2/", "/_slipway/status", "/healthz", "/apis", "/2015-03-31/functions"])
		assert.equal(front(path, "a.localhost"), "gateway", path);
	for (const path of [
		"/apis",
		"/apis/serving.knative.dev/v1",
		"/api",
		"/api/v1",
		"/version",
		"/openapi/v2",
		"/version?x",
	])
		assert.equal(front(path, "localhost"), "knative", path);
	for (const path of ["/apisx", "/versions", "/openapi.json"]) assert.equal(front(path, "localhost"), undefined, path);
	for (const path of ["/v2/", "/_slipway/status", "/apis", "/healthz"])
		assert.equal(front(path, "localhost", true), undefined, `${path} on a port for services alone`);
	assert.equal(front("/", "x.lambda-url.us-east-1.localhost", true), "functionUrl");
});

test("An ACME server finds its token before anything else, and nobody else's", async (context) => {
	const { port } = await listener(context, {
		challenge: (host, token) => (host === "a.example" && token === "abc" ? "abc.key" : undefined),
	});
	const ask = (host: string, token: string) =>
		raw(port, `GET /.well-known/acme-challenge/${token} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
	assert.match(await ask("A.example:80", "abc"), /^HTTP\/1\.1 200[\s\S]*\r\n\r\nabc\.key$/);
	assert.match(await ask("b.example", "abc"), /^HTTP\/1\.1 404/);
	assert.match(await ask("a.example", "abcd"), /^HTTP\/1\.1 404/);
});

test("Who expects a 100 gets one from every front", async (context) => {
	const { port } = await listener(context);
	const head =
		"POST /_slipway/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
	assert.match(await raw(port, `${head}ab`), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200/);
});

test("Each front gets its requests; an unknown path is told what lives where", async (context) => {
	const { url } = await listener(context);
	assert.equal(await (await fetch(`${url}/v2/`)).text(), "registry");
	assert.equal(await (await fetch(`${url}/_slipway/x`)).text(), "api");
	assert.equal(await (await fetch(`${url}/2015-03-31/functions`)).text(), "aws");
	const unknown = await fetch(`${url}/nope?secret=1`);
	assert.equal(unknown.status, 404);
	const body = (await unknown.json()) as { error: string; served: Record<string, string> };
	assert.equal(body.error, "Nothing is served at GET /nope");
	assert(body.served["/v2/"]);
});

test("/healthz is always well, /readyz follows readiness", async (context) => {
	let ready = false;
	const { url } = await listener(context, { ready: () => ready });
	assert.equal((await fetch(`${url}/healthz`)).status, 200);
	assert.equal((await fetch(`${url}/readyz`)).status, 503);
	ready = true;
	assert.equal((await fetch(`${url}/readyz`)).status, 200);
});

test("A front's bug is a plain 500 outside and all of it in the log", async (context) => {
	const lines: string[] = [];
	const api: Front = () => Promise.reject(new Error("inner secret"));
	const { url } = await listener(context, {
		fronts: { ...fronts(named), api },
		log: jsonLog((line) => lines.push(line)),
	});
	const response = await fetch(`${url}/_slipway/x`);
	assert.equal(response.status, 500);
	assert.deepEqual(await response.json(), { error: "Internal error" });
	assert.match(lines[0] ?? "", /inner secret/);
});

/** Sends raw bytes and returns all that comes back until the other side closes. */
async function raw(port: number, bytes: string): Promise<string> {
	const socket = connect(port, "127.0.0.1");
	socket.write(bytes);
	return text(socket);
}

test("What is not HTTP gets a 400, too many header bytes a 431, each once and closed", async (context) => {
	const { port } = await listener(context);
	assert.match(await raw(port, "hello\r\n\r\n"), /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*connection: close/);
	assert.match(await raw(port, "GET / HTTP/1.1\r\n\r\n"), /^HTTP\/1\.1 400/, "no Host");
	const smuggled = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
	assert.match(await raw(port, smuggled), /^HTTP\/1\.1 400/, "two lengths");
	const large = `GET / HTTP/1.1\r\nHost: x\r\nX-Large: ${"a".repeat(40_000)}\r\n\r\n`;
	assert.match(await raw(port, large), /^HTTP\/1\.1 431/);
});

test("A request with two Host headers is refused, whatever they say", async (context) => {
	const server = await listener(context);
	const url = "a.lambda-url.us-east-1.localhost";
	for (const [first, second] of [
		[url, "localhost"],
		["localhost", url],
		[url, url],
	]) {
		const socket = connect(server.port, "127.0.0.1");
		socket.write(`GET /_slipway/x HTTP/1.1\r\nHost: ${first}\r\nhOST: ${second}\r\n\r\n`);
		assert.match(await text(socket), /^HTTP\/1\.1 400 .*connection: close.*one Host header/is);
	}
});

test("A port in use names the port and another way", async (context) => {
	const { port } = await listener(context);
	await assert.rejects(listener(context, { listen: { host: "127.0.0.1", port } }), (error) => {
		assert(isSlipwayError(error, "CONFLICT"));
		assert.equal(error.reason, "PortInUse");
		assert.match(error.message, new RegExp(`Port ${port} on 127\\.0\\.0\\.1 is already in use`));
		assert.match(error.hint ?? "", /--listen HOST:PORT/);
		return true;
	});
});

test("An address of another machine is refused in words", async (context) => {
	await assert.rejects(listener(context, { listen: { host: "203.0.113.7", port: 0 } }), (error) =>
		isSlipwayError(error, "INVALID"),
	);
});

/** A front that answers when told to. */
function slow() {
	const started = Promise.withResolvers<void>();
	const finish = Promise.withResolvers<void>();
	const front: Front = async (_request, response) => {
		started.resolve();
		await finish.promise;
		response.end("late");
	};
	return { front, started: started.promise, finish: finish.resolve };
}

test("Closing lets requests in flight finish, refuses new ones, and ends kept connections", async (context) => {
	const { front, started, finish } = slow();
	const server = await listener(context, { fronts: { ...fronts(named), api: front } });
	const answer = fetch(`${server.url}/_slipway/x`);
	await started;
	assert.equal(server.openRequests, 1);
	const closed = server.close(new AbortController().signal);
	await sleep(20);
	await assert.rejects(fetch(`${server.url}/healthz`), "no new connections");
	finish();
	const response = await answer;
	assert.equal(response.headers.get("connection"), "close");
	assert.equal(await response.text(), "late");
	assert.equal(await closed, 0);
});

test("The limit cuts what does not finish, and counts it", async (context) => {
	const { front, started, finish } = slow();
	const server = await listener(context, { fronts: { ...fronts(named), api: front } });
	const call = request(`${server.url}/_slipway/x`).end();
	const failed = once(call, "error");
	await started;
	assert.equal(await server.close(AbortSignal.timeout(30)), 1);
	const [error] = await failed;
	assert.equal(error.code, "ECONNRESET");
	finish();
});

/** A request on a connection that somebody watches, looked at every five seconds. */
interface Watched {
	complete: boolean;
	bytesRead?: number;
	bytesWritten?: number;
	waiting: number;
	ended?: boolean;
	unlimited?: boolean;
}

function watched(state: Watched) {
	let cut = false;
	const entry = {
		request: {
			get complete() {
				return state.complete;
			},
			socket: {
				get bytesRead() {
					return state.bytesRead ?? 0;
				},
				get bytesWritten() {
					return state.bytesWritten ?? 0;
				},
				destroy: () => {
					cut = true;
				},
			} as unknown as IncomingMessage["socket"],
		},
		response: {
			get writableLength() {
				return state.waiting;
			},
			get writableEnded() {
				return state.ended ?? false;
			},
		},
		bytes: 0,
		stalledMs: 0,
		unlimited: state.unlimited ?? false,
	};
	return (seconds: number) => {
		for (let passed = 0; passed < seconds && !cut; passed += 5) cutStalled([entry]);
		return cut;
	};
}

test("A body that stops coming is cut after a minute", () => {
	const state = { complete: false, bytesRead: 100, waiting: 0 };
	const isCutAfter = watched(state);
	assert.equal(isCutAfter(55), false);
	state.bytesRead++;
	assert.equal(isCutAfter(55), false);
	assert.equal(isCutAfter(10), true);
});

test("An answer that its client does not take is cut after five minutes, one that is being made never", () => {
	assert.equal(watched({ complete: true, bytesWritten: 500, waiting: 0 })(24 * 3600), false);
	const state = { complete: true, bytesWritten: 7_000_000, waiting: 6_000_000 };
	const isCutAfter = watched(state);
	assert.equal(isCutAfter(295), false);
	state.waiting -= 1000;
	assert.equal(isCutAfter(295), false);
	// More is written, and none of it goes.
	state.bytesWritten += 4096;
	state.waiting += 4096;
	assert.equal(isCutAfter(10), true);
});

test("A service's request has its revision's time, and its answer's rest the listener's", () => {
	const state = { complete: true, bytesWritten: 9000, waiting: 8000, unlimited: true, ended: false };
	const isCutAfter = watched(state);
	assert.equal(isCutAfter(3600), false);
	state.ended = true;
	assert.equal(isCutAfter(295), false);
	assert.equal(isCutAfter(10), true);
});

test("A stream whose client takes nothing of what is left is closed, one that waits for its container is not", () => {
	const state = { writableEnded: false, waiting: 8000, code: -1 };
	const stream = { close: (code: number) => Object.assign(state, { code }) };
	const response = Object.defineProperties(
		{ stream },
		{ writableEnded: { get: () => state.writableEnded } },
	) as unknown as Parameters<typeof cutStalledStream>[0];
	Object.defineProperty(stream, "writableLength", { get: () => state.waiting });
	const progress = { waiting: 0, stalledMs: 0 };
	const look = (seconds: number) => {
		for (let passed = 0; passed < seconds; passed += 5) cutStalledStream(response, progress);
		return state.code;
	};
	assert.equal(look(3600), -1);
	state.writableEnded = true;
	assert.equal(look(295), -1);
	state.waiting -= 10;
	assert.equal(look(295), -1);
	assert.equal(look(15), 8);
});

test("An answer of six megabytes that nobody reads is cut, and frees its connection", async (context) => {
	context.mock.timers.enable({ apis: ["setInterval"] });
	const big: Front = (_request, response) => void response.end(Buffer.alloc(6 * 1024 * 1024));
	const server = await listener(context, { fronts: { ...fronts(named), api: big } });
	const socket = connect(server.port, "127.0.0.1");
	context.after(() => socket.destroy());
	socket.pause().write("GET /_slipway/x HTTP/1.1\r\nhost: a\r\n\r\n");
	while (server.openRequests === 0) await sleep(5);
	await sleep(50);
	context.mock.timers.tick(310_000);
	for (let round = 0; server.openRequests > 0 && round < 200; round++) await sleep(5);
	assert.equal(server.openRequests, 0);
});

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { SlipwayError } from "../base/error.ts";
import type { HttpCall } from "../core/delivery/http-caller.ts";
import { ServiceTarget } from "../engine/delivery/service-target.ts";
import { createInternalServer } from "../front/gateway/internal-server.ts";
import { GatewayCaller } from "./gateway-caller.ts";
import { type TestGatewayOptions, testGateway } from "./testing-gateway.ts";

interface Seen {
	method: string | undefined;
	url: string | undefined;
	headers: Record<string, unknown>;
	body: Buffer;
}

type Answer = (
	seen: Seen,
	response: {
		writeHead(status: number, headers?: Record<string, string>): unknown;
		write(text: string): unknown;
		end(body?: string | Buffer): void;
		destroy(): void;
	},
) => void;

async function setUp(context: TestContext, answer: Answer, options: TestGatewayOptions = {}) {
	const seen: Seen[] = [];
	const container = createServer(async (request, response) => {
		const { method, url, headers } = request;
		const one = { method, url, headers, body: await buffer(request) };
		seen.push(one);
		answer(one, response);
	});
	const gateway = await testGateway(context, container, { route: { ingress: "internal" }, ...options });
	const server = createInternalServer(gateway.front.internal, systemClock);
	context.after(() => server[Symbol.dispose]());
	return { seen, gateway, caller: new GatewayCaller({ accept: server.accept, clock: systemClock }) };
}

const call = (more: Partial<HttpCall> = {}): HttpCall => ({
	namespace: "default",
	name: "hello",
	method: "POST",
	path: "/events?x=1",
	headers: { "content-type": "application/json", "ce-id": "1" },
	body: Buffer.from('{"n":1}'),
	timeoutMs: 5000,
	...more,
});
const never = new AbortController().signal;

test("a call goes the whole way through the gateway, also to an internal service", async (context) => {
	const { caller, seen, gateway } = await setUp(context, (_seen, response) => {
		response.writeHead(201, { "x-own": "yes" });
		response.end("thanks");
	});
	const answer = await caller.call(call(), never);
	assert.equal(answer.status, 201);
	assert.equal(answer.headers["x-own"], "yes");
	assert.equal(Buffer.from(answer.body).toString(), "thanks");
	const [one] = seen;
	assert.equal(`${one?.method} ${one?.url} ${one?.body}`, 'POST /events?x=1 {"n":1}');
	assert.equal(one?.headers.host, "hello.default.internal");
	assert.equal(one?.headers["ce-id"], "1");
	assert.equal(gateway.outcomes.length, 1);
	assert.deepEqual(
		gateway.records.map(({ service, status }) => ({ service, status })),
		[{ service: "hello", status: 201 }],
	);
});

test("large bodies pass both ways", async (context) => {
	const { caller } = await setUp(context, ({ body }, response) => response.end(body));
	const body = Buffer.alloc(3_000_000, "x");
	const answer = await caller.call(call({ body }), never);
	assert.equal(Buffer.compare(Buffer.from(answer.body), body), 0);
});

test("many calls at once are kept apart", async (context) => {
	const { caller } = await setUp(context, ({ body }, response) => response.end(body));
	const bodies = await Promise.all(
		Array.from({ length: 50 }, async (_, n) =>
			Buffer.from((await caller.call(call({ body: Buffer.from(`b${n}`) }), never)).body).toString(),
		),
	);
	assert.deepEqual(
		bodies,
		Array.from({ length: 50 }, (_, n) => `b${n}`),
	);
});

test("a service that is not there is the gateway's 404", async (context) => {
	const { caller } = await setUp(context, (_seen, response) => response.end());
	assert.equal((await caller.call(call({ name: "nobody" }), never)).status, 404);
});

test("a full service is a 429 with its Retry-After", async (context) => {
	const { caller } = await setUp(context, (_seen, response) => response.end(), {
		admit: async () => {
			throw new SlipwayError("THROTTLED", "No room", { reason: "QueueFull", retryAfterMs: 4000 });
		},
	});
	const { status, headers } = await caller.call(call(), never);
	assert.deepEqual([status, headers["retry-after"]], [429, "4"]);
});

test("an answer that does not come, that is too long or that breaks off is an error", async (context) => {
	const { caller } = await setUp(context, ({ url }, response) => {
		if (url === "/long") response.end(Buffer.alloc(6 * 1024 * 1024 + 1));
		if (url === "/broken") {
			response.writeHead(200, { "content-length": "100" });
			response.write("short");
			setTimeout(() => response.destroy(), 50);
		}
	});
	const code = (code: string) => (error: unknown) => error instanceof SlipwayError && error.code === code;
	await assert.rejects(caller.call(call({ path: "/silent", timeoutMs: 50 }), never), code("DEADLINE"));
	await assert.rejects(caller.call(call({ path: "/long" }), never), code("TOO_LARGE"));
	await assert.rejects(caller.call(call({ path: "/broken", timeoutMs: 3000 }), never), code("UNAVAILABLE"));
	const stop = new AbortController();
	const stopped = caller.call(call({ path: "/silent" }), stop.signal);
	setImmediate(() => stop.abort(new Error("stopped")));
	await assert.rejects(stopped, /stopped/);
});

test("a target's delivery reaches the container", async (context) => {
	const { caller, seen } = await setUp(context, (_seen, response) => response.end());
	const target = new ServiceTarget({
		routes: { find: (_namespace, name) => (name === "hello" ? ({} as never) : undefined) },
		caller,
		clock: systemClock,
		region: "us-east-1",
		accountId: "000000000000",
	});
	const arn = target.arn("default", "hello", "/in");
	const handover = target.handOver(arn, {
		id: "e1",
		correlation: "e1",
		body: Buffer.from("{}"),
		sourceArn: "arn:x",
		traceId: "Root=1-0-0",
	});
	assert.equal(handover.kind, "call");
	const outcome = handover.kind === "call" ? await handover.run(never) : undefined;
	assert.equal(outcome?.ok, true);
	assert.equal(seen[0]?.url, "/in");
	assert.equal(seen[0]?.headers["x-amzn-trace-id"], "Root=1-0-0");
});

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { type TestContext, test } from "node:test";
import { silentLog } from "../../base/log.ts";
import type { DeliveredEvent, RuntimeFailure } from "../../core/invocation/function-contract.ts";
import { RuntimeApi } from "./runtime-api.ts";

/** A session behind a real listener, and a client that speaks as a runtime does. */
async function runtime(t: TestContext) {
	const seen: { ready: number; responses: string[]; errors: RuntimeFailure[]; initErrors: RuntimeFailure[] } = {
		ready: 0,
		responses: [],
		errors: [],
		initErrors: [],
	};
	const session = new RuntimeApi(silentLog).openSession({
		onReady: () => seen.ready++,
		onInitError: (error) => seen.initErrors.push(error),
		onResponse: (payload) => seen.responses.push(Buffer.from(payload).toString()),
		onError: (error) => seen.errors.push(error),
	});
	const server = net.createServer((socket) => session.onConnection(socket)).listen(0, "127.0.0.1");
	await once(server, "listening");
	const agent = new http.Agent({ keepAlive: true });
	t.after(() => {
		session.close();
		agent.destroy();
		server.close();
	});
	const { port } = server.address() as net.AddressInfo;
	const call = (method: string, path: string, body?: string | Buffer, headers: http.OutgoingHttpHeaders = {}) =>
		new Promise<{ status: number; headers: http.IncomingHttpHeaders; body: string }>((resolve, reject) => {
			const request = http.request(
				{ port, method, path: `/2018-06-01/runtime/${path}`, headers, agent },
				(response) => {
					const chunks: Buffer[] = [];
					response.on("data", (chunk) => chunks.push(chunk));
					response.on("end", () =>
						resolve({
							status: response.statusCode ?? 0,
							headers: response.headers,
							body: Buffer.concat(chunks).toString(),
						}),
					);
				},
			);
			request.on("error", reject);
			request.end(body);
		});
	const ready = async (count: number) => {
		while (seen.ready < count) await new Promise(setImmediate);
	};
	return { session, seen, call, port, ready };
}

function event(requestId: string, payload = "{}"): DeliveredEvent {
	return {
		requestId,
		payload: Buffer.from(payload),
		invokedArn: "arn:aws:lambda:us-east-1:123456789012:function:f",
		deadlineMs: 1_700_000_000_123.4,
	};
}

test("next carries the event and its headers; the response reaches the caller", async (t) => {
	const { session, seen, call, ready } = await runtime(t);
	const next = call("GET", "invocation/next");
	await ready(1);
	session.deliver({ ...event("id-1", '{"a":1}'), traceId: "Root=1-x", clientContext: '{"c":1}' });
	const { status, headers, body } = await next;
	assert.equal(status, 200);
	assert.equal(body, '{"a":1}');
	assert.equal(headers["lambda-runtime-aws-request-id"], "id-1");
	assert.equal(headers["lambda-runtime-deadline-ms"], "1700000000123");
	assert.equal(headers["lambda-runtime-invoked-function-arn"], "arn:aws:lambda:us-east-1:123456789012:function:f");
	assert.equal(headers["lambda-runtime-trace-id"], "Root=1-x");
	assert.equal(headers["lambda-runtime-client-context"], '{"c":1}');
	assert.equal(headers["content-type"], "application/json");
	const answer = await call("POST", "invocation/id-1/response", '"ok"');
	assert.deepEqual([answer.status, JSON.parse(answer.body)], [202, { status: "OK" }]);
	assert.deepEqual(seen.responses, ['"ok"']);
});

test("next while running returns the same event again", async (t) => {
	const { session, call, ready } = await runtime(t);
	const first = call("GET", "invocation/next");
	await ready(1);
	session.deliver(event("id-1", "1"));
	await first;
	const again = await call("GET", "invocation/next");
	assert.deepEqual([again.body, again.headers["lambda-runtime-aws-request-id"]], ["1", "id-1"]);
});

test("wrong ids are refused before wrong states, a second response is refused", async (t) => {
	const { session, seen, call, ready } = await runtime(t);
	const early = await call("POST", "invocation/none/response", "1");
	assert.deepEqual(
		[early.status, JSON.parse(early.body)],
		[400, { errorMessage: "Invalid request ID", errorType: "InvalidRequestID" }],
	);
	const next = call("GET", "invocation/next");
	await ready(1);
	session.deliver(event("id-1"));
	await next;
	assert.equal((await call("POST", "invocation/other/response", "1")).status, 400);
	const late = await call("POST", "init/error", "{}");
	assert.deepEqual([late.status, JSON.parse(late.body).errorType], [403, "InvalidStateTransition"]);
	assert.equal((await call("POST", "invocation/id-1/response", "1")).status, 202);
	assert.equal((await call("POST", "invocation/id-1/response", "2")).status, 400);
	assert.deepEqual(seen.responses, ["1"]);
});

test("an error passes its body on verbatim and its type by category", async (t) => {
	const { session, seen, call, ready } = await runtime(t);
	const types = [
		["Function.MyError", "Function.MyError"],
		["Function.my error", "Function.Unknown"],
		["whatever", "Runtime.Unknown"],
	] as const;
	for (const [round, [sent]] of types.entries()) {
		const next = call("GET", "invocation/next");
		await ready(round + 1);
		session.deliver(event(`id-${round}`));
		await next;
		await call("POST", `invocation/id-${round}/error`, '{"errorType":"E"}', {
			"Lambda-Runtime-Function-Error-Type": sent,
		});
	}
	assert.deepEqual(
		seen.errors.map((error) => [error.errorType, String(error.payload)]),
		types.map(([, kept]) => [kept, '{"errorType":"E"}']),
	);
});

test("the error cause is not shown to the caller", async (t) => {
	const { session, seen, call, ready } = await runtime(t);
	const next = call("GET", "invocation/next");
	await ready(1);
	session.deliver(event("id"));
	await next;
	await call("POST", "invocation/id/error", '{"errorMessage":"m","errorCause":{"x":1}}', {
		"Content-Type": "application/vnd.aws.lambda.error.cause+json",
	});
	assert.equal(String(seen.errors[0]?.payload), '{"errorMessage":"m"}');
});

test("the largest response passes; a byte more is 413 and the caller hears why", async (t) => {
	const { session, seen, call, ready } = await runtime(t);
	const limit = 6 * 1024 * 1024 + 100;
	for (const [round, size] of [limit, limit + 1].entries()) {
		const next = call("GET", "invocation/next");
		await ready(round + 1);
		session.deliver(event(`id-${round}`));
		await next;
		const answer = await call("POST", `invocation/id-${round}/response`, Buffer.alloc(size, 0x31));
		assert.equal(answer.status, round === 0 ? 202 : 413);
		if (round === 1)
			assert.deepEqual(JSON.parse(answer.body), {
				errorMessage: "Exceeded maximum allowed payload size (6291556 bytes).",
				errorType: "RequestEntityTooLarge",
			});
	}
	assert.equal(seen.responses[0]?.length, limit);
	assert.deepEqual(JSON.parse(String(seen.errors[0]?.payload)), {
		errorMessage: "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
		errorType: "Function.ResponseSizeTooLarge",
	});
});

test("a late answer after the deadline is refused, and the runtime may go on", async (t) => {
	const { session, seen, call, ready } = await runtime(t);
	const next = call("GET", "invocation/next");
	await ready(1);
	session.deliver(event("id-1"));
	await next;
	session.abandon();
	assert.equal((await call("POST", "invocation/id-1/response", "1")).status, 400);
	assert.deepEqual(seen.responses, []);
});

test("init/error is reported once and ends the session's states", async (t) => {
	const { seen, call } = await runtime(t);
	const answer = await call("POST", "init/error", '{"errorMessage":"no","errorType":"X"}', {
		"Lambda-Runtime-Function-Error-Type": "Runtime.ImportModuleError",
	});
	assert.equal(answer.status, 202);
	assert.deepEqual(
		seen.initErrors.map((error) => [error.errorType, String(error.payload)]),
		[["Runtime.ImportModuleError", '{"errorMessage":"no","errorType":"X"}']],
	);
	assert.equal((await call("GET", "invocation/next")).status, 403);
});

test("a truncated response is not an answer", async (t) => {
	const { session, seen, call, ready, port } = await runtime(t);
	const next = call("GET", "invocation/next");
	await ready(1);
	session.deliver(event("id-1"));
	await next;
	const socket = net.connect(port, "127.0.0.1");
	socket.write(
		"POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
	);
	await once(socket, "connect");
	await new Promise((resolve) => setTimeout(resolve, 20));
	socket.destroy();
	await new Promise((resolve) => setTimeout(resolve, 20));
	assert.deepEqual([seen.responses, seen.errors], [[], []]);
	assert.equal((await call("POST", "invocation/id-1/response", '"whole"')).status, 202);
	assert.deepEqual(seen.responses, ['"whole"']);
});

test("unknown paths and methods", async (t) => {
	const { call } = await runtime(t);
	assert.equal((await call("GET", "nothing")).status, 404);
	assert.equal((await call("POST", "invocation/next")).status, 405);
	assert.equal((await call("PUT", "init/error")).status, 405);
	assert.equal((await call("GET", "ping?x=1".replace("ping", "../ping"))).status, 404);
});

test("a client that gave up its poll gets the event with the next one", async (t) => {
	const { session, call, ready, port } = await runtime(t);
	const socket = net.connect(port, "127.0.0.1");
	socket.write("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n");
	await ready(1);
	socket.destroy();
	await new Promise((resolve) => setTimeout(resolve, 20));
	session.deliver(event("id-9", "9"));
	assert.equal((await call("GET", "invocation/next")).body, "9");
});

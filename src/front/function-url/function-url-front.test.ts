import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Log, silentLog } from "../../base/log.ts";
import { call, startInvokeFront } from "../testing/invoke-front.ts";

test("Why an answer is no response is in the daemon's log, since neither the client nor the function's log has it", async () => {
	const logged: Record<string, unknown>[] = [];
	const log: Log = { ...silentLog, warn: (_message, fields = {}) => void logged.push(fields) };
	await using front = await startInvokeFront({ log });
	front.answer = () => ({ payload: Buffer.from(JSON.stringify({ statusCode: 99 })) });
	const { status, headers } = await call(front, "GET", "/");
	assert.equal(status, 502);
	const reason = "The response's statusCode 99 is not a number from 200 to 599";
	assert.deepEqual(logged, [{ requestId: headers["x-amzn-requestid"], function: "f", reason }]);
	front.answer = () => ({ functionError: "Unhandled" });
	assert.equal((await call(front, "GET", "/")).status, 502);
	assert.equal(logged.length, 1, "a function's own failure is in its log");
});

test("Answers that nobody takes count as bodies do, until their clients are gone", async () => {
	await using front = await startInvokeFront({ maxBufferedBytes: 4 * 1024 * 1024 });
	front.answer = () => ({ payload: Buffer.from(JSON.stringify({ statusCode: 200, body: "x".repeat(6_000_000) })) });
	const slow = connect(front.port, "127.0.0.1");
	slow.pause().write(`GET / HTTP/1.1\r\nHost: ${front.host}\r\n\r\n`);
	while (front.invocations.length === 0 || front.running > 0) await sleep(5);
	await sleep(20);
	const { status, headers } = await call(front, "GET", "/");
	assert.deepEqual(
		[status, headers["x-amzn-errortype"], front.invocations.length],
		[429, "TooManyRequestsException", 1],
	);
	slow.destroy();
	await once(slow, "close");
	front.answer = () => ({ payload: Buffer.from("1") });
	let again = 429;
	for (let round = 0; again === 429 && round < 100; round++) {
		await sleep(5);
		again = (await call(front, "GET", "/")).status;
	}
	assert.equal(again, 200);
	for (let round = 0; round < 3; round++)
		assert.equal((await call(front, "POST", "/", { body: Buffer.alloc(3 * 1024 * 1024, "a") })).status, 200);
});

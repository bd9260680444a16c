import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../../src/base/clock.ts";
import { randomIds } from "../../../src/base/ids.ts";
import { silentLog } from "../../../src/base/log.ts";
import { FakeIdempotencyStore } from "../../../src/core/idempotency/fake-idempotency-store.ts";
import { Idempotency } from "../../../src/engine/idempotency/idempotency.ts";
import { createIdempotencyFront } from "../../../src/front/idempotency/idempotency-front.ts";
import {
	ClaimLostError,
	IdempotencyError,
	InProgressError,
	makeIdempotent,
	makeIdempotentBatch,
	once,
} from "./index.ts";

/** The platform's own endpoint, over keys in memory. */
async function platform(context: TestContext) {
	let aheadMs = 0;
	const clock = { ...systemClock, now: () => Date.now() + aheadMs };
	const common = { clock, ids: randomIds, log: silentLog };
	const idempotency = new Idempotency({ store: new FakeIdempotencyStore(), ...common });
	const front = createIdempotencyFront({ idempotency, ...common });
	let refuse = 0;
	const server = createServer((request, response) => {
		if (refuse-- > 0) response.writeHead(503).end();
		else void front.handle(request, response, "function/f");
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	context.after(async () => {
		server.closeAllConnections();
		server.close();
		await idempotency[Symbol.asyncDispose]();
	});
	return {
		url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/idempotency/`,
		pass: (ms: number) => (aheadMs += ms),
		refuse: (times: number) => (refuse = times),
	};
}

test("A handler's work is done once for a key, and its answer is the same again", async (context) => {
	const { url } = await platform(context);
	let runs = 0;
	const handler = makeIdempotent(async ({ order }: { order: string }) => ({ order, run: ++runs }), {
		key: ({ order }) => `order ${order}/1`,
		url,
	});
	const lambda = { getRemainingTimeInMillis: () => 3000 };
	assert.deepEqual(await handler({ order: "a" }, lambda), { order: "a", run: 1 });
	assert.deepEqual(await handler({ order: "a" }, lambda), { order: "a", run: 1 });
	assert.deepEqual(await handler({ order: "b" }, lambda), { order: "b", run: 2 });
	assert.equal(await once("nothing", () => undefined, { url }), undefined);
});

test("Two deliveries at once: one works, the other is to come again", async (context) => {
	const { url } = await platform(context);
	const { promise, resolve } = Promise.withResolvers<void>();
	const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
	const first = once(
		"k",
		async () => {
			begin();
			await promise;
			return 1;
		},
		{ url },
	);
	await begun;
	await assert.rejects(
		once("k", () => 2, { url }),
		InProgressError,
	);
	resolve();
	assert.equal(await first, 1);
	assert.equal(await once("k", () => 3, { url }), 1);
});

test("Work that failed is begun again at once; work that was killed, when its lease is over, and the late one is told", async (context) => {
	const { url, pass } = await platform(context);
	await assert.rejects(
		once("k", () => Promise.reject(new Error("no stock")), { url }),
		/no stock/,
	);
	const { promise, resolve } = Promise.withResolvers<number>();
	const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
	const slow = once(
		"k",
		() => {
			begin();
			return promise;
		},
		{ url, leaseSeconds: 5 },
	);
	await begun;
	pass(5000);
	assert.equal(await once("k", () => 2, { url }), 2);
	resolve(1);
	await assert.rejects(slow, ClaimLostError);
	assert.equal(await once("k", () => 3, { url }), 2);
});

test("Records of a queue: each once, those that fail are named, and a FIFO group stops at its first failure", async (context) => {
	const { url } = await platform(context);
	const done: string[] = [];
	const errors: string[] = [];
	let broken = true;
	const handler = makeIdempotentBatch(
		({ body }) => {
			if (body === "bad" && broken) throw new Error("bad");
			done.push(body);
		},
		{ url, onError: (error) => errors.push((error as Error).message) },
	);
	const record = (messageId: string, body: string, MessageGroupId?: string) => ({
		messageId,
		body,
		attributes: { ApproximateReceiveCount: "1", ...(MessageGroupId && { MessageGroupId }) },
	});
	const event = {
		Records: [record("1", "a", "g"), record("2", "bad", "g"), record("3", "b", "g"), record("4", "c", "h")],
	};
	const failed = (await handler(event, {})).batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
	assert.deepEqual([failed, done, errors.length], [["2", "3"], ["a", "c"], 2]);
	broken = false;
	assert.deepEqual(await handler(event, {}), { batchItemFailures: [] });
	assert.deepEqual(done, ["a", "c", "bad", "b"]);
});

test("A platform that is away for a moment is waited for; one that refuses or stays away is told", async (context) => {
	const { url, refuse } = await platform(context);
	refuse(2);
	assert.equal(await once("k", () => 1, { url }), 1);
	await assert.rejects(
		once("", () => 1, { url }),
		(error) => error instanceof IdempotencyError && error.status === 404,
	);
	const away = { url: "http://127.0.0.1:1/", fetch: async () => Promise.reject(new TypeError("fetch failed")) };
	await assert.rejects(
		once("k", () => assert.fail("did the work"), away),
		(error) => error instanceof IdempotencyError && error.status === 0,
	);
});

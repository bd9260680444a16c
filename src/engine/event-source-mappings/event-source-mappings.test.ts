import assert from "node:assert/strict";
import { test } from "node:test";
import type { CallOutcome, Delivery } from "../../core/delivery/target.ts";
import { EventSourceMappings, type EventSourceMappingsDeps } from "./event-source-mappings.ts";
import type { CreateMapping } from "./mapping.ts";
import { held, refusal, worker, world } from "./test-world.ts";
import { queueArn } from "./testing.ts";

test("a deleted mapping ends its batch first; then it is gone", async (context) => {
	const { code, release } = held();
	const w = await world(context, code);
	const { uuid } = await w.map({ batchSize: 1 });
	await w.send("a");
	await w.clock.advance(10);
	assert.equal((await w.mappings.delete(uuid)).state, "Deleting");
	assert.equal(w.mappings.get(uuid).state, "Deleting");
	await assert.rejects(w.mappings.delete(uuid), refusal("CONFLICT", /because it is in use/));
	release();
	await w.clock.advance(10);
	assert.throws(() => w.mappings.get(uuid), refusal("NOT_FOUND", "The resource you requested does not exist."));
	assert.equal(await w.left(), 0);
	assert.deepEqual(await w.deps.store.list("event-source-mapping"), []);
});

test("a disabled mapping lets the batch in hand end and takes no other", async (context) => {
	const { code, release } = held();
	const w = await world(context, code, { visibilityTimeoutS: 600 });
	const { uuid } = await w.map({ batchSize: 1, maximumConcurrency: 2 });
	await w.send("a", "b", "c");
	await w.clock.advance(10);
	assert.equal((await w.mappings.update(uuid, { enabled: false })).state, "Disabling");
	await w.clock.advance(10);
	assert.equal(w.mappings.get(uuid).state, "Disabling");
	release();
	await w.clock.advance(10);
	assert.equal(w.mappings.get(uuid).state, "Disabled");
	assert.deepEqual(w.batches, [["a"], ["b"]]);
	assert.equal(await w.left(), 1);
	assert.equal((await w.mappings.update(uuid, { enabled: true })).state, "Enabling");
	await w.clock.advance(10);
	release();
	await w.clock.advance(10);
	assert.equal(await w.left(), 0);
});

test("mappings are there after a restart, and what was being deleted is not", async (context) => {
	const w = await world(context);
	const one = await w.map({ batchSize: 7, filters: ['{"body":["x"]}'], tags: { team: "a" } });
	await w.queues.create("other");
	const two = await w.mappings.create({ source: queueArn("other"), target: worker });
	const [document] = (await w.deps.store.list("event-source-mapping")).filter(({ name }) => name === two.uuid);
	await w.deps.store.commit([
		{ change: "put", ...document!, document: { ...(document!.document as object), deleting: true } },
	]);
	const again = await EventSourceMappings.open(w.deps);
	assert.deepEqual(
		again.list().map(({ uuid, batchSize, filters, tags, state }) => ({ uuid, batchSize, filters, tags, state })),
		[{ uuid: one.uuid, batchSize: 7, filters: ['{"body":["x"]}'], tags: { team: "a" }, state: "Enabled" }],
	);
});

const wrong: [string, Partial<CreateMapping>, string, string | RegExp][] = [
	[
		"no window for a large batch",
		{ batchSize: 11 },
		"INVALID",
		"Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
	],
	[
		"a batch of nothing",
		{ batchSize: 0 },
		"INVALID",
		/'batchSize' failed to satisfy constraint: Member must have value greater than or equal to 1$/,
	],
	["a batch too large", { batchSize: 10_001, windowS: 1 }, "INVALID", /less than or equal to 10000$/],
	["a window too long", { windowS: 301 }, "INVALID", /less than or equal to 300$/],
	["too little concurrency", { maximumConcurrency: 1 }, "INVALID", /greater than or equal to 2$/],
	["a pattern that is none", { filters: ['{"body":"x"}'] }, "INVALID", /^Invalid filter pattern definition\./],
	["a queue that is not there", { source: queueArn("nobody") }, "INVALID", /AWS\.SimpleQueueService\.NonExistentQueue/],
	[
		"a function that is not there",
		{ target: { kind: "function", name: "nobody", qualifier: undefined } },
		"INVALID",
		"Function does not exist",
	],
	["a stream", { source: "arn:aws:kinesis:us-east-1:000000000000:stream/s" }, "UNSUPPORTED", /Kinesis streams/],
	["a broker", { source: "arn:aws:mq:us-east-1:000000000000:broker:b:1" }, "UNSUPPORTED", /Amazon MQ/],
	["what is no source", { source: "arn:aws:s3:::bucket" }, "INVALID", "Unrecognized event source."],
];

test("wrong mappings are refused in the cloud's words", async (context) => {
	const w = await world(context);
	for (const [name, more, code, message] of wrong) await assert.rejects(w.map(more), refusal(code, message), name);
	await w.queues.create("work.fifo");
	const fifo = { source: queueArn("work.fifo") };
	await assert.rejects(w.map({ ...fifo, windowS: 1 }), refusal("INVALID", /FIFO/));
	await w.queues.create("short", { visibilityTimeoutS: 2 });
	const message = "Queue visibility timeout: 2 seconds is less than Function timeout: 3 seconds";
	await assert.rejects(w.map({ source: queueArn("short") }), refusal("INVALID", message));
	assert.deepEqual(w.mappings.list(), []);
	const { uuid } = await w.map();
	await assert.rejects(
		w.map(),
		refusal(
			"CONFLICT",
			`An event source mapping with SQS arn (" ${queueArn("work")} ") and function (" worker ") already exists. Please update or delete the existing mapping with UUID ${uuid}`,
		),
	);
});

/** A service that answers so, and what it was sent. */
function fakeService(answer: (delivery: Delivery) => CallOutcome): {
	services: EventSourceMappingsDeps["services"];
	calls: Delivery[];
} {
	const calls: Delivery[] = [];
	return {
		calls,
		services: {
			owns: (arn) => arn.startsWith("arn:slipway:run:"),
			check() {},
			handOver: (_arn, delivery) => ({
				kind: "call",
				run: async () => {
					calls.push(delivery);
					return answer(delivery);
				},
			}),
		},
	};
}

const serviceArn = "arn:slipway:run:us-east-1:000000000000:service/default/orders";

test("a service gets each message as a CloudEvent, and a refusal comes back until the dead letters", async (context) => {
	const { services, calls } = fakeService(({ body }) =>
		Buffer.from(body).toString() === '"bad"'
			? { ok: false, permanent: true, code: "400", message: "no" }
			: { ok: true, status: 204, headers: {}, body: new Uint8Array() },
	);
	const w = await world(context, undefined, {
		more: { services },
		visibilityTimeoutS: 5,
		redrive: { to: "dead", maxReceiveCount: 2 },
	});
	await w.map({ target: { kind: "service", arn: serviceArn, format: "cloudevents" } });
	const [id] = await w.send('{"n":1}', '"bad"');
	await w.clock.advance(30_000);
	assert.equal(calls.length, 3);
	const [first] = calls;
	assert.equal(Buffer.from(first!.body).toString(), '{"n":1}');
	assert.deepEqual(first!.http?.headers, {
		"content-type": "application/json",
		"ce-specversion": "1.0",
		"ce-id": id,
		"ce-source": queueArn("work"),
		"ce-type": "slipway.queue.message",
		"ce-time": "2026-01-01T00:00:00.000Z",
		"ce-deliveryattempt": "1",
	});
	assert.deepEqual([await w.left(), await w.left("dead")], [0, 1]);
});

test("a service that is full is tried later, and its messages are not counted", async (context) => {
	let full = 2;
	const { services, calls } = fakeService(() =>
		full-- > 0
			? { ok: false, permanent: false, code: "429", message: "full", retryAfterMs: 3000 }
			: { ok: true, status: 200, headers: {}, body: Buffer.from('{"batchItemFailures":[]}') },
	);
	const w = await world(context, undefined, { more: { services }, redrive: { to: "dead", maxReceiveCount: 1 } });
	await w.map({ target: { kind: "service", arn: serviceArn, format: "batch" }, reportsItemFailures: true });
	await w.send("a");
	await w.clock.advance(30_000);
	assert.deepEqual([calls.length, await w.left(), await w.left("dead")], [3, 0, 0]);
});

test("a stored filter that can't be read any more stops its own mapping only, and takes nothing", async (context) => {
	const w = await world(context);
	const { uuid } = await w.map();
	await w.mappings[Symbol.asyncDispose]();
	const { store } = w.deps;
	const [stored] = await store.list("event-source-mapping");
	const document = { ...(stored!.document as object), filters: ['{"body":[{"of-another-version":1}]}'] };
	await store.commit([{ change: "put", kind: "event-source-mapping", namespace: "", name: uuid, document }]);
	const mappings = await EventSourceMappings.open(w.deps);
	context.after(() => mappings[Symbol.asyncDispose]());
	mappings.start();
	await w.send("a");
	await w.clock.advance(10_000);
	assert.deepEqual([await w.left(), w.batches.length], [1, 0]);
	assert.match(mappings.get(uuid).lastProcessingResult, /^PROBLEM: .*pattern/);
	await mappings.update(uuid, { filters: [] });
	await w.clock.advance(10_000);
	assert.deepEqual([await w.left(), w.batches], [0, [["a"]]]);
});

/** Over the real queues: the records that functions get, FIFO, redrive. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { silentLog } from "../../base/log.ts";
import { FakeMessageLog } from "../../core/message-log/fake-message-log.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import { Queues } from "../queues/queues.ts";
import { EventSourceMappings } from "./event-source-mappings.ts";
import {
	FakeFunctions,
	failed,
	queueArn,
	type TestFunction,
	testAccount,
	testDeps,
	testIds,
	testRegion,
} from "./testing.ts";

async function setUp(context: TestContext, code: TestFunction) {
	const clock = new VirtualClock();
	const log = new FakeMessageLog({ clock });
	const ids = testIds();
	const queues = await Queues.open({
		store: new FakeResourceStore(),
		log,
		clock,
		ids,
		logger: silentLog,
		region: testRegion,
		accountId: testAccount,
		origin: "http://localhost:8080",
	});
	const mappings = await EventSourceMappings.open(
		testDeps({ clock, log, queues, functions: new FakeFunctions(code), more: { ids } }),
	);
	mappings.start();
	context.after(async () => {
		const ending = Promise.all([mappings[Symbol.asyncDispose](), queues[Symbol.asyncDispose]()]);
		await clock.advance(60_000);
		await ending;
		log[Symbol.dispose]();
	});
	const map = (name: string, more: { batchSize?: number } = {}) =>
		mappings.create({
			source: queueArn(name),
			target: { kind: "function", name: "worker", qualifier: undefined },
			...more,
		});
	return { clock, queues, map };
}

test("records have the shape of the cloud's", async (context) => {
	const seen: unknown[] = [];
	const { clock, queues, map } = await setUp(context, (records) => void seen.push(...records));
	await queues.create("work", {});
	await map("work");
	const { messageId } = await queues.send("work", {
		body: "hello",
		attributes: { colour: { dataType: "String", stringValue: "red" } },
	});
	await clock.advance(10);
	assert.equal(seen.length, 1);
	const { receiptHandle, attributes, md5OfMessageAttributes, ...record } = seen[0] as Record<string, unknown>;
	assert.equal(typeof receiptHandle, "string");
	assert.match(String(md5OfMessageAttributes), /^[0-9a-f]{32}$/);
	assert.deepEqual(Object.keys(attributes as object).sort(), [
		"ApproximateFirstReceiveTimestamp",
		"ApproximateReceiveCount",
		"SenderId",
		"SentTimestamp",
	]);
	assert.deepEqual(record, {
		messageId,
		body: "hello",
		messageAttributes: {
			colour: { stringValue: "red", stringListValues: [], binaryListValues: [], dataType: "String" },
		},
		md5OfBody: "5d41402abc4b2a76b9719d911017c592",
		eventSource: "aws:sqs",
		eventSourceARN: queueArn("work"),
		awsRegion: testRegion,
	});
	assert.equal((await queues.counts("work")).inFlight, 0);
});

test("a function may delete by the receipt handle that it got", async (context) => {
	const world = await setUp(context, async (records) => {
		for (const record of records)
			await world.queues.deleteMessage("work", (record as unknown as { receiptHandle: string }).receiptHandle);
		return failed;
	});
	await world.queues.create("work", {});
	await world.map("work");
	await world.queues.send("work", { body: "x" });
	await world.clock.advance(60_000);
	const { visible, inFlight } = await world.queues.counts("work");
	assert.deepEqual([visible, inFlight], [0, 0]);
});

test("a FIFO queue keeps a group's order through failures, and its poison goes to the dead letters", async (context) => {
	const seen: string[] = [];
	const { clock, queues, map } = await setUp(context, (records) => {
		seen.push(...records.map(({ body }) => body));
		return records.some(({ body }) => body === "b") ? failed : null;
	});
	await queues.create("dead.fifo", { FifoQueue: "true" });
	await queues.create("work.fifo", {
		FifoQueue: "true",
		ContentBasedDeduplication: "true",
		VisibilityTimeout: "5",
		RedrivePolicy: JSON.stringify({ deadLetterTargetArn: queueArn("dead.fifo"), maxReceiveCount: 2 }),
	});
	for (const body of ["a", "b", "c"]) await queues.send("work.fifo", { body, groupId: "g" });
	await map("work.fifo", { batchSize: 1 });
	await clock.advance(30_000);
	assert.deepEqual(seen, ["a", "b", "b", "c"]);
	assert.deepEqual(
		(await queues.peek("dead.fifo", { limit: 10 })).map(({ body }) => body),
		["b"],
	);
});

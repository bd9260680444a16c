import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { QueueTarget } from "./queue-target.ts";
import { arn, openTestQueues, reason, turns } from "./testing.ts";

describe("Standard queues", () => {
	it("hide what was received, show it again, and delete it", async () => {
		await using test = await openTestQueues();
		const { queues, clock } = test;
		await queues.create("q", { VisibilityTimeout: "10" });
		const { messageId } = await queues.send("q", { body: "hello" });
		const [first] = await queues.receive("q");
		assert.equal(first?.id, messageId);
		assert.equal(first.body, "hello");
		assert.equal(first.receiveCount, 1);
		assert.deepEqual(await queues.receive("q"), []);
		await clock.advance(10_000);
		const [second] = await queues.receive("q");
		assert.equal(second?.receiveCount, 2);
		assert.equal(second.firstReceivedMs, first.firstReceivedMs);
		// Of an older handle nothing comes, not even an error.
		await queues.deleteMessage("q", first.receiptHandle);
		assert.equal((await queues.counts("q")).inFlight, 1);
		await queues.deleteMessage("q", second.receiptHandle);
		await queues.deleteMessage("q", second.receiptHandle);
		const { visible, inFlight } = await queues.counts("q");
		assert.deepEqual([visible, inFlight], [0, 0]);
	});

	it("delete by a handle whose time is over while nobody else has the message", async () => {
		await using test = await openTestQueues();
		await test.queues.create("q", { VisibilityTimeout: "1" });
		await test.queues.send("q", { body: "x" });
		const [message] = await test.queues.receive("q");
		await test.clock.advance(5000);
		await test.queues.deleteMessage("q", message!.receiptHandle);
		assert.equal((await test.queues.counts("q")).visible, 0);
	});

	it("change visibility of what is in flight only, 12 hours at most", async () => {
		await using test = await openTestQueues();
		const { queues, clock } = test;
		await queues.create("q", { VisibilityTimeout: "30" });
		await queues.send("q", { body: "x" });
		const [message] = await queues.receive("q");
		const handle = message!.receiptHandle;
		await queues.changeVisibility("q", handle, 100);
		await clock.advance(99_000);
		assert.deepEqual(await queues.receive("q"), []);
		await assert.rejects(queues.changeVisibility("q", handle, 43_200), /Total VisibilityTimeout/);
		await assert.rejects(queues.changeVisibility("q", handle, 43_201), reason("InvalidParameterValue"));
		await assert.rejects(queues.changeVisibility("q", handle, -1), reason("InvalidParameterValue"));
		await queues.changeVisibility("q", handle, 0);
		await assert.rejects(queues.changeVisibility("q", handle, 10), reason("MessageNotInflight"));
		const [again] = await queues.receive("q");
		await assert.rejects(queues.changeVisibility("q", handle, 10), reason("MessageNotInflight"));
		await queues.deleteMessage("q", again!.receiptHandle);
		await assert.rejects(queues.changeVisibility("q", again!.receiptHandle, 10), /Message does not exist/);
	});

	it("delay by queue and by message", async () => {
		await using test = await openTestQueues();
		const { queues, clock } = test;
		await queues.create("q", { DelaySeconds: "5" });
		await queues.send("q", { body: "queue's" });
		await queues.send("q", { body: "at once", delaySeconds: 0 });
		await assert.rejects(queues.send("q", { body: "x", delaySeconds: 901 }), reason("InvalidParameterValue"));
		assert.deepEqual(
			(await queues.receive("q", { max: 10 })).map(({ body }) => body),
			["at once"],
		);
		assert.equal((await queues.counts("q")).delayed, 1);
		await clock.advance(5000);
		assert.deepEqual(
			(await queues.receive("q", { max: 10 })).map(({ body }) => body),
			["queue's"],
		);
	});

	it("wait for a message, each for one of those who wait", async () => {
		await using test = await openTestQueues();
		const { queues, clock } = test;
		await queues.create("q");
		const polls = [1, 2, 3].map(() => queues.receive("q", { waitSeconds: 20 }));
		await turns();
		await queues.send("q", { body: "a" });
		await queues.send("q", { body: "b" });
		await turns();
		await clock.advance(20_000);
		const bodies = (await Promise.all(polls)).map((messages) => messages.map(({ body }) => body));
		assert.deepEqual(bodies, [["a"], ["b"], []]);
	});

	it("wake a waiting poll by what becomes visible again and by delays", async () => {
		await using test = await openTestQueues();
		const { queues, clock } = test;
		await queues.create("q", { VisibilityTimeout: "3", DelaySeconds: "2" });
		await queues.send("q", { body: "x" });
		const first = queues.receive("q", { waitSeconds: 10 });
		await clock.advance(2000);
		assert.equal((await first).length, 1);
		const second = queues.receive("q", { waitSeconds: 10 });
		await clock.advance(3000);
		assert.equal((await second)[0]?.receiveCount, 2);
	});

	it("answer those who wait when the daemon stops, and give back what nobody is there for", async () => {
		await using test = await openTestQueues();
		const { queues } = test;
		await queues.create("q");
		const gone = new AbortController();
		const left = queues.receive("q", { waitSeconds: 20, signal: gone.signal });
		const stays = queues.receive("q", { waitSeconds: 20 });
		await turns();
		gone.abort();
		assert.deepEqual(await left, []);
		await queues.send("q", { body: "x" });
		assert.equal((await stays)[0]?.body, "x");
		const waits = queues.receive("q", { waitSeconds: 20 });
		await turns();
		queues.stopWaiting();
		assert.deepEqual(await waits, []);
	});

	it("do not count a receive whose client went away", async () => {
		await using test = await openTestQueues();
		await test.queues.create("q");
		await test.queues.send("q", { body: "x" });
		const gone = new AbortController();
		gone.abort();
		assert.deepEqual(await test.queues.receive("q", { waitSeconds: 20, signal: gone.signal }), []);
		const [message] = await test.queues.receive("q");
		assert.equal(message?.receiveCount, 1);
	});

	it("keep a group for fair queues, and refuse what only FIFO queues have", async () => {
		await using test = await openTestQueues();
		const { queues } = test;
		await queues.create("q");
		await queues.send("q", { body: "x", groupId: "tenant" });
		assert.equal((await queues.receive("q"))[0]?.groupId, "tenant");
		await assert.rejects(queues.send("q", { body: "x", deduplicationId: "d" }), reason("InvalidParameterValue"));
		await assert.rejects(queues.receive("q", { attemptId: "a" }), reason("InvalidParameterValue"));
	});

	it("refuse what no message may be", async () => {
		await using test = await openTestQueues();
		const { queues } = test;
		await queues.create("q", { MaximumMessageSize: "1024" });
		await assert.rejects(async () => queues.send("q", { body: "" }), reason("MissingParameter"));
		for (const body of ["\u0000", "a\u000b", "\ufffe", "\ud800"])
			await assert.rejects(async () => queues.send("q", { body }), reason("InvalidMessageContents"));
		await assert.rejects(async () => queues.send("q", { body: "x".repeat(1025) }), /shorter than 1024 bytes/);
		const attributes = { name: { dataType: "String", stringValue: "y".repeat(10) } };
		await assert.rejects(async () => queues.send("q", { body: "x".repeat(1010), attributes }), /shorter than 1024/);
		await queues.send("q", { body: "\t\n\r \ud7ff\ue000\u{10000}" });
	});
});

describe("FIFO queues", () => {
	const fifo = { FifoQueue: "true" };

	it("give as many of a group as fit, in order, and no more of it until all are deleted or visible again", async () => {
		await using test = await openTestQueues();
		const { queues, clock } = test;
		await queues.create("q.fifo", { ...fifo, ContentBasedDeduplication: "true", VisibilityTimeout: "10" });
		for (const body of ["a1", "b1", "a2", "a3"]) await queues.send("q.fifo", { body, groupId: body[0]! });
		const receive = async (max: number) => await queues.receive("q.fifo", { max });
		const bodies = (messages: readonly { body: string }[]) => messages.map(({ body }) => body);
		const first = await receive(2);
		const second = await receive(10);
		assert.deepEqual([bodies(first), bodies(second)], [["a1", "a2"], ["b1"]]);
		await queues.deleteMessage("q.fifo", first[1]!.receiptHandle);
		assert.deepEqual(await receive(10), []);
		await queues.changeVisibility("q.fifo", first[0]!.receiptHandle, 0);
		assert.deepEqual(bodies(await receive(10)), ["a1", "a3"]);
		await clock.advance(10_000);
		assert.deepEqual(bodies(await receive(10)), ["a1", "a3", "b1"]);
	});

	it("settle a group together when one of it is another's by now", async () => {
		await using test = await openTestQueues();
		const { queues } = test;
		await queues.create("q.fifo", { ...fifo, ContentBasedDeduplication: "true" });
		for (const body of ["a1", "b1", "a2"]) await queues.send("q.fifo", { body, groupId: body[0]! });
		const leased = await queues.lease("q.fifo", { max: 10, maxBytes: 1000 });
		assert.deepEqual(
			leased.map(({ body }) => body),
			["a1", "a2", "b1"],
		);
		await queues.changeVisibility("q.fifo", leased[0]!.receiptHandle, 0);
		await queues.settleDone(leased);
		const left = await queues.peek("q.fifo", { limit: 10 });
		assert.deepEqual(
			left.map(({ body }) => body),
			["a1", "a2"],
		);
	});

	it("take a message once in five minutes, by id or by content", async () => {
		await using test = await openTestQueues();
		const { queues, clock } = test;
		await queues.create("q.fifo", fifo);
		await assert.rejects(async () => queues.send("q.fifo", { body: "x", groupId: "g" }), /ContentBasedDeduplication/);
		await assert.rejects(
			async () => queues.send("q.fifo", { body: "x", deduplicationId: "d" }),
			reason("MissingParameter"),
		);
		const first = await queues.send("q.fifo", { body: "x", groupId: "g", deduplicationId: "d" });
		assert.match(first.sequenceNumber ?? "", /^\d{20}$/);
		const second = await queues.send("q.fifo", { body: "y", groupId: "h", deduplicationId: "d" });
		assert.equal(second.messageId, first.messageId);
		assert.equal(second.sequenceNumber, first.sequenceNumber);
		assert.equal((await queues.counts("q.fifo")).visible, 1);
		await clock.advance(300_000);
		await queues.send("q.fifo", { body: "x", groupId: "g", deduplicationId: "d" });
		assert.equal((await queues.counts("q.fifo")).visible, 2);
		await queues.setAttributes("q.fifo", { ContentBasedDeduplication: "true", DeduplicationScope: "messageGroup" });
		for (const groupId of ["g", "g", "h"]) await queues.send("q.fifo", { body: "same", groupId });
		assert.equal((await queues.counts("q.fifo")).visible, 4);
	});

	it("refuse to delete by a handle whose time is over", async () => {
		await using test = await openTestQueues();
		const { queues, clock } = test;
		await queues.create("q.fifo", { ...fifo, VisibilityTimeout: "5" });
		await queues.send("q.fifo", { body: "x", groupId: "g", deduplicationId: "d" });
		const [first] = await queues.receive("q.fifo");
		await clock.advance(5000);
		await assert.rejects(queues.deleteMessage("q.fifo", first!.receiptHandle), /receipt handle has expired/);
		const [second] = await queues.receive("q.fifo");
		await assert.rejects(queues.deleteMessage("q.fifo", first!.receiptHandle), /receipt handle has expired/);
		await queues.deleteMessage("q.fifo", second!.receiptHandle);
		await queues.deleteMessage("q.fifo", second!.receiptHandle);
	});

	it("answer a receive again by its attempt id", async () => {
		await using test = await openTestQueues();
		const { queues, clock } = test;
		await queues.create("q.fifo", { ...fifo, VisibilityTimeout: "10" });
		for (const n of [1, 2]) await queues.send("q.fifo", { body: `${n}`, groupId: `${n}`, deduplicationId: `${n}` });
		const first = await queues.receive("q.fifo", { max: 10, attemptId: "try" });
		await clock.advance(5000);
		const again = await queues.receive("q.fifo", { max: 10, attemptId: "try" });
		assert.deepEqual(
			again.map(({ id, token }) => [id, token]),
			first.map(({ id, token }) => [id, token]),
		);
		await clock.advance(7000);
		assert.deepEqual(await queues.receive("q.fifo"), [], "the lease began anew");
		for (const { receiptHandle } of again) await queues.deleteMessage("q.fifo", receiptHandle);
		assert.deepEqual(await queues.receive("q.fifo", { attemptId: "try" }), []);
	});

	it("take no delay of a message", async () => {
		await using test = await openTestQueues();
		await test.queues.create("q.fifo", fifo);
		const message = { body: "x", groupId: "g", deduplicationId: "d", delaySeconds: 1 };
		await assert.rejects(async () => test.queues.send("q.fifo", message), reason("InvalidParameterValue"));
	});
});

describe("Queues", () => {
	it("are made once, and again only as they are", async () => {
		await using test = await openTestQueues();
		const { queues } = test;
		const first = await queues.create("q", { VisibilityTimeout: "5" }, { team: "a" });
		assert.equal(first.arn, arn("q"));
		assert.equal((await queues.create("q", { VisibilityTimeout: "5" })).createdMs, first.createdMs);
		assert.equal((await queues.create("q")).createdMs, first.createdMs);
		await assert.rejects(
			queues.create("q", { VisibilityTimeout: "6" }),
			/different value for attribute VisibilityTimeout/,
		);
		for (const [name, attributes] of [
			["a.b", {}],
			["q.fifo", {}],
			["q", { FifoQueue: "true" }],
			["x".repeat(81), {}],
			["", {}],
		] as const)
			await assert.rejects(queues.create(name, attributes), reason("InvalidParameterValue"), name);
		await assert.rejects(queues.create("n", { Nothing: "1" }), reason("InvalidAttributeName"));
		await assert.rejects(queues.create("n", { DeduplicationScope: "queue" }), reason("InvalidAttributeName"));
		for (const [name, value] of [
			["DelaySeconds", "901"],
			["MaximumMessageSize", "1023"],
			["MaximumMessageSize", "1048577"],
			["MessageRetentionPeriod", "59"],
			["ReceiveMessageWaitTimeSeconds", "21"],
			["VisibilityTimeout", "43201"],
			["VisibilityTimeout", "1.5"],
			["Policy", "{"],
			["SqsManagedSseEnabled", "yes"],
		] as const)
			await assert.rejects(queues.create("n", { [name]: value }), reason("InvalidAttributeValue"), name);
	});

	it("are there after a restart, with settings, tags and messages", async () => {
		await using test = await openTestQueues();
		await test.queues.create("q", { VisibilityTimeout: "7" }, { team: "a" });
		await test.queues.send("q", {
			body: "kept",
			attributes: { k: { dataType: "Binary.x", binaryValue: Buffer.of(0, 255) } },
		});
		const before = test.queues.get("q");
		const queues = await test.reopen();
		assert.deepEqual(queues.get("q"), before);
		const [message] = await queues.receive("q");
		assert.deepEqual(message?.attributes.k, { dataType: "Binary.x", binaryValue: Buffer.of(0, 255) });
	});

	it("that were deleted leave no messages to their namesakes", async () => {
		await using test = await openTestQueues();
		await test.queues.create("q");
		await test.queues.send("q", { body: "old" });
		await test.queues.delete("q");
		await assert.rejects(async () => test.queues.send("q", { body: "x" }), reason("QueueDoesNotExist"));
		await test.queues.create("q");
		assert.deepEqual(await test.queues.receive("q"), []);
		// As when the daemon died between the store's commit and the log's.
		await test.queues.send("q", { body: "old" });
		await test.store.commit([{ change: "delete", kind: "sqs-queue", namespace: "", name: "q" }]);
		const queues = await test.reopen();
		assert.equal(queues.find("q"), undefined);
		assert.deepEqual(await test.log.lanes("sqs/"), []);
	});

	it("are purged once a minute", async () => {
		await using test = await openTestQueues();
		const { queues, clock } = test;
		await queues.create("q");
		await queues.send("q", { body: "x" });
		assert.equal(await queues.purge("q"), 1);
		await assert.rejects(queues.purge("q"), reason("PurgeQueueInProgress"));
		assert.equal(await queues.purge("q", { force: true }), 0);
		await clock.advance(60_000);
		await queues.purge("q");
	});

	it("are leased by pollers, settled and released", async () => {
		await using test = await openTestQueues();
		const { queues } = test;
		await queues.create("q");
		for (let i = 0; i < 20; i++) await queues.send("q", { body: `${i}` });
		const messages = await queues.lease("q", { max: 15 });
		assert.equal(messages.length, 15);
		await queues.settleDone(messages.slice(0, 10));
		await queues.settleDone(messages.slice(0, 11));
		await queues.release(messages.slice(11), 0);
		assert.equal((await queues.counts("q")).visible, 9);
		const record = queues.lambdaRecord(messages[0]!);
		assert.equal(record.eventSourceARN, arn("q"));
		assert.equal(record.body, "0");
		assert(!("md5OfMessageAttributes" in record));
		const late = queues.lease("q", { max: 100, waitMs: 1000 });
		assert.equal((await late).length, 9);
	});

	it("are targets of deliveries", async () => {
		await using test = await openTestQueues();
		const { queues, log } = test;
		await queues.create("q");
		await queues.create("q.fifo", { FifoQueue: "true" });
		const target = new QueueTarget(queues);
		assert(target.owns(arn("anything")));
		assert(!target.owns("arn:aws:lambda:us-east-1:123456789012:function:f"));
		assert.throws(() => target.check(arn("none")), { code: "NOT_FOUND" });
		const delivery = {
			id: "0198f000-0000-7000-8000-000000000001",
			correlation: "event-1",
			body: Buffer.from('{"a":1}'),
			sourceArn: "arn:aws:events:us-east-1:123456789012:rule/r",
			traceId: "Root=1-65535555-0123456789abcdef01234567;Lineage=1:abc:2",
			attributes: { ERROR_CODE: { dataType: "String", value: "NO_PERMISSIONS" } as const },
		};
		const handover = target.handOver(arn("q"), delivery);
		assert(handover.kind === "append");
		await log.commit(handover.changes);
		const [message] = await queues.receive("q");
		assert.equal(message?.id, delivery.id);
		assert.equal(message.correlation, "event-1");
		assert.equal(message.traceHeader, delivery.traceId);
		assert.equal(message.attributes.ERROR_CODE?.stringValue, "NO_PERMISSIONS");
		assert.throws(() => target.handOver(arn("q.fifo"), delivery), { code: "INVALID" });
		const ordered = target.handOver(arn("q.fifo"), { ...delivery, id: "other", messageGroupId: "g" });
		assert(ordered.kind === "append");
		await log.commit(ordered.changes);
		assert.equal((await queues.receive("q.fifo"))[0]?.groupId, "g");
	});
});

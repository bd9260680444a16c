import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { arn, openTestQueues, reason, type TestQueues, turns } from "./testing.ts";

/** A queue and its dead-letter queue. */
async function withDeadLetters(test: TestQueues, maxReceiveCount = 1): Promise<void> {
	await test.queues.create("dead");
	const policy = JSON.stringify({ deadLetterTargetArn: arn("dead"), maxReceiveCount });
	await test.queues.create("work", { RedrivePolicy: policy, VisibilityTimeout: "10" });
}

describe("Dead letters", () => {
	it("are moved with id and time, and say where they came from", async () => {
		await using test = await openTestQueues();
		const { queues, clock } = test;
		await withDeadLetters(test);
		const { messageId } = await queues.send("work", { body: "poison" });
		const [taken] = await queues.receive("work");
		await clock.advance(10_000);
		assert.deepEqual(await queues.receive("work"), []);
		const [dead] = await queues.receive("dead");
		assert.equal(dead?.id, messageId);
		assert.equal(dead.sentMs, taken?.sentMs);
		assert.equal(dead.sourceArn, arn("work"));
		assert.deepEqual(
			queues.deadLetterSources("dead").map(({ name }) => name),
			["work"],
		);
	});

	it("stay where they are while their queue is gone", async () => {
		await using test = await openTestQueues();
		const { queues, clock } = test;
		await withDeadLetters(test);
		await queues.delete("dead");
		await queues.send("work", { body: "x" });
		for (let i = 1; i <= 3; i++) {
			assert.equal((await queues.receive("work"))[0]?.receiveCount, i);
			await clock.advance(10_000);
		}
		await queues.create("dead");
		assert.deepEqual(await queues.receive("work"), []);
		assert.equal((await queues.receive("dead")).length, 1);
	});

	it("are only taken by whom the policies let", async () => {
		await using test = await openTestQueues();
		const { queues } = test;
		await queues.create("dead", {
			RedriveAllowPolicy: JSON.stringify({ redrivePermission: "byQueue", sourceQueueArns: [arn("one")] }),
		});
		const policy = (target: string, count: unknown = 3) => ({
			RedrivePolicy: JSON.stringify({ deadLetterTargetArn: arn(target), maxReceiveCount: count }),
		});
		await queues.create("one", policy("dead", "5"));
		assert.equal(queues.get("one").settings.redrivePolicy?.maxReceiveCount, 5);
		await assert.rejects(queues.create("two", policy("dead")), /not allowed/);
		await assert.rejects(queues.create("three", policy("nowhere")), /does not exist/);
		await assert.rejects(queues.create("four", policy("one", 1001)), /1 to 1000/);
		await assert.rejects(queues.create("f.fifo", { FifoQueue: "true", ...policy("dead") }), /same type/);
		await assert.rejects(queues.create("self", policy("self")), reason("InvalidParameterValue"));
	});

	it("go back to their queue by a task, as many a second as it says", async () => {
		await using test = await openTestQueues();
		const { queues, clock } = test;
		await withDeadLetters(test);
		await queues.send("dead", { body: "sent here" });
		for (let i = 0; i < 5; i++) await queues.send("work", { body: `${i}` });
		await queues.receive("work", { max: 10 });
		await clock.advance(10_000);
		await queues.receive("work", { max: 10 });
		assert.equal((await queues.counts("dead")).visible, 6);
		await assert.rejects(queues.startMoveTask({ sourceArn: arn("work") }), reason("InvalidParameterValue"));
		await assert.rejects(queues.startMoveTask({ sourceArn: arn("none") }), reason("ResourceNotFoundException"));
		await queues.startMoveTask({ sourceArn: arn("dead"), maxPerSecond: 2 });
		await assert.rejects(queues.startMoveTask({ sourceArn: arn("dead") }), reason("UnsupportedOperation"));
		await turns();
		assert((await queues.counts("work")).visible <= 2);
		await clock.advance(10_000);
		const [task] = queues.moveTasks(arn("dead"));
		// What was sent to the dead-letter queue itself came from nowhere.
		assert.deepEqual([task?.status, task?.moved, task?.failureReason], ["FAILED", 5, "CouldNotDetermineMessageSource"]);
		assert.deepEqual([(await queues.counts("work")).visible, (await queues.counts("dead")).visible], [5, 1]);
		await queues.create("other");
		await queues.startMoveTask({ sourceArn: arn("dead"), destinationArn: arn("other") });
		await turns(200);
		assert.equal(queues.moveTasks(arn("dead"))[0]?.status, "COMPLETED");
		assert.equal((await queues.counts("other")).visible, 1);
	});

	it("go on being moved by the next process, or are left when it is cancelled", async () => {
		await using test = await openTestQueues();
		const { clock } = test;
		await withDeadLetters(test);
		await test.queues.create("other");
		for (let i = 0; i < 4; i++) await test.queues.send("dead", { body: `${i}` });
		await test.queues.startMoveTask({ sourceArn: arn("dead"), destinationArn: arn("other"), maxPerSecond: 1 });
		await turns();
		assert.equal((await test.queues.counts("other")).visible, 1);
		const queues = await test.reopen();
		await clock.advance(1000);
		assert((await queues.counts("other")).visible >= 2);
		const [task] = queues.moveTasks(arn("dead"));
		assert.equal(task?.status, "RUNNING");
		const handle = Buffer.from(JSON.stringify({ taskId: task.id, sourceArn: arn("dead") })).toString("base64");
		await queues.cancelMoveTask(handle);
		await clock.advance(5000);
		assert.equal(queues.moveTasks(arn("dead"))[0]?.status, "CANCELLED");
		assert((await queues.counts("dead")).visible > 0);
		await assert.rejects(queues.cancelMoveTask(handle), reason("UnsupportedOperation"));
		await assert.rejects(queues.cancelMoveTask("garbage"), reason("InvalidParameterValue"));
		await queues.delete("dead");
		assert.deepEqual(await test.store.list("sqs-move-task"), []);
	});
});

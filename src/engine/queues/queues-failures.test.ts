import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SlipwayError } from "../../base/error.ts";
import { openTestQueues } from "./testing.ts";

describe("Queues when the log or a client does what it should not", () => {
	it("are not there, rather than there without their order, when the log could not be told of them", async () => {
		await using test = await openTestQueues();
		const { queues, log } = test;
		const { defineLane } = log;
		log.defineLane = () => Promise.reject(new SlipwayError("EXHAUSTED", "no room", { reason: "DiskFull" }));
		await assert.rejects(queues.create("q.fifo", { FifoQueue: "true" }), { code: "EXHAUSTED" });
		await assert.rejects(queues.send("q.fifo", { body: "a", groupId: "g", deduplicationId: "1" }), {
			reason: "QueueDoesNotExist",
		});
		log.defineLane = defineLane;
		await queues.create("q.fifo", { FifoQueue: "true" });
		await test.reopen();
		assert.equal((await log.counts("sqs/q.fifo")).settings.ordered, true);
	});

	it("find the stale lease among a thousand without a commit for each", async () => {
		await using test = await openTestQueues();
		const { queues, log } = test;
		await queues.create("q");
		for (let i = 0; i < 1000; i++) await queues.send("q", { body: String(i) });
		const messages = await queues.lease("q", { max: 1000 });
		await queues.deleteMessage("q", messages[333]!.receiptHandle);
		let commits = 0;
		const { commit } = log;
		log.commit = (changes) => {
			commits++;
			return commit.call(log, changes);
		};
		await queues.settleDone(messages);
		assert.equal((await queues.counts("q")).inFlight, 0);
		assert.ok(commits < 30, `${commits} commits`);
	});

	it("give handles that are good after a restart", async () => {
		await using test = await openTestQueues();
		await test.queues.create("q");
		await test.queues.send("q", { body: "a" });
		const [message] = await test.queues.receive("q");
		const queues = await test.reopen();
		await queues.deleteMessage("q", message!.receiptHandle);
		assert.equal((await queues.counts("q")).inFlight, 0);
	});
});

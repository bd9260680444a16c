/** Queues through the AWS SDK v3, which checks every MD5 it gets, and the sqs-consumer package. */
import assert from "node:assert/strict";
import {
	ChangeMessageVisibilityCommand,
	DeleteMessageBatchCommand,
	DeleteMessageCommand,
	ListMessageMoveTasksCommand,
	ListQueueTagsCommand,
	type Message,
	PurgeQueueCommand,
	ReceiveMessageCommand,
	SendMessageBatchCommand,
	SetQueueAttributesCommand,
	StartMessageMoveTaskCommand,
	TagQueueCommand,
	UntagQueueCommand,
} from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";
import { type Clause, type TestQueue, until } from "./world.ts";

const redriveTo = (queue: TestQueue, maxReceiveCount: number) => ({
	RedrivePolicy: JSON.stringify({ deadLetterTargetArn: queue.arn, maxReceiveCount }),
});

export const queueClauses: readonly Clause[] = [
	{
		says: "attributes of each type and a body of every script come back as they went, with their MD5s",
		run: async (w) => {
			const queue = await w.queue("md5");
			const MessageAttributes = {
				text: { DataType: "String", StringValue: "grüße ✓ 𝄞" },
				number: { DataType: "Number.int", StringValue: "7" },
				bytes: { DataType: "Binary.png", BinaryValue: Buffer.from([0, 255, 128]) },
			};
			const body = 'grüße ✓ 𝄞 <&> "\\\n\t';
			const sent = await w.send(queue, body, { MessageAttributes });
			const [message] = await w.take(queue, 1);
			assert.equal(message?.Body, body);
			assert.equal(message.MD5OfMessageAttributes, sent.MD5OfMessageAttributes);
			const got = message.MessageAttributes ?? {};
			assert.deepEqual([got.text?.StringValue, got.number?.StringValue], ["grüße ✓ 𝄞", "7"]);
			assert.deepEqual([...(got.bytes?.BinaryValue ?? [])], [0, 255, 128]);
		},
	},
	{
		says: "a batch's entries succeed and fail one by one, and ten are deleted at once",
		run: async (w) => {
			const queue = await w.queue("batch");
			const Entries = Array.from({ length: 10 }, (_, index) => ({ Id: `m${index}`, MessageBody: String(index) }));
			Entries[3] = { Id: "m3", MessageBody: "\u0001" };
			const sent = await w.sqs.send(new SendMessageBatchCommand({ QueueUrl: queue.url, Entries }));
			assert.deepEqual(
				[sent.Successful?.length, sent.Failed?.map(({ Id, Code }) => [Id, Code])],
				[9, [["m3", "InvalidMessageContents"]]],
			);
			const messages: Message[] = [];
			while (messages.length < 9) messages.push(...(await w.receive(queue)));
			const handles = messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
			const deleted = await w.sqs.send(new DeleteMessageBatchCommand({ QueueUrl: queue.url, Entries: handles }));
			assert.equal(deleted.Successful?.length, 9);
			assert.equal(await w.count(queue, "NotVisible"), 0);
		},
	},
	{
		says: "a long poll answers when a message comes",
		run: async (w) => {
			const queue = await w.queue("poll");
			const waiting = w.receive(queue, 20);
			await w.send(queue, "late");
			assert.deepEqual(
				(await waiting).map(({ Body }) => Body),
				["late"],
			);
		},
	},
	{
		says: "delays and visibility timeouts hide messages, and 0 shows one again",
		run: async (w) => {
			const queue = await w.queue("hidden");
			await w.send(queue, "delayed", { DelaySeconds: 900 });
			await w.send(queue, "now");
			assert.equal(await w.count(queue, "Delayed"), 1);
			const [first] = await w.receive(queue);
			assert.equal(first?.Body, "now");
			assert.deepEqual(await w.receive(queue, 0), []);
			const { ReceiptHandle } = first;
			const shown = { QueueUrl: queue.url, ReceiptHandle, VisibilityTimeout: 0 };
			await w.sqs.send(new ChangeMessageVisibilityCommand(shown));
			const [again] = await w.receive(queue);
			assert.equal(again?.Attributes?.ApproximateReceiveCount, "2");
		},
	},
	{
		says: "a FIFO queue keeps each group's order, and takes a message once",
		run: async (w) => {
			const queue = await w.queue("order.fifo", { FifoQueue: "true", ContentBasedDeduplication: "true" });
			const send = (body: string, MessageGroupId: string, MessageDeduplicationId?: string) =>
				w.send(queue, body, { MessageGroupId, ...(MessageDeduplicationId && { MessageDeduplicationId }) });
			const first = await send("a1", "a");
			assert.equal((await send("a1", "a")).MessageId, first.MessageId);
			for (const body of ["a2", "b1", "a3", "b2"]) await send(body, body.slice(0, 1));
			await send("again", "b", "id");
			await send("never seen", "b", "id");
			const order: Record<string, (string | undefined)[]> = { a: [], b: [] };
			for (const { Body, Attributes } of await w.take(queue, 6)) order[Attributes?.MessageGroupId ?? ""]?.push(Body);
			assert.deepEqual(order, { a: ["a1", "a2", "a3"], b: ["b1", "b2", "again"] });
		},
	},
	{
		says: "a FIFO group waits for its message in flight; others do not",
		run: async (w) => {
			const queue = await w.queue("groups.fifo", { FifoQueue: "true" });
			const options = (MessageGroupId: string, MessageDeduplicationId: string) => ({
				MessageGroupId,
				MessageDeduplicationId,
			});
			await w.send(queue, "a1", options("a", "1"));
			const one = { QueueUrl: queue.url, MaxNumberOfMessages: 1 };
			const { Messages: [held] = [] } = await w.sqs.send(new ReceiveMessageCommand(one));
			await w.send(queue, "a2", options("a", "2"));
			await w.send(queue, "b1", options("b", "3"));
			assert.deepEqual(
				(await w.receive(queue)).map(({ Body }) => Body),
				["b1"],
			);
			await w.sqs.send(new DeleteMessageCommand({ QueueUrl: queue.url, ReceiptHandle: held?.ReceiptHandle }));
			assert.deepEqual(
				(await w.receive(queue)).map(({ Body }) => Body),
				["a2"],
			);
		},
	},
	{
		says: "what a consumer fails with is a dead letter in the end, and a move task brings it back",
		run: async (w) => {
			const dead = await w.queue("consumed-dead");
			const queue = await w.queue("consumed", { VisibilityTimeout: "0", ...redriveTo(dead, 2) });
			const seen: string[] = [];
			const errors: Error[] = [];
			const consumer = Consumer.create({
				queueUrl: queue.url,
				sqs: w.sqs,
				waitTimeSeconds: 1,
				handleMessage: async (message: Message) => {
					seen.push(message.Body ?? "");
					if (message.Body === "poison") throw new Error("told to fail");
					return message;
				},
			});
			consumer.on("processing_error", (error) => errors.push(error));
			consumer.on("error", (error) => errors.push(error));
			await w.send(queue, "good");
			await w.send(queue, "poison");
			consumer.start();
			await until("a dead letter", async () => ((await w.count(dead)) === 1 ? true : undefined));
			consumer.stop();
			assert.deepEqual(seen.filter((body) => body === "poison").length, 2);
			assert.ok(
				errors.every(({ message }) => /told to fail/.test(message)),
				String(errors),
			);

			await w.sqs.send(new SetQueueAttributesCommand({ QueueUrl: queue.url, Attributes: { VisibilityTimeout: "30" } }));
			const { TaskHandle } = await w.sqs.send(new StartMessageMoveTaskCommand({ SourceArn: dead.arn }));
			assert.ok(TaskHandle);
			const [back] = await w.take(queue, 1);
			assert.equal(back?.Body, "poison");
			const { Results } = await w.sqs.send(new ListMessageMoveTasksCommand({ SourceArn: dead.arn }));
			assert.deepEqual([Results?.[0]?.Status, Results?.[0]?.ApproximateNumberOfMessagesMoved], ["COMPLETED", 1]);
		},
	},
	{
		says: "purge empties a queue; tags come and go",
		run: async (w) => {
			const queue = await w.queue("purged");
			for (const body of ["1", "2", "3"]) await w.send(queue, body);
			await w.sqs.send(new PurgeQueueCommand({ QueueUrl: queue.url }));
			assert.deepEqual(await w.receive(queue, 0), []);
			await w.sqs.send(new TagQueueCommand({ QueueUrl: queue.url, Tags: { team: "tide", cost: "7" } }));
			await w.sqs.send(new UntagQueueCommand({ QueueUrl: queue.url, TagKeys: ["cost"] }));
			const { Tags } = await w.sqs.send(new ListQueueTagsCommand({ QueueUrl: queue.url }));
			assert.deepEqual(Tags, { team: "tide" });
		},
	},
];

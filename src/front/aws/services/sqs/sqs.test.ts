import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
	AddPermissionCommand,
	ChangeMessageVisibilityBatchCommand,
	ChangeMessageVisibilityCommand,
	CreateQueueCommand,
	DeleteMessageBatchCommand,
	DeleteMessageCommand,
	DeleteQueueCommand,
	GetQueueAttributesCommand,
	GetQueueUrlCommand,
	ListDeadLetterSourceQueuesCommand,
	ListMessageMoveTasksCommand,
	ListQueuesCommand,
	ListQueueTagsCommand,
	PurgeQueueCommand,
	ReceiveMessageCommand,
	RemovePermissionCommand,
	SendMessageBatchCommand,
	SendMessageCommand,
	SetQueueAttributesCommand,
	SQSClient,
	type SQSServiceException,
	StartMessageMoveTaskCommand,
	TagQueueCommand,
	UntagQueueCommand,
} from "@aws-sdk/client-sqs";
import { startTestSqs, type TestSqs, testSqsAccount, testSqsKeys, testSqsRegion } from "./test-sqs.ts";

let sqs: TestSqs;
let client: SQSClient;
let made = 0;

before(async () => {
	sqs = await startTestSqs();
	client = new SQSClient({ endpoint: sqs.url, region: testSqsRegion, credentials: testSqsKeys, maxAttempts: 1 });
});

after(async () => {
	client.destroy();
	await sqs[Symbol.asyncDispose]();
});

async function newQueue(attributes: Record<string, string> = {}, suffix = ""): Promise<string> {
	const { QueueUrl } = await client.send(
		new CreateQueueCommand({ QueueName: `q${++made}${suffix}`, Attributes: attributes }),
	);
	return QueueUrl!;
}

const arnOf = (url: string) => `arn:aws:sqs:${testSqsRegion}:${testSqsAccount}:${url.split("/").at(-1)}`;

/** The SDK names an error by the older code, which says what AWS's clients look for. */
function refused(name: string, code = name, status = 400) {
	return (error: SQSServiceException & { Error?: { Code?: string } }) => {
		assert.equal(error.$metadata.httpStatusCode, status, error.message);
		assert([name, code].includes(error.name), `${error.name}: ${error.message}`);
		return true;
	};
}

describe("SQS through the AWS SDK", () => {
	it("sends, receives and deletes with attributes and digests", async () => {
		const QueueUrl = await newQueue();
		assert.equal(new URL(QueueUrl).origin, sqs.url);
		const MessageAttributes = {
			text: { DataType: "String", StringValue: "é" },
			number: { DataType: "Number.int", StringValue: "42" },
			"bytes.raw": { DataType: "Binary", BinaryValue: Buffer.of(0, 1, 255) },
		};
		const MessageSystemAttributes = { AWSTraceHeader: { DataType: "String", StringValue: "Root=1-a-b" } };
		// The SDK checks the MD5s of sent bodies and of what it receives.
		const sent = await client.send(
			new SendMessageCommand({ QueueUrl, MessageBody: "hello ✓", MessageAttributes, MessageSystemAttributes }),
		);
		assert.match(sent.MD5OfMessageSystemAttributes ?? "", /^[0-9a-f]{32}$/);
		const { Messages } = await client.send(
			new ReceiveMessageCommand({ QueueUrl, MessageAttributeNames: ["All"], MessageSystemAttributeNames: ["All"] }),
		);
		const [message] = Messages ?? [];
		assert.equal(message?.Body, "hello ✓");
		assert.equal(message.MessageId, sent.MessageId);
		assert.equal(message.MD5OfMessageAttributes, sent.MD5OfMessageAttributes);
		assert.equal(message.MessageAttributes?.text?.StringValue, "é");
		assert.deepEqual(Buffer.from(message.MessageAttributes?.["bytes.raw"]?.BinaryValue ?? []), Buffer.of(0, 1, 255));
		assert.deepEqual(Object.keys(message.Attributes ?? {}).sort(), [
			"AWSTraceHeader",
			"ApproximateFirstReceiveTimestamp",
			"ApproximateReceiveCount",
			"SenderId",
			"SentTimestamp",
		]);
		await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message.ReceiptHandle }));
		const empty = await client.send(new ReceiveMessageCommand({ QueueUrl }));
		assert.equal(empty.Messages, undefined);
	});

	it("gives only the attributes that were asked for", async () => {
		const QueueUrl = await newQueue({ VisibilityTimeout: "0" });
		const value = { DataType: "String", StringValue: "v" };
		const MessageAttributes = { "a.one": value, "a.two": value, other: value };
		await client.send(new SendMessageCommand({ QueueUrl, MessageBody: "x", MessageAttributes }));
		const names = async (MessageAttributeNames: string[]) => {
			const { Messages } = await client.send(
				new ReceiveMessageCommand({ QueueUrl, MessageAttributeNames, AttributeNames: ["SenderId"] as never }),
			);
			assert.deepEqual(Messages?.[0]?.Attributes, { SenderId: testSqsAccount });
			return Object.keys(Messages?.[0]?.MessageAttributes ?? {}).sort();
		};
		assert.deepEqual(await names([]), []);
		assert.deepEqual(await names(["other"]), ["other"]);
		assert.deepEqual(await names(["a.*"]), ["a.one", "a.two"]);
		assert.deepEqual(await names([".*"]), ["a.one", "a.two", "other"]);
	});

	it("answers each entry of a batch", async () => {
		const QueueUrl = await newQueue();
		const { Successful, Failed } = await client.send(
			new SendMessageBatchCommand({
				QueueUrl,
				Entries: [
					{ Id: "a", MessageBody: "one" },
					{ Id: "b", MessageBody: "bad \u0001" },
					{ Id: "c", MessageBody: "late", DelaySeconds: 1000 },
					{ Id: "d", MessageBody: "two" },
				],
			}),
		);
		assert.deepEqual(
			Successful?.map(({ Id }) => Id),
			["a", "d"],
		);
		assert.deepEqual(
			Failed?.map(({ Id, Code, SenderFault }) => [Id, Code, SenderFault]),
			[
				["b", "InvalidMessageContents", true],
				["c", "InvalidParameterValue", true],
			],
		);
		const { Messages = [] } = await client.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
		assert.equal(Messages.length, 2);
		const handles = Messages.map(({ ReceiptHandle }, i) => ({ Id: `m${i}`, ReceiptHandle }));
		const changed = await client.send(
			new ChangeMessageVisibilityBatchCommand({
				QueueUrl,
				Entries: [
					{ ...handles[0]!, VisibilityTimeout: 100 },
					{ ...handles[1]!, VisibilityTimeout: 50_000 },
				],
			}),
		);
		assert.deepEqual(
			[changed.Successful?.length, changed.Failed?.map(({ Id, Code }) => [Id, Code])],
			[1, [["m1", "InvalidParameterValue"]]],
		);
		const deleted = await client.send(
			new DeleteMessageBatchCommand({ QueueUrl, Entries: [...handles, { Id: "x", ReceiptHandle: "garbage" }] }),
		);
		assert.equal(deleted.Successful?.length, 2);
		assert.deepEqual(
			deleted.Failed?.map(({ Code }) => Code),
			["ReceiptHandleIsInvalid"],
		);
	});

	it("refuses batches by AWS's names", async () => {
		const QueueUrl = await newQueue();
		const entry = (Id: string, MessageBody = "x") => ({ Id, MessageBody });
		const eleven = Array.from({ length: 11 }, (_, i) => entry(`${i}`));
		const long = "x".repeat(600_000);
		for (const [Entries, name] of [
			[[], "EmptyBatchRequest"],
			[eleven, "TooManyEntriesInBatchRequest"],
			[[entry("a"), entry("a")], "BatchEntryIdsNotDistinct"],
			[[entry("a b")], "InvalidBatchEntryId"],
			[[entry("a", long), entry("b", long)], "BatchRequestTooLong"],
		] as const)
			await assert.rejects(
				client.send(new SendMessageBatchCommand({ QueueUrl, Entries: [...Entries] })),
				refused(name, `AWS.SimpleQueueService.${name}`),
			);
	});

	it("takes a message of 1 MiB and no more", async () => {
		const QueueUrl = await newQueue();
		const MessageBody = '"'.repeat(1_048_576);
		await client.send(new SendMessageCommand({ QueueUrl, MessageBody }));
		const { Messages } = await client.send(new ReceiveMessageCommand({ QueueUrl }));
		assert.equal(Messages?.[0]?.Body?.length, 1_048_576);
		await assert.rejects(
			client.send(new SendMessageCommand({ QueueUrl, MessageBody: `${MessageBody}x` })),
			refused("InvalidParameterValue", "InvalidParameterValueException"),
		);
		const BinaryValue = Buffer.alloc(500_000, 7);
		const MessageAttributes = {
			big: { DataType: "Binary", BinaryValue },
			text: { DataType: "String", StringValue: "é" },
		};
		await client.send(new SendMessageCommand({ QueueUrl, MessageBody: "with attributes", MessageAttributes }));
		const again = await client.send(new ReceiveMessageCommand({ QueueUrl, MessageAttributeNames: ["All"] }));
		assert.equal(again.Messages?.[0]?.Body, "with attributes");
		assert(BinaryValue.equals(again.Messages[0].MessageAttributes?.big?.BinaryValue ?? Buffer.alloc(0)));
		assert.equal(again.Messages[0].MessageAttributes?.text?.StringValue, "é");
	});

	it("waits for messages, and ends when the client goes", async () => {
		const QueueUrl = await newQueue({ ReceiveMessageWaitTimeSeconds: "20" });
		const gone = new AbortController();
		const left = client.send(new ReceiveMessageCommand({ QueueUrl }), { abortSignal: gone.signal });
		await new Promise((resolve) => setTimeout(resolve, 50));
		gone.abort();
		await assert.rejects(left, { name: "AbortError" });
		const waits = client.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20 }));
		await client.send(new SendMessageCommand({ QueueUrl, MessageBody: "x" }));
		assert.equal((await waits).Messages?.[0]?.Body, "x");
		const short = await client.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 0 }));
		assert.equal(short.Messages, undefined);
	});

	it("refuses by AWS's names and statuses", async () => {
		const QueueUrl = await newQueue();
		const missing = QueueUrl.replace(/q\d+$/, "none");
		const nobody = refused("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue");
		await assert.rejects(client.send(new SendMessageCommand({ QueueUrl: missing, MessageBody: "x" })), nobody);
		await assert.rejects(client.send(new GetQueueUrlCommand({ QueueName: "none" })), nobody);
		const other = QueueUrl.replace(testSqsAccount, "999999999999");
		await assert.rejects(client.send(new ReceiveMessageCommand({ QueueUrl: other })), nobody);
		await assert.rejects(
			client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: "garbage" })),
			refused("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404),
		);
		const value = refused("InvalidParameterValue", "InvalidParameterValueException");
		await assert.rejects(client.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 11 })), value);
		await assert.rejects(client.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 21 })), value);
		await assert.rejects(
			client.send(new SendMessageCommand({ QueueUrl, MessageBody: "" })),
			refused("MissingParameter", "MissingParameterException"),
		);
		await assert.rejects(
			client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["Nothing" as never] })),
			refused("InvalidAttributeName"),
		);
		await assert.rejects(
			client.send(new CreateQueueCommand({ QueueName: QueueUrl.split("/").at(-1), Attributes: { DelaySeconds: "3" } })),
			refused("QueueNameExists", "QueueAlreadyExists"),
		);
		await client.send(new PurgeQueueCommand({ QueueUrl }));
		await assert.rejects(
			client.send(new PurgeQueueCommand({ QueueUrl })),
			refused("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress", 403),
		);
		await client.send(new SendMessageCommand({ QueueUrl, MessageBody: "x" }));
		const { Messages } = await client.send(new ReceiveMessageCommand({ QueueUrl }));
		const ReceiptHandle = Messages?.[0]?.ReceiptHandle;
		await client.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: 0 }));
		await assert.rejects(
			client.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: 5 })),
			refused("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"),
		);
	});

	it("keeps order and takes messages once in FIFO queues", async () => {
		const QueueUrl = await newQueue({ FifoQueue: "true", ContentBasedDeduplication: "true" }, ".fifo");
		const send = (MessageBody: string) =>
			client.send(new SendMessageCommand({ QueueUrl, MessageBody, MessageGroupId: "g" }));
		const [one, two, again] = [await send("1"), await send("2"), await send("1")];
		assert.equal(again.MessageId, one.MessageId);
		assert((two.SequenceNumber ?? "") > (one.SequenceNumber ?? "~"));
		const { Messages } = await client.send(
			new ReceiveMessageCommand({ QueueUrl, MessageSystemAttributeNames: ["All"], ReceiveRequestAttemptId: "r" }),
		);
		const { Attributes, Body } = Messages![0]!;
		assert.equal(Body, "1");
		assert.equal(Attributes?.MessageGroupId, "g");
		assert.equal(Attributes.SequenceNumber, one.SequenceNumber);
		assert.match(Attributes.MessageDeduplicationId ?? "", /^[0-9a-f]{64}$/);
	});
});

describe("Queues through the AWS SDK", () => {
	it("have attributes, as they were set and counted", async () => {
		const QueueUrl = await newQueue({ DelaySeconds: "1", KmsMasterKeyId: "alias/k" });
		await client.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { DelaySeconds: "0" } }));
		await client.send(new SendMessageCommand({ QueueUrl, MessageBody: "x" }));
		const { Attributes } = await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }));
		const { CreatedTimestamp, LastModifiedTimestamp, ...rest } = Attributes!;
		assert.match(`${CreatedTimestamp} ${LastModifiedTimestamp}`, /^\d{10} \d{10}$/);
		assert.deepEqual(rest, {
			QueueArn: arnOf(QueueUrl),
			ApproximateNumberOfMessages: "1",
			ApproximateNumberOfMessagesNotVisible: "0",
			ApproximateNumberOfMessagesDelayed: "0",
			DelaySeconds: "0",
			MaximumMessageSize: "1048576",
			MessageRetentionPeriod: "345600",
			ReceiveMessageWaitTimeSeconds: "0",
			VisibilityTimeout: "30",
			KmsDataKeyReusePeriodSeconds: "300",
			KmsMasterKeyId: "alias/k",
			SqsManagedSseEnabled: "false",
		});
		const none = await client.send(new GetQueueAttributesCommand({ QueueUrl }));
		assert.equal(none.Attributes, undefined);
	});

	it("are listed by prefix and page by page", async () => {
		for (const n of [1, 2, 3]) await client.send(new CreateQueueCommand({ QueueName: `list-${n}` }));
		const first = await client.send(new ListQueuesCommand({ QueueNamePrefix: "list-", MaxResults: 2 }));
		assert.deepEqual(
			first.QueueUrls?.map((url) => url.split("/").at(-1)),
			["list-1", "list-2"],
		);
		const second = await client.send(
			new ListQueuesCommand({ QueueNamePrefix: "list-", MaxResults: 2, NextToken: first.NextToken }),
		);
		assert.equal(second.QueueUrls?.length, 1);
		assert.equal(second.NextToken, undefined);
		assert.equal((await client.send(new ListQueuesCommand({ QueueNamePrefix: "no-such" }))).QueueUrls, undefined);
		const QueueUrl = second.QueueUrls[0]!;
		await client.send(new DeleteQueueCommand({ QueueUrl }));
		await assert.rejects(
			client.send(new DeleteQueueCommand({ QueueUrl })),
			refused("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"),
		);
	});

	it("have tags and permissions", async () => {
		const QueueUrl = await newQueue();
		await client.send(new TagQueueCommand({ QueueUrl, Tags: { team: "a", env: "t" } }));
		await client.send(new UntagQueueCommand({ QueueUrl, TagKeys: ["env"] }));
		assert.deepEqual((await client.send(new ListQueueTagsCommand({ QueueUrl }))).Tags, { team: "a" });
		const permission = { QueueUrl, Label: "share", AWSAccountIds: ["111122223333"], Actions: ["SendMessage"] };
		await client.send(new AddPermissionCommand(permission));
		await assert.rejects(client.send(new AddPermissionCommand(permission)), /Already exists/);
		const { Attributes } = await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["Policy"] }));
		const policy = JSON.parse(Attributes?.Policy ?? "") as { Statement: unknown[] };
		assert.deepEqual(policy.Statement, [
			{
				Sid: "share",
				Effect: "Allow",
				Principal: { AWS: "arn:aws:iam::111122223333:root" },
				Action: "SQS:SendMessage",
				Resource: arnOf(QueueUrl),
			},
		]);
		await client.send(new RemovePermissionCommand({ QueueUrl, Label: "share" }));
		await assert.rejects(client.send(new RemovePermissionCommand({ QueueUrl, Label: "share" })), /can't find label/);
	});

	it("move dead letters back", async () => {
		const dead = await newQueue();
		const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arnOf(dead), maxReceiveCount: 1 });
		const QueueUrl = await newQueue({ RedrivePolicy, VisibilityTimeout: "0" });
		await client.send(new SendMessageCommand({ QueueUrl, MessageBody: "poison" }));
		await client.send(new ReceiveMessageCommand({ QueueUrl }));
		assert.equal((await client.send(new ReceiveMessageCommand({ QueueUrl }))).Messages, undefined);
		const { queueUrls } = await client.send(new ListDeadLetterSourceQueuesCommand({ QueueUrl: dead }));
		assert.deepEqual(queueUrls, [QueueUrl]);
		const { Messages } = await client.send(
			new ReceiveMessageCommand({ QueueUrl: dead, VisibilityTimeout: 0, MessageSystemAttributeNames: ["All"] }),
		);
		assert.equal(Messages?.[0]?.Attributes?.DeadLetterQueueSourceArn, arnOf(QueueUrl));
		const { TaskHandle } = await client.send(new StartMessageMoveTaskCommand({ SourceArn: arnOf(dead) }));
		assert(TaskHandle);
		const status = async () => {
			const { Results } = await client.send(new ListMessageMoveTasksCommand({ SourceArn: arnOf(dead) }));
			return Results?.[0];
		};
		for (let i = 0; i < 100 && (await status())?.Status === "RUNNING"; i++);
		assert.equal((await status())?.Status, "COMPLETED");
		assert.equal((await status())?.ApproximateNumberOfMessagesMoved, 1);
		assert.equal((await client.send(new ReceiveMessageCommand({ QueueUrl }))).Messages?.[0]?.Body, "poison");
	});
});

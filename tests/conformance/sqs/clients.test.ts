/** Clients that nobody here wrote, against the SQS API: boto3, the aws CLI and the sqs-consumer package. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { type Message, SQSClient } from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";
import {
	startTestSqs,
	type TestSqs,
	testSqsAccount,
	testSqsKeys,
	testSqsRegion,
} from "../../../src/front/aws/services/sqs/test-sqs.ts";

const run = promisify(execFile);
/** Milliseconds; Python and botocore's models take a second of their own to start. */
const timeout = 60_000;
const env = {
	PATH: process.env.PATH,
	HOME: "/nonexistent",
	AWS_ACCESS_KEY_ID: testSqsKeys.accessKeyId,
	AWS_SECRET_ACCESS_KEY: testSqsKeys.secretAccessKey,
	AWS_DEFAULT_REGION: testSqsRegion,
	AWS_EC2_METADATA_DISABLED: "true",
};
const skipWithout = (command: string, args: string[], why: string) =>
	run(command, args).then(
		() => false as const,
		() => why,
	);
const noBoto3 = await skipWithout("python3", ["-c", "import boto3"], "python3 has no boto3");
const noCli = await skipWithout("aws", ["--version"], "the aws command is not installed");

describe("SQS", () => {
	it("serves boto3", { skip: noBoto3 }, async () => {
		await using sqs = await startTestSqs();
		const script = join(import.meta.dirname, "boto3-client.py");
		const { stdout } = await run("python3", [script, sqs.url], { env, timeout });
		assert.deepEqual(JSON.parse(stdout), {
			tags: { a: "b" },
			body: "héllo <&>",
			digest: true,
			bytes: "00ff",
			again: null,
			letter: true,
			sources: true,
			refusals: {
				handle: ["ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404],
				queue: ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", 400],
				number: ["ClientError", "InvalidParameterValue", 400],
				exists: ["QueueNameExists", "QueueAlreadyExists", 400],
				flight: ["ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404],
			},
			batch: [["good"], ["InvalidMessageContents"]],
			duplicate: true,
			order: ["1", "2"],
			queues: ["dead", "q.fifo", "work"],
		});
	});

	it("serves the aws CLI", { skip: noCli }, async () => {
		await using sqs = await startTestSqs();
		const aws = async (...args: string[]) => {
			const { stdout } = await run("aws", ["--endpoint-url", sqs.url, "--output", "json", "sqs", ...args], {
				env,
				timeout,
			});
			return stdout === "" ? undefined : (JSON.parse(stdout) as Record<string, unknown>);
		};
		const made = await aws("create-queue", "--queue-name", "cli");
		const url = `${sqs.url}/${testSqsAccount}/cli`;
		assert.equal(made?.QueueUrl, url);
		await aws("send-message", "--queue-url", url, "--message-body", "from the command line");
		const received = (await aws("receive-message", "--queue-url", url)) as { Messages: Message[] };
		assert.equal(received.Messages[0]?.Body, "from the command line");
		await aws("delete-message", "--queue-url", url, "--receipt-handle", received.Messages[0].ReceiptHandle ?? "");
		assert.equal((await sqs.queues.counts("cli")).inFlight, 0);
	});

	it("serves sqs-consumer: what its handler fails with comes again, and then is a dead letter", async () => {
		await using sqs = await startTestSqs();
		const { arn } = await sqs.queues.create("dead");
		const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount: 2 });
		await sqs.queues.create("work", { RedrivePolicy });
		const seen = await consume(sqs, ["a", "poison", "b"]);
		assert.deepEqual(seen.toSorted(), ["a", "b", "poison", "poison"]);
		const dead = await sqs.queues.peek("dead", { limit: 10 });
		assert.deepEqual(
			dead.map(({ body }) => body),
			["poison"],
		);
		const { visible, inFlight } = await sqs.queues.counts("work");
		assert.deepEqual([visible, inFlight], [0, 0]);
	});
});

/** Bodies that the handler got, until the poison is a dead letter. */
async function consume(sqs: TestSqs, bodies: readonly string[]): Promise<string[]> {
	const client = new SQSClient({ endpoint: sqs.url, region: testSqsRegion, credentials: testSqsKeys });
	const seen: string[] = [];
	const consumer = Consumer.create({
		queueUrl: sqs.queues.url("work", new URL(sqs.url).host),
		sqs: client,
		batchSize: 10,
		waitTimeSeconds: 1,
		terminateVisibilityTimeout: true,
		handleMessage: async (message) => {
			seen.push(message.Body ?? "");
			if (message.Body === "poison") throw new Error("It can't be worked on");
			return message;
		},
	});
	const problems: unknown[] = [];
	consumer.on("error", (error) => problems.push(error));
	consumer.on("processing_error", () => {});
	consumer.start();
	for (const body of bodies) await sqs.queues.send("work", { body });
	const dead = await sqs.queues.lease("dead", { max: 1, waitMs: 20_000 });
	await sqs.queues.release(dead, 0);
	const stopped = new Promise((resolve) => consumer.once("stopped", resolve));
	consumer.stop({ abort: true });
	await stopped;
	client.destroy();
	assert.deepEqual(problems, []);
	return seen;
}

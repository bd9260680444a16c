/** A daemon with functions, queues and buses, and what its users ask it with: the AWS SDK v3, clients in Python, both aws CLIs. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import type { CreateFunctionCommandInput } from "@aws-sdk/client-lambda";
import { SchedulerClient } from "@aws-sdk/client-scheduler";
import {
	CreateQueueCommand,
	DeleteMessageCommand,
	GetQueueAttributesCommand,
	type Message,
	type QueueAttributeName,
	ReceiveMessageCommand,
	SendMessageCommand,
	type SendMessageCommandInput,
	SQSClient,
} from "@aws-sdk/client-sqs";
import { findBuilder } from "../../tools/builder.ts";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { run } from "../../tools/run.ts";
import { FunctionClient } from "../e2e/function-client.ts";
import { buildImage, type ImageSource, pushImage } from "../runtimes/image.ts";

/** Why nothing of this can be tried here, or false. */
export const skip = process.getuid?.() === 0 ? false : "sandboxes and base images need root";
/** Milliseconds for a clause; functions begin with Node.js and an SDK. */
export const clauseTimeoutMs = 120_000;
/** Milliseconds for everything that a file needs: a first image, too. */
export const setupTimeoutMs = 10 * 60_000;
const pollMs = 50;
/** Seconds that a delivery may take on a busy machine. */
const patienceS = 60;
const memoryMiB = 512;

const image: ImageSource = {
	name: "events-subject",
	folder: join(import.meta.dirname, "subject"),
	prepare: async (context) =>
		void (await run("npm", ["install", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: context })),
};

/** A test with a sentence for a name. */
export interface Clause {
	says: string;
	run: (world: World) => Promise<void>;
	/** Where it is not `clauseTimeoutMs`. */
	timeoutMs?: number;
	/** Why it can't be tried here. */
	skip?: string | false;
}

export interface TestQueue {
	name: string;
	url: string;
	arn: string;
}

export class World implements AsyncDisposable {
	readonly daemon: LocalDaemon;
	/** Of functions.mjs and subscriber.mjs. */
	readonly image: string;
	readonly functions: FunctionClient;
	readonly sqs: SQSClient;
	readonly eventBridge: EventBridgeClient;
	readonly scheduler: SchedulerClient;

	private constructor(daemon: LocalDaemon, image: string) {
		this.daemon = daemon;
		this.image = image;
		const { accessKeyId, secretAccessKey } = daemon.credentials;
		const settings = {
			endpoint: daemon.url,
			region: daemon.region,
			credentials: { accessKeyId, secretAccessKey },
			maxAttempts: 1,
		};
		this.functions = new FunctionClient(daemon);
		this.sqs = new SQSClient(settings);
		this.eventBridge = new EventBridgeClient(settings);
		this.scheduler = new SchedulerClient(settings);
	}

	static async start(): Promise<World> {
		const builder = await findBuilder();
		const built = await buildImage(image, builder, (line) => process.stderr.write(`${line}\n`));
		const daemon = await startDaemon({ log: process.env.SLIPWAY_EVENTS_LOG === undefined ? "ignore" : "inherit" });
		try {
			return new World(daemon, await pushImage(daemon, builder, built, image.name));
		} catch (error) {
			await daemon[Symbol.asyncDispose]();
			throw error;
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const client of [this.sqs, this.eventBridge, this.scheduler]) client.destroy();
		this.functions[Symbol.dispose]();
		await this.daemon[Symbol.asyncDispose]();
	}

	get lambda() {
		return this.functions.lambda;
	}

	arn(service: string, resource: string): string {
		return `arn:aws:${service}:${this.daemon.region}:${this.daemon.credentials.accountId}:${resource}`;
	}

	/** `handler`: of functions.mjs. Returns the function's ARN. */
	async function(
		name: string,
		{
			handler = "handler",
			env = {},
			...change
		}: Partial<CreateFunctionCommandInput> & { handler?: string; env?: Record<string, string> } = {},
	): Promise<string> {
		await this.functions.create(name, this.image, {
			MemorySize: memoryMiB,
			ImageConfig: { Command: [`functions.${handler}`] },
			Environment: { Variables: env },
			...change,
		});
		// Its image's first use unpacks some hundred megabytes: longer than the SDK's waiter gives a test's function.
		assert.equal((await this.functions.settled(name)).State, "Active");
		return this.arn("lambda", `function:${name}`);
	}

	async queue(name: string, Attributes: Partial<Record<QueueAttributeName, string>> = {}): Promise<TestQueue> {
		const { QueueUrl = "" } = await this.sqs.send(new CreateQueueCommand({ QueueName: name, Attributes }));
		return { name, url: QueueUrl, arn: this.arn("sqs", name) };
	}

	send(queue: TestQueue, value: unknown, more: Partial<SendMessageCommandInput> = {}) {
		const MessageBody = typeof value === "string" ? value : JSON.stringify(value);
		return this.sqs.send(new SendMessageCommand({ QueueUrl: queue.url, MessageBody, ...more }));
	}

	/** So many messages, deleted as they come; fails when they do not come. */
	async take(queue: TestQueue, count: number, seconds = patienceS): Promise<Message[]> {
		const taken: Message[] = [];
		for (const end = performance.now() + seconds * 1000; taken.length < count; ) {
			for (const message of await this.receive(queue)) {
				await this.sqs.send(new DeleteMessageCommand({ QueueUrl: queue.url, ReceiptHandle: message.ReceiptHandle }));
				taken.push(message);
			}
			const seen = taken.map(({ Body }) => Body).join("\n");
			if (performance.now() > end) assert.fail(`${queue.name} got ${taken.length} of ${count} messages:\n${seen}`);
		}
		return taken;
	}

	/** Bodies of so many messages, parsed. */
	async values(queue: TestQueue, count: number, seconds?: number): Promise<Record<string, unknown>[]> {
		return (await this.take(queue, count, seconds)).map(({ Body = "" }) => JSON.parse(Body) as Record<string, unknown>);
	}

	/** Messages that are visible, or in flight, or delayed. */
	async count(queue: TestQueue, what: "" | "NotVisible" | "Delayed" = ""): Promise<number> {
		const attribute = `ApproximateNumberOfMessages${what}` as const;
		const { Attributes } = await this.sqs.send(
			new GetQueueAttributesCommand({ QueueUrl: queue.url, AttributeNames: [attribute] }),
		);
		return Number(Attributes?.[attribute]);
	}

	/** What is there now, or comes within a second. */
	async receive(queue: TestQueue, WaitTimeSeconds = 1): Promise<Message[]> {
		const { Messages = [] } = await this.sqs.send(
			new ReceiveMessageCommand({
				QueueUrl: queue.url,
				MaxNumberOfMessages: 10,
				WaitTimeSeconds,
				MessageSystemAttributeNames: ["All"],
				MessageAttributeNames: ["All"],
			}),
		);
		return Messages;
	}
}

/** Asks again until the answer is not undefined. */
export async function until<T>(what: string, attempt: () => Promise<T | undefined>): Promise<T> {
	for (const end = performance.now() + patienceS * 1000; ; await sleep(pollMs)) {
		const found = await attempt();
		if (found !== undefined) return found;
		if (performance.now() > end) throw new Error(`After ${patienceS} s still not: ${what}`);
	}
}

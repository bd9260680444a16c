/** The daemon of a fault run with its function, queues, rule and schedules; and what a client says to them. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type LocalDaemon, startDaemon } from "../../../tools/local-daemon.ts";
import { pushFiles } from "../../e2e/function-image.ts";
import { Api, accepted } from "./api.ts";
import { DiskShim } from "./disk/shim.ts";
import { Sink, type Verdict } from "./sink.ts";

const run = promisify(execFile);
const functionPath = "/2015-03-31/functions";
const defaultVisibilityTimeout = 6;
/** What is in hand at a kill is at the head of the queue after it, and soon in hand again. */
const defaultMaxReceiveCount = 15;
/** Seconds; not more than the queue's visibility timeout. */
const functionTimeout = 3;
const activeTimeoutMs = 60_000;

export interface WorldOptions {
	/** What the function answers to an event. */
	verdict: (text: string) => Verdict;
	/** MiB of a file system of its own for the daemon's state: in memory, where a sync does nothing. */
	diskMiB?: number | undefined;
	/** Puts the layer of disk/shim.c under the daemon. */
	hasShim?: boolean | undefined;
	/** The state folder stays when all is over, for somebody to look at. */
	keepsState?: boolean | undefined;
	/** Of the queue: seconds, longer than a slow machine takes for a batch; and receives after which a message counts as poison: each kill may cost one. */
	visibilityTimeout?: number | undefined;
	maxReceiveCount?: number | undefined;
}

/** Of a batch. */
export interface Answered {
	ids: string[];
	/** Of the entries that were refused. */
	codes: string[];
}

export class World implements AsyncDisposable {
	readonly #options: WorldOptions;
	readonly #base: string;
	readonly #sink: Sink;
	#daemon!: LocalDaemon;
	#api!: Api;
	#shim: DiskShim | undefined;
	#isMounted = false;
	#listen = "127.0.0.1:0";
	/** Milliseconds that the daemon's wall clock is ahead of the run's. */
	clockAheadMs = 0;

	private constructor(options: WorldOptions, base: string, sink: Sink) {
		this.#options = options;
		this.#base = base;
		this.#sink = sink;
	}

	static async open(options: WorldOptions): Promise<World> {
		const base = await mkdtemp(join(tmpdir(), "slipway-events-"));
		const sink = await Sink.open(({ text }) => options.verdict(text));
		const world = new World(options, base, sink);
		try {
			await world.#prepareDisk();
			await world.start();
			await world.#deploy();
			return world;
		} catch (error) {
			await world[Symbol.asyncDispose]();
			throw error;
		}
	}

	/** The daemon's state folder. */
	get home(): string {
		return join(this.#base, "home");
	}

	/** Lines of all its daemons. */
	get logPath(): string {
		return join(this.#base, "daemon.log");
	}

	get pid(): number {
		return this.#daemon.pid;
	}

	/** Of a world that was opened with one. */
	get shim(): DiskShim {
		if (!this.#shim) throw new Error("This world has no shim");
		return this.#shim;
	}

	async #prepareDisk(): Promise<void> {
		const { diskMiB, hasShim } = this.#options;
		await mkdir(this.home);
		if (diskMiB !== undefined) {
			await run("mount", ["-t", "tmpfs", "-o", `size=${diskMiB}m`, "slipway-faults", this.home]);
			this.#isMounted = true;
		}
		if (hasShim) this.#shim = await DiskShim.build(join(this.#base, "shim"), this.home);
	}

	/** On the port that it had before, so that clients find it again. */
	async start(): Promise<void> {
		await using log = await open(this.logPath, "a");
		this.#daemon = await startDaemon({
			log: log.fd,
			home: this.home,
			listen: this.#listen,
			env: { SLIPWAY_HOST_PORTS: String(this.#sink.port), ...this.#shim?.env },
		});
		this.#listen = new URL(this.#daemon.url).host;
		this.#api?.close();
		this.#api = new Api(this.#daemon);
	}

	/** kill -9, and the end of the process. */
	async kill(): Promise<void> {
		const child = this.#daemon.process;
		process.kill(this.#daemon.pid, "SIGKILL");
		if (child && child.exitCode === null && child.signalCode === null)
			await new Promise((resolve) => child.once("exit", resolve));
	}

	/** Each throws when it was not accepted, or nobody knows. */
	async invoke(id: string, isPoison: boolean): Promise<void> {
		const headers = { "x-amz-invocation-type": "Event" };
		accepted(await this.#api.call("POST", `${functionPath}/sink/invocations`, { id, isPoison }, headers), "Invoke");
	}

	/** The ids of those that were accepted, and what became of the others. */
	async send(messages: readonly { id: string; isPoison: boolean }[]): Promise<Answered> {
		const Entries = messages.map((message, i) => ({ Id: String(i), MessageBody: JSON.stringify(message) }));
		const input = { QueueUrl: this.#queueUrl("work"), Entries };
		const { Successful = [], Failed = [] } = await this.#api.operation<{
			Successful?: { Id: string }[];
			Failed?: { Code: string; SenderFault: boolean }[];
		}>("AmazonSQS.SendMessageBatch", input);
		return {
			ids: Successful.map(({ Id }) => messages[Number(Id)]?.id ?? ""),
			codes: Failed.map(({ Code, SenderFault }) => (SenderFault ? `${Code} (sender's fault)` : Code)),
		};
	}

	async put(events: readonly { id: string; isPoison: boolean }[]): Promise<Answered> {
		const Entries = events.map((event) => ({ Source: "faults", DetailType: "Event", Detail: JSON.stringify(event) }));
		const { Entries: results } = await this.#api.operation<{ Entries: { EventId?: string; ErrorCode?: string }[] }>(
			"AWSEvents.PutEvents",
			{ Entries },
		);
		return {
			ids: results.flatMap(({ EventId }, i) => (EventId === undefined ? [] : (events[i]?.id ?? ""))),
			codes: results.flatMap(({ ErrorCode }) => ErrorCode ?? []),
		};
	}

	async schedule(id: string, isPoison: boolean, inSeconds: number): Promise<void> {
		const at = new Date(Date.now() + this.clockAheadMs + inSeconds * 1000).toISOString().slice(0, 19);
		const body = {
			ScheduleExpression: `at(${at})`,
			FlexibleTimeWindow: { Mode: "OFF" },
			ActionAfterCompletion: "DELETE",
			Target: {
				Arn: this.#arn("lambda", "function:sink"),
				RoleArn: this.#daemon.roleArn,
				Input: JSON.stringify({ id, isPoison }),
			},
		};
		accepted(await this.#api.call("POST", `/schedules/${id}`, body), "CreateSchedule");
	}

	/** Takes all that is in a queue of dead letters: the bodies. */
	async takeDead(queue: "dead-events" | "dead-messages"): Promise<string[]> {
		const QueueUrl = this.#queueUrl(queue);
		const bodies: string[] = [];
		for (;;) {
			const input = { QueueUrl, MaxNumberOfMessages: 10, VisibilityTimeout: 600 };
			const { Messages = [] } = await this.#api.operation<{ Messages?: { Body: string; ReceiptHandle: string }[] }>(
				"AmazonSQS.ReceiveMessage",
				input,
			);
			if (Messages.length === 0) return bodies;
			for (const { Body, ReceiptHandle } of Messages) {
				bodies.push(Body);
				await this.#api.operation("AmazonSQS.DeleteMessage", { QueueUrl, ReceiptHandle });
			}
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#api?.close();
		await this.#daemon?.[Symbol.asyncDispose]();
		await this.#sink[Symbol.asyncDispose]();
		if (this.#options.keepsState) return;
		if (this.#isMounted) await run("umount", [this.home]);
		await rm(this.#base, { recursive: true, force: true });
	}

	#arn(service: string, resource: string): string {
		const { region, credentials } = this.#daemon;
		return `arn:aws:${service}:${region}:${credentials.accountId}:${resource}`;
	}

	#queueUrl(name: string): string {
		return `${this.#daemon.url}/${this.#daemon.credentials.accountId}/${name}`;
	}

	async #deploy(): Promise<void> {
		await this.#createFunction();
		await this.#createQueues();
		const mapping = {
			EventSourceArn: this.#arn("sqs", "work"),
			FunctionName: "sink",
			BatchSize: 10,
			FunctionResponseTypes: ["ReportBatchItemFailures"],
		};
		accepted(await this.#api.call("POST", "/2015-03-31/event-source-mappings", mapping), "CreateEventSourceMapping");
		const onFailure = {
			MaximumRetryAttempts: 0,
			DestinationConfig: { OnFailure: { Destination: this.#arn("sqs", "dead-events") } },
		};
		const path = "/2019-09-25/functions/sink/event-invoke-config";
		accepted(await this.#api.call("PUT", path, onFailure), "PutFunctionEventInvokeConfig");
		const pattern = JSON.stringify({ source: ["faults"] });
		await this.#api.operation("AWSEvents.PutRule", { Name: "to-sink", EventPattern: pattern });
		const Targets = [{ Id: "sink", Arn: this.#arn("lambda", "function:sink") }];
		await this.#api.operation("AWSEvents.PutTargets", { Rule: "to-sink", Targets });
	}

	async #createFunction(): Promise<void> {
		const program = join(this.#base, "bootstrap");
		const source = join(import.meta.dirname, "sink", "bootstrap.c");
		await run("gcc", ["-static", "-O2", "-D_GNU_SOURCE", "-o", program, source]);
		const files = { bootstrap: await readFile(program) };
		const image = await pushFiles(this.#daemon, "sink", files, { Entrypoint: ["/bootstrap"] });
		const input = {
			FunctionName: "sink",
			Role: this.#daemon.roleArn,
			PackageType: "Image",
			Code: { ImageUri: image },
			Timeout: functionTimeout,
			Environment: { Variables: { SINK_PORT: String(this.#sink.port) } },
		};
		accepted(await this.#api.call("POST", functionPath, input), "CreateFunction");
		for (const until = performance.now() + activeTimeoutMs; ; await sleep(50)) {
			const found = accepted(await this.#api.call("GET", `${functionPath}/sink`, undefined), "GetFunction");
			const { State } = (found as { Configuration: { State: string } }).Configuration;
			if (State === "Active") return;
			if (performance.now() > until) throw new Error(`The function is ${State}`);
		}
	}

	async #createQueues(): Promise<void> {
		for (const QueueName of ["dead-events", "dead-messages"])
			await this.#api.operation("AmazonSQS.CreateQueue", { QueueName });
		const { maxReceiveCount = defaultMaxReceiveCount, visibilityTimeout = defaultVisibilityTimeout } = this.#options;
		const RedrivePolicy = JSON.stringify({
			deadLetterTargetArn: this.#arn("sqs", "dead-messages"),
			maxReceiveCount,
		});
		const Attributes = { RedrivePolicy, VisibilityTimeout: String(visibilityTimeout) };
		await this.#api.operation("AmazonSQS.CreateQueue", { QueueName: "work", Attributes });
	}
}

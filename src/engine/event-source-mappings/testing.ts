/** Queues over a message log, as small as mappings need them, and functions that tests write as closures. For tests. */
import type { Clock } from "../../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import type { TargetKind } from "../../core/delivery/target.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import { defaultLaneSettings, type MessageLog } from "../../core/message-log/message-log.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import type { EventSourceMappingsDeps } from "./event-source-mappings.ts";
import type { MappedFunction, MappedFunctions, SourceMessage, SourceQueue, SourceQueues } from "./ports.ts";

export const testRegion = "us-east-1";
export const testAccount = "000000000000";

export const queueArn = (name: string) => `arn:aws:sqs:${testRegion}:${testAccount}:${name}`;

export interface FakeQueueOptions {
	visibilityTimeoutS?: number;
	/** Dead-letter queue's name, and after how many receives. */
	redrive?: { to: string; maxReceiveCount: number };
}

export class FakeQueues implements SourceQueues {
	readonly #log: MessageLog;
	readonly #queues = new Map<string, SourceQueue>();
	#sent = 0;

	constructor(log: MessageLog) {
		this.#log = log;
	}

	async create(name: string, { visibilityTimeoutS = 30, redrive }: FakeQueueOptions = {}): Promise<void> {
		const fifo = name.endsWith(".fifo");
		await this.#log.defineLane(`sqs/${name}`, {
			...defaultLaneSettings,
			ordered: fifo,
			...(redrive && { redrive: { maxLeases: redrive.maxReceiveCount, lane: `sqs/${redrive.to}` } }),
		});
		const redrivePolicy = redrive && { deadLetterTargetArn: queueArn(redrive.to) };
		this.#queues.set(name, { name, arn: queueArn(name), fifo, settings: { visibilityTimeoutS, redrivePolicy } });
	}

	async delete(name: string): Promise<void> {
		this.#queues.delete(name);
		await this.#log.removeLane(`sqs/${name}`);
	}

	/** The message's id. */
	async send(name: string, body: string, more: { groupId?: string; traceHeader?: string } = {}): Promise<string> {
		const id = `m-${String(++this.#sent).padStart(6, "0")}`;
		const { groupId: group, traceHeader } = more;
		await this.#log.commit([
			{ change: "append", lane: `sqs/${name}`, id, body: Buffer.from(body), headers: { traceHeader }, group },
		]);
		return id;
	}

	find(name: string): SourceQueue | undefined {
		return this.#queues.get(name);
	}

	async lease(
		name: string,
		{ max, maxBytes, atLeastS }: { max: number; maxBytes: number; atLeastS: number },
	): Promise<SourceMessage[]> {
		const queue = this.#queues.get(name);
		if (!queue) throw new SlipwayError("NOT_FOUND", "The specified queue does not exist.");
		const visibility = Math.max(queue.settings.visibilityTimeoutS, atLeastS) * 1000;
		const leased = await this.#log.lease(`sqs/${name}`, { max, maxBytes, visibility });
		return leased.map(({ id, body, group, headers, sentMs, attempts, token }) => ({
			id,
			body: Buffer.from(body).toString(),
			groupId: group,
			traceHeader: typeof headers.traceHeader === "string" ? headers.traceHeader : undefined,
			sentMs,
			receiveCount: attempts,
			token,
		}));
	}

	async settleDone(messages: readonly SourceMessage[]): Promise<void> {
		for (const { token } of messages) await passStale(this.#log.commit([{ change: "settle", token, outcome: "done" }]));
	}

	async release(messages: readonly SourceMessage[], delayMs: number, { counts }: { counts: boolean }): Promise<void> {
		for (const { token } of messages)
			await passStale(this.#log.commit([{ change: "settle", token, outcome: "retry", delayMs, counts }]));
	}

	lambdaRecord(message: SourceMessage): Record<string, unknown> {
		return { messageId: message.id, receiptHandle: message.token, body: message.body, eventSource: "aws:sqs" };
	}
}

async function passStale(commit: Promise<unknown>): Promise<void> {
	try {
		await commit;
	} catch (error) {
		if (!isSlipwayError(error, "PRECONDITION")) throw error;
	}
}

export interface TestRecord {
	messageId: string;
	body: string;
}

/** What a test's function does with the records: returns the answer, throws a SlipwayError, or fails with "fail". */
export type TestFunction = (records: TestRecord[], request: InvocationRequest) => Promise<unknown> | unknown;

export const failed = Symbol("The function fails");

export class FakeFunctions implements MappedFunctions {
	readonly code: TestFunction;
	readonly record: MappedFunction = {
		name: "worker",
		arn: `arn:aws:lambda:${testRegion}:${testAccount}:function:worker`,
		timeoutS: 3,
		reservedConcurrency: undefined,
		recursiveLoop: "Terminate",
	};
	running = 0;
	mostRunning = 0;

	constructor(code: TestFunction) {
		this.code = code;
	}

	find(name: string): MappedFunction | undefined {
		return name === "worker" ? this.record : undefined;
	}

	async invoke(_name: string, request: InvocationRequest): Promise<InvocationResult> {
		const { Records } = JSON.parse(Buffer.from(request.payload).toString()) as { Records: TestRecord[] };
		this.mostRunning = Math.max(this.mostRunning, ++this.running);
		try {
			const answer = await this.code(Records, request);
			const base = { executedVersion: "$LATEST", logTail: undefined, coldStart: undefined };
			if (answer === failed)
				return {
					...base,
					payload: Buffer.from('{"errorType":"Error","errorMessage":"out of stock"}'),
					functionError: "Unhandled",
					errorType: "Error",
				};
			const payload = Buffer.from(answer === undefined ? "null" : JSON.stringify(answer));
			return { ...base, payload, functionError: undefined };
		} finally {
			this.running--;
		}
	}
}

const noServices: Pick<TargetKind, "owns" | "check" | "handOver"> = {
	owns: (arn) => arn.startsWith("arn:slipway:run:"),
	check() {},
	handOver() {
		throw new SlipwayError("NOT_FOUND", "There are no services in this test");
	},
};

export function testIds(): Ids {
	let last = 0;
	const next = (digits: number) => (++last).toString(16).padStart(digits, "0");
	return { uuid: () => `00000000-0000-4000-8000-${next(12)}`, hex: (bytes) => next(bytes * 2) };
}

export function testDeps(parts: {
	clock: Clock;
	log: MessageLog;
	queues: SourceQueues;
	functions: MappedFunctions;
	more?: Partial<EventSourceMappingsDeps>;
}): EventSourceMappingsDeps {
	const { more, ...rest } = parts;
	return {
		store: new FakeResourceStore(),
		services: noServices,
		ids: testIds(),
		logger: silentLog,
		region: testRegion,
		accountId: testAccount,
		...rest,
		...more,
	};
}

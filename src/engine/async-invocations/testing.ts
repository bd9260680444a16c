/** For tests: asynchronous invocations over functions that are made up, a log in memory, and queues that are lanes of it. */

import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { type CpuMeter, unknownCpu } from "../../base/cpu-meter.ts";
import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import { type Log, silentLog } from "../../base/log.ts";
import type { Delivery, Handover, TargetKind } from "../../core/delivery/target.ts";
import type { FunctionRecord, FunctionVersion } from "../../core/function/function.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import { FakeMessageLog } from "../../core/message-log/fake-message-log.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import { EventRoom } from "../delivery/event-room.ts";
import { TargetRegistry } from "../delivery/targets.ts";
import type { RecordListener } from "../functions/records.ts";
import { AsyncInvocations } from "./async-invocations.ts";
import { FunctionTarget } from "./function-target.ts";

const region = "us-east-1";
const accountId = "123456789012";
export const functionArn = (name: string) => `arn:aws:lambda:${region}:${accountId}:function:${name}`;
export const queueArn = (name: string) => `arn:aws:sqs:${region}:${accountId}:${name}`;
export const busArn = (name: string) => `arn:aws:events:${region}:${accountId}:event-bus/${name}`;

/** Records of functions; enough of them for events. */
export class FakeFunctions {
	readonly #records = new Map<string, FunctionRecord>();
	readonly #versions = new Map<string, FunctionVersion>();
	readonly #listeners: RecordListener[] = [];

	onChange(listener: RecordListener): void {
		this.#listeners.push(listener);
	}

	find(name: string): FunctionRecord | undefined {
		return this.#records.get(name);
	}

	version(name: string, version: string): FunctionVersion | undefined {
		return this.#versions.get(`${name}:${version}`);
	}

	put(name: string, parts: Partial<FunctionRecord> & { deadLetterArn?: string; createdMs?: number } = {}): void {
		const before = this.#records.get(name);
		const { deadLetterArn, ...rest } = parts;
		const configuration = { ...before?.configuration, ...(deadLetterArn !== undefined && { deadLetterArn }) };
		const record = {
			name,
			arn: functionArn(name),
			createdMs: 0,
			aliases: {},
			recursiveLoop: "Terminate",
			...before,
			configuration,
			...rest,
		} as unknown as FunctionRecord;
		this.#records.set(name, record);
		for (const listener of this.#listeners) listener(name, before, record);
	}

	putVersion(name: string, version: string, deadLetterArn?: string): void {
		const configuration = deadLetterArn === undefined ? {} : { deadLetterArn };
		this.#versions.set(`${name}:${version}`, { functionName: name, version, configuration } as FunctionVersion);
	}

	delete(name: string): void {
		const before = this.#records.get(name);
		this.#records.delete(name);
		for (const listener of this.#listeners) listener(name, before, undefined);
	}
}

/** Queues and buses: what they get is a message of the lane "sqs/NAME" or "bus/NAME". Those in `gone` are not there. */
class FakeTargets implements TargetKind {
	readonly gone = new Set<string>();

	owns(arn: string): boolean {
		return /^arn:aws:(sqs|events):/.test(arn);
	}

	check(arn: string): void {
		if (this.gone.has(arn)) throw new SlipwayError("NOT_FOUND", `${arn} is not there`);
	}

	handOver(arn: string, { id, correlation, body, attributes, event }: Delivery): Handover {
		this.check(arn);
		const lane = arn.includes(":sqs:") ? `sqs/${arn.split(":")[5]}` : `bus/${arn.split("/")[1]}`;
		const headers = { ...(attributes && { attributes }), ...(event && { event }) };
		return { kind: "append", changes: [{ change: "append", lane, id, correlation, body, headers }] };
	}
}

type Answer = Partial<InvocationResult> | Promise<Partial<InvocationResult>>;

export interface TestWorld extends AsyncDisposable {
	clock: VirtualClock;
	log: FakeMessageLog;
	store: FakeResourceStore;
	functions: FakeFunctions;
	targets: FakeTargets;
	invocations: AsyncInvocations;
	/** Requests that functions got, in order, with the time. */
	calls: { name: string; atMs: number; request: InvocationRequest }[];
	/** What functions do. */
	answer: (name: string, request: InvocationRequest) => Answer;
	reserved: Map<string, number>;
	send(name: string, id: string, payload?: string, qualifier?: string): Promise<void>;
	/** Bodies and headers of what is in a lane. */
	inLane(lane: string): Promise<{ body: string; headers: Record<string, unknown>; correlation: string | undefined }[]>;
	/** As if the process were killed and started again. */
	restart(): Promise<void>;
}

export const failure = (errorMessage = "no"): Partial<InvocationResult> => ({
	functionError: "Unhandled",
	payload: Buffer.from(JSON.stringify({ errorMessage, errorType: "Error" })),
});

/** Every id is another, and every run's are the same. */
export function countingIds(): Ids {
	let next = 0;
	return {
		uuid: () => `00000000-0000-4000-8000-${String(++next).padStart(12, "0")}`,
		hex: (bytes) =>
			((++next * 2_654_435_761) % 2 ** 32)
				.toString(16)
				.padStart(8, "0")
				.repeat(8)
				.slice(0, bytes * 2),
	};
}

export async function testWorld(
	options: { maxConcurrency?: number; logger?: Log; ids?: Ids; cpu?: CpuMeter } = {},
): Promise<TestWorld> {
	const clock = new VirtualClock();
	const log = new FakeMessageLog({ clock });
	const store = new FakeResourceStore();
	const functions = new FakeFunctions();
	const targets = new FakeTargets();
	const world = {
		clock,
		log,
		store,
		functions,
		targets,
		calls: [],
		reserved: new Map<string, number>(),
	} as unknown as TestWorld;
	let generation = 0;
	const open = async () => {
		const own = ++generation;
		const registry = new TargetRegistry([targets]);
		const room = new EventRoom({
			clock,
			cpu: options.cpu ?? unknownCpu,
			cpus: 2,
			maxTotal: options.maxConcurrency ?? 100,
			starting: () => 0,
		});
		const invocations = await AsyncInvocations.open({
			store,
			log: ofProcess(log, () => own === generation),
			functions,
			resolve: (name) => {
				if (!functions.find(name)) throw new SlipwayError("NOT_FOUND", `Function not found: ${name}`);
			},
			async invoke(name, request) {
				world.calls.push({ name, atMs: clock.monotonic(), request });
				const answer = await world.answer(name, request);
				const none = { functionError: undefined, logTail: undefined, coldStart: undefined };
				return { ...none, payload: Buffer.from("null"), executedVersion: "$LATEST", ...answer };
			},
			reservedConcurrency: (name) => world.reserved.get(name),
			targets: registry,
			clock,
			ids: options.ids ?? countingIds(),
			logger: options.logger ?? silentLog,
			room,
		});
		registry.add(new FunctionTarget(invocations, { region, accountId }));
		invocations.start();
		return invocations;
	};
	return Object.assign(world, {
		invocations: await open(),
		answer: () => ({}),
		async send(name: string, id: string, payload = "{}", qualifier?: string) {
			const invokedArn = functionArn(name) + (qualifier === undefined ? "" : `:${qualifier}`);
			await world.invocations.accept(name, qualifier, { requestId: id, payload: Buffer.from(payload), invokedArn });
		},
		async inLane(lane: string) {
			const messages = await log.scan(lane, { limit: 1000 });
			return messages.map(({ body, headers, correlation }) => ({
				body: Buffer.from(body).toString(),
				headers,
				correlation,
			}));
		},
		async restart() {
			generation++;
			log.restart();
			world.invocations = await open();
		},
		async [Symbol.asyncDispose]() {
			const ended = world.invocations[Symbol.asyncDispose]();
			await clock.advance(15_000);
			await ended;
			log[Symbol.dispose]();
		},
	});
}

/** The log as one process has it: once that is killed, nothing it does has an effect. */
function ofProcess(log: FakeMessageLog, isAlive: () => boolean): FakeMessageLog {
	const never = new Promise<never>(() => {});
	return new Proxy(log, {
		get(target, key) {
			const value: unknown = Reflect.get(target, key, target);
			if (typeof value !== "function") return value;
			return (...args: unknown[]) => (isAlive() || key === "watch" ? Reflect.apply(value, target, args) : never);
		},
	});
}

import type { Clock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { functionOfLane, laneOfFunction, lanePrefixes } from "../../core/delivery/lane-name.ts";
import type { Delivery, Targets } from "../../core/delivery/target.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import { addHop } from "../../core/invocation/lineage.ts";
import type { LeasedMessage, LogChange, MessageLog } from "../../core/message-log/message-log.ts";
import type { ResourceStore } from "../../core/resource/resource-store.ts";
import type { EventRoom, RoomUser } from "../delivery/event-room.ts";
import { LaneConsumers } from "../delivery/lane-consumers.ts";
import type { FunctionRecords } from "../functions/records.ts";
import { AsyncCounters, type AsyncCounts } from "./counters.ts";
import type { EventHeaders } from "./event-headers.ts";
import { EventInvokeConfigs, isThere } from "./event-invoke-configs.ts";
import { EventRunner } from "./event-runner.ts";

export interface AsyncInvocationsDeps {
	store: ResourceStore;
	log: MessageLog;
	functions: Pick<FunctionRecords, "find" | "version" | "onChange">;
	/** NOT_FOUND, CONFLICT: what would be said to whoever invokes the function now. */
	resolve: (functionName: string, qualifier?: string) => unknown;
	invoke: (functionName: string, request: InvocationRequest) => Promise<InvocationResult>;
	reservedConcurrency: (functionName: string) => number | undefined;
	/** Of destinations and dead-letter queues. */
	targets: Targets;
	clock: Clock;
	ids: Ids;
	logger: Log;
	/** Shared with everything else that has functions run for events. */
	room: EventRoom;
	/** Milliseconds before the first retry of one that failed; AWS's minute where it is left out. */
	retryMs?: number | undefined;
}

/** One event for a function, as its caller gave it. */
export type AsyncEvent = Pick<
	InvocationRequest,
	"requestId" | "payload" | "invokedArn" | "clientContext" | "contentType"
> & {
	/** X-Ray's header; one begins here where it is left out. */
	traceId?: string | undefined;
};

/** Bytes of an asynchronous event's payload (API_Invoke: 1 MB). */
export const maxAsyncPayloadBytes = 1_048_576;

/**
 * Asynchronous invocation (lambda-contract 5): an event is durable before it is answered, and is run until its function has
 * succeeded, or is out of retries or too old, and then goes where its owner wants it.
 */
export class AsyncInvocations implements AsyncDisposable {
	readonly configs: EventInvokeConfigs;
	readonly #deps: AsyncInvocationsDeps;
	readonly #counters = new AsyncCounters();
	readonly #roomUser: RoomUser;
	readonly #consumers: LaneConsumers;
	readonly #runner: EventRunner;

	private constructor(deps: AsyncInvocationsDeps, configs: EventInvokeConfigs) {
		this.#deps = deps;
		this.configs = configs;
		const { log, clock, logger, room, functions } = deps;
		this.#runner = new EventRunner({ ...deps, configs, counters: this.#counters });
		this.#roomUser = {
			functionOf: (lane) => functionOfLane(lane).name,
			// With a reserve of 0 no event runs: giving them up takes no sandbox.
			max: (lane) => deps.reservedConcurrency(functionOfLane(lane).name) || Number.POSITIVE_INFINITY,
			onRoom: (lane) => this.#consumers.poke(lane),
		};
		this.#consumers = new LaneConsumers(
			{ log, clock, logger },
			{
				prefix: lanePrefixes.function,
				concurrency: (lane) => room.allowed(lane, this.#roomUser),
				handle: (message) => this.#handle(message),
				onRefused: (...refused) => this.#runner.withoutDestinations(...refused),
			},
		);
		functions.onChange((name, _before, after) => {
			if (!after) this.#counters.forget(name);
		});
	}

	/** Reads what is configured. Nothing runs before `start`. */
	static async open(deps: AsyncInvocationsDeps): Promise<AsyncInvocations> {
		const configs = await EventInvokeConfigs.open(deps);
		await removeEmptyLanes(deps);
		return new AsyncInvocations(deps, configs);
	}

	/** Runs what is queued, from earlier processes too. The targets have to be there. */
	start(): void {
		this.#consumers.start();
	}

	/**
	 * On the disk when it resolves. NOT_FOUND, CONFLICT as an invocation of the function; TOO_LARGE; EXHAUSTED, UNAVAILABLE, THROTTLED
	 * as the log has them.
	 */
	async accept(name: string, qualifier: string | undefined, event: AsyncEvent): Promise<void> {
		this.#deps.resolve(name, qualifier);
		await this.#deps.log.commit([this.#append(name, qualifier, event, undefined)]);
		this.#counters.add(name, "accepted");
	}

	/** For other sources: what makes the delivery an event of the function, to be committed with its settling there. NOT_FOUND, TOO_LARGE. */
	changes(name: string, qualifier: string | undefined, invokedArn: string, delivery: Delivery): LogChange[] {
		this.requireFunction(name, qualifier);
		const { id: requestId, body: payload, traceId, correlation } = delivery;
		const change = this.#append(name, qualifier, { requestId, payload, invokedArn, traceId }, correlation);
		this.#counters.add(name, "accepted");
		return [change];
	}

	/** NOT_FOUND when the function, or its version or alias, is not there. */
	requireFunction(name: string, qualifier: string | undefined): void {
		if (isThere(this.#deps.functions, name, qualifier)) return;
		throw new SlipwayError(
			"NOT_FOUND",
			`There is no function ${name}${qualifier === undefined ? "" : `:${qualifier}`}`,
		);
	}

	/** By function: what has become of their events since the start. */
	counters(): ({ function: string } & AsyncCounts)[] {
		return this.#counters.list();
	}

	/** Events in hand. */
	get inHand(): number {
		return this.#consumers.inHand;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#consumers[Symbol.asyncDispose]();
		await this.configs.settled();
	}

	async #handle(message: LeasedMessage): Promise<LogChange[]> {
		const { room } = this.#deps;
		room.begin(message.lane, this.#roomUser);
		let throttled = false;
		try {
			const run = await this.#runner.run(message);
			throttled = run.throttled;
			return run.changes;
		} finally {
			room.end(message.lane, { throttled });
		}
	}

	#append(
		name: string,
		qualifier: string | undefined,
		{ requestId, payload, invokedArn, clientContext, contentType, traceId = this.#newTrace() }: AsyncEvent,
		correlation: string | undefined,
	): LogChange {
		const record = this.#deps.functions.find(name);
		if (!record) throw new SlipwayError("NOT_FOUND", `There is no function ${name}`);
		if (payload.length > maxAsyncPayloadBytes) throw tooLarge(payload.length);
		const { traceHeader, hops } = addHop(traceId, record.arn);
		const headers: EventHeaders = {
			arn: invokedArn,
			trace: traceHeader,
			hops,
			created: record.createdMs,
			...(qualifier !== undefined && { qualifier }),
			...(clientContext !== undefined && { clientContext }),
			...(contentType !== undefined && { contentType }),
		};
		const lane = laneOfFunction(name, qualifier);
		return { change: "append", lane, id: requestId, correlation, body: payload, headers: { ...headers } };
	}

	/** As the front makes one for a request without a trace: nothing is sampled. */
	#newTrace(): string {
		const { clock, ids } = this.#deps;
		const seconds = Math.floor(clock.now() / 1000)
			.toString(16)
			.padStart(8, "0");
		return `Root=1-${seconds}-${ids.hex(12)};Parent=${ids.hex(8)};Sampled=0`;
	}
}

/** In AWS's words, as its SDKs show them. */
function tooLarge(size: number): SlipwayError {
	return new SlipwayError(
		"TOO_LARGE",
		`${size} byte payload is too large for the Event invocation type (limit ${maxAsyncPayloadBytes} bytes)`,
	);
}

/** Lanes of functions that are gone, once what was in them is gone too. */
async function removeEmptyLanes({ log, functions }: AsyncInvocationsDeps): Promise<void> {
	for (const { lane, visible, delayed, inFlight } of await log.lanes(lanePrefixes.function)) {
		const { name, qualifier } = functionOfLane(lane);
		if (visible + delayed + inFlight === 0 && !isThere(functions, name, qualifier)) await log.removeLane(lane);
	}
}

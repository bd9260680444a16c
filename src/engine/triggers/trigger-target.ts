import type { Clock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { Handover, Targets } from "../../core/delivery/target.ts";
import type { BrokerMessage } from "../../core/event-source/event-source.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import { addHop, maxHops } from "../../core/invocation/lineage.ts";
import type { LogChange } from "../../core/message-log/message-log.ts";
import { deliveryOf, functionEvent, type Origin } from "../../core/trigger/event-shape.ts";
import { readItemFailures } from "../event-source-mappings/batch-item-failures.ts";
import { traceHeader } from "./broker-target.ts";

const functionArn = /^arn:[^:]+:lambda:[^:]*:[^:]*:function:([a-zA-Z0-9-_]{1,64})(?::([a-zA-Z0-9-_$]{1,128}))?$/;
/** Bytes of a synchronous invocation's event (lambda-contract 3). */
const maxEventBytes = 6 * 1_048_576;

export type Invoke = (name: string, request: InvocationRequest) => Promise<InvocationResult>;

export interface Numbered {
	message: BrokerMessage;
	/** Of the event: the request id that a function sees, a CloudEvent's id. */
	id: string;
}

/** How an attempt ended. */
export type Attempt =
	/** `changes` are to be committed with the end of it. */
	| {
			ok: true;
			changes: LogChange[];
			/** Ids of those that the function named as failed. */
			failedIds?: ReadonlySet<string>;
	  }
	/** `counts`: false for one that the target had no room for. */
	| { ok: false; permanent: boolean; counts: boolean; reason: string; retryAfterMs?: number | undefined };

export interface TriggerTargetOptions {
	target: string;
	origin: Origin;
	batched: boolean;
	/** The function's answer names what failed of a batch (batchItemFailures, by the ids of the events). */
	itemFailures: boolean;
	targets: Targets;
	invoke: Invoke;
	clock: Clock;
	ids: Ids;
	/** Of a function's recursion setting; "Terminate" where nobody says anything. */
	recursiveLoop?: ((name: string) => "Allow" | "Terminate" | undefined) | undefined;
}

/** What a trigger does with messages: a function is called and waited for, everything else is a target as for rules. */
export class TriggerTarget {
	readonly #options: TriggerTargetOptions;
	readonly #target: string;
	readonly #origin: Origin;
	readonly #batched: boolean;
	readonly #targets: Targets;
	readonly #invoke: Invoke;

	constructor(options: TriggerTargetOptions) {
		this.#options = options;
		this.#target = options.target;
		this.#origin = options.origin;
		this.#batched = options.batched;
		this.#targets = options.targets;
		this.#invoke = options.invoke;
	}

	/** Whether several messages make one event. */
	get takesBatches(): boolean {
		return this.#batched && functionArn.test(this.#target);
	}

	/** One event; several messages only when `takesBatches`. Rejects for bugs, and when the signal aborts. */
	async attempt(messages: readonly Numbered[], signal: AbortSignal): Promise<Attempt> {
		try {
			const [, name, qualifier] = functionArn.exec(this.#target) ?? [];
			if (name !== undefined) return await this.#call(name, qualifier, messages);
			const [first] = messages;
			if (!first || messages.length > 1) throw new Error("Only a function takes several messages at once");
			const delivery = deliveryOf(first.message, this.#origin, first.id, this.#target);
			const trace = traceOf(first.message);
			return await handedOver(
				this.#targets.handOver(this.#target, { ...delivery, ...(trace !== undefined && { traceId: trace }) }),
				signal,
			);
		} catch (error) {
			return failed(error);
		}
	}

	async #call(name: string, qualifier: string | undefined, messages: readonly Numbered[]): Promise<Attempt> {
		const { itemFailures } = this.#options;
		const event = functionEvent(messages, this.#origin, { batched: this.#batched, withIds: itemFailures });
		const payload = Buffer.from(JSON.stringify(event));
		if (payload.length > maxEventBytes)
			return refusal(`The event has ${payload.length} bytes, and a function takes ${maxEventBytes}`);
		const [first] = messages;
		const chain = addHop((first && traceOf(first.message)) ?? this.#newTrace(), this.#target);
		if (chain.hops > maxHops && this.#options.recursiveLoop?.(name) !== "Allow")
			return refusal(`Recursion: the event has been through ${name} ${maxHops} times`);
		const result = await this.#invoke(name, {
			requestId: first?.id ?? "",
			payload,
			invokedArn: this.#target,
			...(qualifier !== undefined && { qualifier }),
			traceId: chain.traceHeader,
		});
		if (result.functionError === undefined) return itemFailures ? named(result.payload, messages) : done;
		const text = Buffer.from(result.payload).toString().slice(0, maxReason);
		return { ok: false, permanent: false, counts: true, reason: `${result.errorType ?? "Unhandled"}: ${text}` };
	}

	#newTrace(): string {
		const { clock, ids } = this.#options;
		const seconds = Math.trunc(clock.now() / 1000);
		return `Root=1-${seconds.toString(16).padStart(8, "0")}-${ids.hex(12)};Sampled=0`;
	}
}

const done: Attempt = { ok: true, changes: [] };

function named(answer: Uint8Array, messages: readonly Numbered[]): Attempt {
	const said = readItemFailures(answer, new Set(messages.map(({ id }) => id)));
	if (said.kind === "some") return { ok: true, changes: [], failedIds: said.failed };
	return { ok: false, permanent: false, counts: true, reason: `The batch failed: ${said.why}` };
}

/** Characters of a function's answer in a reason. */
const maxReason = 1000;

async function handedOver(handover: Handover, signal: AbortSignal): Promise<Attempt> {
	if (handover.kind === "append") return { ok: true, changes: handover.changes };
	const outcome = await handover.run(signal);
	if (outcome.ok) return { ok: true, changes: [] };
	const { permanent, code, message, retryAfterMs } = outcome;
	return { ok: false, permanent, counts: code !== "THROTTLED", reason: `${code}: ${message}`, retryAfterMs };
}

function refusal(reason: string): Attempt {
	return { ok: false, permanent: true, counts: true, reason };
}

function failed(error: unknown): Attempt {
	if (!isSlipwayError(error)) throw error;
	const { code, message, retryAfterMs } = error;
	const permanent = code === "INVALID" || code === "TOO_LARGE" || code === "UNSUPPORTED";
	return { ok: false, permanent, counts: code !== "THROTTLED", reason: `${code}: ${message}`, retryAfterMs };
}

/** Header names keep their case in brokers. */
function traceOf({ headers }: BrokerMessage): string | undefined {
	return Object.entries(headers).find(([name]) => name.toLowerCase() === traceHeader)?.[1];
}

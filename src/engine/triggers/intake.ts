import { hash } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import { type Ids, timeOrderedUuid } from "../../base/ids.ts";
import { retryDelayMs, storageDelays } from "../../core/delivery/retry-delay.ts";
import type { BrokerMessage, Verdict } from "../../core/event-source/event-source.ts";
import type { Append, MessageLog } from "../../core/message-log/message-log.ts";
import { maxBodyBytes, maxHeadersLength } from "../../core/message-log/message-log.ts";
import { type Trigger, type TriggerCounters, triggerLane } from "../../core/trigger/trigger.ts";
import { Batcher } from "./batcher.ts";
import { headersOf } from "./stored-message.ts";

/** Messages of one commit: while one is written the next ones collect. */
const maxCommit = 200;
/** Milliseconds in which a broker's message that is given again is known: brokers give again within minutes of a loss. */
const deduplicationMs = 3_600_000;
/** Characters of headers in the form they are stored in; the rest is the log's own. */
const maxStoredHeaders = maxHeadersLength - 1024;

interface Item {
	message: BrokerMessage;
	stopping: AbortSignal;
}

export interface IntakeDeps {
	log: MessageLog;
	clock: Clock;
	ids: Ids;
	trigger: Trigger;
	counters: TriggerCounters;
}

/** Durable delivery's first half: what the broker gives is in the log before it is acknowledged, in the broker's order. */
export class Intake {
	readonly #deps: IntakeDeps;
	readonly #batcher: Batcher<Item, Verdict>;

	constructor(deps: IntakeDeps) {
		this.#deps = deps;
		// One commit at a time: the order of two is not the log's to keep.
		this.#batcher = new Batcher({
			size: maxCommit,
			windowMs: 0,
			concurrency: 1,
			clock: deps.clock,
			stale: ({ stopping }) => (stopping.aborted ? this.#release() : undefined),
			run: (items) => this.#commit(items),
		});
	}

	async take(message: BrokerMessage, stopping: AbortSignal): Promise<Verdict> {
		const problem = sizeProblem(message);
		if (problem === undefined) return this.#batcher.add({ message, stopping });
		this.#deps.counters.deadLettered++;
		return { verdict: "reject", reason: problem };
	}

	/** A log that is full or behind holds the source up: the broker keeps what is not taken. */
	async #commit(items: Item[]): Promise<Verdict[]> {
		const { log, clock, counters } = this.#deps;
		const changes = items.map(({ message }) => this.#append(message));
		const stopping = items[0]?.stopping;
		for (let failures = 0; !stopping?.aborted; ) {
			try {
				const results = await log.commit(changes);
				const duplicates = results.filter(({ duplicate }) => duplicate).length;
				counters.duplicates += duplicates;
				counters.accepted += results.length - duplicates;
				return items.map(() => ({ verdict: "acknowledge" }));
			} catch (error) {
				if (!isPassing(error)) throw error;
				await clock.sleep(retryDelayMs(storageDelays, ++failures), stopping).catch(() => {});
			}
		}
		return items.map(() => this.#release());
	}

	#release(): Verdict {
		this.#deps.counters.released++;
		return { verdict: "release" };
	}

	#append(message: BrokerMessage): Append {
		const { trigger, clock, ids } = this.#deps;
		const now = clock.now();
		// Hashed: brokers' ids may be longer than the log's keys.
		const key = message.id === undefined ? undefined : hash("sha256", message.id, "hex");
		return {
			change: "append",
			lane: triggerLane(trigger.name),
			id: timeOrderedUuid(now, ids),
			body: message.body,
			headers: headersOf(message),
			...(trigger.ordered && { group: "all" }),
			...(key !== undefined && { deduplication: { key, windowMs: deduplicationMs } }),
		};
	}
}

function sizeProblem(message: BrokerMessage): string | undefined {
	if (message.body.length > maxBodyBytes)
		return `The message has ${message.body.length} bytes, and ${maxBodyBytes} are kept`;
	const length = JSON.stringify(headersOf(message)).length;
	return length > maxStoredHeaders
		? `The headers have ${length} characters, and ${maxStoredHeaders} are kept`
		: undefined;
}

function isPassing(error: unknown): boolean {
	return ["UNAVAILABLE", "THROTTLED", "EXHAUSTED"].some((code) => isSlipwayError(error) && error.code === code);
}

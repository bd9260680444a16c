import type { Clock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import { type Ids, timeOrderedUuid } from "../../base/ids.ts";
import { handlerDelays, retryDelayMs } from "../../core/delivery/retry-delay.ts";
import type { Targets } from "../../core/delivery/target.ts";
import type { BrokerMessage, Verdict } from "../../core/event-source/event-source.ts";
import type { LogChange, MessageLog } from "../../core/message-log/message-log.ts";
import type { Trigger, TriggerCounters } from "../../core/trigger/trigger.ts";
import { Batcher } from "./batcher.ts";
import { deadLetterChanges, shortReason } from "./dead-letters.ts";
import type { Attempt, Numbered, TriggerTarget } from "./trigger-target.ts";

interface Item extends Numbered {
	stopping: AbortSignal;
	takenMs: number;
}

export interface DirectDeps {
	log: MessageLog;
	clock: Clock;
	ids: Ids;
	trigger: Trigger;
	/** ARN of the trigger. */
	arn: string;
	target: TriggerTarget;
	targets: Targets;
	counters: TriggerCounters;
}

/**
 * Direct delivery: the broker's message is held until the target has done it, tried again meanwhile, and acknowledged or
 * rejected then. A batch that fails is tried again message by message, so that one that is bad does not take others along.
 */
export class Direct {
	readonly #deps: DirectDeps;
	readonly #batcher: Batcher<Item, Verdict>;
	readonly #abandon = new AbortController();

	constructor(deps: DirectDeps) {
		this.#deps = deps;
		const { trigger, target, clock } = deps;
		this.#batcher = new Batcher({
			size: target.takesBatches ? trigger.batch.size : 1,
			windowMs: target.takesBatches ? trigger.batch.windowMs : 0,
			concurrency: trigger.concurrency,
			clock,
			stale: ({ stopping }) => (stopping.aborted ? this.#release() : undefined),
			run: (items) => this.#deliver(items),
		});
	}

	take(message: BrokerMessage, stopping: AbortSignal): Promise<Verdict> {
		const { clock, ids } = this.#deps;
		const takenMs = clock.now();
		return this.#batcher.add({ message, stopping, takenMs, id: timeOrderedUuid(takenMs, ids) });
	}

	/** Nobody waits for answers any longer: calls under way are told so. */
	abandon(): void {
		this.#abandon.abort();
		this.#batcher.close();
	}

	async #deliver(items: Item[]): Promise<Verdict[]> {
		const [first] = items;
		if (!first || first.stopping.aborted) return items.map(() => this.#release());
		if (items.length === 1) return [await this.#untilEnd(first, 0)];
		const attempt = await this.#attempt(items);
		const verdicts: Verdict[] = [];
		for (const item of items) {
			const own = ofItem(attempt, item);
			verdicts.push(own.ok ? { verdict: "acknowledge" } : await this.#untilEnd(item, own.counts ? 1 : 0, own));
		}
		return verdicts;
	}

	/** Tries until it is done, given up or the source stops. `failures`: those so far, `last` the last of them. */
	async #untilEnd(item: Item, failures: number, last?: Attempt): Promise<Verdict> {
		const { trigger, clock } = this.#deps;
		let count = failures;
		let attempt = last;
		while (!item.stopping.aborted) {
			if (attempt && !attempt.ok) {
				const oldMs = clock.now() - item.takenMs;
				if (attempt.permanent || count >= trigger.retry.maxAttempts || oldMs >= trigger.retry.maxAgeMs)
					return this.#bury(item, attempt.reason);
				const waitMs = Math.max(retryDelayMs(handlerDelays, Math.max(count, 1)), attempt.retryAfterMs ?? 0);
				await clock.sleep(waitMs, item.stopping).catch(() => {});
				if (item.stopping.aborted) break;
			}
			attempt = ofItem(await this.#attempt([item]), item);
			if (attempt.ok) return { verdict: "acknowledge" };
			if (attempt.counts) count++;
		}
		return this.#release();
	}

	async #attempt(items: readonly Item[]): Promise<Attempt> {
		const { counters, target } = this.#deps;
		let attempt = await target.attempt(items, this.#abandon.signal);
		if (attempt.ok && attempt.changes.length > 0) attempt = await this.#commit(attempt.changes);
		const failed = items.filter((item) => !ofItem(attempt, item).ok).length;
		counters.failed += failed;
		counters.delivered += items.length - failed;
		return attempt;
	}

	async #commit(changes: readonly LogChange[]): Promise<Attempt> {
		try {
			await this.#deps.log.commit(changes);
			return { ok: true, changes: [] };
		} catch (error) {
			if (!isSlipwayError(error)) throw error;
			// The log's trouble is not the message's.
			return { ok: false, permanent: error.code === "TOO_LARGE", counts: false, reason: error.message };
		}
	}

	async #bury(item: Item, reason: string): Promise<Verdict> {
		const { trigger, arn, targets, counters, clock } = this.#deps;
		if (trigger.deadLetter === "broker") {
			counters.deadLettered++;
			return { verdict: "reject", reason: shortReason(reason) };
		}
		for (let tries = 1; !item.stopping.aborted; tries++) {
			const kept = await this.#commit(deadLetterChanges(trigger, arn, item, reason, targets));
			if (kept.ok) {
				counters.deadLettered++;
				return { verdict: "acknowledge" };
			}
			if (kept.permanent) {
				counters.deadLettered++;
				return { verdict: "reject", reason: shortReason(`${reason}; and no dead letter: ${kept.reason}`) };
			}
			await clock.sleep(retryDelayMs(handlerDelays, tries), item.stopping).catch(() => {});
		}
		return this.#release();
	}

	#release(): Verdict {
		this.#deps.counters.released++;
		return { verdict: "release" };
	}
}

/** Of a batch of which the function said that some failed, what that is for one of them. */
function ofItem(attempt: Attempt, { id }: Item): Attempt {
	if (!attempt.ok || !attempt.failedIds?.has(id)) return attempt;
	return { ok: false, permanent: false, counts: true, reason: "The function answered that this one failed" };
}

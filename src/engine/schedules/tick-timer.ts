import { type Clock, settledWithin } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { retryDelayMs, storageDelays } from "../../core/delivery/retry-delay.ts";
import { DueHeap } from "./due-heap.ts";
import { type DueTicks, dueTicks, nextTick, type TickPlan } from "./due-ticks.ts";

/** What is due of one plan. */
export interface Firing extends DueTicks {
	key: string;
}

export interface TickTimerDeps {
	clock: Clock;
	logger: Log;
	/** On the disk when it resolves. One that rejects is asked again, with what is due then. */
	fire(firings: readonly Firing[]): Promise<void>;
	/** `longestWaitMs` where it is left out. */
	lookMs?: number | undefined;
}

/** Milliseconds between two looks at the wall clock: one that was set forward is noticed so late. Without plans nobody looks. */
const longestWaitMs = 15_000;
/** Plans of one commit: ten thousand that are due at once must neither hold up the thread nor make one huge commit. */
const maxBatch = 256;
/** Ticks of one commit after which the others of the batch wait: with the policy "all" one plan may have a day's. */
const maxBatchTicks = 2_000;
/** Milliseconds that a commit under way has at the end. */
const closeMs = 5000;

/** One timer for all ticks: it is set for the earliest. A wall clock that goes back fires nothing again, as plans remember what is fired. */
export class TickTimer implements AsyncDisposable {
	readonly #deps: TickTimerDeps;
	readonly #plans = new Map<string, TickPlan>();
	readonly #heap = new DueHeap();
	#cancel: (() => void) | undefined;
	#working: Promise<void> | undefined;
	#started = false;
	#closed = false;

	constructor(deps: TickTimerDeps) {
		this.#deps = deps;
	}

	get size(): number {
		return this.#plans.size;
	}

	/** Replaces the plan of that key. One without any further tick is not kept. */
	set(key: string, plan: TickPlan): void {
		this.#put(key, plan);
		this.#arm();
	}

	delete(key: string): void {
		this.#plans.delete(key);
		this.#heap.remove(key);
	}

	/** When the next tick of the plan fires. */
	next(key: string): number | undefined {
		const plan = this.#plans.get(key);
		return plan && nextTick(plan)?.dueMs;
	}

	start(): void {
		this.#started = true;
		this.#arm();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#closed = true;
		this.#cancel?.();
		if (this.#working) await settledWithin(this.#working, closeMs, this.#deps.clock);
	}

	#put(key: string, plan: TickPlan): boolean {
		const next = nextTick(plan);
		if (!next) {
			this.delete(key);
			return false;
		}
		this.#plans.set(key, plan);
		this.#heap.put(key, next.dueMs);
		return true;
	}

	#arm(delayMs?: number): void {
		if (!this.#started || this.#closed || this.#working) return;
		this.#cancel?.();
		this.#cancel = undefined;
		const dueMs = this.#heap.first();
		if (dueMs === undefined) return;
		const { clock, lookMs = longestWaitMs } = this.#deps;
		const waitMs = delayMs ?? Math.min(lookMs, Math.max(0, dueMs - clock.now()));
		this.#cancel = clock.after(waitMs, () => {
			this.#cancel = undefined;
			this.#working = this.#work().then((retryMs) => {
				this.#working = undefined;
				this.#arm(retryMs);
			});
		});
	}

	/** All that is due, in batches. Milliseconds to wait where one failed. */
	async #work(): Promise<number | undefined> {
		let failures = 0;
		while (!this.#closed) {
			const keys = this.#heap.take(this.#deps.clock.now(), maxBatch);
			if (keys.length === 0) return undefined;
			try {
				await this.#fire(keys);
				failures = 0;
			} catch (error) {
				this.#deps.logger.warn("Ticks of schedules could not be written yet", { error, schedules: keys.length });
				for (const key of keys) this.#again(key);
				await this.#deps.clock.sleep(retryDelayMs(storageDelays, ++failures));
			}
		}
		return undefined;
	}

	async #fire(keys: readonly string[]): Promise<void> {
		const now = this.#deps.clock.now();
		const firings: Firing[] = [];
		const before = new Map<string, TickPlan>();
		const after = new Map<string, TickPlan>();
		let ticks = 0;
		for (const key of keys) {
			const plan = this.#plans.get(key);
			const due = plan && ticks < maxBatchTicks ? dueTicks(plan, now) : undefined;
			if (!plan || !due) {
				this.#again(key);
				continue;
			}
			before.set(key, plan);
			after.set(key, { ...plan, afterMs: due.lastMs });
			ticks += due.fire.length;
			firings.push({ key, ...due });
		}
		if (firings.length > 0) await this.#deps.fire(firings);
		// One that was replaced or deleted meanwhile stays as it is now.
		for (const [key, plan] of after) if (this.#plans.get(key) === before.get(key)) this.#put(key, plan);
	}

	#again(key: string): void {
		const plan = this.#plans.get(key);
		if (plan) this.#put(key, plan);
	}
}

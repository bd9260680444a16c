/** Takes batches of one mapping out of its queue and brings them to its target. */
import { isSlipwayError } from "../../base/error.ts";
import { type Batch, gatherBatch, maxBatchBytes } from "./batch.ts";
import { BatchConcurrency } from "./batch-concurrency.ts";
import type { BatchOutcome } from "./batch-outcome.ts";
import { type BatchWorkDeps, queueNameOf, workBatch } from "./batch-work.ts";
import type { EventSourceMapping } from "./mapping.ts";
import type { MemoryBudget } from "./memory-budget.ts";
import { Pause } from "./pause.ts";
import { queueLanes } from "./ports.ts";

export interface PollerDeps extends BatchWorkDeps {
	memory: MemoryBudget;
	/** Batches at once that the target takes now. */
	targetConcurrency: (mapping: EventSourceMapping) => number;
	/** Seconds that the target may take for a batch; 0 where that is not known. */
	targetTimeoutS: (mapping: EventSourceMapping) => number;
	matcher: (mapping: EventSourceMapping) => ((record: Record<string, unknown>) => boolean) | undefined;
}

/** A mapping's bound where it names none (lambda-contract 6.1). */
const maxBatchesInHand = 1000;
/** Seconds. */
const minLeaseS = 1;
/** While there is a backlog and all hands are full: how often more are allowed. */
const growthCheckMs = 1000;

export class Poller {
	readonly #deps: PollerDeps;
	#mapping: EventSourceMapping;
	readonly #queueName: string;
	readonly #concurrency = new BatchConcurrency();
	readonly #pause: Pause;
	readonly #stop = new AbortController();
	#matches: ((record: Record<string, unknown>) => boolean) | undefined;
	/** Its filters are none that this version can read: it takes nothing, for what it takes it delivers or deletes. */
	#isBlind = false;
	#running = false;
	#inHand = 0;
	#pumping = false;
	#again = false;
	/** Monotonic; of the batch that fills up now. */
	#windowEndsAt: number | undefined;
	#cancelTimer: (() => void) | undefined;
	#onRest: (() => void)[] = [];
	#lastProcessingResult = "No records processed";

	constructor(deps: PollerDeps, mapping: EventSourceMapping) {
		this.#deps = deps;
		this.#mapping = mapping;
		this.#queueName = queueNameOf(mapping.sourceArn);
		this.#pause = new Pause(deps.clock);
		this.#readFilters();
	}

	get inHand(): number {
		return this.#inHand;
	}

	/** "OK", "PROBLEM: …", "No records processed". */
	get lastProcessingResult(): string {
		return this.#lastProcessingResult;
	}

	get lane(): string {
		return queueLanes + this.#queueName;
	}

	start(): void {
		this.#running = true;
		this.#callRest();
		this.poke();
	}

	/** Batches in hand end by the settings that they were taken with. */
	change(mapping: EventSourceMapping): void {
		this.#mapping = mapping;
		this.#readFilters();
		this.#windowEndsAt = undefined;
		this.poke();
	}

	#readFilters(): void {
		try {
			this.#matches = this.#deps.matcher(this.#mapping);
			this.#isBlind = false;
		} catch (error) {
			this.#isBlind = true;
			this.#problem(
				"The filters of an event source mapping can't be read: nothing is taken until they are changed",
				error,
			);
		}
	}

	/** Takes no more; resolves when what is in hand has ended, or it was started again. */
	async stop(): Promise<void> {
		this.#running = false;
		this.#windowEndsAt = undefined;
		this.#setTimer(undefined);
		if (this.#inHand === 0 && !this.#pumping) return;
		await new Promise<void>((resolve) => this.#onRest.push(resolve));
	}

	/** Calls over HTTP are broken off; their messages come back after the visibility timeout. */
	abort(): void {
		this.#stop.abort();
	}

	/** There may be messages. */
	poke(): void {
		if (!this.#running) return;
		this.#again = true;
		if (this.#pumping) return;
		this.#pumping = true;
		void this.#pump();
	}

	async #pump(): Promise<void> {
		let isEmpty = false;
		try {
			while (this.#again) {
				this.#again = false;
				isEmpty = false;
				while (!isEmpty && this.#hasHands()) isEmpty = !(await this.#take());
			}
		} catch (error) {
			this.#onSourceError(error);
			isEmpty = true;
		}
		this.#pumping = false;
		if (this.#running) this.#planNext(isEmpty);
		this.#restIfDone();
	}

	#hasHands(): boolean {
		return (
			this.#running && !this.#isBlind && !this.#pause.isOn && this.#inHand < this.#concurrency.allowed(this.#most())
		);
	}

	#most(): number {
		const own = this.#mapping.maximumConcurrency ?? maxBatchesInHand;
		return Math.min(own, this.#deps.targetConcurrency(this.#mapping));
	}

	/** False: there is nothing to take now. */
	async #take(): Promise<boolean> {
		const { memory, queues } = this.#deps;
		if (!(await this.#windowIsOver())) return false;
		const mapping = this.#mapping;
		const matches = this.#matches;
		// A mapping is refused when its queue's time is shorter than its function's, but the queue's can be set later: at none, batches
		// would be taken again before they have ended, by as many hands as there are, and never be deleted.
		const atLeastS = Math.max(minLeaseS, this.#deps.targetTimeoutS(mapping));
		const batch = await memory.take(() =>
			gatherBatch(queues, { queueName: this.#queueName, batchSize: mapping.batchSize, atLeastS, matches }),
		);
		this.#windowEndsAt = undefined;
		this.#deps.counters.filtered += batch.filtered;
		if (batch.items.length === 0) {
			memory.free(batch.bytes);
			if (batch.more) return true;
			this.#concurrency.onEmpty(this.#inHand);
			return false;
		}
		this.#inHand++;
		if (this.#running) void this.#work(mapping, batch);
		else await this.#returnUnseen(batch);
		return true;
	}

	/** Stopped while it was taken: nobody has seen it. */
	async #returnUnseen(batch: Batch): Promise<void> {
		try {
			const messages = batch.items.map(({ message }) => message);
			await this.#deps.queues.release(messages, 0, { counts: false });
		} finally {
			this.#end(batch);
		}
	}

	/** A window runs before anything is taken, so that what waits for it is in nobody's hand. */
	async #windowIsOver(): Promise<boolean> {
		const { windowS, batchSize } = this.#mapping;
		if (windowS === 0) return true;
		const counts = await this.#deps.log.counts(this.lane);
		const { visible } = counts;
		if (visible === 0) {
			this.#windowEndsAt = undefined;
			return false;
		}
		const all = visible + counts.delayed + counts.inFlight;
		if (visible >= batchSize || (counts.bytes / all) * visible >= maxBatchBytes) return true;
		const now = this.#deps.clock.monotonic();
		this.#windowEndsAt ??= now + windowS * 1000;
		return now >= this.#windowEndsAt;
	}

	async #work(mapping: EventSourceMapping, batch: Batch): Promise<void> {
		this.#deps.counters.batches++;
		this.#deps.counters.messages += batch.items.length;
		try {
			const outcome = await workBatch(this.#deps, {
				queueName: this.#queueName,
				mapping,
				batch,
				signal: this.#stop.signal,
				delayMs: (later) => this.#pause.begin(later.retryAfterMs),
			});
			this.#note(outcome);
		} catch (error) {
			this.#problem("Messages of a batch come again: it could not be ended", error);
		} finally {
			this.#end(batch);
		}
	}

	#note(outcome: BatchOutcome): void {
		if (outcome.kind === "later") {
			this.#lastProcessingResult = `PROBLEM: ${outcome.why}`;
			if (outcome.throttled) this.#concurrency.onThrottle(this.#inHand);
			return;
		}
		this.#pause.onSuccess();
		this.#lastProcessingResult = outcome.kind === "done" ? "OK" : `PROBLEM: ${outcome.why}`;
	}

	#end(batch: Batch): void {
		this.#inHand--;
		this.#deps.memory.free(batch.bytes);
		this.poke();
		this.#restIfDone();
	}

	/** A queue that is gone is heard of again when it is made anew; for a disk there is nothing but trying. */
	#onSourceError(error: unknown): void {
		if (!isSlipwayError(error, "NOT_FOUND")) {
			this.#pause.begin(isSlipwayError(error) ? error.retryAfterMs : undefined);
			this.#problem("A queue could not be read", error);
		} else this.#lastProcessingResult = `PROBLEM: ${error.message}`;
	}

	#problem(message: string, error: unknown): void {
		this.#lastProcessingResult = `PROBLEM: ${error instanceof Error ? error.message : String(error)}`;
		this.#deps.logger.error(message, { mapping: this.#mapping.uuid, queue: this.#queueName, error });
	}

	/** A timer only for what no message tells: the end of a pause or a window, and more hands. */
	#planNext(isEmpty: boolean): void {
		const { clock } = this.#deps;
		const now = clock.monotonic();
		const waits: number[] = [];
		if (this.#pause.isOn) waits.push(this.#pause.leftMs);
		// One that is over waits for a hand, which tells by itself.
		else if (this.#windowEndsAt !== undefined && this.#windowEndsAt > now) waits.push(this.#windowEndsAt - now);
		const most = this.#most();
		if (!isEmpty && this.#inHand > 0 && this.#inHand >= this.#concurrency.allowed(most)) {
			this.#concurrency.onBacklog(now, most);
			if (this.#inHand < this.#concurrency.allowed(most)) return this.poke();
			if (this.#concurrency.allowed(most) < most) waits.push(growthCheckMs);
		}
		this.#setTimer(waits.length === 0 ? undefined : Math.min(...waits));
	}

	#setTimer(ms: number | undefined): void {
		this.#cancelTimer?.();
		this.#cancelTimer =
			ms === undefined
				? undefined
				: this.#deps.clock.after(ms, () => {
						this.#cancelTimer = undefined;
						this.poke();
					});
	}

	#restIfDone(): void {
		if (this.#running || this.#inHand > 0 || this.#pumping) return;
		this.#callRest();
	}

	#callRest(): void {
		for (const resolve of this.#onRest.splice(0)) resolve();
	}
}

import type { Clock } from "../../base/clock.ts";

export interface BatcherOptions<T, R> {
	/** Items of a batch, at most. */
	size: number;
	/** Milliseconds that the first of a batch waits for more. */
	windowMs: number;
	/** Batches under way at once. */
	concurrency: number;
	clock: Clock;
	/** The result of an item that nobody waits for any longer: it does not wait for its turn. */
	stale?(item: T): R | undefined;
	/** Results in the order of the items. One that rejects fails all of them. */
	run(items: T[]): Promise<R[]>;
}

interface Waiting<T, R> {
	item: T;
	sinceMs: number;
	resolve(result: R): void;
	reject(error: unknown): void;
}

/** Collects single items into batches, in their order: full ones at once, others when their time has come and a place is free. */
export class Batcher<T, R> {
	readonly #options: BatcherOptions<T, R>;
	#waiting: Waiting<T, R>[] = [];
	#running = 0;
	#cancelTimer: (() => void) | undefined;
	#closed = false;

	constructor(options: BatcherOptions<T, R>) {
		this.#options = options;
	}

	add(item: T): Promise<R> {
		const { promise, resolve, reject } = Promise.withResolvers<R>();
		this.#waiting.push({ item, sinceMs: this.#options.clock.monotonic(), resolve, reject });
		this.#pump();
		return promise;
	}

	/** Nobody waits for more any longer. */
	close(): void {
		this.#closed = true;
		this.#pump();
	}

	#pump(): void {
		const { size, windowMs, concurrency, clock } = this.#options;
		this.#cancelTimer?.();
		this.#cancelTimer = undefined;
		this.#dropStale();
		while (this.#running < concurrency) {
			const first = this.#waiting[0];
			if (!first) return;
			const leftMs = first.sinceMs + windowMs - clock.monotonic();
			if (this.#waiting.length < size && leftMs > 0 && !this.#closed) {
				this.#cancelTimer = clock.after(leftMs, () => this.#pump());
				return;
			}
			void this.#start(this.#waiting.splice(0, size));
		}
	}

	/** Those of an earlier connection are in front of those of this one: calls that hang do not let them pile up. */
	#dropStale(): void {
		for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
			const result = this.#options.stale?.(first.item);
			if (result === undefined) return;
			first.resolve(result);
			this.#waiting.shift();
		}
	}

	async #start(batch: Waiting<T, R>[]): Promise<void> {
		this.#running++;
		try {
			const results = await this.#options.run(batch.map(({ item }) => item));
			for (const [index, { resolve, reject }] of batch.entries()) {
				const result = results[index];
				if (result === undefined) reject(new Error("A batch has fewer results than items"));
				else resolve(result);
			}
		} catch (error) {
			for (const { reject } of batch) reject(error);
		}
		this.#running--;
		this.#pump();
	}
}

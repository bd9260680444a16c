import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { decidePoolSize, emptyPool, type PoolBounds, SLOT_MS } from "./pool-size.ts";

export interface WarmPoolOptions<T> {
	/** For the log. */
	name: string;
	/** How many stand ready once `fill` was called. */
	bounds: PoolBounds;
	make: () => Promise<T>;
	destroy: (item: T) => Promise<void>;
	memoryIsShort: () => boolean;
	clock: Clock;
	log: Log;
}

/** What all pools of one runtime share. */
export type Pooling = Omit<WarmPoolOptions<unknown>, "name" | "make" | "destroy">;

/** From a take to the making of another: the start that took it has the CPUs to itself until then. */
const REFILL_AFTER_MS = 50;

/** Things made ahead of need, in the background; how many is a matter of recent demand. Taking never waits: an empty pool has none. */
export class WarmPool<T> implements AsyncDisposable {
	readonly #options: WarmPoolOptions<T>;
	readonly #ready: T[] = [];
	#demand = emptyPool;
	#taken = 0;
	#wanted = 0;
	#filled = false;
	#work: Promise<void> | undefined;
	#cancelRefill: (() => void) | undefined;
	#cancelSweep: () => void = () => {};
	#disposed = false;
	readonly #lettingGo = new Set<Promise<void>>();

	constructor(options: WarmPoolOptions<T>) {
		this.#options = options;
	}

	/** Starts filling, and keeps filling after each `take`. */
	fill(): void {
		if (this.#filled || this.#disposed) return;
		this.#filled = true;
		this.#sweep();
		this.#refill();
	}

	take(): T | undefined {
		this.#taken++;
		const item = this.#ready.shift();
		if (this.#filled) this.#refillLater();
		return item;
	}

	/** Resolves when the pool is full or has given up, for tests and measurements. */
	async settled(): Promise<void> {
		if (this.#cancelRefill) this.#refillNow();
		await this.#work;
	}

	#refillLater(): void {
		this.#cancelRefill ??= this.#options.clock.after(REFILL_AFTER_MS, () => this.#refillNow());
	}

	#refillNow(): void {
		this.#cancelRefill?.();
		this.#cancelRefill = undefined;
		this.#decide();
		this.#refill();
	}

	#decide(): void {
		const { bounds, clock, memoryIsShort } = this.#options;
		const observation = { taken: this.#taken, memoryIsShort: memoryIsShort() };
		const { state, size } = decidePoolSize(this.#demand, observation, bounds, clock.monotonic());
		this.#taken = 0;
		this.#demand = state;
		this.#wanted = size;
	}

	/** What a burst made ready is let go of when it is forgotten, or when memory runs short. */
	#sweep(): void {
		this.#decide();
		for (const item of this.#ready.splice(this.#wanted)) this.#letGo(item);
		this.#cancelSweep = this.#options.clock.after(SLOT_MS, () => this.#sweep());
	}

	#letGo(item: T): void {
		const { destroy, log, name } = this.#options;
		const going = destroy(item)
			.catch((error: unknown) => log.error(`Could not remove ${name} that was not needed`, { error }))
			.finally(() => this.#lettingGo.delete(going));
		this.#lettingGo.add(going);
	}

	/** One at a time: whoever runs meanwhile keeps the other CPUs. */
	#refill(): void {
		if (this.#work || this.#disposed) return;
		this.#work = this.#makeMissing().then((worked) => {
			this.#work = undefined;
			// Something may have been taken since the last look, while this still counted as filling.
			if (worked && this.#lacks) this.#refill();
		});
	}

	get #lacks(): boolean {
		return !this.#disposed && this.#ready.length < this.#wanted;
	}

	/** False when making failed. */
	async #makeMissing(): Promise<boolean> {
		while (this.#lacks) {
			try {
				this.#ready.push(await this.#options.make());
			} catch (error) {
				// The next sandbox makes its own and reports what is wrong; the pool tries again after it.
				this.#options.log.warn(`Could not make ${this.#options.name} ahead of need`, { error });
				return false;
			}
		}
		return true;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#disposed = true;
		this.#cancelRefill?.();
		this.#cancelSweep();
		await this.#work;
		const ends = await Promise.allSettled([...this.#lettingGo, ...this.#ready.splice(0).map(this.#options.destroy)]);
		for (const end of ends) if (end.status === "rejected") throw end.reason;
	}
}

import type { Log } from "../../base/log.ts";

interface WarmPoolOptions<T> {
	/** For the log. */
	name: string;
	/** How many stand ready once `fill` was called. */
	size: number;
	make: () => Promise<T>;
	destroy: (item: T) => Promise<void>;
	log: Log;
}

/** A few things made ahead of need, one after the other, in the background. Taking never waits: an empty pool has none. */
export class WarmPool<T> implements AsyncDisposable {
	readonly #options: WarmPoolOptions<T>;
	readonly #ready: T[] = [];
	#filling: Promise<void> | undefined;
	#wanted = 0;
	#disposed = false;

	constructor(options: WarmPoolOptions<T>) {
		this.#options = options;
	}

	/** Starts filling, and keeps filling after each `take`. */
	fill(): void {
		this.#wanted = this.#options.size;
		this.#refill();
	}

	take(): T | undefined {
		const item = this.#ready.shift();
		this.#refill();
		return item;
	}

	/** Resolves when the pool is full or has given up, for tests and measurements. */
	async settled(): Promise<void> {
		await this.#filling;
	}

	#refill(): void {
		if (this.#filling || this.#disposed || this.#ready.length >= this.#wanted) return;
		this.#filling = this.#makeMissing().then((worked) => {
			this.#filling = undefined;
			// Something may have been taken since the last look, while this still counted as filling.
			if (worked) this.#refill();
		});
	}

	/** False when making failed. */
	async #makeMissing(): Promise<boolean> {
		while (!this.#disposed && this.#ready.length < this.#wanted) {
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
		await this.#filling;
		await Promise.all(this.#ready.splice(0).map(this.#options.destroy));
	}
}

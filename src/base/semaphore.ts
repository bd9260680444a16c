import { SlipwayError } from "./error.ts";

/** Bounds how many run at once; waiters are served first come, first served. `maxWaiting` bounds the queue. */
export class Semaphore {
	#free: number;
	readonly #maxWaiting: number;
	readonly #waiting: { grant: () => void }[] = [];

	constructor(size: number, maxWaiting = Number.POSITIVE_INFINITY) {
		this.#free = size;
		this.#maxWaiting = maxWaiting;
	}

	async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
		await this.#acquire(signal);
		try {
			return await task();
		} finally {
			this.#release();
		}
	}

	#acquire(signal?: AbortSignal): Promise<void> | undefined {
		signal?.throwIfAborted();
		if (this.#free > 0) {
			this.#free--;
			return undefined;
		}
		if (this.#waiting.length >= this.#maxWaiting)
			throw new SlipwayError("THROTTLED", `More than ${this.#maxWaiting} tasks are waiting already`);
		return new Promise((resolve, reject) => {
			const waiter = {
				grant: () => {
					signal?.removeEventListener("abort", onAbort);
					resolve();
				},
			};
			const onAbort = () => {
				this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
				reject(signal?.reason);
			};
			signal?.addEventListener("abort", onAbort, { once: true });
			this.#waiting.push(waiter);
		});
	}

	#release(): void {
		const next = this.#waiting.shift();
		if (next) next.grant();
		else this.#free++;
	}
}

/** The messages that a session has given out and not answered: bounded, and waited for at its end. */
export class InHand {
	readonly #most: number;
	#size = 0;
	#waiting: { done: () => boolean; resolve: () => void }[] = [];

	constructor(most: number) {
		this.#most = most;
	}

	get size(): number {
		return this.#size;
	}

	get room(): number {
		return this.#most - this.#size;
	}

	/** Counts until the work is done; what it throws is the work's own to handle. */
	async during(work: () => Promise<void>): Promise<void> {
		this.#size++;
		try {
			await work();
		} finally {
			this.#size--;
			const left = this.#waiting.filter(({ done }) => !done());
			const woken = this.#waiting.filter((waiter) => !left.includes(waiter));
			this.#waiting = left;
			for (const { resolve } of woken) resolve();
		}
	}

	/** Resolves when one more may be taken. */
	roomLeft(): Promise<void> {
		return this.#when(() => this.room > 0);
	}

	/** Resolves when all are answered. */
	empty(): Promise<void> {
		return this.#when(() => this.#size === 0);
	}

	#when(done: () => boolean): Promise<void> {
		if (done()) return Promise.resolve();
		return new Promise((resolve) => this.#waiting.push({ done, resolve }));
	}
}

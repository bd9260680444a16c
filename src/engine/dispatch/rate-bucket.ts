/**
 * A token bucket: full at first, refilled all the time, never above its capacity, so that what is not used is not saved up.
 * Capacity and rate come with each call, because the limits they are made from may change at any time.
 */
export class RateBucket {
	#level = Number.POSITIVE_INFINITY;
	#atMs = 0;

	/** Takes one token and returns 0; when there is none, the milliseconds until there is. `nowMs` never goes back. */
	take(nowMs: number, capacity: number, tokensPerMs: number): number {
		this.#level = Math.min(capacity, this.#level + (nowMs - this.#atMs) * tokensPerMs);
		this.#atMs = nowMs;
		if (this.#level < 1) return (1 - this.#level) / tokensPerMs;
		this.#level--;
		return 0;
	}

	/** A token that was taken and not used. */
	giveBack(): void {
		this.#level++;
	}
}

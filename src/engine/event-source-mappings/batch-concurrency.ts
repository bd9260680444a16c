/** Batches in hand when a backlog begins (lambda-contract 6.1). */
const startBatches = 5;
/** 300 more in a minute. */
const growthStepMs = 200;

/** How many batches of one mapping may be in hand, as Lambda does it; how fast they begin the machine says (mapping-room.ts): grows while there is more to do than hands, shrinks when there is not. */
export class BatchConcurrency {
	#allowed = startBatches;
	/** Monotonic milliseconds from which growth counts; undefined while nothing waits for a hand. */
	#growingFrom: number | undefined;

	/** `most`: of the mapping, its target and the machine, now; 0 where there is no room, of which somebody else tells. */
	allowed(most: number): number {
		return Math.min(this.#allowed, most);
	}

	/** All that are allowed are in hand, and there is more. */
	onBacklog(now: number, most: number): void {
		this.#growingFrom ??= now;
		const steps = Math.floor((now - this.#growingFrom) / growthStepMs);
		this.#growingFrom += steps * growthStepMs;
		this.#allowed = Math.max(this.#allowed, Math.min(most, this.#allowed + steps));
	}

	/** Nothing waits any more. */
	onEmpty(inHand: number): void {
		this.#growingFrom = undefined;
		this.#allowed = Math.max(Math.min(startBatches, this.#allowed + 1), Math.min(inHand, this.#allowed));
	}

	/** The target had no room for one of so many. */
	onThrottle(inHand: number): void {
		this.#growingFrom = undefined;
		this.#allowed = Math.max(1, Math.min(this.#allowed, Math.floor(inHand / 2)));
	}
}

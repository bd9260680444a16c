import { restartDelayMs } from "../../core/workload/restart-delay.ts";

/** Whether a revision's instances start: until one has been ready, each failure makes the next attempt wait longer. */
export class StartHistory {
	#wasReady = false;
	#lastFailure: unknown;
	#failures = 0;
	#notBefore = Number.NEGATIVE_INFINITY;

	/** Some time. */
	get wasReady(): boolean {
		return this.#wasReady;
	}

	/** Undefined since an instance was ready. */
	get lastFailure(): unknown {
		return this.#lastFailure;
	}

	/** In a row, while it never was ready. */
	get failures(): number {
		return this.#failures;
	}

	/** On the monotonic clock, when an instance may be started at the earliest: being asked for is no reason to try more often. */
	get notBefore(): number {
		return this.#wasReady ? Number.NEGATIVE_INFINITY : this.#notBefore;
	}

	onReady(): void {
		this.#wasReady = true;
		this.#failures = 0;
		this.#lastFailure = undefined;
	}

	onFailed(error: unknown, now: number): void {
		this.#lastFailure = error;
		if (!this.#wasReady) this.#notBefore = now + restartDelayMs(++this.#failures);
	}
}

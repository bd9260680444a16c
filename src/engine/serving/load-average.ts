/** A number that changes now and then, averaged over time: two requests of 500 ms within a second are a concurrency of 1. */
export class LoadAverage {
	#value = 0;
	#area = 0;
	#changedAt: number;
	#takenAt: number;

	constructor(now: number) {
		this.#changedAt = now;
		this.#takenAt = now;
	}

	set(value: number, now: number): void {
		if (value === this.#value) return;
		this.#area += this.#value * (now - this.#changedAt);
		this.#value = value;
		this.#changedAt = now;
	}

	/** Since the last call; the value itself when no time has passed. */
	take(now: number): number {
		const area = this.#area + this.#value * (now - this.#changedAt);
		const ms = now - this.#takenAt;
		this.#area = 0;
		this.#changedAt = now;
		this.#takenAt = now;
		return ms > 0 ? area / ms : this.#value;
	}
}

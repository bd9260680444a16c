import type { Clock } from "../../base/clock.ts";

/** An instance that is to take the place of one that failed. */
export interface Replacement {
	/** On the monotonic clock. */
	dueAt: number;
	/** Failures in a row, its predecessor's among them. */
	failures: number;
}

/** Starts that wait for the end of their back-off. A timer only while there are some. */
export class Replacements {
	readonly #clock: Clock;
	readonly #onDue: () => void;
	#waiting: Replacement[] = [];
	#cancel: (() => void) | undefined;

	constructor(clock: Clock, onDue: () => void) {
		this.#clock = clock;
		this.#onDue = onDue;
	}

	get size(): number {
		return this.#waiting.length;
	}

	add(replacement: Replacement): void {
		this.#waiting.push(replacement);
	}

	/** So many at most: fewer are wanted. */
	keep(count: number): void {
		this.#waiting.splice(count);
		if (count === 0) this.#disarm();
	}

	takeDue(): Replacement[] {
		const now = this.#clock.monotonic();
		const due = this.#waiting.filter(({ dueAt }) => dueAt <= now);
		this.#waiting = this.#waiting.filter(({ dueAt }) => dueAt > now);
		return due;
	}

	/** Calls back when the next one is due. What is due already waits for something else. */
	arm(): void {
		this.#disarm();
		const now = this.#clock.monotonic();
		const next = Math.min(...this.#waiting.map(({ dueAt }) => dueAt).filter((dueAt) => dueAt > now));
		if (next !== Number.POSITIVE_INFINITY) this.#cancel = this.#clock.after(next - now, this.#onDue);
	}

	#disarm(): void {
		this.#cancel?.();
		this.#cancel = undefined;
	}
}

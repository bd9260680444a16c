/** Pseudo-random numbers that depend on the seed alone (a linear congruence; good enough to choose what happens next). */
export class Random {
	readonly seed: number;
	#state: number;

	constructor(seed: number) {
		this.seed = seed;
		this.#state = seed % 2147483648;
	}

	/** A whole number from 0 to n - 1. */
	below(n: number): number {
		this.#state = (Math.imul(this.#state, 1103515245) + 12345) & 0x7fffffff;
		return Math.floor((this.#state / 0x80000000) * n);
	}

	pick<T>(values: readonly T[]): T {
		return values[this.below(values.length)]!;
	}

	chance(percent: number): boolean {
		return this.below(100) < percent;
	}
}

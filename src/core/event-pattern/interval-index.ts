/** Which of many closed ranges hold a number: sorted by their lower ends, with the highest upper end of each half beside. */
export class IntervalIndex<T> {
	readonly #ranges = new Map<T, Range>();
	#sorted: readonly (Range & { item: T })[] = [];
	#highest = new Float64Array(0);
	#stale = false;

	get size(): number {
		return this.#ranges.size;
	}

	/** Ranges that have no end on one side. */
	unbounded = 0;

	add(item: T, range: Range): void {
		this.#ranges.set(item, range);
		if (isUnbounded(range)) this.unbounded++;
		this.#stale = true;
	}

	delete(item: T): void {
		const range = this.#ranges.get(item);
		if (!range) return;
		if (isUnbounded(range)) this.unbounded--;
		this.#ranges.delete(item);
		this.#stale = true;
	}

	/** Calls back for each range that holds the value. */
	find(value: number, found: (item: T) => void): void {
		if (this.#stale) this.#sort();
		this.#search(0, this.#sorted.length, value, found);
	}

	/** Sorted when it is asked again, not with every change: ten thousand rules are added one after the other. */
	#sort(): void {
		this.#sorted = [...this.#ranges].map(([item, range]) => ({ ...range, item })).sort((a, b) => a.low - b.low);
		this.#highest = new Float64Array(this.#sorted.length);
		this.#rate(0, this.#sorted.length);
		this.#stale = false;
	}

	#rate(from: number, to: number): number {
		if (from >= to) return Number.NEGATIVE_INFINITY;
		const middle = (from + to) >> 1;
		const high = Math.max(this.#sorted[middle]!.high, this.#rate(from, middle), this.#rate(middle + 1, to));
		this.#highest[middle] = high;
		return high;
	}

	#search(from: number, to: number, value: number, found: (item: T) => void): void {
		if (from >= to) return;
		const middle = (from + to) >> 1;
		if (this.#highest[middle]! < value) return;
		this.#search(from, middle, value, found);
		const { low, high, item } = this.#sorted[middle]!;
		if (low > value) return;
		if (high >= value) found(item);
		this.#search(middle + 1, to, value, found);
	}
}

interface Range {
	readonly low: number;
	readonly high: number;
}

function isUnbounded({ low, high }: Range): boolean {
	return low === Number.NEGATIVE_INFINITY || high === Number.POSITIVE_INFINITY;
}

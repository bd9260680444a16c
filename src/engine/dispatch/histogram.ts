/** Upper bounds of a histogram's buckets, milliseconds, ascending; what is above the last has a bucket of its own. */
export type Bounds = readonly number[];

/** How often values fell into which bucket. Observing allocates nothing. */
export class Histogram {
	readonly bounds: Bounds;
	/** One more than there are bounds. */
	readonly counts: Float64Array;
	sumMs = 0;

	constructor(bounds: Bounds) {
		this.bounds = bounds;
		this.counts = new Float64Array(bounds.length + 1);
	}

	observe(ms: number): void {
		const { bounds } = this;
		let bucket = 0;
		while (bucket < bounds.length && ms > bounds[bucket]!) bucket++;
		this.counts[bucket]!++;
		this.sumMs += ms;
	}
}

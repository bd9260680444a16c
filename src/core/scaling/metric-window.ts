import { assert } from "../../base/error.ts";
import type { ScalingSettings } from "../service/scaling-settings.ts";

/** Milliseconds of one bucket (Knative's config.BucketSize): loads are recorded once a second. */
const bucketMs = 1000;
/** The weights of a weighted window add up to at least this. */
const weightPrecision = 0.9999;
/** The newest bucket's least weight: with less, long windows would be plain averages. */
const leastWeight = 0.2;
/** Linear averages are rounded to a millionth, so that what is left by adding and taking away floats is zero again. */
const averagePrecision = 1e6;

/** Weight of the newest of `buckets` buckets; each older one has `1 - weight` of the next newer one's. */
export function newestWeight(buckets: number): number {
	return Math.max(1 - (1 - weightPrecision) ** (1 / buckets), leastWeight);
}

/**
 * Averages of a load over a window of time that ends now, in one-second buckets: what pkg/autoscaler/aggregation of knative/serving
 * calls TimedFloat64Buckets (linear) and WeightedFloat64Buckets (weighted-exponential).
 *
 * Times are milliseconds of a monotonic clock. What is recorded twice in one second adds up. A second without a record counts as zero
 * when it lies between two records, and not at all when it lies before the first one; a window without any record begins anew. Records
 * may come late, by less than a window. Memory is one number for each second of the window.
 */
export class MetricWindow {
	readonly #buckets: Float64Array;
	readonly #aggregation: ScalingSettings["aggregation"];
	readonly #newestWeight: number;
	/** Indexes of seconds. */
	#first = Number.NEGATIVE_INFINITY;
	#last = Number.NEGATIVE_INFINITY;
	#total = 0;

	constructor(windowMs: number, aggregation: ScalingSettings["aggregation"] = "linear") {
		assert(windowMs >= 1, `a window of ${windowMs} ms`);
		const count = Math.ceil(windowMs / bucketMs);
		this.#buckets = new Float64Array(count);
		this.#aggregation = aggregation;
		this.#newestWeight = newestWeight(count);
	}

	record(nowMs: number, value: number): void {
		const index = indexOf(nowMs);
		const age = this.#last - index;
		if (age >= this.#buckets.length) return;
		if (age < 0) this.#advance(index);
		if (index < this.#first) this.#first = index;
		this.#buckets[this.#slot(index)]! += value;
		this.#total += value;
	}

	/** Nothing has been recorded for longer than the window. */
	isEmpty(nowMs: number): boolean {
		return indexOf(nowMs) - this.#last > this.#buckets.length;
	}

	/** Zero when nothing was recorded within the window; ask `isEmpty` for the difference. */
	average(nowMs: number): number {
		const silent = Math.max(0, indexOf(nowMs) - this.#last);
		if (silent >= this.#buckets.length) return 0;
		return this.#aggregation === "linear" ? this.#linear(silent) : this.#weighted(silent);
	}

	/** `silent` is how many seconds ago the last record was: their buckets have left the window and hold something older. */
	#linear(silent: number): number {
		let total = this.#total;
		for (let ago = 1; ago <= silent; ago++) total -= this.#buckets[this.#slot(this.#last + ago)]!;
		const known = Math.min(this.#last - this.#first + 1, this.#buckets.length - silent);
		return Math.round((total / known) * averagePrecision) / averagePrecision;
	}

	/** Not divided by the sum of the weights that were used: the first seconds count for less, as in Knative. */
	#weighted(silent: number): number {
		let weight = this.#newestWeight * (1 - this.#newestWeight) ** silent;
		let sum = 0;
		for (let ago = 0; ago < this.#buckets.length - silent; ago++) {
			sum += this.#buckets[this.#slot(this.#last - ago)]! * weight;
			weight *= 1 - this.#newestWeight;
		}
		return sum;
	}

	#advance(index: number): void {
		if (index - this.#last >= this.#buckets.length) {
			this.#buckets.fill(0);
			this.#total = 0;
			this.#first = index;
		} else
			for (let at = this.#last + 1; at <= index; at++) {
				const slot = this.#slot(at);
				this.#total -= this.#buckets[slot]!;
				this.#buckets[slot] = 0;
			}
		this.#last = index;
	}

	#slot(index: number): number {
		const slot = index % this.#buckets.length;
		return slot < 0 ? slot + this.#buckets.length : slot;
	}
}

function indexOf(nowMs: number): number {
	return Math.floor(nowMs / bucketMs);
}

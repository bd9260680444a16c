import type { RateLimitSettings } from "./gateway-route.ts";

/** Of one rule; some 100 bytes each. Whoever is pushed out comes back with a full bucket. */
export const maxBuckets = 10_000;

interface Bucket {
	tokens: number;
	atMs: number;
}

export interface RateVerdict {
	allowed: boolean;
	/** Whole requests that may follow at once. */
	remaining: number;
	/** Milliseconds until the next one; 0 when it is allowed. */
	retryAfterMs: number;
}

/** A token bucket for each key; the one that was used longest ago makes room. Time is monotonic. */
export class TokenBuckets {
	readonly #rate: number;
	readonly #burst: number;
	readonly #maxKeys: number;
	/** In order of their last use. */
	readonly #buckets = new Map<string, Bucket>();

	constructor({ rate, burst }: Pick<RateLimitSettings, "rate" | "burst">, maxKeys = maxBuckets) {
		this.#rate = rate;
		this.#burst = burst;
		this.#maxKeys = maxKeys;
	}

	get size(): number {
		return this.#buckets.size;
	}

	take(key: string, nowMs: number): RateVerdict {
		const bucket = this.#buckets.get(key) ?? { tokens: this.#burst, atMs: nowMs };
		bucket.tokens = Math.min(this.#burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * this.#rate);
		bucket.atMs = nowMs;
		this.#buckets.delete(key);
		this.#buckets.set(key, bucket);
		if (this.#buckets.size > this.#maxKeys) this.#dropOldest();
		return this.#spend(bucket);
	}

	#dropOldest(): void {
		const [oldest] = this.#buckets.keys();
		if (oldest !== undefined) this.#buckets.delete(oldest);
	}

	#spend(bucket: Bucket): RateVerdict {
		// A thousandth is what adding up fractions may cost.
		if (bucket.tokens < 0.999) {
			const retryAfterMs = Math.ceil(((1 - bucket.tokens) / this.#rate) * 1000);
			return { allowed: false, remaining: 0, retryAfterMs };
		}
		bucket.tokens = Math.max(0, bucket.tokens - 1);
		return { allowed: true, remaining: Math.floor(bucket.tokens + 0.001), retryAfterMs: 0 };
	}
}

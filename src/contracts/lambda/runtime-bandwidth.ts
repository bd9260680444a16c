import type { Clock } from "../../base/clock.ts";
import { refillMs, type StreamingLimits } from "./limits.ts";

/**
 * The token bucket that a streamed answer goes through (RIE, core/bandwidthlimiter): a burst at once, then as much each
 * 125 ms as the rate says. The clock is asked only when a stream has to wait.
 */
export class Bandwidth {
	readonly #clock: Clock;
	readonly #capacity: number;
	readonly #perRefill: number;
	#tokens: number;
	#refilledAt: number;
	#cancel: (() => void) | undefined;

	constructor({ bytesPerSecond, burstBytes }: StreamingLimits, clock: Clock) {
		this.#clock = clock;
		this.#perRefill = (bytesPerSecond * refillMs) / 1000;
		// A rate that somebody lifted would otherwise be held down to a burst for each filling.
		this.#capacity = Math.max(burstBytes, this.#perRefill);
		this.#tokens = bytesPerSecond === Number.POSITIVE_INFINITY ? Number.POSITIVE_INFINITY : burstBytes;
		this.#refilledAt = clock.monotonic();
	}

	/** True when so many bytes may pass now. */
	take(bytes: number): boolean {
		if (this.#tokens < this.#needed(bytes)) this.#refill();
		if (this.#tokens < this.#needed(bytes)) return false;
		this.#tokens -= bytes;
		return true;
	}

	/** Calls back when the next filling is due. One at a time. */
	wait(callback: () => void): void {
		const elapsed = this.#clock.monotonic() - this.#refilledAt;
		this.#cancel = this.#clock.after(Math.max(1, refillMs - elapsed), callback);
	}

	close(): void {
		this.#cancel?.();
	}

	/** A piece larger than the bucket passes when that is full, and leaves a debt. */
	#needed(bytes: number): number {
		return Math.min(bytes, this.#capacity);
	}

	#refill(): void {
		const fillings = Math.floor((this.#clock.monotonic() - this.#refilledAt) / refillMs);
		if (fillings <= 0) return;
		this.#refilledAt += fillings * refillMs;
		this.#tokens = Math.min(this.#capacity, this.#tokens + fillings * this.#perRefill);
	}
}

import type { Clock } from "../../base/clock.ts";
import { retryDelayMs } from "../../core/delivery/retry-delay.ts";

/** Each that follows without a success between is twice as long; the longest as Lambda's own waits between tries of what was throttled (lambda-contract 5). */
const delays = { firstMs: 500, longestMs: 60_000 };
const longestAskedMs = 300_000;

/** How long a poller waits when its target or its queue can't do with it. */
export class Pause {
	readonly #clock: Pick<Clock, "monotonic">;
	#failures = 0;
	#untilMs = 0;

	constructor(clock: Pick<Clock, "monotonic">) {
		this.#clock = clock;
	}

	/** Whole milliseconds that are left of it: a clock has fractions, and the message log takes none. */
	get leftMs(): number {
		return Math.max(0, Math.ceil(this.#untilMs - this.#clock.monotonic()));
	}

	get isOn(): boolean {
		return this.leftMs > 0;
	}

	/** How long from now. Failures of batches that were in hand together are one. */
	begin(askedMs = 0): number {
		if (!this.isOn) {
			const ownMs = retryDelayMs(delays, ++this.#failures);
			this.#untilMs = this.#clock.monotonic() + Math.max(ownMs, Math.min(askedMs, longestAskedMs));
		}
		return this.leftMs;
	}

	onSuccess(): void {
		this.#failures = 0;
	}
}

import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";

/** Milliseconds between two lines: ten thousand messages may fail in one second, for one reason. */
const intervalMs = 1000;

/** Failures of deliveries in the daemon's log: one a second, with how many were left out. */
export class FailureReports {
	readonly #log: Log;
	readonly #clock: Clock;
	#nextAt = Number.NEGATIVE_INFINITY;
	#leftOut = 0;

	constructor(log: Log, clock: Clock) {
		this.#log = log;
		this.#clock = clock;
	}

	report(message: string, lane: string, error: unknown, id?: string): void {
		const now = this.#clock.monotonic();
		if (now < this.#nextAt) {
			this.#leftOut++;
			return;
		}
		const leftOut = this.#leftOut;
		this.#nextAt = now + intervalMs;
		this.#leftOut = 0;
		this.#log.warn(message, { lane, error, ...(id !== undefined && { id }), ...(leftOut > 0 && { leftOut }) });
	}
}

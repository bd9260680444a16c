import { type Clock, systemClock } from "../../base/clock.ts";

/** A clock that runs `factor` times as fast as the real one, for tests of timeouts with real sockets in them. */
export function fastClock(factor: number): Clock {
	const startMs = Date.now();
	return {
		now: () => startMs + (Date.now() - startMs) * factor,
		monotonic: () => performance.now() * factor,
		sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
		after: (ms, callback) => systemClock.after(ms / factor, callback),
	};
}

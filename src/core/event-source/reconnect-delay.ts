/** Milliseconds before the second try to connect. */
const firstDelayMs = 500;
/** A broker that was down for an hour is found again within half a minute. */
const longestDelayMs = 30_000;

/**
 * Milliseconds to wait before the next try after so many failures in a row: doubled each time, and between half and all of it at random, so that
 * many consumers of a broker that comes back do not come at once ("equal jitter",
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). `random` gives [0, 1).
 */
export function reconnectDelayMs(failures: number, random: () => number): number {
	const whole = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(Math.max(failures, 1) - 1, 16));
	return whole / 2 + (random() * whole) / 2;
}

/** How long to wait before the next try: the first delay, doubled with each failure up to the longest, some of it left to chance. */
export interface RetryDelays {
	firstMs: number;
	longestMs: number;
	/** Part of the delay by which it may be shorter or longer, so that what failed together is not tried together; none where it is left out. */
	jitter?: number;
}

/** EventBridge "retries for 24 hours and up to 185 times with an exponential back off and jitter": 185 tries fill the day so. */
export const targetDelays: RetryDelays = { firstMs: 1000, longestMs: 480_000, jitter: 0.25 };
/** Of a handler that failed: as Lambda waits with its own queue, up to five minutes. */
export const handlerDelays: RetryDelays = { firstMs: 1000, longestMs: 300_000 };
/** Of the message log: a full disk has to be seen to by somebody, a log that is behind catches up soon. */
export const storageDelays: RetryDelays = { firstMs: 100, longestMs: 30_000 };

/** Whole milliseconds. `failures` so far, 1 for the first; `random` from 0 up to 1. */
export function retryDelayMs({ firstMs, longestMs, jitter = 0 }: RetryDelays, failures: number, random = 0.5): number {
	const delayMs = Math.min(longestMs, firstMs * 2 ** Math.min(Math.max(failures - 1, 0), 30));
	return Math.round(delayMs * (1 - jitter + 2 * jitter * random));
}

/** From 0 up to 1, of 4 random bytes as hexadecimal digits. */
export function fractionOf(hex: string): number {
	return Number.parseInt(hex, 16) / 2 ** 32;
}

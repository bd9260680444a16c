/** Time as a dependency: decisions take `now`, loops take a Clock, and simulations bring their own. */
export interface Clock {
	/** Wall clock, milliseconds since the epoch. */
	now(): number;
	/** Monotonic, milliseconds with fractions, for durations. */
	monotonic(): number;
	/** Resolves after `ms`; rejects with the signal's reason when aborted. */
	sleep(ms: number, signal?: AbortSignal): Promise<void>;
	/** Calls back once after `ms`. The returned function cancels. Never keeps the process alive. */
	after(ms: number, callback: () => void): () => void;
}

/** Waits for a promise that never rejects, at most `ms`; no timer stays behind. */
export async function settledWithin(promise: Promise<unknown>, ms: number, clock: Clock): Promise<void> {
	const settled = new AbortController();
	const late = clock.sleep(ms, settled.signal).catch(() => {});
	await Promise.race([promise, late]);
	settled.abort();
}

export const systemClock: Clock = {
	now: () => Date.now(),
	monotonic: () => performance.now(),
	sleep(ms, signal) {
		return new Promise((resolve, reject) => {
			if (signal?.aborted) return reject(signal.reason);
			const onAbort = () => {
				clearTimeout(timer);
				reject(signal?.reason);
			};
			const timer = setTimeout(() => {
				signal?.removeEventListener("abort", onAbort);
				resolve();
			}, ms);
			signal?.addEventListener("abort", onAbort, { once: true });
		});
	},
	after(ms, callback) {
		const timer = setTimeout(callback, ms);
		timer.unref();
		return () => clearTimeout(timer);
	},
};

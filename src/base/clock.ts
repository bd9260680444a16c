/** Time as a dependency: decisions take `now`, loops take a Clock, and simulations bring their own. */
export interface Clock {
	/** Wall clock, milliseconds since the epoch. */
	now(): number;
	/** Monotonic, milliseconds with fractions, for durations. */
	monotonic(): number;
	/** Resolves after `ms`, never before; rejects with the signal's reason when aborted. */
	sleep(ms: number, signal?: AbortSignal): Promise<void>;
	/** Calls back once after `ms`, never before. The returned function cancels. Never keeps the process alive. */
	after(ms: number, callback: () => void): () => void;
}

/** Waits for a promise that never rejects, at most `ms`; no timer stays behind. */
export async function settledWithin(promise: Promise<unknown>, ms: number, clock: Clock): Promise<void> {
	const settled = new AbortController();
	const late = clock.sleep(ms, settled.signal).catch(() => {});
	await Promise.race([promise, late]);
	settled.abort();
}

/** Milliseconds that one of Node's timers can wait (https://nodejs.org/api/timers.html#settimeoutcallback-delay-args). */
const longestTimerMs = 2 ** 31 - 1;

/** Node's timers count in whole milliseconds from the last one: a function's timeout would be up to one less than was promised. */
function timer(ms: number, callback: () => void, ref: boolean): () => void {
	const dueAt = performance.now() + ms;
	const set = (leftMs: number) => {
		const handle = setTimeout(onTimer, Math.min(leftMs, longestTimerMs));
		return ref ? handle : handle.unref();
	};
	const onTimer = () => {
		const leftMs = dueAt - performance.now();
		if (leftMs > 0) handle = set(leftMs);
		else callback();
	};
	let handle = set(ms);
	return () => clearTimeout(handle);
}

export const systemClock: Clock = {
	now: () => Date.now(),
	monotonic: () => performance.now(),
	sleep(ms, signal) {
		return new Promise((resolve, reject) => {
			if (signal?.aborted) return reject(signal.reason);
			const onAbort = () => {
				cancel();
				reject(signal?.reason);
			};
			const onTime = () => {
				signal?.removeEventListener("abort", onAbort);
				resolve();
			};
			const cancel = timer(ms, onTime, true);
			signal?.addEventListener("abort", onAbort, { once: true });
		});
	},
	after: (ms, callback) => timer(ms, callback, false),
};

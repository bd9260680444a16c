/** The work's result, or the signal's reason as soon as it aborts: for work that can't be stopped, and that nobody waits for then. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
	const { promise, reject } = Promise.withResolvers<never>();
	const onAbort = () => reject(signal.reason);
	if (signal.aborted) onAbort();
	signal.addEventListener("abort", onAbort, { once: true });
	try {
		return await Promise.race([promise, work]);
	} finally {
		signal.removeEventListener("abort", onAbort);
		// What loses the race may still fail, when nobody asks any more.
		work.catch(() => {});
	}
}

/**
 * How many sandboxes of each function stand created but not started. Such a spare runs nothing of the image and uses no
 * CPU; an event that finds one waits for the release of a process instead of the making of a sandbox (3 ms instead of
 * 20). Functions without recent demand have none.
 */
export interface SpareDemand {
	/** Milliseconds since the epoch of the last event, or of the activation. */
	lastDemandMs: number;
	/** Cold starts within the last `windowMs`. */
	recentStarts: number;
}

export interface SpareLimits {
	/** Of all functions together. */
	maxTotal: number;
	maxPerFunction: number;
	/** Milliseconds after the last demand for which spares are kept. */
	keepMs: number;
}

/** The window in which cold starts count as demand for as many spares, milliseconds. */
export const windowMs = 60_000;

/** The number of spares each function should have now; functions with the most recent demand come first when room is short. */
export function decideSpares<Key>(
	demands: ReadonlyMap<Key, SpareDemand>,
	limits: SpareLimits,
	now: number,
): Map<Key, number> {
	const decided = new Map<Key, number>();
	let room = limits.maxTotal;
	const recent = [...demands].sort(([, a], [, b]) => b.lastDemandMs - a.lastDemandMs);
	// One for each before a second for any: a single spare saves more than the second one beside it.
	for (const round of [1, limits.maxPerFunction]) {
		for (const [key, demand] of recent) {
			if (now - demand.lastDemandMs > limits.keepMs) continue;
			const have = decided.get(key) ?? 0;
			const wanted = Math.min(round, Math.max(1, demand.recentStarts));
			const granted = Math.min(Math.max(0, wanted - have), room);
			if (granted > 0) decided.set(key, have + granted);
			room -= granted;
		}
	}
	return decided;
}

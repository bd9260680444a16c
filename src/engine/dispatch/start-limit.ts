/**
 * How many starts of sandboxes run at once. As many as there are CPUs always may; more only while CPUs stand idle beside
 * them, because starts then wait for something else: a function's init for its data base or its own CPU quota, the making
 * of a sandbox for the kernel. Too many at once would share the CPUs, and all of their callers would wait for as long as
 * the last one.
 */
export interface StartCapacity {
	/** CPUs of the machine. */
	cpus: number;
	/** Starts at once, whatever they do. */
	max: number;
}

/** What was seen since the last decision. */
export interface StartObservation {
	/** Starts under way now. */
	running: number;
	/** CPUs that had nothing to do, on average; undefined where nobody knows. */
	idleCpus: number | undefined;
	/** Milliseconds by which the look itself came late: our own thread has enough to do. */
	lateMs: number;
}

/** Share of the CPUs from which on there is room for more starts. */
const idleShare = 0.25;
/** Share below which they are taken to be all in use. */
const busyShare = 0.1;
/** By how much the limit grows at most, and what is left of it, from one decision to the next. */
const fastestGrowth = 2;
const shrinkage = 0.75;
/** A thread that is this late, milliseconds, would only pile up what it can't attend to. */
const lateAtMs = 20;

/** The number of starts that may run at once from now on. Pure; `limit` is the last decision, at first `cpus`. */
export function decideStartLimit(
	limit: number,
	{ running, idleCpus, lateMs }: StartObservation,
	{ cpus, max }: StartCapacity,
): number {
	if (idleCpus === undefined) return cpus;
	if (idleCpus < busyShare * cpus) return Math.max(cpus, Math.floor(limit * shrinkage));
	if (idleCpus < idleShare * cpus || lateMs >= lateAtMs || running < limit) return limit;
	// As many as would keep all CPUs busy if they were like those that run.
	const growth = Math.min(fastestGrowth, cpus / Math.max(cpus - idleCpus, cpus / fastestGrowth));
	return Math.min(max, Math.max(limit + 1, Math.floor(limit * growth)));
}

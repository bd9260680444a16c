/**
 * How many things stand ready, by recent demand: as many as were taken together in the busiest moment of the last while, at
 * least `floor` of them where anything is used at all, and none more than `floor` when memory runs short. Pure: what it
 * knows is in its state.
 */
export interface PoolSizeState {
	/** Takes of each slot of `SLOT_MS`, the newest last, at most `SLOTS`. */
	slots: readonly Slot[];
}

interface Slot {
	/** Since when, monotonic milliseconds. */
	sinceMs: number;
	taken: number;
}

export interface PoolBounds {
	floor: number;
	ceiling: number;
}

export interface PoolObservation {
	/** Since the last decision. */
	taken: number;
	memoryIsShort: boolean;
}

/** Takes within this time of each other count as one moment: a burst is over sooner than a pool can be filled again. */
export const SLOT_MS = 1_000;
/** How long a burst is remembered. */
export const MEMORY_MS = 300_000;

export const emptyPool: PoolSizeState = { slots: [] };

export function decidePoolSize(
	state: PoolSizeState,
	{ taken, memoryIsShort }: PoolObservation,
	{ floor, ceiling }: PoolBounds,
	nowMs: number,
): { state: PoolSizeState; size: number } {
	const remembered = state.slots.filter(({ sinceMs }) => sinceMs <= nowMs && nowMs - sinceMs < MEMORY_MS);
	const slots = taken > 0 ? withTaken(remembered, taken, nowMs) : remembered;
	const busiest = Math.max(0, ...slots.map((slot) => slot.taken));
	const size = memoryIsShort ? floor : Math.min(ceiling, Math.max(floor, busiest));
	return { state: { slots }, size };
}

/** Only slots that could still be the busiest are kept: an older one with no more takes than a newer one never will be. */
function withTaken(slots: readonly Slot[], taken: number, nowMs: number): Slot[] {
	const last = slots.at(-1);
	const same = last && nowMs - last.sinceMs < SLOT_MS;
	const newest = same ? { sinceMs: last.sinceMs, taken: last.taken + taken } : { sinceMs: nowMs, taken };
	const older = same ? slots.slice(0, -1) : slots;
	return [...older.filter((slot) => slot.taken > newest.taken), newest];
}

/** The memory that sandboxes share, as the kernel tells it now. */
export interface MemoryObservation {
	/** Bytes that can be had without swapping: MemAvailable, or what is left below the control group's limit if that is less. */
	availableBytes: number;
	/** Bytes of the machine, or the control group's limit. */
	totalBytes: number;
	/** Percent of the last 10 seconds in which some task waited for memory (PSI, "some avg10"); undefined without PSI. */
	stalledPercent: number | undefined;
}

/** `tight`: nothing that may do without memory should take more. `short`: it should give back what it has. */
export type MemoryLevel = "ample" | "tight" | "short";

export interface MemoryPressure {
	level: MemoryLevel;
	/** Since when less pressure than `level` has been seen without a break, monotonic milliseconds. */
	calmSinceMs: number | undefined;
}

export const noPressure: MemoryPressure = { level: "ample", calmSinceMs: undefined };

/**
 * Below these parts of the memory. The page cache that images start from is in what is available: a start reads from the
 * disk long before the last byte is gone.
 */
const tightBelow = 0.1;
const shortBelow = 0.05;
/** Percent of the time that tasks waited for memory: well above what the unpacking of a layer causes on a quiet machine. */
const tightStall = 10;
const shortStall = 25;
/** It says something of the machine only below this part: else the one that waits is a function at its own limit. */
const stallCountsBelow = 0.25;
/** How much better it has to look before a level is left: what was given back would else be taken again at once. */
const margin = 1.5;
/** Milliseconds for which it has to look so. */
const calmMs = 30_000;

const order: readonly MemoryLevel[] = ["ample", "tight", "short"];

/** Worse at once, better only after a while of clearly less: pure. Without an observation there is no pressure. */
export function nextPressure(
	before: MemoryPressure,
	memory: MemoryObservation | undefined,
	nowMs: number,
): MemoryPressure {
	if (!memory) return noPressure;
	if (rank(levelOf(memory, 1)) > rank(before.level)) return { level: levelOf(memory, 1), calmSinceMs: undefined };
	const relaxed = levelOf(memory, margin);
	if (rank(relaxed) >= rank(before.level)) return { level: before.level, calmSinceMs: undefined };
	const calmSinceMs = before.calmSinceMs ?? nowMs;
	return nowMs - calmSinceMs < calmMs
		? { level: before.level, calmSinceMs }
		: { level: relaxed, calmSinceMs: undefined };
}

function rank(level: MemoryLevel): number {
	return order.indexOf(level);
}

function levelOf({ availableBytes, totalBytes, stalledPercent = 0 }: MemoryObservation, by: number): MemoryLevel {
	const stallCounts = availableBytes < totalBytes * stallCountsBelow;
	const isBelow = (part: number, stall: number) =>
		availableBytes < totalBytes * part * by || (stallCounts && stalledPercent > stall / by);
	if (isBelow(shortBelow, shortStall)) return "short";
	return isBelow(tightBelow, tightStall) ? "tight" : "ample";
}

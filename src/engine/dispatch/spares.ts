import type { SpareSetting } from "../../core/function/spare-setting.ts";
import { type MemoryObservation, type MemoryPressure, nextPressure, noPressure } from "./memory-pressure.ts";
import type { StartBurst } from "./start-history.ts";

/**
 * How many sandboxes of each revision stand ready before any event asks for them. Two kinds:
 *
 * - created: made, and nothing of the image runs in it; an event that finds one waits for the release of a process and
 *   its init, not for the making of a sandbox;
 * - initialized: its init has run and it is frozen; an event that finds one waits for a thaw. The cloud does the same
 *   ("Lambda occasionally pre-initializes execution environments", Lambda developer guide, "Troubleshoot invocation
 *   issues"). It costs memory and the time of an init that may be for nothing, so it has to be worth it.
 *
 * Functions without recent events have neither.
 */
export interface SpareCount {
	created: number;
	initialized: number;
}

/** Of one revision. Times are monotonic milliseconds. */
export interface SpareDemand {
	/** Of the last event, or of the activation. */
	lastDemandMs: number;
	/** The oldest first. */
	bursts: readonly StartBurst[];
	/** Of its last init that was good: what it took, and what the making of its sandbox took. */
	lastStart: { sandboxMs: number; initMs: number } | undefined;
	/** Bytes that one initialized sandbox may use. */
	memoryBytes: number;
	setting: SpareSetting;
	/** Environments that the function may have at all: its reserved concurrency. */
	reserved: number | undefined;
	/** No init ahead of events before this: the last ones failed. */
	initAfterMs: number;
}

export interface SpareLimits {
	/** Created ones of all functions together. */
	maxTotal: number;
	/** Created ones of one revision, unless its owner says another number. */
	maxPerFunction: number;
	/** Milliseconds after the last demand for which spares of either kind are kept. */
	keepMs: number;
	/** None where it is left out. */
	initialized?: {
		/** Of all functions together. */
		maxTotal: number;
		/** Of one revision, unless its owner says another number. */
		maxPerFunction: number;
		/** That those of all functions together may use. */
		maxBytes: number;
	};
}

export interface SpareObservation<Key> {
	demands: ReadonlyMap<Key, SpareDemand>;
	/** Undefined where it is not known: nothing gives way then. */
	memory: MemoryObservation | undefined;
	limits: SpareLimits;
}

/** What was decided, and what the next decision needs of it. */
export interface SpareState<Key> {
	pressure: MemoryPressure;
	/** By revision; those with none are not in it. `sinceMs`: when it last came to have any. */
	wanted: ReadonlyMap<Key, SpareCount & { sinceMs: number }>;
}

/** Bursts within the history that make demand regular: two may be chance. */
const regularBursts = 3;
/** Milliseconds of init that are worth running ahead: below, a caller hardly sees it. */
const longInitMs = 100;
/** And how many times as long as the making of the sandbox, which a created spare saves already. */
const longInitFactor = 3;
/** Milliseconds for which a revision's spares are not given to another one: else they would be made and dropped in turns. */
const holdMs = 60_000;
/** Bursts by which another one has to be ahead after that. */
const incumbentBonus = 0.5;

export function noSpares<Key>(): SpareState<Key> {
	return { pressure: noPressure, wanted: new Map() };
}

/**
 * Pure. Room that is short goes to the revisions that keep needing starts, one for each before a second for any; who has
 * spares keeps them for a while. Under memory pressure initialized ones go first, then all.
 */
export function decideSpares<Key>(
	state: SpareState<Key>,
	{ demands, memory, limits }: SpareObservation<Key>,
	nowMs: number,
): SpareState<Key> {
	const pressure = nextPressure(state.pressure, memory, nowMs);
	const candidates: Candidate<Key>[] = [];
	for (const [key, demand] of demands)
		if (demand.reserved !== 0 && pressure.level !== "short" && nowMs - demand.lastDemandMs <= limits.keepMs)
			candidates.push({ key, demand, rank: rankOf(demand, state.wanted.get(key)?.sinceMs, limits, nowMs) });
	candidates.sort((a, b) => b.rank - a.rank || b.demand.lastDemandMs - a.demand.lastDemandMs);
	const { maxTotal: maxInitialized = 0, maxBytes = 0 } = limits.initialized ?? {};
	const initialized = grant(
		candidates,
		({ demand }) => (pressure.level === "ample" ? initializedFor(demand, limits, nowMs) : 0),
		maxInitialized,
		{ size: ({ demand }) => demand.memoryBytes, room: maxBytes },
	);
	const created = grant(
		candidates,
		({ key, demand }) => {
			const count = createdFor(demand, limits, initialized.get(key) ?? 0, nowMs);
			return pressure.level === "ample" ? count : Math.min(1, count);
		},
		limits.maxTotal,
	);
	const wanted = new Map<Key, SpareCount & { sinceMs: number }>();
	for (const { key } of candidates) {
		const count = { created: created.get(key) ?? 0, initialized: initialized.get(key) ?? 0 };
		if (count.created + count.initialized > 0)
			wanted.set(key, { ...count, sinceMs: state.wanted.get(key)?.sinceMs ?? nowMs });
	}
	return { pressure, wanted };
}

/** A revision that has recent demand. */
interface Candidate<Key> {
	key: Key;
	demand: SpareDemand;
	rank: number;
}

/** What one revision should have if there were room for all; so for the next. */
function initializedFor(demand: SpareDemand, { initialized: limits }: SpareLimits, nowMs: number): number {
	if (!limits || nowMs < demand.initAfterMs) return 0;
	const { setting, reserved = Number.POSITIVE_INFINITY } = demand;
	return Math.min(reserved, setting.initialized === "auto" ? usefulInits(demand, limits) : setting.initialized);
}

/** As many as the largest burst takes beyond the initialized ones; and one at least, for what comes behind these. */
function createdFor(demand: SpareDemand, limits: SpareLimits, initialized: number, nowMs: number): number {
	const { setting, bursts, reserved = Number.POSITIVE_INFINITY } = demand;
	if (setting.created !== "auto") return Math.min(reserved, setting.created);
	const recent = bursts.filter(({ atMs }) => nowMs - atMs <= limits.keepMs);
	const largest = recent.reduce((most, { starts }) => Math.max(most, starts), 0);
	return Math.min(reserved, limits.maxPerFunction, Math.max(1, largest - initialized));
}

/** Only where the past says that they will be used, and save their caller something that a created one does not. */
function usefulInits(
	{ bursts, lastStart }: SpareDemand,
	{ maxPerFunction }: NonNullable<SpareLimits["initialized"]>,
): number {
	if (!lastStart || bursts.length < regularBursts) return 0;
	if (lastStart.initMs < Math.max(longInitMs, longInitFactor * lastStart.sandboxMs)) return 0;
	const sizes = bursts.map(({ starts }) => starts).sort((a, b) => a - b);
	return Math.min(maxPerFunction, sizes[Math.floor(sizes.length / 2)] ?? 0);
}

function rankOf({ bursts }: SpareDemand, sinceMs: number | undefined, { keepMs }: SpareLimits, nowMs: number): number {
	if (sinceMs !== undefined && nowMs - sinceMs < holdMs) return Number.MAX_VALUE;
	const recent = bursts.filter(({ atMs }) => nowMs - atMs <= keepMs).length;
	return recent + (sinceMs === undefined ? 0 : incumbentBonus);
}

/** Everybody's first before anybody's second, in the order of the candidates, as far as there is room. */
function grant<Key>(
	candidates: readonly Candidate<Key>[],
	count: (candidate: Candidate<Key>) => number,
	maxTotal: number,
	bound: { size: (candidate: Candidate<Key>) => number; room: number } = { size: () => 0, room: 0 },
): Map<Key, number> {
	const granted = new Map<Key, number>();
	let { room } = bound;
	let left = maxTotal;
	const give = (candidate: Candidate<Key>, upTo: number) => {
		let have = granted.get(candidate.key) ?? 0;
		for (const size = bound.size(candidate); have < upTo && left > 0 && size <= room; have++) {
			left--;
			room -= size;
		}
		if (have > 0) granted.set(candidate.key, have);
	};
	for (const most of [1, Number.POSITIVE_INFINITY])
		for (const candidate of candidates) {
			// There may be thousands more.
			if (left <= 0) return granted;
			give(candidate, Math.min(most, count(candidate)));
		}
	return granted;
}

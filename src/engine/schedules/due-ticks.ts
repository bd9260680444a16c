import { createHash } from "node:crypto";
import type { Schedule } from "../../core/schedule-expression/schedule-expression.ts";

/**
 * What becomes of ticks that nothing was there to fire: the daemon was down, or the clock was set forward.
 * "one": the latest of them fires late, the others do not. "all": each fires late, at most `maxCaughtUp`. "skip": none fires.
 * One-time schedules fire late whatever this says, as nothing comes after them.
 */
export type MissedTicks = "one" | "all" | "skip";

export const missedTicks: readonly MissedTicks[] = ["one", "all", "skip"];

export interface TickPlan {
	schedule: Schedule;
	/** Ticks after this one are still to fire; epoch milliseconds. */
	afterMs: number;
	/** No tick is later. */
	endMs?: number | undefined;
	/** Of a flexible time window: each tick fires at a moment of its own within so much after it. 0 for none. */
	windowMs: number;
	/** Chooses those moments. */
	seed: string;
	missed: MissedTicks;
	/** A recurring tick that would be later than this is left out. */
	maxLateMs: number;
}

export interface DueTicks {
	/** Scheduled times that fire now, ascending. */
	fire: number[];
	/** All up to this one are fired or left out. */
	lastMs: number;
	/** How many were left out; undefined where nobody counted. */
	skipped: boolean;
}

/** A minute's ticks of a day. */
export const maxCaughtUp = 1440;
/** AWS's precision (schedule-types.html: "invoke their targets with 60 second precision"): a tick so late is not missed yet. */
export const graceMs = 60_000;

/** The next tick and when it fires; undefined when there is none any more. */
export function nextTick(plan: TickPlan): { scheduledMs: number; dueMs: number } | undefined {
	const scheduledMs = plan.schedule.next(plan.afterMs);
	if (scheduledMs === undefined || scheduledMs > (plan.endMs ?? Number.POSITIVE_INFINITY)) return undefined;
	return { scheduledMs, dueMs: scheduledMs + momentInWindow(plan, scheduledMs) };
}

/** What is to be done at `nowMs`; undefined when nothing is due. */
export function dueTicks(plan: TickPlan, nowMs: number): DueTicks | undefined {
	const first = nextTick(plan);
	if (!first || first.dueMs > nowMs) return undefined;
	if (plan.schedule.kind === "at") return { fire: [first.scheduledMs], lastMs: first.scheduledMs, skipped: false };
	// Of ticks whose window is still open each has its own moment.
	const closedMs = Math.min(nowMs - plan.windowMs, plan.endMs ?? Number.POSITIVE_INFINITY);
	const lastMs = Math.max(first.scheduledMs, plan.schedule.previous(closedMs) ?? first.scheduledMs);
	const isLate = (tick: number) => nowMs - tick - plan.windowMs > plan.maxLateMs;
	const fire = chosen(plan, first.scheduledMs, lastMs, nowMs).filter((tick) => !isLate(tick));
	return {
		fire,
		lastMs,
		skipped: fire[0] !== first.scheduledMs || (plan.missed === "one" && lastMs > first.scheduledMs),
	};
}

function chosen(plan: TickPlan, firstMs: number, lastMs: number, nowMs: number): number[] {
	if (plan.missed === "one") return [lastMs];
	const oldestMs = plan.missed === "skip" ? nowMs - plan.windowMs - graceMs : Number.NEGATIVE_INFINITY;
	const ticks: number[] = [];
	// From the latest on, so that the bound leaves out the oldest.
	for (let tick: number | undefined = lastMs; tick !== undefined && tick >= Math.max(firstMs, oldestMs); ) {
		ticks.push(tick);
		if (ticks.length >= maxCaughtUp) break;
		tick = plan.schedule.previous(tick - 1);
	}
	return ticks.reverse();
}

/** The same for the same tick, whoever asks: a tick does not move when the daemon starts again. */
function momentInWindow({ windowMs, seed }: TickPlan, scheduledMs: number): number {
	if (windowMs === 0) return 0;
	const hash = createHash("sha256").update(`${seed}@${scheduledMs}`).digest();
	return Math.floor((hash.readUInt32BE(0) / 2 ** 32) * windowMs);
}

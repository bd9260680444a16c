import type { ResourceChange } from "../../core/resource/resource-store.ts";
import { parseScheduleExpression } from "../../core/schedule-expression/schedule-expression.ts";
import { graceMs, type MissedTicks, type TickPlan } from "./due-ticks.ts";

/** What a schedule calls: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Target.html */
export interface ScheduleTarget {
	arn: string;
	roleArn: string;
	/** As it was given: context attributes are put in when it is delivered. */
	input?: string | undefined;
	deadLetterArn?: string | undefined;
	/** Tries after the first; 185 where it is left out. */
	maxRetries?: number | undefined;
	/** Seconds that a tick is tried; 86,400 where it is left out. */
	maxAgeSeconds?: number | undefined;
	eventBridge?: { detailType: string; source: string } | undefined;
	messageGroupId?: string | undefined;
}

export interface ScheduleSpec {
	expression: string;
	timeZone?: string | undefined;
	description?: string | undefined;
	/** Epoch milliseconds. */
	startMs?: number | undefined;
	endMs?: number | undefined;
	enabled: boolean;
	/** Minutes of the flexible window; undefined for none. */
	windowMinutes?: number | undefined;
	deleteAfterCompletion: boolean;
	kmsKeyArn?: string | undefined;
	target: ScheduleTarget;
}

export interface ScheduleRecord {
	group: string;
	name: string;
	/** Another schedule that gets the name later has another. */
	uid: string;
	spec: ScheduleSpec;
	createdMs: number;
	modifiedMs: number;
	/** Ticks before this are not its own: when it was made, switched on, or given another expression. */
	sinceMs: number;
	/** ClientToken of the call that made it. */
	clientToken: string;
}

export interface GroupRecord {
	name: string;
	createdMs: number;
	modifiedMs: number;
	tags: Record<string, string>;
	clientToken: string;
}

/** The last tick that was fired or left out. */
export interface Progress {
	uid: string;
	lastMs: number;
}

export const scheduleKind = "schedule";
export const groupKind = "schedule-group";
export const progressKind = "schedule-progress";
export const defaultGroup = "default";

/** Of the groups' tags: "one", "all" or "skip". */
export const missedTicksTag = "slipway:missed-ticks";

export const keyOf = (group: string, name: string): string => `${group}/${name}`;
export const laneOf = (group: string, name: string): string => `schedules/${group}/${name}`;

export function putSchedule(record: ScheduleRecord): ResourceChange {
	return { change: "put", kind: scheduleKind, namespace: record.group, name: record.name, document: record };
}

export function putProgress({ group, name, uid }: ScheduleRecord, lastMs: number): ResourceChange {
	const document: Progress = { uid, lastMs };
	return { change: "put", kind: progressKind, namespace: group, name, document };
}

export function scheduleDeletion({ group, name }: { group: string; name: string }): ResourceChange[] {
	return [scheduleKind, progressKind].map((kind) => ({ change: "delete", kind, namespace: group, name }));
}

const minuteMs = 60_000;
const defaultMaxAgeSeconds = 86_400;

/** INVALID for an expression that is none. `lastMs`: of the progress, where there is any. */
export function planOf(record: ScheduleRecord, lastMs: number | undefined, missed: MissedTicks): TickPlan {
	const { spec, sinceMs, uid } = record;
	const schedule = parseScheduleExpression(spec.expression, {
		timeZone: spec.timeZone,
		anchorMs: spec.startMs ?? sinceMs,
	});
	const isOnce = schedule.kind === "at";
	// The start is the first moment of it. One-time schedules have neither start nor end (API_CreateSchedule: "ignores").
	// It may be of this minute: whoever says `now` says it in whole seconds.
	const fromMs = isOnce ? sinceMs - graceMs : Math.max(sinceMs, spec.startMs ?? sinceMs);
	return {
		schedule,
		afterMs: Math.max(fromMs - 1, lastMs ?? Number.NEGATIVE_INFINITY),
		endMs: isOnce ? undefined : spec.endMs,
		windowMs: (spec.windowMinutes ?? 0) * minuteMs,
		seed: uid,
		missed,
		maxLateMs: (spec.target.maxAgeSeconds ?? defaultMaxAgeSeconds) * 1000,
	};
}

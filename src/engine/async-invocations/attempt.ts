/**
 * What follows an attempt to run an asynchronous event: AWS Lambda developer guide, "How Lambda handles errors and retries with
 * asynchronous invocation" (lambda-contract 5). Pure.
 */
import type { EventInvokeConfig } from "./event-invoke-configs.ts";

/** Where nothing is configured. */
export const defaultRetryAttempts = 2;
export const defaultEventAgeS = 21_600;

/** Milliseconds before the first retry, as on AWS; twice that before the second. */
export const defaultRetryMs = 60_000;
/** After a throttle or an error of the platform, milliseconds; doubled with each in a row. */
const firstBackoffMs = 1000;
const longestBackoffMs = 300_000;

/** What an event remembers between its attempts; the message's note. */
export interface AttemptNote {
	/** Attempts that the function itself failed. */
	failures: number;
	/** Throttles and the platform's errors since. */
	refusals: number;
	/** The function's last answer, or why it did not run the last time. */
	last?: LastAnswer | LastRefusal;
}

export interface LastAnswer {
	executedVersion: string;
	functionError: string;
	/** JSON text; undefined where it is too long to be kept. */
	payload: string | undefined;
}

export interface LastRefusal {
	/** As an HTTP status: 429, 500. */
	status: number;
	message: string;
}

export type Condition = "RetriesExhausted" | "EventAgeExceeded" | "ZeroReservedConcurrency" | "RecursiveInvocation";

export type AttemptEnd = { end: "answered"; failed: LastAnswer | undefined } | { end: "refused"; why: LastRefusal };

export type NextStep =
	| { step: "done" }
	| { step: "retry"; delayMs: number; note: AttemptNote }
	| { step: "fail"; condition: Condition; note: AttemptNote };

export interface AttemptTimes {
	nowMs: number;
	sentMs: number;
	/** From 0 up to 1. */
	random: number;
	/** Before the first retry; `defaultRetryMs` where it is left out. */
	retryMs?: number | undefined;
}

export function eventAgeMs(config: EventInvokeConfig | undefined): number {
	return (config?.maximumEventAgeS ?? defaultEventAgeS) * 1000;
}

/** Why an event is not to be run at all. */
export function refusalBefore(
	config: EventInvokeConfig | undefined,
	{ nowMs, sentMs }: Pick<AttemptTimes, "nowMs" | "sentMs">,
	{ reserved, isLoop }: { reserved: number | undefined; isLoop: boolean },
): Condition | undefined {
	if (reserved === 0) return "ZeroReservedConcurrency";
	if (isLoop) return "RecursiveInvocation";
	return nowMs - sentMs >= eventAgeMs(config) ? "EventAgeExceeded" : undefined;
}

export function nextStep(
	before: AttemptNote,
	end: AttemptEnd,
	config: EventInvokeConfig | undefined,
	times: AttemptTimes,
): NextStep {
	const leftMs = eventAgeMs(config) - (times.nowMs - times.sentMs);
	if (end.end === "refused") return afterRefusal(before, end.why, leftMs, times.random);
	if (!end.failed) return { step: "done" };
	const failures = before.failures + 1;
	const note = { failures, refusals: 0, last: end.failed };
	if (failures > (config?.maximumRetryAttempts ?? defaultRetryAttempts))
		return { step: "fail", condition: "RetriesExhausted", note };
	const delayMs = (times.retryMs ?? defaultRetryMs) * failures;
	// A retry that would come too late is not waited for.
	if (delayMs > leftMs) return { step: "fail", condition: "EventAgeExceeded", note };
	return { step: "retry", delayMs, note };
}

function afterRefusal(before: AttemptNote, why: LastRefusal, leftMs: number, random: number): NextStep {
	const note = { failures: before.failures, refusals: before.refusals + 1, last: why };
	if (leftMs <= 0) return { step: "fail", condition: "EventAgeExceeded", note };
	const full = Math.min(longestBackoffMs, firstBackoffMs * 2 ** Math.min(before.refusals, 30));
	// Between half of it and all: thousands that were throttled together do not come back together.
	return { step: "retry", delayMs: Math.min(Math.ceil(full * (0.5 + random / 2)), Math.max(leftMs, 1)), note };
}

/**
 * Characters of an answer, as JSON text, that are kept with an event that waits for its next attempt; and of why it was refused. A
 * note that the log does not take would be an attempt that does not count.
 */
const maxKept = 4096;

function kept(last: LastAnswer | LastRefusal): LastAnswer | LastRefusal {
	if ("message" in last) return { ...last, message: last.message.slice(0, maxKept) };
	return JSON.stringify(last.payload ?? "").length > maxKept ? { ...last, payload: undefined } : last;
}

/** A note that is not ours counts nothing: the event gets all of its attempts. */
export function readNote(text: string | undefined): AttemptNote {
	if (text === undefined) return { failures: 0, refusals: 0 };
	const { failures = 0, refusals = 0, last } = JSON.parse(text) as Partial<AttemptNote>;
	return { failures, refusals, ...(last && { last }) };
}

export function writeNote(note: AttemptNote): string {
	return JSON.stringify({ ...note, last: note.last && kept(note.last) });
}

import type { Clock } from "../../base/clock.ts";
import { handlerDelays, retryDelayMs } from "../../core/delivery/retry-delay.ts";
import type { Targets } from "../../core/delivery/target.ts";
import type { LeasedMessage, LogChange } from "../../core/message-log/message-log.ts";
import { deadLetterLane, type Trigger, type TriggerCounters } from "../../core/trigger/trigger.ts";
import { deadLetterChanges, shortReason } from "./dead-letters.ts";
import { brokerMessageOf } from "./stored-message.ts";
import type { Attempt, TriggerTarget } from "./trigger-target.ts";

export interface LaneDeliveryDeps {
	clock: Clock;
	trigger: Trigger;
	/** ARN of the trigger. */
	arn: string;
	target: TriggerTarget;
	targets: Targets;
	counters: TriggerCounters;
}

/** A message's note: its failures so far. */
interface Note {
	failures: number;
	lastError: string;
}

/** Durable delivery's second half: what becomes of one message of the trigger's lane. */
export async function deliverFromLane(
	deps: LaneDeliveryDeps,
	message: LeasedMessage,
	signal: AbortSignal,
): Promise<LogChange[]> {
	const { target, counters } = deps;
	const attempt = await target.attempt([{ message: brokerMessageOf(message), id: message.id }], signal);
	if (attempt.ok) {
		counters.delivered++;
		return [{ change: "settle", token: message.token, outcome: "done" }, ...attempt.changes];
	}
	counters.failed++;
	return failedChanges(deps, message, attempt);
}

function failedChanges(deps: LaneDeliveryDeps, message: LeasedMessage, attempt: Attempt & { ok: false }): LogChange[] {
	const { trigger, clock } = deps;
	const before = readNote(message.note);
	const failures = before.failures + (attempt.counts ? 1 : 0);
	const { maxAttempts, maxAgeMs } = trigger.retry;
	const oldMs = clock.now() - message.sentMs;
	if (attempt.permanent || failures >= maxAttempts || oldMs >= maxAgeMs) return buried(deps, message, attempt.reason);
	const delayMs = Math.max(retryDelayMs(handlerDelays, Math.max(failures, 1)), attempt.retryAfterMs ?? 0);
	const note: Note = { failures, lastError: shortReason(attempt.reason) };
	const detail = { error: note.lastError };
	return [{ change: "settle", token: message.token, outcome: "retry", delayMs, note: JSON.stringify(note), detail }];
}

function buried(
	{ trigger, arn, targets, counters }: LaneDeliveryDeps,
	message: LeasedMessage,
	reason: string,
): LogChange[] {
	counters.deadLettered++;
	const { token, id } = message;
	const detail = { error: shortReason(reason) };
	// Its own lane keeps where it came from: it can be sent there again.
	if (trigger.deadLetter === undefined) {
		const headers = { reason: detail.error, target: trigger.target };
		return [{ change: "settle", token, outcome: "move", lane: deadLetterLane(trigger.name), headers, detail }];
	}
	const changes = deadLetterChanges(trigger, arn, { message: brokerMessageOf(message), id }, reason, targets);
	return [{ change: "settle", token, outcome: "done", result: "dead", detail }, ...changes];
}

function readNote(note: string | undefined): Note {
	const none = { failures: 0, lastError: "" };
	if (note === undefined) return none;
	const value: unknown = JSON.parse(note);
	const known = typeof value === "object" && value !== null && "failures" in value;
	return known && typeof value.failures === "number" ? { ...none, failures: value.failures } : none;
}

import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Targets } from "../../core/delivery/target.ts";
import { parseScheduleExpression } from "../../core/schedule-expression/schedule-expression.ts";
import { graceMs } from "./due-ticks.ts";
import type { ScheduleSpec, ScheduleTarget } from "./schedule-record.ts";
import { callsOf } from "./tick-delivery.ts";
import type { Account } from "./universal-target.ts";

/** AWS takes a start of the last five minutes. */
const longestAgoMs = 5 * 60_000;
/** 1 January 2200: cron's last year is 2199. */
const lastMs = 7_258_118_400_000;

/**
 * Throws INVALID. Targets that are not there (yet) are taken, as AWS takes them: their ticks go to the dead letters. `before`: the spec
 * that this one replaces; times that it has already may have passed meanwhile.
 */
export function checkSpec(
	spec: ScheduleSpec,
	deps: Account & { targets: Targets },
	nowMs: number,
	before?: ScheduleSpec,
): void {
	checkTarget(spec.target, deps);
	checkTimes(spec, nowMs, before);
}

function checkTimes(spec: ScheduleSpec, nowMs: number, before: ScheduleSpec | undefined): void {
	const { expression, timeZone, startMs, endMs } = spec;
	const schedule = parseScheduleExpression(expression, { timeZone });
	for (const [name, ms] of Object.entries({ StartDate: startMs, EndDate: endMs }))
		if (ms !== undefined && !(ms >= 0 && ms <= lastMs))
			throw refused(`The ${name} you specify must be before the year 2200.`);
	if (schedule.kind === "at") {
		const isKept = before?.expression === expression && before.timeZone === timeZone;
		if (!isKept && schedule.next(nowMs - graceMs) === undefined)
			throw new SlipwayError("INVALID", `Invalid Schedule Expression ${expression}.`, {
				reason: "ScheduleExpression",
				hint: "the time is in the past, or one that the clocks leave out",
			});
	} else if (startMs !== undefined && startMs !== before?.startMs && startMs < nowMs - longestAgoMs)
		throw refused("The StartDate you specify cannot be earlier than 5 minutes ago.");
	if (endMs !== undefined && endMs <= nowMs) throw refused("The EndDate you specify must be in the future.");
	if (startMs !== undefined && endMs !== undefined && endMs <= startMs)
		throw refused("The EndDate you specify must come after the StartDate.");
}

function checkTarget(target: ScheduleTarget, deps: Account & { targets: Targets }): void {
	const { arn, deadLetterArn, eventBridge, messageGroupId } = target;
	const isBus = arn.startsWith("arn:aws:events:");
	const isFifo = arn.startsWith("arn:aws:sqs:") && arn.endsWith(".fifo");
	if (isBus && !eventBridge) throw refused("EventBridgeParameters must be specified for an event bus target.");
	if (!isBus && eventBridge) throw refused("EventBridgeParameters is only supported for event bus targets.");
	if (isFifo && messageGroupId === undefined)
		throw refused("SqsParameters with a MessageGroupId must be specified for a FIFO queue.");
	if (!isFifo && messageGroupId !== undefined)
		throw refused("SqsParameters is only supported for SQS FIFO queue targets.");
	for (const call of callsOf(target, target.input ?? "", deps)) checkArn(call.arn, deps.targets);
	if (deadLetterArn?.endsWith(".fifo"))
		throw refused("A FIFO queue can't be the dead-letter queue of a schedule; use a standard queue.");
	if (deadLetterArn !== undefined) checkArn(deadLetterArn, deps.targets);
}

function checkArn(arn: string, targets: Targets): void {
	try {
		targets.check(arn);
	} catch (error) {
		if (!isSlipwayError(error, "NOT_FOUND")) throw error;
	}
}

function refused(message: string): SlipwayError {
	return new SlipwayError("INVALID", message);
}

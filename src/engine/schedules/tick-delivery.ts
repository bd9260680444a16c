import { hash } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { cloudEventDelivery } from "../../core/cloud-event/delivery.ts";
import { laneOf } from "../../core/delivery/lane-name.ts";
import { fractionOf, retryDelayMs, targetDelays } from "../../core/delivery/retry-delay.ts";
import type { Delivery, Targets } from "../../core/delivery/target.ts";
import type { LeasedMessage, LogChange } from "../../core/message-log/message-log.ts";
import type { ScheduleTarget } from "./schedule-record.ts";
import { type Account, type Call, isUniversal, universalCalls } from "./universal-target.ts";

/** With a tick in its lane: what the schedule was when it fired, so that nothing needs the schedule any more. */
export interface TickHeaders extends Record<string, unknown> {
	scheduleArn: string;
	scheduledMs: number;
	target: ScheduleTarget;
}

interface Note {
	failures: number;
}

interface Failure {
	code: string;
	message: string;
	permanent: boolean;
	retryAfterMs?: number | undefined;
}

export interface TickDeliveryDeps extends Account {
	targets: Targets;
	clock: Clock;
	logger: Log;
}

/** AWS's own default: 185 retries within a day. */
const defaultMaxRetries = 185;
const defaultMaxAgeSeconds = 86_400;
/** Characters of an error in a dead letter's attributes. */
const maxErrorLength = 1000;

/** Hands a fired tick to its target: in one commit with its settlement where the target is durable; else by a call, tried again by its policy. */
export class TickDelivery {
	readonly #deps: TickDeliveryDeps;

	constructor(deps: TickDeliveryDeps) {
		this.#deps = deps;
	}

	async handle(message: LeasedMessage, signal: AbortSignal): Promise<LogChange[]> {
		const tick = message.headers as TickHeaders;
		const failures = readNote(message.note).failures;
		const input = withContext(Buffer.from(message.body).toString("utf8"), message, tick, failures + 1);
		try {
			const outcome = await this.#handOver(message, tick, input, signal);
			if (Array.isArray(outcome)) return [settled(message, "done"), ...outcome];
			return this.#failed(message, tick, input, failures, outcome);
		} catch (error) {
			return this.#failed(message, tick, input, failures, failureOf(error));
		}
	}

	/** What `handle` returned can never be committed: the target's lane is full, or does not take so large a body. */
	refused(message: LeasedMessage, error: unknown): LogChange[] {
		const tick = message.headers as TickHeaders;
		const { failures } = readNote(message.note);
		const input = withContext(Buffer.from(message.body).toString("utf8"), message, tick, failures + 1);
		return this.#failed(message, tick, input, failures, failureOf(error));
	}

	async #handOver(
		message: LeasedMessage,
		tick: TickHeaders,
		input: string,
		signal: AbortSignal,
	): Promise<LogChange[] | Failure> {
		const changes: LogChange[] = [];
		for (const [index, { arn, body, ...call }] of callsOf(tick.target, input, this.#deps).entries()) {
			const delivery = { ...this.#delivery(message, tick, index), ...call, body: Buffer.from(body) };
			const handover = this.#deps.targets.handOver(arn, delivery);
			if (handover.kind === "append") {
				changes.push(...handover.changes);
				continue;
			}
			const outcome = await handover.run(signal);
			if (!outcome.ok) return outcome;
		}
		return changes;
	}

	#delivery(message: LeasedMessage, tick: TickHeaders, index: number): Omit<Delivery, "body"> {
		const { http } = cloudEventDelivery(
			{
				kind: "tick",
				scheduleArn: tick.scheduleArn,
				id: message.id,
				scheduledMs: tick.scheduledMs,
				body: message.body,
			},
			"cloudevents-binary",
		);
		// The messages that one tick becomes need ids of their own, and the same ones whenever it is tried.
		const id = index === 0 ? message.id : `${message.id}-${index}`;
		return { id, correlation: message.id, sourceArn: tick.scheduleArn, http };
	}

	#failed(
		message: LeasedMessage,
		tick: TickHeaders,
		input: string,
		failuresBefore: number,
		failure: Failure,
	): LogChange[] {
		const failures = failuresBefore + 1;
		const { maxRetries = defaultMaxRetries, maxAgeSeconds = defaultMaxAgeSeconds } = tick.target;
		const delayMs = Math.max(
			retryDelayMs(targetDelays, failures, chanceOf(message.id, failures)),
			failure.retryAfterMs ?? 0,
		);
		const endsMs = message.sentMs + maxAgeSeconds * 1000;
		const exhausted = failure.permanent
			? "Permanent"
			: failures > maxRetries
				? "MaximumRetryAttempts"
				: this.#deps.clock.now() + delayMs > endsMs
					? "MaximumEventAgeInSeconds"
					: undefined;
		const detail = { error: failure.code, message: failure.message.slice(0, maxErrorLength) };
		if (exhausted === undefined) {
			const note: Note = { failures };
			return [
				{ change: "settle", token: message.token, outcome: "retry", delayMs, note: JSON.stringify(note), detail },
			];
		}
		const letter = this.#deadLetter(message, tick, input, { ...failure, exhausted, retries: failures - 1 });
		if (!letter) {
			const lane = laneOf({ kind: "dead", of: message.lane });
			return [{ change: "settle", token: message.token, outcome: "move", lane, detail }];
		}
		return [settled(message, "dead", { ...detail, ...(letter.to && { to: letter.to }) }), ...letter.changes];
	}

	/**
	 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html: the input, and why in the attributes.
	 * Undefined when the queue does not take it: then it waits in the lane's own dead letters.
	 */
	#deadLetter(
		message: LeasedMessage,
		tick: TickHeaders,
		input: string,
		why: Failure & { exhausted: string; retries: number },
	): { changes: LogChange[]; to?: string } | undefined {
		const { scheduleArn, target } = tick;
		const report = { schedule: scheduleArn, tick: message.id, error: why.code, message: why.message };
		if (target.deadLetterArn === undefined) {
			this.#deps.logger.warn("A tick was given up, and its schedule has no dead-letter queue", report);
			return { changes: [] };
		}
		const text = (value: string) => ({ dataType: "String" as const, value });
		const delivery: Delivery = {
			id: message.id,
			correlation: message.id,
			body: Buffer.from(input),
			sourceArn: scheduleArn,
			attributes: {
				ERROR_CODE: text(why.code),
				ERROR_MESSAGE: text(why.message.slice(0, maxErrorLength) || why.code),
				EXECUTION_ID: text(message.id),
				...(why.exhausted !== "Permanent" && { EXHAUSTED_RETRY_CONDITION: text(why.exhausted) }),
				IS_PAYLOAD_TRUNCATED: text("false"),
				RETRY_ATTEMPTS: { dataType: "Number", value: String(why.retries) },
				SCHEDULED_TIME: text(isoSeconds(tick.scheduledMs)),
				SCHEDULE_ARN: text(scheduleArn),
				TARGET_ARN: text(target.arn),
			},
		};
		try {
			const handover = this.#deps.targets.handOver(target.deadLetterArn, delivery);
			if (handover.kind === "append") return { changes: handover.changes, to: target.deadLetterArn };
			throw new Error(`${target.deadLetterArn} is not a queue`);
		} catch (error) {
			if (!isSlipwayError(error)) throw error;
			const said = "A tick was given up, and its dead-letter queue does not take it";
			this.#deps.logger.warn(said, { ...report, reason: error.message });
			return undefined;
		}
	}
}

/** What is no error of ours is a fault of ours: the tick is tried as long as its policy says, and not for ever. */
function failureOf(error: unknown): Failure {
	if (!isSlipwayError(error)) return { code: "INTERNAL_ERROR", message: String(error), permanent: false };
	const { code, message, retryAfterMs } = error;
	return { code, message, permanent: permanentCodes.includes(code), retryAfterMs };
}

const permanentCodes = ["NOT_FOUND", "INVALID", "UNSUPPORTED", "TOO_LARGE", "CONFLICT"];

/** What a target with this input is given: one call, or as many as a universal target's request has entries. INVALID as `universalCalls`. */
export function callsOf(target: ScheduleTarget, input: string, account: Account): Call[] {
	if (isUniversal(target.arn)) return universalCalls(target.arn, input, account);
	const { arn, eventBridge, messageGroupId } = target;
	return [
		{
			arn,
			body: input,
			...(messageGroupId !== undefined && { messageGroupId }),
			...(eventBridge && { event: { ...eventBridge, resources: [] } }),
		},
	];
}

/** https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html */
function withContext(input: string, message: LeasedMessage, tick: TickHeaders, attempt: number): string {
	if (!input.includes("<aws.scheduler.")) return input;
	const values: Record<string, string> = {
		"schedule-arn": tick.scheduleArn,
		"scheduled-time": isoSeconds(tick.scheduledMs),
		"execution-id": message.id,
		"attempt-number": String(attempt),
	};
	return input.replace(/<aws\.scheduler\.([a-z-]{1,20})>/g, (whole, name: string) => values[name] ?? whole);
}

export function isoSeconds(ms: number): string {
	return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

function settled(message: LeasedMessage, result: "done" | "dead", detail?: Record<string, unknown>): LogChange {
	return { change: "settle", token: message.token, outcome: "done", result, ...(detail && { detail }) };
}

function readNote(note: string | undefined): Note {
	return note === undefined ? { failures: 0 } : (JSON.parse(note) as Note);
}

/** The same tick always waits the same. */
function chanceOf(id: string, failures: number): number {
	return fractionOf(hash("sha256", `${id}/${failures}`).slice(0, 8));
}

import type { Clock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import { type Ids, timeOrderedUuid } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { functionOfLane } from "../../core/delivery/lane-name.ts";
import type { Delivery, Targets } from "../../core/delivery/target.ts";
import type { FunctionConfiguration, FunctionRecord } from "../../core/function/function.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import { maxHops } from "../../core/invocation/lineage.ts";
import type { LeasedMessage, LogChange, SettleOutcome } from "../../core/message-log/message-log.ts";
import { isQueueArn } from "../../core/queue/queue-name.ts";
import { FailureReports } from "../delivery/failure-reports.ts";
import type { FunctionRecords } from "../functions/records.ts";
import {
	type AttemptEnd,
	type AttemptNote,
	type Condition,
	type LastAnswer,
	nextStep,
	readNote,
	refusalBefore,
	writeNote,
} from "./attempt.ts";
import type { AsyncCounters } from "./counters.ts";
import { type EventHeaders, headersOf } from "./event-headers.ts";
import { type EventInvokeConfigs, isThere, versionOf } from "./event-invoke-configs.ts";
import { deadLetterDelivery, destinationDelivery, type EndedEvent, failureOf } from "./invocation-record.ts";

export interface EventRunnerDeps {
	functions: Pick<FunctionRecords, "find" | "version" | "onChange">;
	invoke: (functionName: string, request: InvocationRequest) => Promise<InvocationResult>;
	reservedConcurrency: (functionName: string) => number | undefined;
	targets: Targets;
	configs: EventInvokeConfigs;
	counters: AsyncCounters;
	clock: Clock;
	ids: Ids;
	logger: Log;
	/** Milliseconds before the first retry; AWS's minute where it is left out. */
	retryMs?: number | undefined;
}

/** One event while it is looked at. */
interface Subject {
	message: LeasedMessage;
	headers: EventHeaders;
	target: ReturnType<typeof functionOfLane>;
	record: FunctionRecord;
	note: AttemptNote;
}

/** The whole answer, for a destination; `note` keeps the start of it only. */
interface Answer {
	result: InvocationResult | undefined;
	end: AttemptEnd;
}

/** Runs one asynchronous event once, and says what becomes of it. */
export class EventRunner {
	readonly #deps: EventRunnerDeps;
	readonly #reports: FailureReports;

	constructor(deps: EventRunnerDeps) {
		this.#deps = deps;
		this.#reports = new FailureReports(deps.logger, deps.clock);
	}

	/** Never throws for what the function or a destination does. */
	async run(message: LeasedMessage): Promise<{ changes: LogChange[]; throttled: boolean }> {
		const target = functionOfLane(message.lane);
		const headers = headersOf(message);
		const { functions, configs, reservedConcurrency, clock } = this.#deps;
		const record = functions.find(target.name);
		if (!record || record.createdMs !== headers.created || !isThere(functions, target.name, target.qualifier))
			return { changes: this.#drop(message, target), throttled: false };
		const subject: Subject = { message, headers, target, record, note: readNote(message.note) };
		const config = configs.find(target.name, target.qualifier);
		const refusal = refusalBefore(
			config,
			{ nowMs: clock.now(), sentMs: message.sentMs },
			{
				reserved: reservedConcurrency(target.name),
				isLoop: headers.hops > maxHops && record.recursiveLoop === "Terminate",
			},
		);
		if (refusal) return { changes: await this.#fail(subject, refusal, undefined), throttled: false };
		const answer = await this.#invoke(subject);
		const { end } = answer;
		const throttled = end.end === "refused" && end.why.status === 429;
		return { changes: await this.#after(subject, answer), throttled };
	}

	/** What remains when what became of an event can't be given to its destinations: it has run, and is not run again for that. */
	withoutDestinations(message: LeasedMessage, error: unknown, changes: readonly LogChange[]): LogChange[] {
		this.#undelivered(message, "A destination can't take it", error);
		return changes.filter((change) => change.change === "settle" && change.token === message.token);
	}

	async #invoke({ message, headers, target }: Subject): Promise<Answer> {
		const { qualifier, clientContext, contentType } = headers;
		try {
			const result = await this.#deps.invoke(target.name, {
				requestId: message.id,
				payload: message.body,
				invokedArn: headers.arn,
				traceId: headers.trace,
				...(qualifier !== undefined && { qualifier }),
				...(clientContext !== undefined && { clientContext }),
				...(contentType !== undefined && { contentType }),
			});
			const failed = result.functionError === undefined ? undefined : failedAnswer(result, result.functionError);
			return { result, end: { end: "answered", failed } };
		} catch (error) {
			const isThrottle = isSlipwayError(error, "THROTTLED");
			if (!isThrottle)
				this.#reports.report("An asynchronous event could not be run yet", message.lane, error, message.id);
			const message_ = error instanceof Error && isSlipwayError(error) ? error.message : "Internal error";
			return { result: undefined, end: { end: "refused", why: { status: isThrottle ? 429 : 500, message: message_ } } };
		}
	}

	async #after(subject: Subject, { result, end }: Answer): Promise<LogChange[]> {
		const { message, target, note } = subject;
		const { configs, counters, clock, ids, retryMs } = this.#deps;
		// Asked again: it may have changed while the function ran.
		const config = configs.find(target.name, target.qualifier);
		const random = Number.parseInt(ids.hex(4), 16) / 2 ** 32;
		const next = nextStep(note, end, config, { nowMs: clock.now(), sentMs: message.sentMs, random, retryMs });
		if (next.step === "fail") return this.#fail({ ...subject, note: next.note }, next.condition, result);
		if (next.step === "retry") {
			const refused = end.end === "refused";
			counters.add(target.name, refused ? (end.why.status === 429 ? "throttled" : "systemErrors") : "retried");
			const retry = { delayMs: next.delayMs, note: writeNote(next.note), ...(refused && { counts: false }) };
			return [settle(message, { outcome: "retry", ...retry }, detailOf(end))];
		}
		counters.add(target.name, "succeeded");
		const settled = settle(message, { outcome: "done" }, { requestId: message.id, version: result?.executedVersion });
		if (config?.onSuccess === undefined) return [settled];
		const event = this.#ended(subject, "Success", result);
		return [
			settled,
			...(await this.#handOver(subject, config.onSuccess, destinationDelivery(event, config.onSuccess))),
		];
	}

	/** Given up. The dead-letter queue and the destination both get it, each in its form. */
	async #fail(subject: Subject, condition: Condition, result: InvocationResult | undefined): Promise<LogChange[]> {
		const { message, target, note } = subject;
		const { counters, configs } = this.#deps;
		counters.add(target.name, "failed");
		if (condition === "EventAgeExceeded") counters.add(target.name, "expired");
		const event = this.#ended(subject, condition, result);
		const { status, message: error } = failureOf(event, note);
		const detail = { requestId: message.id, condition, status, error: error.slice(0, maxDetailError) };
		const handedOver: LogChange[] = [];
		const onFailure = configs.find(target.name, target.qualifier)?.onFailure;
		const deadLetterArn = this.#configuration(subject).deadLetterArn;
		// The record of a stopped loop may be what goes round: past that it goes to queues only, where it stays.
		const goesRound = condition === "RecursiveInvocation" && subject.headers.hops > maxHops + 1;
		if (onFailure !== undefined && (!goesRound || isQueueArn(onFailure)))
			handedOver.push(...(await this.#handOver(subject, onFailure, destinationDelivery(event, onFailure))));
		if (deadLetterArn !== undefined)
			handedOver.push(...(await this.#handOver(subject, deadLetterArn, deadLetterDelivery(event, note))));
		if (handedOver.length > 0) counters.add(target.name, "deadLettered");
		else this.#reports.report(`An asynchronous event was given up: ${condition}`, message.lane, error, message.id);
		const outcome = condition === "EventAgeExceeded" ? "expired" : "dead";
		return [settle(message, { outcome: "done", result: outcome }, detail), ...handedOver];
	}

	/** As a version's settings are its own for good, so is its dead-letter queue. */
	#configuration({ record, target }: Subject): FunctionConfiguration {
		const version = target.qualifier === undefined ? "$LATEST" : versionOf(record, target.qualifier);
		const published = this.#deps.functions.version(target.name, version);
		return (published ?? record.active ?? record).configuration;
	}

	#ended(subject: Subject, condition: EndedEvent["condition"], result: InvocationResult | undefined): EndedEvent {
		const { message, target, record, note } = subject;
		const last = note.last && "executedVersion" in note.last ? note.last : undefined;
		const kept = last && {
			executedVersion: last.executedVersion,
			functionError: last.functionError,
			payload: last.payload === undefined ? undefined : Buffer.from(last.payload),
		};
		return {
			requestId: message.id,
			functionArn: record.arn,
			qualifier: target.qualifier,
			payload: message.body,
			condition,
			invokeCount: note.failures + (condition === "Success" ? 1 : 0),
			answer: condition === "ZeroReservedConcurrency" ? undefined : (result ?? kept),
			nowMs: this.#deps.clock.now(),
		};
	}

	async #handOver(
		{ message, record, headers }: Subject,
		arn: string,
		{ isCut = false, ...parts }: Pick<Delivery, "body" | "event" | "attributes"> & { isCut?: boolean },
	): Promise<LogChange[]> {
		const { targets, clock, ids } = this.#deps;
		const id = timeOrderedUuid(clock.now(), ids);
		if (isCut)
			this.#reports.report(
				"What goes to a destination is too large and goes without parts of it",
				message.lane,
				arn,
				message.id,
			);
		try {
			const delivery = { id, correlation: message.id, sourceArn: record.arn, traceId: headers.trace, ...parts };
			const handover = targets.handOver(arn, delivery);
			if (handover.kind === "append") return handover.changes;
			const outcome = await handover.run(new AbortController().signal);
			if (!outcome.ok) this.#undelivered(message, `${arn} did not take it: ${outcome.code}`, outcome.message);
		} catch (error) {
			this.#undelivered(message, `${arn} can't take it`, error);
		}
		return [];
	}

	#undelivered(message: LeasedMessage, what: string, error: unknown): void {
		this.#deps.counters.add(functionOfLane(message.lane).name, "destinationFailures");
		this.#reports.report(
			`The record of an asynchronous event was not delivered. ${what}`,
			message.lane,
			error,
			message.id,
		);
	}

	#drop(message: LeasedMessage, target: Subject["target"]): LogChange[] {
		const error = `${target.name}${target.qualifier === undefined ? "" : `:${target.qualifier}`} is not there any more`;
		this.#reports.report(
			"An asynchronous event was dropped: its function was deleted",
			message.lane,
			error,
			message.id,
		);
		if (this.#deps.functions.find(target.name)) this.#deps.counters.add(target.name, "dropped");
		return [settle(message, { outcome: "done", result: "dropped" }, { requestId: message.id, error })];
	}
}

/** Characters of an error in a message's trail. */
const maxDetailError = 500;

function settle({ token }: LeasedMessage, outcome: SettleOutcome, detail: Record<string, unknown>): LogChange {
	return { change: "settle", token, detail, ...outcome };
}

function failedAnswer(result: InvocationResult, functionError: string): LastAnswer {
	return { executedVersion: result.executedVersion, functionError, payload: Buffer.from(result.payload).toString() };
}

function detailOf(end: AttemptEnd): Record<string, unknown> {
	if (end.end === "refused") return { status: end.why.status, error: end.why.message.slice(0, maxDetailError) };
	return { status: 200, error: end.failed?.payload?.slice(0, maxDetailError), version: end.failed?.executedVersion };
}

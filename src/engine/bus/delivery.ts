import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { timeOrderedUuid } from "../../base/ids.ts";
import {
	type CloudEventProfile,
	cloudEventDelivery,
	cloudEventProfiles,
	type EventEnvelope,
} from "../../core/cloud-event/delivery.ts";
import { fractionOf, retryDelayMs, targetDelays } from "../../core/delivery/retry-delay.ts";
import type { Delivery } from "../../core/delivery/target.ts";
import type { LeasedMessage, LogChange } from "../../core/message-log/message-log.ts";
import type { Catalog, TargetState } from "./catalog.ts";
import { formatHeader } from "./check-target.ts";
import { cloudEventOfEnvelope } from "./cloud-event-mapping.ts";
import { detailText, readEnvelope } from "./envelope.ts";
import { type DeliveryFailure, failureOf, GivenUp } from "./given-up.ts";
import { defaultRetry } from "./limits.ts";
import { readTargetLane, ruleArn } from "./names.ts";
import type { BusDeps } from "./ports.ts";
import type { Publisher } from "./publisher.ts";
import { Replies } from "./replies.ts";
import { servicePath } from "./service-path.ts";
import type { BusStatistics, Envelope, EventHeaders, TargetRecord } from "./types.ts";

interface Note {
	failures: number;
}

interface Work {
	message: LeasedMessage;
	envelope: Envelope;
	headers: EventHeaders;
	bus: string;
	ruleArn: string;
	ruleName: string;
	target: TargetState;
}

interface DeliveryDeps extends BusDeps {
	catalog: Catalog;
	statistics: BusStatistics;
	publisher: Publisher;
}

/** Hands the messages of targets' lanes over: in one commit with their settlement where a target is durable, else by a call. */
export class EventDelivery {
	readonly #deps: DeliveryDeps;
	readonly #givenUp: GivenUp;
	readonly #replies: Replies;

	constructor(deps: DeliveryDeps) {
		this.#deps = deps;
		this.#givenUp = new GivenUp(deps);
		this.#replies = new Replies(deps);
	}

	/** Never throws what is an event's or a target's fault. */
	async handle(message: LeasedMessage, signal: AbortSignal): Promise<LogChange[]> {
		const work = this.#workOf(message);
		if (!work) return this.#targetRemoved(message);
		try {
			const delivery = this.#delivery(work);
			const handover = this.#deps.targets.handOver(work.target.record.arn, delivery);
			if (handover.kind === "append") return this.#delivered(message, handover.changes);
			const outcome = await handover.run(signal);
			if (outcome.ok) {
				const replies = this.#replies.changes(work.bus, work.headers.traceId, outcome);
				return this.#delivered(message, replies, { status: outcome.status });
			}
			return this.#failed(work, outcome);
		} catch (error) {
			if (isSlipwayError(error)) return this.#failed(work, failureOf(error));
			// A fault of ours: the event is tried as long as its policy says, and not for ever.
			this.#deps.logger.error("An event could not be handed over", { lane: message.lane, error });
			return this.#failed(work, { code: "INTERNAL_ERROR", message: String(error), permanent: false });
		}
	}

	/** The target's lane is full or does not take so large a body. */
	refused(message: LeasedMessage, error: SlipwayError): LogChange[] {
		const work = this.#workOf(message);
		return work ? this.#failed(work, failureOf(error)) : this.#targetRemoved(message);
	}

	#workOf(message: LeasedMessage): Work | undefined {
		const place = readTargetLane(message.lane);
		const rule = place && this.#deps.catalog.findRule(place.bus, place.rule);
		const target = place && rule?.targets.get(place.target);
		if (!target) return undefined;
		return {
			message,
			envelope: readEnvelope(Buffer.from(message.body).toString()),
			headers: message.headers as unknown as EventHeaders,
			bus: place.bus,
			ruleArn: ruleArn(this.#deps, place.bus, place.rule),
			ruleName: place.rule,
			target,
		};
	}

	/** Whoever takes a target away does not want its events any more: AWS does not deliver them either. */
	#targetRemoved(message: LeasedMessage): LogChange[] {
		this.#deps.statistics.dropped++;
		this.#deps.logger.info("An event's target is gone, and the event with it", {
			lane: message.lane,
			id: message.correlation,
		});
		const detail = { errorCode: "TARGET_REMOVED", errorMessage: "The rule or its target was removed" };
		return [{ change: "settle", token: message.token, outcome: "done", result: "dropped", detail }];
	}

	#delivered(message: LeasedMessage, changes: readonly LogChange[], detail?: Record<string, unknown>): LogChange[] {
		this.#deps.statistics.delivered++;
		return [{ change: "settle", token: message.token, outcome: "done", detail }, ...changes];
	}

	#delivery(work: Work): Delivery {
		const { envelope, headers, ruleArn: sourceArn, ruleName, target } = work;
		const { record, shape } = target;
		const context = { ruleArn: sourceArn, ruleName, ingestedMs: headers.ingestedMs };
		const { time, resources } = envelope.value as { time: string; resources: string[] };
		const common = {
			id: timeOrderedUuid(this.#deps.clock.now(), this.#deps.ids),
			correlation: envelope.id,
			sourceArn,
			traceId: headers.traceId,
			messageGroupId: record.messageGroupId,
		};
		if (record.arn.includes(":event-bus/")) {
			const { source, detailType } = envelope;
			const { cloudEvent } = headers;
			const buses = [...(headers.buses ?? []), work.bus];
			const event = { source, detailType, resources, time: Date.parse(time), buses, ...(cloudEvent && { cloudEvent }) };
			return { ...common, body: Buffer.from(detailText(envelope)), event };
		}
		const text = shape(envelope.value, envelope.text, context);
		if (record.arn.includes(":sqs:")) return { ...common, body: Buffer.from(text) };
		const input = isShaped(record) ? { text, value: parsedInput(text) } : undefined;
		if (!record.arn.includes(":run:")) return { ...common, body: Buffer.from(text) };
		return { ...common, ...serviceCall(work, input) };
	}

	#failed(work: Work, failure: DeliveryFailure): LogChange[] {
		const { message, target } = work;
		const failures = readNote(message.note).failures + 1;
		const { maxAttempts = defaultRetry.maxAttempts, maxAgeS = defaultRetry.maxAgeS } = target.record.retry ?? {};
		const leftMs = message.sentMs + maxAgeS * 1000 - this.#deps.clock.now();
		const exhausted = failure.permanent
			? undefined
			: failures > maxAttempts
				? "MaximumRetryAttempts"
				: leftMs <= 0
					? "MaximumEventAgeInSeconds"
					: undefined;
		if (failure.permanent || exhausted !== undefined)
			return this.#givenUp.changes(work, { ...failure, exhausted, retries: failures - 1 });
		this.#deps.statistics.retried++;
		const wanted = Math.max(
			retryDelayMs(targetDelays, failures, fractionOf(this.#deps.ids.hex(4))),
			failure.retryAfterMs ?? 0,
		);
		const note: Note = { failures };
		const detail = { errorCode: failure.code, errorMessage: failure.message };
		const delayMs = Math.ceil(Math.min(wanted, leftMs));
		return [{ change: "settle", token: message.token, outcome: "retry", delayMs, note: JSON.stringify(note), detail }];
	}
}

function readNote(note: string | undefined): Note {
	return note === undefined ? { failures: 0 } : (JSON.parse(note) as Note);
}

function isShaped({ input, inputPath, transformer }: TargetRecord): boolean {
	return input !== undefined || inputPath !== undefined || transformer !== undefined;
}

/** Templates escape nothing, so that an event's value may break their JSON; only queues take such a text. */
function parsedInput(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		throw new SlipwayError("INVALID", "The target's input is not JSON with the event's values in it", {
			reason: "InvalidJson",
		});
	}
}

/** A CloudEvent in the form that the target asks for; with an input of the target's own in the data's place. */
function serviceCall(
	{ envelope, headers, target }: Work,
	input: { value: unknown } | undefined,
): Pick<Delivery, "body" | "http"> {
	const { arn, http } = target.record;
	const own = Object.entries(http?.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value] as const);
	const wanted = own.find(([name]) => name === formatHeader)?.[1];
	const profile: CloudEventProfile = cloudEventProfiles.find((one) => one === wanted) ?? "cloudevents-binary";
	const original = headers.cloudEvent && cloudEventOfEnvelope(envelope, headers.cloudEvent);
	const event = envelope.value as unknown as EventEnvelope;
	const call = cloudEventDelivery(
		input ? { kind: "bus", event: { ...event, detail: input.value } } : { kind: "bus", event, cloudEvent: original },
		profile,
	);
	const path = http ? servicePath(arn, http) : undefined;
	const kept = Object.fromEntries(own.filter(([name]) => name !== formatHeader));
	return { body: call.body, http: { headers: { ...kept, ...call.http.headers }, ...(path !== undefined && { path }) } };
}

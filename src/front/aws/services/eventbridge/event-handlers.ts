import type * as sdk from "@aws-sdk/client-eventbridge";
import { isSlipwayError } from "../../../../base/error.ts";
import { compilePattern } from "../../../../core/event-pattern/event-pattern.ts";
import { eventBytes } from "../../../../engine/bus/envelope.ts";
import { maxEventBytes } from "../../../../engine/bus/limits.ts";
import { busName } from "../../../../engine/bus/names.ts";
import type { BusEvent, PublishResult } from "../../../../engine/bus/types.ts";
import { AwsError } from "../../errors.ts";
import type { Call } from "../../service.ts";
import type { EventBridgeDeps, EventBridgeHandlers } from "./ports.ts";
import { invalid } from "./wire.ts";

export function eventHandlers(deps: EventBridgeDeps): EventBridgeHandlers {
	return {
		PutEvents: (input, call) => putEvents(deps, input, call),
		TestEventPattern: (input) => {
			const event = testedEvent(input.Event);
			return { Result: compilePattern(input.EventPattern).matches(event) };
		},
	};
}

async function putEvents(
	deps: EventBridgeDeps,
	{ Entries, EndpointId }: { Entries: sdk.PutEventsRequestEntry[]; EndpointId?: string | undefined },
	call: Call,
): Promise<sdk.PutEventsResponse> {
	if (EndpointId !== undefined)
		throw new AwsError("OperationDisabledException", 400, "Slipway has no global endpoints; leave EndpointId out");
	const events = Entries.map((entry) => busEvent(entry, call));
	const total = events.reduce((sum, event) => sum + eventBytes(event), 0);
	if (total > maxEventBytes) throw invalid("Total size of the entries in the request is over the limit.");
	const results = await publishAll(deps, Entries, events);
	return {
		FailedEntryCount: results.filter((result) => "error" in result).length,
		Entries: results.map((result) =>
			"error" in result ? { ErrorCode: result.error.code, ErrorMessage: result.error.message } : { EventId: result.id },
		),
	};
}

function busEvent(entry: sdk.PutEventsRequestEntry, call: Call): BusEvent {
	return {
		source: entry.Source ?? "",
		detailType: entry.DetailType ?? "",
		detail: entry.Detail ?? "",
		...(entry.Time && { time: entry.Time.getTime() }),
		resources: entry.Resources ?? [],
		traceId: entry.TraceHeader ?? call.traceId(),
	};
}

/** Those of one bus together; an entry whose bus is not there or that is AWS's own to send is refused alone. */
async function publishAll(
	deps: EventBridgeDeps,
	entries: readonly sdk.PutEventsRequestEntry[],
	events: readonly BusEvent[],
): Promise<PublishResult[]> {
	const results: PublishResult[] = [];
	const byBus = new Map<string, number[]>();
	for (const [index, { EventBusName }] of entries.entries()) {
		const refusal = refusalOf(deps, EventBusName, events[index]?.source ?? "");
		if (typeof refusal === "object") results[index] = refusal;
		else byBus.set(refusal, [...(byBus.get(refusal) ?? []), index]);
	}
	for (const [bus, indexes] of byBus) {
		const published = await deps.bus.publish(
			bus,
			indexes.flatMap((index) => events[index] ?? []),
		);
		for (const [at, index] of indexes.entries()) {
			const result = published[at];
			if (result) results[index] = result;
		}
	}
	return results;
}

/** The bus's name, or why not. */
function refusalOf(deps: EventBridgeDeps, nameOrArn: string | undefined, source: string): string | PublishResult {
	if (source.startsWith("aws."))
		return { error: { code: "NotAuthorizedForSourceException", message: "Not authorized for the source." } };
	try {
		return deps.bus.describeBus(busName(deps, nameOrArn)).name;
	} catch (error) {
		if (!isSlipwayError(error)) throw error;
		return {
			error: { code: "InvalidArgument", message: `Parameter EventBusName is not valid. Reason: ${error.message}` },
		};
	}
}

/** What TestEventPattern's reference lists as mandatory. */
const mandatoryFields = ["id", "account", "source", "time", "region", "resources", "detail-type"];

function testedEvent(text: string): unknown {
	let event: unknown;
	try {
		event = JSON.parse(text);
	} catch {
		throw invalid("Parameter Event is not valid.");
	}
	const fields = typeof event === "object" && event !== null ? event : {};
	const missing = mandatoryFields.find((name) => !Object.hasOwn(fields, name));
	if (missing !== undefined) throw invalid(`Parameter Event is not valid. Reason: the field ${missing} is missing.`);
	return event;
}

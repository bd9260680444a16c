import { SlipwayError } from "../../base/error.ts";
import type { QueueTrigger, TriggerView } from "../../client/event-schema.ts";
import type { CreateMapping, MappingTarget, MappingView } from "../../engine/event-source-mappings/mapping.ts";
import type { ApiDelivery, BrokerTrigger } from "./delivery-ports.ts";

export function brokerView({ triggers }: Pick<ApiDelivery, "triggers">, trigger: BrokerTrigger): TriggerView {
	const { state, message, inHand, counters } = triggers.status(trigger.name);
	return {
		name: trigger.name,
		kind: "broker",
		source: sourceText(trigger.source),
		target: trigger.target,
		enabled: trigger.enabled,
		state,
		...(message !== undefined && { message }),
		inHand,
		definition: { ...trigger },
		counters: { ...counters } as Record<string, number>,
	};
}

/** `orders-mq orders`: the connection, and the queue, stream, table or slot. */
function sourceText({ connection, queue, stream, table, slot }: BrokerTrigger["source"]): string {
	return [connection, queue ?? stream ?? table ?? slot].filter((part) => part !== undefined).join(" ");
}

export function mappingView({ queues }: Pick<ApiDelivery, "queues">, mapping: MappingView): TriggerView {
	const { uuid, sourceArn, targetArn, state, lastProcessingResult, inHand, enabled } = mapping;
	const { batchSize, windowS, filters, reportsItemFailures, maximumConcurrency, target } = mapping;
	return {
		name: uuid,
		kind: "queue",
		source: `queue ${queues.nameOf(sourceArn)}`,
		target: targetArn,
		enabled,
		state,
		message: lastProcessingResult,
		inHand,
		definition: {
			...(target.kind === "service" && { format: target.format }),
			batchSize,
			windowS,
			filters: [...filters],
			reportsItemFailures,
			...(maximumConcurrency !== undefined && { maximumConcurrency }),
		},
	};
}

export function newMapping(source: string, input: QueueTrigger, delivery: ApiDelivery): CreateMapping {
	const { function: _, service: __, format: ___, ...settings } = input;
	const given = Object.entries(settings).filter(([, value]) => value !== undefined);
	return { source, target: targetOf(input, delivery), ...(Object.fromEntries(given) as Partial<CreateMapping>) };
}

function targetOf({ function: name, service, format }: QueueTrigger, delivery: ApiDelivery): MappingTarget {
	if ((name === undefined) === (service === undefined))
		throw new SlipwayError("INVALID", "A trigger has either a function or a service");
	if (name !== undefined) {
		if (format !== undefined) throw new SlipwayError("INVALID", "'format' is for services: a function gets batches");
		const [functionName = "", qualifier] = name.split(/:(.*)/s);
		return { kind: "function", name: functionName, qualifier };
	}
	const { region, accountId } = delivery;
	const [first = "", second, ...rest] = (service ?? "").split("/");
	const place = second === undefined ? `default/${first}` : [first, second, ...rest].join("/");
	return {
		kind: "service",
		arn: `arn:slipway:run:${region}:${accountId}:service/${place}`,
		format: format ?? "cloudevents",
	};
}

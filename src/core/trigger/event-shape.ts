import type { CloudEvent } from "../cloud-event/cloud-event.ts";
import { writeBinary } from "../cloud-event/http-binding.ts";
import type { Delivery } from "../delivery/target.ts";
import type { BrokerKind, BrokerMessage } from "../event-source/event-source.ts";

/** Where a message came from, for the events that are made of it. */
export interface Origin {
	kind: BrokerKind;
	/** ARN of the trigger. */
	arn: string;
	/** Of the connection's URL; "/" where there is none. */
	vhost: string;
	/** Queue, stream, table, slot. */
	place: string;
}

export const messageType: Readonly<Record<BrokerKind, string>> = {
	rabbitmq: "slipway.rabbitmq.message",
	nats: "slipway.nats.message",
	redis: "slipway.redis.message",
	postgres: "slipway.postgres.message",
};

/** JSON where it is JSON, text where it is text, otherwise undefined. */
export function dataOf({ body, contentType }: BrokerMessage): { json: unknown } | { text: string } | undefined {
	let text: string;
	try {
		text = new TextDecoder("utf-8", { fatal: true }).decode(body);
	} catch {
		return undefined;
	}
	if (contentType?.startsWith("text/")) return { text };
	try {
		return { json: JSON.parse(text) };
	} catch {
		return { text };
	}
}

/** What a trigger's filter is matched with. */
export function filterView(message: BrokerMessage): Record<string, unknown> {
	const data = dataOf(message);
	const value = data === undefined ? undefined : "json" in data ? data.json : data.text;
	return { data: value, headers: message.headers, subject: message.subject, redelivered: message.redelivered };
}

/** `id` is the message's own, or one of ours. */
export function cloudEventOf(message: BrokerMessage, origin: Origin, id: string): CloudEvent {
	const data = dataOf(message);
	const { publishedMs, subject, contentType } = message;
	const event: CloudEvent = { specversion: "1.0", id, source: origin.arn, type: messageType[origin.kind] };
	if (subject !== "") event.subject = subject;
	if (publishedMs !== undefined) event.time = new Date(publishedMs).toISOString();
	if (data === undefined) {
		event.datacontenttype = contentType ?? "application/octet-stream";
		event.data_base64 = Buffer.from(message.body).toString("base64");
	} else if ("json" in data) {
		event.datacontenttype = contentType ?? "application/json";
		event.data = data.json;
	} else {
		event.datacontenttype = contentType ?? "text/plain";
		event.data = data.text;
	}
	return event;
}

/**
 * What a function gets: of RabbitMQ Lambda's own event (https://docs.aws.amazon.com/lambda/latest/dg/with-mq.html), of the others one
 * CloudEvent in JSON, or a list of them where the batch may have more than one.
 */
export function functionEvent(
	messages: readonly { message: BrokerMessage; id: string }[],
	origin: Origin,
	{ batched, withIds }: { batched: boolean; withIds: boolean },
): unknown {
	if (origin.kind === "rabbitmq") return rabbitMqEvent(messages, origin, withIds);
	const events = messages.map(({ message, id }) => cloudEventOf(message, origin, id));
	return batched ? events : events[0];
}

/** `withIds`: a field that AWS's event does not have, for functions that name what failed. */
function rabbitMqEvent(
	messages: readonly { message: BrokerMessage; id: string }[],
	{ arn, place, vhost }: Origin,
	withIds: boolean,
): unknown {
	const records = messages.map(({ message, id }) => ({
		...(withIds && { id }),
		basicProperties: message.properties,
		redelivered: message.redelivered,
		data: Buffer.from(message.body).toString("base64"),
	}));
	return { eventSource: "aws:rmq", eventSourceArn: arn, rmqMessagesByQueue: { [`${place}::${vhost}`]: records } };
}

/** In the form that this kind of target wants: functions their event, services CloudEvents in binary mode, queues the message itself, buses its JSON as detail. */
export function deliveryOf(message: BrokerMessage, origin: Origin, id: string, target: string): Delivery {
	const base = { id, correlation: id, sourceArn: origin.arn };
	const event = cloudEventOf(message, origin, id);
	const service = target.split(":")[2];
	if (target.startsWith("arn:slipway:run:")) {
		const { headers, body } = writeBinary(event);
		return { ...base, body, http: { headers } };
	}
	if (target.startsWith("arn:slipway:broker:")) {
		const contentType = message.contentType ?? "application/octet-stream";
		return { ...base, body: message.body, http: { headers: { ...message.headers, "content-type": contentType } } };
	}
	const data = dataOf(message);
	const isObject = data !== undefined && "json" in data && typeof data.json === "object" && data.json !== null;
	if (service === "events") {
		const detail = isObject && !Array.isArray(data.json) ? data.json : event;
		const about = { source: `slipway.${origin.kind}`, detailType: messageType[origin.kind], resources: [origin.arn] };
		const time = message.publishedMs === undefined ? {} : { time: message.publishedMs };
		return { ...base, body: Buffer.from(JSON.stringify(detail)), event: { ...about, ...time } };
	}
	// A queue's messages are text.
	if (service === "sqs") return { ...base, body: data ? message.body : Buffer.from(JSON.stringify(event)) };
	return {
		...base,
		body: Buffer.from(JSON.stringify(functionEvent([{ message, id }], origin, { batched: false, withIds: false }))),
	};
}

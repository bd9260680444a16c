import type { ConsumeMessage } from "amqplib";
import type { BrokerMessage } from "../../core/event-source/event-source.ts";

/**
 * A delivery as everybody sees it. Its properties are in the words and forms of Lambda's event for Amazon MQ
 * (https://docs.aws.amazon.com/lambda/latest/dg/with-mq.html): texts as bytes, missing ones null.
 */
export function brokerMessage({ content, fields, properties }: ConsumeMessage): BrokerMessage {
	const timestamp = numberOf(properties.timestamp);
	return {
		id: textOr(properties.messageId),
		body: content,
		headers: Object.fromEntries(
			Object.entries(properties.headers ?? {}).map(([name, value]) => [name, headerText(value)]),
		),
		subject: fields.routingKey,
		// Seconds (AMQP 0-9-1, 4.2.5.4).
		publishedMs: timestamp === undefined ? undefined : timestamp * 1000,
		contentType: textOr(properties.contentType),
		redelivered: fields.redelivered,
		properties: {
			contentType: textOr(properties.contentType) ?? null,
			contentEncoding: textOr(properties.contentEncoding) ?? null,
			headers: Object.fromEntries(
				Object.entries(properties.headers ?? {}).map(([name, value]) => [name, awsHeader(value)]),
			),
			deliveryMode: numberOf(properties.deliveryMode) ?? null,
			priority: numberOf(properties.priority) ?? null,
			correlationId: textOr(properties.correlationId) ?? null,
			replyTo: textOr(properties.replyTo) ?? null,
			expiration: textOr(properties.expiration) ?? null,
			messageId: textOr(properties.messageId) ?? null,
			timestamp: timestamp === undefined ? null : awsTimestamp(timestamp * 1000),
			type: textOr(properties.type) ?? null,
			userId: textOr(properties.userId) ?? null,
			appId: textOr(properties.appId) ?? null,
			clusterId: textOr(properties.clusterId) ?? null,
			bodySize: content.length,
		},
	};
}

function awsHeader(value: unknown): unknown {
	if (typeof value === "string") return { bytes: [...Buffer.from(value)] };
	if (Array.isArray(value)) return value.map(awsHeader);
	return value;
}

function headerText(value: unknown): string {
	if (typeof value === "string") return value;
	return Buffer.isBuffer(value) ? value.toString() : (JSON.stringify(value) ?? "");
}

/** "Jan 1, 1970, 12:33:41 AM", UTC. */
function awsTimestamp(ms: number): string {
	return new Intl.DateTimeFormat("en-US", {
		timeZone: "UTC",
		year: "numeric",
		month: "short",
		day: "numeric",
		hour: "numeric",
		minute: "2-digit",
		second: "2-digit",
	})
		.format(ms)
		.replaceAll("\u202f", " ");
}

function textOr(value: unknown): string | undefined {
	return typeof value === "string" ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
	return typeof value === "number" ? value : undefined;
}

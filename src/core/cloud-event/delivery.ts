import { isSlipwayError } from "../../base/error.ts";
import type { CloudEvent } from "./cloud-event.ts";
import { type HttpContent, isCloudEvent, readCloudEvents, writeBinary, writeStructured } from "./http-binding.ts";

/** The wire form in which a subscriber wants its events. */
export type CloudEventProfile = "cloudevents-binary" | "cloudevents-structured" | "eventgrid" | "eventarc";

export const cloudEventProfiles: readonly CloudEventProfile[] = [
	"cloudevents-binary",
	"cloudevents-structured",
	"eventgrid",
	"eventarc",
];

/** An event of a bus as its patterns see it; `time` as in 2026-01-31T23:59:59Z. */
export interface EventEnvelope {
	id: string;
	source: string;
	"detail-type": string;
	detail: unknown;
	time: string;
	resources: readonly string[];
}

export type CloudEventSource =
	/** `cloudEvent`: as it came, where it came as one. */
	| { kind: "bus"; event: EventEnvelope; cloudEvent?: CloudEvent | undefined }
	| { kind: "queue"; queueArn: string; message: QueueMessage }
	/** A schedule's; `body` is its input. */
	| { kind: "tick"; scheduleArn: string; id: string; scheduledMs: number; body: Uint8Array };

export interface QueueMessage {
	id: string;
	body: string;
	/** Epoch milliseconds. */
	sentMs: number;
	/** Those of type String and Number. */
	attributes?: Readonly<Record<string, string>> | undefined;
}

/** Spread into a Delivery: what a service gets of the event. */
export interface CloudEventDelivery {
	body: Uint8Array;
	http: { headers: Record<string, string> };
}

export function cloudEventDelivery(source: CloudEventSource, profile: CloudEventProfile): CloudEventDelivery {
	const { headers, body } = written(source, profile);
	return { body, http: { headers } };
}

function written(source: CloudEventSource, profile: CloudEventProfile): HttpContent {
	if (profile === "eventgrid") return eventGrid(cloudEventOf(source));
	if (profile === "eventarc" && source.kind === "queue")
		return writeBinary(pubSubEvent(source.queueArn, source.message));
	const event = cloudEventOf(source);
	return profile === "cloudevents-structured" ? writeStructured(event) : writeBinary(event);
}

/** URI references have no spaces; sources of EventBridge may. */
const uriOf = (source: string) => source.replace(/[^!#-;=?-Z_a-z~[\]]/g, (character) => encodeURIComponent(character));

/** Types of what was no CloudEvent. */
export const tickType = "slipway.schedule.tick";
export const queueMessageType = "slipway.queue.message";

export function cloudEventOf(source: CloudEventSource): CloudEvent {
	if (source.kind === "bus") return source.cloudEvent ?? busCloudEvent(source.event);
	if (source.kind === "queue") {
		const { id, body, sentMs } = source.message;
		const time = new Date(sentMs).toISOString();
		return { ...base(id, source.queueArn, queueMessageType, time), ...textData(body) };
	}
	const time = new Date(source.scheduledMs).toISOString();
	const text = Buffer.from(source.body).toString("utf8");
	return { ...base(source.id, source.scheduleArn, tickType, time), ...textData(text) };
}

function base(id: string, source: string, type: string, time: string): CloudEvent {
	return { specversion: "1.0", id, source: uriOf(source), type, time };
}

function busCloudEvent(event: EventEnvelope): CloudEvent {
	const [subject] = event.resources;
	return {
		...base(event.id, event.source, event["detail-type"], event.time),
		...(subject && { subject }),
		datacontenttype: "application/json",
		data: event.detail,
	};
}

function textData(text: string): { datacontenttype: string; data: unknown } {
	try {
		return { datacontenttype: "application/json", data: JSON.parse(text) };
	} catch {
		return { datacontenttype: "text/plain; charset=utf-8", data: text };
	}
}

/** https://learn.microsoft.com/azure/event-grid/event-schema: an array of one. */
function eventGrid(event: CloudEvent): HttpContent {
	const { id, source, type, subject = source, time, data, data_base64: bytes } = event;
	const item = {
		id,
		topic: source,
		subject,
		eventType: type,
		eventTime: time,
		data: data ?? bytes ?? {},
		dataVersion: "1.0",
		metadataVersion: "1",
	};
	return eventGridContent("Notification", item);
}

function eventGridContent(type: "Notification" | "SubscriptionValidation", item: unknown): HttpContent {
	return {
		headers: { "content-type": "application/json; charset=utf-8", "aeg-event-type": type },
		body: Buffer.from(JSON.stringify([item])),
	};
}

/** What Event Grid sends a webhook before anything else; it answers with the code (http-contracts 5.3). */
export function subscriptionValidation(id: string, topic: string, code: string, nowMs: number): CloudEventDelivery {
	const { headers, body } = eventGridContent("SubscriptionValidation", {
		id,
		topic,
		subject: "",
		eventType: "Microsoft.EventGrid.SubscriptionValidationEvent",
		eventTime: new Date(nowMs).toISOString(),
		data: { validationCode: code },
		dataVersion: "2",
		metadataVersion: "1",
	});
	return { body, http: { headers } };
}

export function answersValidation(status: number, body: Uint8Array, code: string): boolean {
	if (status !== 200) return false;
	try {
		const answer: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
		return (
			typeof answer === "object" &&
			answer !== null &&
			"validationResponse" in answer &&
			answer.validationResponse === code
		);
	} catch {
		return false;
	}
}

/** https://cloud.google.com/eventarc/docs/cloudevents: a Pub/Sub message as Eventarc hands it to Cloud Run. */
function pubSubEvent(queueArn: string, { id, body, sentMs, attributes = {} }: QueueMessage): CloudEvent {
	const [, , , , account = "", name = ""] = queueArn.split(":");
	const time = new Date(sentMs).toISOString();
	const data = Buffer.from(body).toString("base64");
	return {
		...base(
			id,
			`//pubsub.googleapis.com/projects/${account}/topics/${name}`,
			"google.cloud.pubsub.topic.v1.messagePublished",
			time,
		),
		datacontenttype: "application/json",
		data: {
			message: { data, attributes, messageId: id, publishTime: time },
			subscription: `projects/${account}/subscriptions/${name}`,
		},
	};
}

/**
 * The event that a subscriber answers with, to be published where the one it got came from
 * (https://github.com/knative/specs/blob/main/specs/eventing/data-plane.md#event-reply-contract). Undefined for an answer that is
 * none, and `malformed` with the reason for one that says it is and is not.
 */
export function replyEvent(
	headers: Readonly<Record<string, string | undefined>>,
	body: Uint8Array,
): { event: CloudEvent } | { malformed: string } | undefined {
	if (!isCloudEvent(headers)) return undefined;
	try {
		const [event, ...rest] = readCloudEvents({ headers, body });
		return event && rest.length === 0 ? { event } : { malformed: "a reply is one event" };
	} catch (error) {
		if (!isSlipwayError(error)) throw error;
		return { malformed: error.message };
	}
}

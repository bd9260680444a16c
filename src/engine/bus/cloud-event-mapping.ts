/**
 * CloudEvents on a bus of EventBridge's shape. id, source, type, time become id, source, detail-type, time; subject the first resource;
 * data the detail, which has to be an object there: another JSON value stands in `{"data": …}`, bytes in `{"data_base64": "…"}`.
 * The attributes are kept beside the envelope too, so that a service gets the event as it was sent.
 */
import type { CloudEvent } from "../../core/cloud-event/cloud-event.ts";
import type { BusEvent, Envelope } from "./types.ts";

/** How the data became the detail; kept among the attributes, under a name that no attribute can have. */
const formKey = "slipway.data";
type Form = "object" | "value" | "base64" | "none";

/** `event`: one that has been checked. */
export function busEventOfCloudEvent(event: CloudEvent, traceId?: string): BusEvent {
	const { data, data_base64: base64, ...attributes } = event;
	const form: Form =
		base64 !== undefined ? "base64" : data === undefined ? "none" : isObject(data) ? "object" : "value";
	const detail = form === "base64" ? { data_base64: base64 } : form === "value" ? { data } : (data ?? {});
	const { id, source, type, subject, time } = attributes;
	return {
		id,
		source,
		detailType: type,
		detail: JSON.stringify(detail),
		...(time !== undefined && { time: Date.parse(time) }),
		...(subject !== undefined && { resources: [subject] }),
		...(traceId !== undefined && { traceId }),
		cloudEvent: { ...attributes, [formKey]: form },
	};
}

function isObject(value: unknown): boolean {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether publish is given one as it came, with its data, rather than what `busEventOfCloudEvent` keeps. */
export function isWholeCloudEvent(cloudEvent: Readonly<Record<string, unknown>>): boolean {
	return !Object.hasOwn(cloudEvent, formKey);
}

/** As it came. */
export function cloudEventOfEnvelope({ value }: Envelope, kept: Readonly<Record<string, unknown>>): CloudEvent {
	const { [formKey]: form, ...attributes } = kept;
	const detail = (value.detail ?? {}) as Record<string, unknown>;
	const event = attributes as unknown as CloudEvent;
	if (form === "none") return event;
	if (form === "base64") return { ...event, data_base64: String(detail.data_base64) };
	return { ...event, data: form === "value" ? detail.data : detail };
}

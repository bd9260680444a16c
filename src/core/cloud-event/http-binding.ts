import { type CloudEvent, checkCloudEvent, invalidEvent, isJson } from "./cloud-event.ts";

/** https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md */
export interface HttpMessage {
	/** Names in lower case. */
	headers: Readonly<Record<string, string | undefined>>;
	body: Uint8Array;
}

export interface HttpContent {
	headers: Record<string, string>;
	body: Uint8Array;
}

export type ContentMode = "binary" | "structured" | "batched";

const batchType = "application/cloudevents-batch";
const structuredType = "application/cloudevents";
/** Of a batch: enough for 1 MiB of small ones, few enough for one commit. */
export const maxBatchEvents = 1000;

/** Section 3: the batch's type begins as the structured one does, so that it is looked for first. */
export function contentModeOf(headers: HttpMessage["headers"]): ContentMode {
	const type = headers["content-type"]?.trim().toLowerCase() ?? "";
	if (type.startsWith(batchType)) return "batched";
	return type.startsWith(structuredType) ? "structured" : "binary";
}

/** Whether it says that it is one: structured, batched, or with ce-specversion. */
export function isCloudEvent(headers: HttpMessage["headers"]): boolean {
	return contentModeOf(headers) !== "binary" || headers["ce-specversion"] !== undefined;
}

/** INVALID for what is not one, UNSUPPORTED for a format that is not JSON. A batch may be empty. */
export function readCloudEvents(message: HttpMessage): CloudEvent[] {
	const mode = contentModeOf(message.headers);
	if (mode === "binary") return [readBinary(message)];
	const type = message.headers["content-type"] ?? "";
	if (!/^\s*application\/cloudevents(-batch)?\+json\s*(;|$)/i.test(type))
		throw invalidEvent(`content type '${type.slice(0, 100)}' is not JSON, the only format that is read here`);
	const value = parsedJson(message.body, "the body");
	if (mode === "structured") return [checkCloudEvent(value)];
	if (!Array.isArray(value)) throw invalidEvent("a batch is a JSON array");
	if (value.length > maxBatchEvents) throw invalidEvent(`a batch has at most ${maxBatchEvents} events here`);
	return value.map(checkCloudEvent);
}

function readBinary({ headers, body }: HttpMessage): CloudEvent {
	const event: Record<string, unknown> = {};
	for (const [name, value] of Object.entries(headers)) {
		if (!name.startsWith("ce-") || value === undefined) continue;
		const attribute = name.slice("ce-".length);
		if (attribute === "datacontenttype" || attribute === "data" || attribute === "data_base64")
			throw invalidEvent(`there is no header ${name}`);
		event[attribute] = headerText(name, value);
	}
	if (event.specversion === undefined) throw invalidEvent("the header ce-specversion is missing");
	const type = headers["content-type"];
	if (type !== undefined) event.datacontenttype = type;
	return checkCloudEvent({ ...event, ...dataOf(body, type) });
}

function dataOf(body: Uint8Array, type: string | undefined): { data?: unknown; data_base64?: string } {
	if (body.length === 0) return {};
	if (type !== undefined && isJson(type)) return { data: parsedJson(body, "the data") };
	const text = type?.trim().toLowerCase().startsWith("text/") ? utf8(body) : undefined;
	return text === undefined ? { data_base64: Buffer.from(body).toString("base64") } : { data: text };
}

/** Section 3.1.3.2: quotes first, then one round of percent-decoding. */
function headerText(name: string, value: string): string {
	const quoted = /^"(.*)"$/s.exec(value);
	const text = quoted ? (quoted[1] ?? "").replace(/\\(.)/gs, "$1") : value;
	try {
		// A percent sign that begins no escape stands for itself.
		return decodeURIComponent(text.replace(/%(?![0-9A-Fa-f]{2})/g, "%25"));
	} catch {
		throw invalidEvent(`${name} is not UTF-8`);
	}
}

/** Attributes in headers, the data as it is in the body. */
export function writeBinary(event: CloudEvent): HttpContent {
	const { data, data_base64: bytes, datacontenttype: type, ...attributes } = event;
	const headers: Record<string, string> = {};
	for (const [name, value] of Object.entries(attributes)) headers[`ce-${name}`] = headerValue(String(value));
	if (bytes !== undefined) {
		headers["content-type"] = type ?? "application/octet-stream";
		return { headers, body: Buffer.from(bytes, "base64") };
	}
	if (data === undefined)
		return { headers: { ...headers, ...(type && { "content-type": type }) }, body: new Uint8Array() };
	headers["content-type"] = type ?? "application/json";
	const isText = typeof data === "string" && !isJson(type);
	return { headers, body: Buffer.from(isText ? data : JSON.stringify(data)) };
}

export function writeStructured(event: CloudEvent): HttpContent {
	return {
		headers: { "content-type": "application/cloudevents+json; charset=utf-8" },
		body: Buffer.from(JSON.stringify(event)),
	};
}

export function writeBatch(events: readonly CloudEvent[]): HttpContent {
	return {
		headers: { "content-type": "application/cloudevents-batch+json; charset=utf-8" },
		body: Buffer.from(JSON.stringify(events)),
	};
}

/** Section 3.1.3.2: space, quote, percent, and all that is not printable ASCII. */
function headerValue(text: string): string {
	return text.replace(/[^\u0021\u0023-\u0024\u0026-\u007E]+/g, (run) =>
		Array.from(Buffer.from(run), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
	);
}

function parsedJson(body: Uint8Array, what: string): unknown {
	const text = utf8(body);
	if (text === undefined) throw invalidEvent(`${what} is not UTF-8`);
	try {
		return JSON.parse(text);
	} catch {
		throw invalidEvent(`${what} is not JSON`);
	}
}

function utf8(body: Uint8Array): string | undefined {
	try {
		return new TextDecoder("utf-8", { fatal: true }).decode(body);
	} catch {
		return undefined;
	}
}

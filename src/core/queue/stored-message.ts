/** A queue's message as the log keeps it: the body's bytes, and all else in the headers. */
import type { StoredMessage } from "../message-log/message-log.ts";
import type { MessageAttribute, MessageAttributes } from "./message-attributes.ts";

export interface MessageParts {
	body: Uint8Array;
	attributes: MessageAttributes;
	senderId: string;
	/** X-Ray's header. */
	traceHeader?: string | undefined;
	groupId?: string | undefined;
	deduplicationId?: string | undefined;
}

/** As JSON in the headers: short names, since each message has them. */
interface StoredHeaders {
	/** SenderId. */
	s?: string;
	/** AWSTraceHeader. */
	x?: string;
	/** MessageGroupId and MessageDeduplicationId. */
	g?: string;
	d?: string;
	/** Attributes by name: type and a value, which is base64 for binary ones; or type and length of a value behind the body. */
	a?: Record<string, [type: string, value: string | number]>;
	/** Bytes of the body, where values of attributes stand behind it. */
	n?: number;
}

/** Bytes of attributes beyond which they stand behind the body: headers are bounded at some 260,000 characters, a message at 1 MiB. */
const maxInlineBytes = 32_768;

export function toStored(
	parts: MessageParts,
	attributesBytes: number,
): { body: Uint8Array; headers: Record<string, unknown> } {
	const { senderId, traceHeader, groupId, deduplicationId, attributes } = parts;
	const headers: StoredHeaders = { s: senderId };
	if (traceHeader !== undefined) headers.x = traceHeader;
	if (groupId !== undefined) headers.g = groupId;
	if (deduplicationId !== undefined) headers.d = deduplicationId;
	const values: Uint8Array[] = [];
	const entries = Object.entries(attributes).map(([name, attribute]) => {
		if (attributesBytes <= maxInlineBytes) return [name, inline(attribute)] as const;
		const value = attribute.binaryValue ?? Buffer.from(attribute.stringValue ?? "");
		values.push(value);
		return [name, [attribute.dataType, value.length] as [string, number]] as const;
	});
	if (entries.length > 0) headers.a = Object.fromEntries(entries);
	if (values.length === 0) return { body: parts.body, headers: { ...headers } };
	headers.n = parts.body.length;
	return { body: Buffer.concat([parts.body, ...values]), headers: { ...headers } };
}

function inline({ dataType, stringValue, binaryValue }: MessageAttribute): [string, string] {
	return [dataType, binaryValue ? Buffer.from(binaryValue).toString("base64") : (stringValue ?? "")];
}

/** What another part of the daemon has put into a queue's lane without these headers is a message with a body only. */
export function fromStored({
	body: bytes,
	headers,
	group,
}: Pick<StoredMessage, "body" | "headers" | "group">): MessageParts {
	const { s, x, g, d, a, n } = headers as StoredHeaders;
	const body = n === undefined ? bytes : bytes.subarray(0, n);
	let offset = body.length;
	const attributes = Object.entries(a ?? {}).map(([name, [dataType, value]]) => {
		const isBinary = dataType.startsWith("Binary");
		if (typeof value === "string")
			return [
				name,
				isBinary ? { dataType, binaryValue: Buffer.from(value, "base64") } : { dataType, stringValue: value },
			];
		const part = bytes.subarray(offset, offset + value);
		offset += value;
		return [name, isBinary ? { dataType, binaryValue: part } : { dataType, stringValue: utf8(part) }];
	});
	return {
		body,
		attributes: Object.fromEntries(attributes) as MessageAttributes,
		senderId: s ?? "",
		traceHeader: x,
		groupId: g ?? group,
		deduplicationId: d,
	};
}

function utf8(bytes: Uint8Array): string {
	return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
}

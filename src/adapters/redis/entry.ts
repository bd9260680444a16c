import type { BrokerMessage } from "../../core/event-source/event-source.ts";

/** One entry of a stream: its id and its fields, name and value by turns. No fields: it was deleted from the stream. */
export interface StreamEntry {
	id: string;
	fields: Buffer[] | undefined;
}

/** Headers are fields that begin so: streams have no headers of their own. */
export const headerPrefix = "header:";

/** Of XREADGROUP's answer: [[stream, [[id, [field, value, …]], …]]], or nil when nothing came. */
export function readEntries(reply: unknown): StreamEntry[] {
	return listOf(reply).flatMap((stream) => claimedEntries(listOf(stream)[1]));
}

/** Of the middle of XAUTOCLAIM's: [[id, [field, value, …]], …]. */
export function claimedEntries(reply: unknown): StreamEntry[] {
	return listOf(reply).flatMap((entry) => {
		const [id, fields] = listOf(entry);
		if (!Buffer.isBuffer(id)) return [];
		return [{ id: id.toString(), fields: Array.isArray(fields) ? fields.filter(Buffer.isBuffer) : undefined }];
	});
}

export function listOf(value: unknown): unknown[] {
	return Array.isArray(value) ? value : [];
}

/**
 * The body is the field "body"; an entry of somebody who knows nothing of that is the JSON object of its fields. "contentType" and
 * "header:NAME" are what they say.
 */
export function brokerMessage(stream: string, { id, fields = [] }: StreamEntry, redelivered: boolean): BrokerMessage {
	const named = new Map<string, Buffer>();
	for (let index = 0; index + 1 < fields.length; index += 2)
		named.set(fields[index]?.toString() ?? "", fields[index + 1] ?? Buffer.alloc(0));
	const texts = [...named].map(([name, value]): [string, string] => [name, value.toString()]);
	const body = named.get("body");
	const headers = texts
		.filter(([name]) => name.startsWith(headerPrefix))
		.map(([name, value]) => [name.slice(headerPrefix.length), value]);
	return {
		id: `${stream}:${id}`,
		body: body ?? Buffer.from(JSON.stringify(Object.fromEntries(texts))),
		headers: Object.fromEntries(headers),
		subject: stream,
		// The first part of an id that the server made (https://redis.io/docs/latest/develop/data-types/streams/#entry-ids).
		publishedMs: Number(id.split("-")[0]) || undefined,
		contentType: body ? named.get("contentType")?.toString() : "application/json",
		redelivered,
		properties: { stream, entryId: id },
	};
}

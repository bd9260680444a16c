/**
 * Messages of application/vnd.amazon.eventstream, the writing side (https://smithy.io/2.0/aws/amazon-eventstream.html). The
 * SDK's own codec would do, but costs 10 MB of memory and 36 ms to load, with the half of its core that it drags along.
 */
import { crc32 } from "node:zlib";
import type { StreamEvent } from "../service.ts";

export const eventStreamType = "application/vnd.amazon.eventstream";

/** Two lengths and their checksum. */
const preludeBytes = 12;
const checksumBytes = 4;
const stringType = 7;

/** The headers of an operation's events are the same few, over and over. */
const encodedHeaders = new Map<string, Buffer>();
const maxEncodedHeaders = 64;

export function encodeEvent({ type, contentType, body }: StreamEvent): Buffer {
	const key = `${type}\n${contentType}`;
	let headers = encodedHeaders.get(key);
	if (!headers) {
		headers = encodeHeaders({
			":message-type": "event",
			":event-type": type,
			...(contentType !== undefined && { ":content-type": contentType }),
		});
		if (encodedHeaders.size < maxEncodedHeaders) encodedHeaders.set(key, headers);
	}
	return encodeMessage(headers, body);
}

/** `name`: of the error shape, such as "InternalServerException". */
export function encodeException(name: string, body: Uint8Array): Buffer {
	const headers = { ":message-type": "exception", ":exception-type": name, ":content-type": "application/json" };
	return encodeMessage(encodeHeaders(headers), body);
}

function encodeHeaders(headers: Record<string, string>): Buffer {
	const parts = Object.entries(headers).flatMap(([name, value]) => {
		const text = Buffer.from(value);
		const head = Buffer.from([name.length, ...Buffer.from(name), stringType, text.length >> 8, text.length & 0xff]);
		return [head, text];
	});
	return Buffer.concat(parts);
}

function encodeMessage(headers: Buffer, body: Uint8Array): Buffer {
	const length = preludeBytes + headers.length + body.length + checksumBytes;
	const message = Buffer.allocUnsafe(length);
	message.writeUInt32BE(length, 0);
	message.writeUInt32BE(headers.length, 4);
	message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
	message.set(headers, preludeBytes);
	message.set(body, preludeBytes + headers.length);
	message.writeUInt32BE(crc32(message.subarray(0, length - checksumBytes)), length - checksumBytes);
	return message;
}

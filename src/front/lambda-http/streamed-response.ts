/** The head of an answer that a function streams (lambda-contract 1.6, "HTTP prelude"). */
import type { StreamHead } from "../../core/invocation/invocation.ts";
import type { StreamedAnswer } from "../streamed-answer.ts";
import {
	integrationResponseType,
	MalformedResponseError,
	preludeEnd,
	type ResponseHead,
	readPrelude,
} from "./response.ts";

/** Bytes of JSON ahead of the body: twice the header block that this port takes from clients. */
export const maxPreludeBytes = 64 * 1024;

export interface StreamStart {
	head: ResponseHead;
	/** What came along with the head; may be empty. */
	first: Buffer;
}

/**
 * Reads as far as the response's head is known. Undefined when the answer ended before its first byte; then the
 * invocation's result says what to make of it. MalformedResponseError for a prelude that has no end or is none.
 */
export async function readStreamStart(
	{ contentType }: StreamHead,
	answer: StreamedAnswer,
): Promise<StreamStart | undefined> {
	if (contentType.split(";", 1)[0]?.trim().toLowerCase() === integrationResponseType) return readWithPrelude(answer);
	let first = await answer.next();
	while (first?.length === 0) first = await answer.next();
	return first && { head: { status: 200, headers: new Map([["content-type", [contentType]]]) }, first };
}

async function readWithPrelude(answer: StreamedAnswer): Promise<StreamStart | undefined> {
	let read: Buffer = Buffer.alloc(0);
	for (;;) {
		const chunk = await answer.next();
		if (chunk === undefined) {
			if (read.length === 0) return undefined;
			throw new MalformedResponseError("The streamed response ended within its prelude");
		}
		// The mark may lie across two chunks.
		const searched = Math.max(0, read.length - preludeEnd.length + 1);
		read = read.length === 0 ? chunk : Buffer.concat([read, chunk]);
		const end = read.indexOf(preludeEnd, searched);
		if (end >= 0 && end <= maxPreludeBytes)
			return { head: readPrelude(read.subarray(0, end)), first: read.subarray(end + preludeEnd.length) };
		if (end > maxPreludeBytes || read.length > maxPreludeBytes + preludeEnd.length)
			throw new MalformedResponseError(`The streamed response's prelude is longer than ${maxPreludeBytes} bytes`);
	}
}

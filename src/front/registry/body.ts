/** Request bodies in and blobs out, with backpressure, a limit, and an end for peers that stall. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";

/** What is read and dropped of a body that nobody wants, so that the client gets to read the answer. */
const maxDiscardBytes = 16 * 1024 * 1024;
const maxDiscardMs = 10_000;

/** The body, chunk by chunk. TOO_LARGE past `maxBytes`. A client that sends nothing for `idleMs` is disconnected, which ends the iteration with an error. */
export async function* requestBody(
	request: IncomingMessage,
	options: { maxBytes: number; idleMs: number; clock: Clock },
): AsyncIterable<Uint8Array> {
	const { maxBytes, idleMs, clock } = options;
	const arm = () =>
		clock.after(idleMs, () =>
			request.destroy(new SlipwayError("DEADLINE", `The client has sent nothing for ${idleMs} ms`)),
		);
	let total = 0;
	let disarm = arm();
	try {
		// Not destroyed when we stop early: the answer goes over the same socket.
		for await (const chunk of request.iterator({ destroyOnReturn: false })) {
			disarm();
			total += chunk.length;
			if (total > maxBytes) throw tooLarge(maxBytes);
			yield chunk;
			disarm = arm();
		}
	} finally {
		disarm();
	}
}

/** The announced length, checked against the limit before a byte is read; undefined for a chunked body. */
export function announcedLength(request: IncomingMessage, maxBytes: number): number | undefined {
	const header = request.headers["content-length"];
	if (header === undefined) return undefined;
	const length = Number(header);
	if (length > maxBytes) throw tooLarge(maxBytes);
	return length;
}

export function hasBody(request: IncomingMessage): boolean {
	const length = request.headers["content-length"];
	return request.headers["transfer-encoding"] !== undefined || (length !== undefined && length !== "0");
}

function tooLarge(maxBytes: number): SlipwayError {
	return new SlipwayError("TOO_LARGE", `The body has more than ${maxBytes} bytes`);
}

/** After the answer: drops what is left of the body, and the connection when that is too much. */
export function discardRest(request: IncomingMessage, clock: Clock): void {
	if (request.readableEnded || request.destroyed || !hasBody(request)) return;
	let left = maxDiscardBytes;
	const disarm = clock.after(maxDiscardMs, () => request.destroy());
	request.on("error", () => {}); // the client may hang up; nobody is waiting for these bytes
	request.on("data", (chunk: Uint8Array) => {
		left -= chunk.length;
		if (left < 0) request.destroy();
	});
	request.once("close", disarm);
	request.once("end", disarm);
	request.resume();
}

/** Sends a stream to the end of the response. A client that takes nothing for `idleMs` is disconnected. */
export async function sendStream(
	response: ServerResponse,
	source: Readable,
	options: { idleMs: number; clock: Clock },
): Promise<void> {
	for await (const chunk of source) {
		if (!response.write(chunk)) await drained(response, options);
	}
	response.end();
}

function drained(response: ServerResponse, options: { idleMs: number; clock: Clock }): Promise<void> {
	if (response.destroyed) return Promise.reject(gone());
	return new Promise((resolve, reject) => {
		const settle = (error?: Error) => {
			disarm();
			response.off("drain", onDrain);
			response.off("close", onClose);
			if (error) reject(error);
			else resolve();
		};
		const onDrain = () => settle();
		const onClose = () => settle(gone());
		const disarm = options.clock.after(options.idleMs, () => {
			response.destroy();
			settle(new SlipwayError("DEADLINE", `The client has taken nothing for ${options.idleMs} ms`));
		});
		response.once("drain", onDrain);
		response.once("close", onClose);
	});
}

function gone(): Error {
	return Object.assign(new Error("The client closed the connection"), { code: "ECONNRESET" });
}

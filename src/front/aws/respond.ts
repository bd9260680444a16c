import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../base/clock.ts";
import { roomIn } from "../streamed-answer.ts";
import { encodeEvent, encodeException, eventStreamType } from "./protocol/event-stream.ts";
import type { HttpResponseParts } from "./protocol/http-binding.ts";
import type { WireErrorMessage } from "./protocol/protocol.ts";
import type { StreamResponse } from "./service.ts";

/** `complete`: the request was read to its end, so that the connection can carry another one. */
export function send(response: ServerResponse, answer: HttpResponseParts, requestId: string, complete: boolean): void {
	if (response.destroyed) return;
	const body = typeof answer.body === "string" ? Buffer.from(answer.body) : answer.body;
	const headers = answer.headers;
	headers["x-amzn-RequestId"] = requestId;
	if (answer.status !== 204 && answer.status !== 304) headers["Content-Length"] = String(body.length);
	if (!complete) headers.Connection = "close";
	response.writeHead(answer.status, headers);
	response.end(body.length === 0 ? undefined : body);
}

/** Sends events as they are made and as fast as the client takes them. `describe` names an error that ends them. Never rejects. */
export async function sendEvents(
	response: ServerResponse,
	answer: StreamResponse,
	requestId: string,
	describe: (error: unknown) => WireErrorMessage,
): Promise<void> {
	if (!response.destroyed) {
		const headers = { "Content-Type": eventStreamType, ...answer.headers, "x-amzn-RequestId": requestId };
		response.writeHead(answer.status, headers);
		// The client learns that its stream has begun, which may be long before its first event.
		response.flushHeaders();
	}
	try {
		for await (const event of answer.events) {
			if (response.destroyed) return;
			if (!response.write(encodeEvent(event))) await roomIn(response);
		}
	} catch (error) {
		if (response.destroyed) return;
		const { name, message, details } = describe(error);
		response.write(encodeException(name, Buffer.from(JSON.stringify({ ...details, message }))));
	}
	response.end();
}

/** Nothing of the request is still to be read, so that the connection can carry another one. */
export function isComplete({ complete, headers }: IncomingMessage): boolean {
	// A request without a body is answered in the very turn in which its head arrived, when its end is not yet told.
	return complete || (headers["transfer-encoding"] === undefined && Number(headers["content-length"] ?? 0) === 0);
}

/** What is still read of a refused request, so that a client that is busy sending gets to see the answer. */
const maxDrainBytes = 32 * 1024 * 1024;
const maxDrainMs = 2000;

/**
 * Lingering close; to be called before `send`. A socket that is destroyed with unread bytes is reset, and a reset throws
 * away the answer that the client has not read yet. node:http destroys as soon as a last answer is written, so here that
 * only ends our side, and the rest is read until the client is done or a bound is reached.
 */
export function linger(request: IncomingMessage, clock: Pick<Clock, "after">): void {
	const { socket } = request;
	let left = maxDrainBytes;
	const cancel = clock.after(maxDrainMs, () => socket.destroy());
	socket.once("close", cancel);
	socket.destroySoon = () => void socket.end();
	request.removeAllListeners("data");
	request.on("data", (chunk: Buffer) => {
		left -= chunk.length;
		if (left < 0) socket.destroy();
	});
	request.once("end", () => socket.end(() => socket.destroy()));
	request.once("error", () => socket.destroy());
	request.resume();
}

import type { GatewayRequest, GatewayResponse } from "../gateway/ports.ts";

/** An answer that is whole. */
export interface Answer {
	status: number;
	/** By lower-case name. */
	headers: ReadonlyMap<string, string[]>;
	body: Uint8Array;
}

/** API Gateway's own words (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-lambda.html). */
export function gatewayError(
	status: number,
	message: string,
	more: Record<string, string[]> = {},
	fields = {},
): Answer {
	return {
		status,
		headers: new Map(Object.entries({ "content-type": ["application/json"], ...more })),
		body: Buffer.from(JSON.stringify({ message, ...fields })),
	};
}

/** HTTP/2 knows no such thing (RFC 9113, 8.2.2). */
const connectionHeaders = ["connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection"];

/** Nothing happens to a client that has gone away. */
export function sendAnswer(response: GatewayResponse, { status, headers, body }: Answer): void {
	if (response.destroyed || response.headersSent || response.writableEnded) return;
	const bodiless = status === 204 || status === 304;
	response.statusCode = status;
	const http2 = "stream" in response;
	for (const [name, lines] of headers) {
		if (http2 && connectionHeaders.includes(name)) continue;
		response.setHeader(name, lines.length === 1 ? lines[0]! : lines);
	}
	// A connection on which nobody reads the rest of a body is of no more use (RFC 9112, 9.3).
	if (!http2 && bodyIsComing(response.req)) response.setHeader("connection", "close");
	if (!bodiless) response.setHeader("content-length", String(body.length));
	if (bodiless || body.length === 0) response.end();
	// Two overloads that differ in their types, not in what they do.
	else if ("stream" in response) response.end(body);
	else response.end(body);
}

/** A request without one is not complete either while its head is looked at. */
function bodyIsComing({ complete, headers }: GatewayRequest): boolean {
	return !complete && (headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined);
}

export class BodyTooLargeError extends Error {}
export class ClientGoneError extends Error {}

/** The whole body of at most `limit` bytes. BodyTooLargeError, ClientGoneError. `taken` is told of bytes before they are held. */
export function readBody(request: GatewayRequest, limit: number, taken: (bytes: number) => void): Promise<Buffer> {
	if (Number(request.headers["content-length"] ?? 0) > limit) return Promise.reject(new BodyTooLargeError());
	if (request.destroyed && !request.readableEnded) return Promise.reject(new ClientGoneError());
	return new Promise((resolve, reject) => {
		const chunks: Buffer[] = [];
		let size = 0;
		const fail = (error: unknown) => {
			request.pause();
			request.removeAllListeners("data");
			reject(error);
		};
		request.on("data", (chunk: Buffer) => {
			size += chunk.length;
			if (size > limit) return fail(new BodyTooLargeError());
			try {
				taken(chunk.length);
			} catch (error) {
				return fail(error);
			}
			chunks.push(chunk);
		});
		request.once("end", () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)));
		request.once("error", () => reject(new ClientGoneError()));
		request.once("close", () => reject(new ClientGoneError()));
	});
}

/** Bytes of bodies that all requests hold at once, while they are looked at or their answer is waited for. */
export class BodyBudget {
	#free: number;

	constructor(bytes: number) {
		this.#free = bytes;
	}

	/** False past the bound. */
	take(bytes: number): boolean {
		if (bytes > this.#free) return false;
		this.#free -= bytes;
		return true;
	}

	give(bytes: number): void {
		this.#free += bytes;
	}
}

export class BudgetSpentError extends Error {}

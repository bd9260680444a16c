import type { IncomingMessage, ServerResponse } from "node:http";
import { maxResponseBytes } from "./limits.ts";

export interface ApiError {
	status: number;
	errorType: string;
	errorMessage: string;
}

/** lambda-contract 1.4. */
export const apiErrors = {
	invalidRequestId: { status: 400, errorType: "InvalidRequestID", errorMessage: "Invalid request ID" },
	truncated: { status: 400, errorType: "TruncatedHTTPRequest", errorMessage: "HTTP request detected as truncated" },
	invalidMode: {
		status: 400,
		errorType: "InvalidFunctionResponseMode",
		errorMessage: "Invalid function response mode",
	},
	tooLarge: {
		status: 413,
		errorType: "RequestEntityTooLarge",
		errorMessage: `Exceeded maximum allowed payload size (${maxResponseBytes} bytes).`,
		callerMessage: `Response payload size exceeded maximum allowed payload size (${maxResponseBytes} bytes).`,
	},
	internal: { status: 500, errorType: "InternalServerError", errorMessage: "Internal Server Error" },
	invalidTransition: (from: string, to: string): ApiError => ({
		status: 403,
		errorType: "InvalidStateTransition",
		errorMessage: `State transition from ${from} to ${to} failed for runtime. Error: State transition is not allowed`,
	}),
	/** Of the Extensions, Telemetry and Logs APIs (lambda-contract 2.1). */
	forbidden: (errorType: string, errorMessage: string): ApiError => ({ status: 403, errorType, errorMessage }),
	invalid: (errorMessage: string): ApiError => ({ status: 400, errorType: "ValidationError", errorMessage }),
};

/** What answers are written to: node:http's response, or a plain one (runtime-connection.ts). */
export interface Reply {
	readonly headersSent: boolean;
	readonly destroyed: boolean;
	/** Content-Length is among the headers of every answer. */
	writeHead(status: number, headers: Record<string, string | number>): Reply;
	end(body: Uint8Array): unknown;
	once(event: "close", listener: () => void): unknown;
}

export function sendError(response: Reply, error: ApiError): void {
	const { status, errorType, errorMessage } = error;
	sendJson(response, status, Buffer.from(JSON.stringify({ errorMessage, errorType })));
}

const accepted = Buffer.from('{"status":"OK"}\n');

const acceptedHeaders = { "Content-Type": "application/json", "Content-Length": accepted.length };

export function sendAccepted(response: Reply): void {
	if (response.headersSent || response.destroyed) return;
	response.writeHead(202, acceptedHeaders).end(accepted);
}

export function sendJson(
	response: Reply,
	status: number,
	body: Uint8Array,
	headers: Record<string, string> = {},
): void {
	if (response.headersSent || response.destroyed) return;
	response
		.writeHead(status, { "Content-Type": "application/json", "Content-Length": body.length, ...headers })
		.end(body);
}

/**
 * The whole body, "truncated" when the client stopped half-way, or "too-large". A body past the limit is read to its end
 * but not kept, so that a client that writes before it reads still sees the answer.
 */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer | "truncated" | "too-large"> {
	return new Promise((resolve) => {
		const chunks: Buffer[] = [];
		let size = 0;
		request.on("data", (chunk: Buffer) => {
			size += chunk.length;
			if (size <= limit) chunks.push(chunk);
			else chunks.length = 0;
		});
		request.once("end", () =>
			resolve(size > limit ? "too-large" : chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)),
		);
		request.once("close", () => resolve("truncated"));
		request.once("error", () => resolve("truncated"));
	});
}

/** The body of a registration or subscription as JSON; undefined when an answer has been given instead. */
export async function readJson(
	request: IncomingMessage,
	response: ServerResponse,
	limit: number,
	invalid: (why: string) => ApiError,
): Promise<{ value: unknown } | undefined> {
	const body = await readBody(request, limit);
	if (typeof body === "string") {
		sendError(response, body === "truncated" ? apiErrors.truncated : apiErrors.tooLarge);
		return undefined;
	}
	try {
		return { value: JSON.parse(body.toString()) };
	} catch (error) {
		sendError(response, invalid(error instanceof Error ? error.message : String(error)));
		return undefined;
	}
}

/** A header's value as a string; the first where a client sent several. */
export function header(request: IncomingMessage, name: string): string | undefined {
	const value = request.headers[name];
	return Array.isArray(value) ? value[0] : value;
}

import type { IncomingMessage, ServerResponse } from "node:http";
import { maxResponseBytes } from "./limits.ts";

interface ApiError {
	status: number;
	errorType: string;
	errorMessage: string;
}

/** lambda-contract 1.4. */
export const apiErrors = {
	invalidRequestId: { status: 400, errorType: "InvalidRequestID", errorMessage: "Invalid request ID" },
	truncated: { status: 400, errorType: "TruncatedHTTPRequest", errorMessage: "HTTP request detected as truncated" },
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
};

export function sendError(response: ServerResponse, error: ApiError): void {
	if (response.headersSent || response.destroyed) return;
	const { status, errorType, errorMessage } = error;
	const body = Buffer.from(JSON.stringify({ errorMessage, errorType }));
	response.writeHead(status, { "Content-Type": "application/json", "Content-Length": body.length }).end(body);
}

const accepted = Buffer.from('{"status":"OK"}\n');

export function sendAccepted(response: ServerResponse): void {
	response.writeHead(202, { "Content-Type": "application/json", "Content-Length": accepted.length }).end(accepted);
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

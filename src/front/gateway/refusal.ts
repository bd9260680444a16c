/** Answers of the gateway's own: JSON for who asks for it, else a line of text. */
import type { ServerResponse } from "node:http";
import { type ErrorCode, isSlipwayError } from "../../base/error.ts";
import type { GatewayRequest, GatewayResponse } from "./ports.ts";

export interface Refusal {
	status: number;
	error: string;
	hint?: string;
	/** Seconds; Retry-After. */
	retryAfter?: number;
	/** For the access log. */
	failure: string;
}

export function refuse(
	request: GatewayRequest,
	response: GatewayResponse,
	{ status, error, hint, retryAfter, failure }: Refusal,
	added: readonly (readonly [string, string])[] = [],
): void {
	if (response.headersSent || response.destroyed || response.writableEnded) return;
	const { accept } = request.headers;
	const isJson = accept?.includes("application/json") ?? false;
	const text = isJson
		? `${JSON.stringify({ error, reason: failure, ...(hint && { hint }) })}\n`
		: `${error}\n${hint ? `${hint}\n` : ""}`;
	const headers: Record<string, string> = {
		"content-type": isJson ? "application/json" : "text/plain; charset=utf-8",
		"content-length": String(Buffer.byteLength(text)),
	};
	for (const [name, value] of added) headers[name.toLowerCase()] = value;
	if (retryAfter !== undefined) headers["retry-after"] = String(retryAfter);
	// Of a body that nobody reads the end is not waited for.
	if (!request.complete && request.httpVersionMajor === 1) headers.connection = "close";
	const plain = response as ServerResponse;
	plain.writeHead(status, headers);
	plain.end(request.method === "HEAD" ? undefined : text);
}

const statuses: Partial<Record<ErrorCode, { status: number; failure: string }>> = {
	// Cloud Run's answer when all instances are busy (https://cloud.google.com/run/docs/troubleshooting#429).
	THROTTLED: { status: 429, failure: "queue-full" },
	DEADLINE: { status: 504, failure: "deadline" },
	UNAVAILABLE: { status: 503, failure: "not-ready" },
	EXHAUSTED: { status: 503, failure: "exhausted" },
	NOT_FOUND: { status: 503, failure: "not-ready" },
	INVALID_IMAGE: { status: 503, failure: "not-ready" },
	SANDBOX_FAILED: { status: 503, failure: "not-ready" },
};

/** What an admission's refusal is to a client; undefined for a bug. */
export function refusalOf(error: unknown): Refusal | undefined {
	if (!isSlipwayError(error)) return undefined;
	const known = statuses[error.code];
	if (known === undefined) return undefined;
	const refusal: Refusal = { ...known, error: error.message };
	if (error.hint !== undefined) refusal.hint = error.hint;
	if (known.status === 429 || known.status === 503)
		refusal.retryAfter = Math.max(1, Math.ceil((error.retryAfterMs ?? 1000) / 1000));
	return refusal;
}

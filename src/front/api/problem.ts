import type { ServerResponse } from "node:http";
import { type ErrorCode, isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { Problem } from "../../client/schema.ts";

/** The native API's table of codes and HTTP statuses. */
export const statusOf: Record<ErrorCode, number> = {
	INVALID: 400,
	UNAUTHENTICATED: 401,
	FORBIDDEN: 403,
	NOT_FOUND: 404,
	ALREADY_EXISTS: 409,
	CONFLICT: 409,
	PRECONDITION: 412,
	TOO_LARGE: 413,
	INVALID_IMAGE: 422,
	DIGEST_MISMATCH: 422,
	THROTTLED: 429,
	UNSUPPORTED: 501,
	SANDBOX_FAILED: 502,
	UNAVAILABLE: 503,
	DEADLINE: 504,
	EXHAUSTED: 507,
};

/** RFC 9457. An error of another class is a bug: its text goes to the log, not to the client. */
export function toProblem(error: unknown, requestId: string, log: Log): Problem {
	if (!isSlipwayError(error)) {
		log.error("A request failed", { requestId, error });
		const detail = `Internal error; the daemon's log says more under request id ${requestId}`;
		return { type: "about:blank", title: "INTERNAL", status: 500, detail, code: "INTERNAL", requestId };
	}
	return {
		type: "about:blank",
		title: error.code,
		status: statusOf[error.code],
		detail: error.message,
		code: error.code,
		...(error.reason !== undefined && { reason: error.reason }),
		...(error.hint !== undefined && { hint: error.hint }),
		requestId,
	};
}

export function sendProblem(response: ServerResponse, problem: Problem, error: unknown): void {
	const text = `${JSON.stringify(problem)}\n`;
	const retryAfterMs = error instanceof SlipwayError ? error.retryAfterMs : undefined;
	response.writeHead(problem.status, {
		"content-type": "application/problem+json",
		"content-length": Buffer.byteLength(text),
		...(retryAfterMs !== undefined && { "retry-after": String(Math.max(1, Math.ceil(retryAfterMs / 1000))) }),
		...(problem.status === 401 && { "www-authenticate": 'Bearer realm="slipway"' }),
		// The rest of a body that was refused is not read: the connection can't be used again.
		...(problem.status === 413 && { connection: "close" }),
	});
	response.end(text);
}

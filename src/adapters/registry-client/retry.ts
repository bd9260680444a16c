import { isSlipwayError, systemCode } from "../../base/error.ts";
import type { RegistryLimits } from "./limits.ts";

/** A failure that the same request may not meet again. `retryAfterMs` is what the server asked for. */
export class TransientError extends Error {
	readonly retryAfterMs: number | undefined;

	constructor(message: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.retryAfterMs = options.retryAfterMs;
	}
}

/** RFC 9110 15.5 and 15.6, RFC 6585 4: what a server says when the request itself was fine. */
const transientStatuses = new Set([408, 425, 429, 500, 502, 503, 504]);
/** A name that does not exist, a certificate that is not trusted or an unreadable response will be so again. */
const transientCodes = new Set([
	"ECONNRESET",
	"ECONNREFUSED",
	"ECONNABORTED",
	"ETIMEDOUT",
	"EPIPE",
	"EAI_AGAIN",
	"EHOSTUNREACH",
	"ENETUNREACH",
	"ERR_STREAM_PREMATURE_CLOSE",
]);

export function isTransientStatus(status: number): boolean {
	return transientStatuses.has(status);
}

export function isTransient(error: unknown): boolean {
	if (error instanceof TransientError) return true;
	if (isSlipwayError(error)) return false;
	const code = systemCode(error);
	return code !== undefined && transientCodes.has(code);
}

/**
 * Milliseconds until try number `attempt` + 1 (the first try is 1), or undefined to give up. Exponential with full
 * jitter, and never sooner than the server asked. `random` is in [0, 1).
 */
export function retryDelay(
	attempt: number,
	error: unknown,
	random: number,
	limits: Pick<RegistryLimits, "attempts" | "backoffMs" | "backoffCeilingMs" | "retryAfterMs">,
): number | undefined {
	if (attempt >= limits.attempts || !isTransient(error)) return undefined;
	const asked = error instanceof TransientError ? error.retryAfterMs : undefined;
	if (asked !== undefined && asked > limits.retryAfterMs) return undefined;
	const ceiling = Math.min(limits.backoffCeilingMs, limits.backoffMs * 2 ** (attempt - 1));
	return Math.max(asked ?? 0, ceiling * random);
}

/** RFC 9110 10.2.3: seconds or a date. Undefined when absent or unreadable. */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
	if (value === undefined) return undefined;
	if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
	const date = Date.parse(value);
	return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

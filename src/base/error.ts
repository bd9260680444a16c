/**
 * One error class with a closed set of codes. Each edge (AWS, OCI registry, native API, CLI) has one table that maps a
 * code to its own wire form; nothing else translates errors. `message` is a sentence a user can act on; `hint` names the
 * next step. An error of any other class is a bug and is shown outside as "Internal error" only.
 */
export const errorCodes = {
	/** A value breaks a rule the caller can read about; the message names the value and the rule. */
	INVALID: "user",
	NOT_FOUND: "user",
	ALREADY_EXISTS: "user",
	/** The resource is in a state that does not allow this now (update in progress, still pending). */
	CONFLICT: "user",
	/** A revision id or digest that the caller named is not the current one. */
	PRECONDITION: "user",
	UNAUTHENTICATED: "user",
	FORBIDDEN: "user",
	TOO_LARGE: "user",
	/** A concurrency or rate limit; `retryAfterMs` may be set. */
	THROTTLED: "user",
	/** An image that can't run here: wrong architecture, no such manifest, a layer that breaks the rules. */
	INVALID_IMAGE: "user",
	/** Bytes do not have the digest or size they were announced with. */
	DIGEST_MISMATCH: "user",
	/** Asked for something this build does not do. */
	UNSUPPORTED: "user",
	DEADLINE: "user",
	/** The disk, memory, or address space of the machine is used up. */
	EXHAUSTED: "system",
	/** A program or peer that we depend on is missing, refused, or answered wrongly. */
	UNAVAILABLE: "system",
	/** The sandbox could not be made or died outside of its contract. */
	SANDBOX_FAILED: "system",
} as const;

export type ErrorCode = keyof typeof errorCodes;

export interface ErrorOptions {
	hint?: string;
	cause?: unknown;
	/** Milliseconds after which the same call may succeed. */
	retryAfterMs?: number;
	/** A finer name inside one code, stable, such as "LayerPathEscape" or "ReservedFunctionConcurrentInvocationLimitExceeded". */
	reason?: string;
}

export class SlipwayError extends Error {
	override readonly name = "SlipwayError";
	readonly code: ErrorCode;
	readonly hint: string | undefined;
	readonly reason: string | undefined;
	readonly retryAfterMs: number | undefined;

	constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.code = code;
		this.hint = options.hint;
		this.reason = options.reason;
		this.retryAfterMs = options.retryAfterMs;
	}
}

export function isSlipwayError(error: unknown, code?: ErrorCode): error is SlipwayError {
	return error instanceof SlipwayError && (code === undefined || error.code === code);
}

/** Node's system error code ("ENOENT", "ENOSPC", …) of an unknown error, if it has one. */
export function systemCode(error: unknown): string | undefined {
	return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

const openFiles = { what: "open files", hint: "Raise the daemon's limit of open files (`LimitNOFILE=`, `ulimit -n`)" };
/** What the kernel ran out of, and what to do about it. EAGAIN: of fork, clone and posix_spawn; nothing else of ours waits. */
const scarce = new Map([
	["EMFILE", openFiles],
	["ENFILE", { what: "open files", hint: "Raise the machine's limit of open files (fs.file-max)" }],
	[
		"ENOMEM",
		{ what: "memory", hint: "Give the machine more memory, or the daemon fewer sandboxes (SLIPWAY_MAX_SANDBOXES)" },
	],
	["EAGAIN", { what: "processes", hint: "Raise the limit of processes (`TasksMax=`, kernel.pid_max)" }],
]);

/** Turns the file system's own refusals into ours at an adapter's edge; everything else is returned as it is. */
export function fromSystemError(error: unknown, doing: string): unknown {
	const code = systemCode(error);
	if (code === "ENOSPC" || code === "EDQUOT")
		return new SlipwayError("EXHAUSTED", `No space is left on the device while ${doing}`, {
			cause: error,
			hint: "Free some disk space (`slipway image rm`, `slipway status`) and try again",
		});
	const ranOut = code === undefined ? undefined : scarce.get(code);
	if (ranOut)
		return new SlipwayError("EXHAUSTED", `The machine ran out of ${ranOut.what} (${code}) while ${doing}`, {
			cause: error,
			hint: ranOut.hint,
		});
	return error;
}

export function assert(condition: unknown, why: string): asserts condition {
	if (!condition) throw new Error(`Assertion failed: ${why}`);
}

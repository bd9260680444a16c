import { type ErrorCode, isSlipwayError, SlipwayError } from "./error.ts";

/** An error on its way between threads: its class does not survive a structured clone; its fields do. */
export interface WireError {
	/** Undefined for one that is a bug. */
	code: ErrorCode | undefined;
	message: string;
	reason: string | undefined;
	hint: string | undefined;
	/** Why, for the log: the cause's message, or a bug's stack. */
	cause: string | undefined;
}

export function toWire(error: unknown): WireError {
	if (isSlipwayError(error)) {
		const { code, message, reason, hint, cause } = error;
		return { code, message, reason, hint, cause: cause instanceof Error ? cause.message : undefined };
	}
	const bug = error instanceof Error ? error : new Error(String(error));
	return { code: undefined, message: bug.message, reason: undefined, hint: undefined, cause: bug.stack };
}

export function fromWire({ code, message, reason, hint, cause }: WireError): Error {
	if (code === undefined) return new Error(message, { cause });
	return new SlipwayError(code, message, {
		...(cause === undefined ? {} : { cause }),
		...(reason === undefined ? {} : { reason }),
		...(hint === undefined ? {} : { hint }),
	});
}

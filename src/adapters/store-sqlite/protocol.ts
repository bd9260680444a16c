/** What the main thread and the database's thread say to each other. */
import { type ErrorCode, isSlipwayError, SlipwayError } from "../../base/error.ts";

export interface Call {
	id: number;
	target: "repositories" | "functions" | "resources";
	method: string;
	parameters: unknown[];
}

export type Outcome = { id: number; value: unknown } | { id: number; error: WireError };

export type Message = { ready: true } | { failed: WireError } | { outcomes: Outcome[] };

/** An error class does not survive a structured clone; its fields do. */
export interface WireError {
	code: ErrorCode | undefined;
	message: string;
	reason: string | undefined;
	hint: string | undefined;
	stack: string | undefined;
}

export function toWire(error: unknown): WireError {
	if (isSlipwayError(error)) {
		const { code, message, reason, hint, stack } = error;
		return { code, message, reason, hint, stack };
	}
	const bug = error instanceof Error ? error : new Error(String(error));
	return { code: undefined, message: bug.message, reason: undefined, hint: undefined, stack: bug.stack };
}

export function fromWire(wire: WireError): Error {
	const cause = wire.stack;
	if (wire.code === undefined) return new Error(wire.message, { cause });
	return new SlipwayError(wire.code, wire.message, {
		cause,
		...(wire.reason === undefined ? {} : { reason: wire.reason }),
		...(wire.hint === undefined ? {} : { hint: wire.hint }),
	});
}

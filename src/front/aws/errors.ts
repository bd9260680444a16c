import type { WireError } from "./service.ts";

/** An error with a name of its own on the wire, for what has no SlipwayError code (signatures, validation, routing). */
export class AwsError extends Error implements WireError {
	override readonly name: string;
	/** HTTP status. */
	readonly status: number;
	readonly details: Record<string, unknown> | undefined;
	readonly retryAfterMs: number | undefined;

	constructor(
		name: string,
		status: number,
		message: string,
		options: { details?: Record<string, unknown>; retryAfterMs?: number } = {},
	) {
		super(message);
		this.name = name;
		this.status = status;
		this.details = options.details;
		this.retryAfterMs = options.retryAfterMs;
	}
}

/** AWS's words for one or more broken constraints. */
export function validationError(constraints: readonly string[]): AwsError {
	const count = constraints.length === 1 ? "1 validation error" : `${constraints.length} validation errors`;
	return new AwsError("ValidationException", 400, `${count} detected: ${constraints.join("; ")}`);
}

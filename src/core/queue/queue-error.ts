import { SlipwayError } from "../../base/error.ts";

/** Refusals of the queue API by their published names; the front answers a `reason` that is one of them as the error's name. */
export const queueErrorReasons = [
	"InvalidParameterValue",
	"MissingParameter",
	"InvalidAttributeName",
	"InvalidAttributeValue",
	"InvalidMessageContents",
	"UnsupportedOperation",
	"InvalidAddress",
	"ReceiptHandleIsInvalid",
	"MessageNotInflight",
	"QueueDoesNotExist",
	"QueueNameExists",
	"PurgeQueueInProgress",
	"OverLimit",
	"RequestThrottled",
	"ResourceNotFoundException",
	"EmptyBatchRequest",
	"TooManyEntriesInBatchRequest",
	"BatchEntryIdsNotDistinct",
	"InvalidBatchEntryId",
	"BatchRequestTooLong",
] as const;

export type QueueErrorReason = (typeof queueErrorReasons)[number];

const codes: Partial<Record<QueueErrorReason, "NOT_FOUND" | "ALREADY_EXISTS" | "CONFLICT" | "THROTTLED">> = {
	QueueDoesNotExist: "NOT_FOUND",
	ResourceNotFoundException: "NOT_FOUND",
	QueueNameExists: "ALREADY_EXISTS",
	PurgeQueueInProgress: "CONFLICT",
	MessageNotInflight: "CONFLICT",
	OverLimit: "THROTTLED",
	RequestThrottled: "THROTTLED",
};

export function queueError(reason: QueueErrorReason, message: string, hint?: string): SlipwayError {
	return new SlipwayError(codes[reason] ?? "INVALID", message, { reason, ...(hint !== undefined && { hint }) });
}

export function invalidParameter(message: string): SlipwayError {
	return queueError("InvalidParameterValue", message);
}

/** AWS's words for one value that breaks a rule. */
export function invalidValue(value: unknown, parameter: string, why: string): SlipwayError {
	return invalidParameter(`Value ${shown(value)} for parameter ${parameter} is invalid. Reason: ${why}`);
}

/** Longer values would make the error larger than is of use. */
const maxShown = 1024;

function shown(value: unknown): string {
	const text = typeof value === "string" ? value : String(JSON.stringify(value));
	return text.length > maxShown ? `${text.slice(0, maxShown)}…` : text;
}

export function missingParameter(name: string): SlipwayError {
	return queueError("MissingParameter", `The request must contain the parameter ${name}.`);
}

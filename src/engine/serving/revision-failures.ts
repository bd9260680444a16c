import { SlipwayError } from "../../base/error.ts";
import type { ServiceRevision } from "../../core/service/service-revision.ts";

/** UNAVAILABLE (reason "RevisionFailed"), with what its container said. */
export function revisionFailed({ name }: ServiceRevision, cause: unknown): SlipwayError {
	const why = cause instanceof SlipwayError ? cause.message : "Internal error";
	const message = `Revision "${name}" does not start: ${why}`;
	return new SlipwayError("UNAVAILABLE", message, { reason: "RevisionFailed", cause });
}

export function revisionGone(name: string): SlipwayError {
	return new SlipwayError("NOT_FOUND", `Revision "${name}" is not there`, { reason: "RevisionGone" });
}

export function serviceDisabled({ service }: ServiceRevision): SlipwayError {
	return new SlipwayError("UNAVAILABLE", `Service "${service}" is disabled: its manual instance count is 0`, {
		reason: "ServiceDisabled",
	});
}

export function noInstanceInTime({ name }: ServiceRevision, limitMs: number): SlipwayError {
	const message = `No instance of revision "${name}" had room for the request within ${Math.round(limitMs / 1000)} s`;
	return new SlipwayError("DEADLINE", message, { reason: "NoInstanceInTime" });
}

export function noSlotInTime({ name }: ServiceRevision): SlipwayError {
	const message = `This machine has no room for another instance of revision "${name}"`;
	return new SlipwayError("EXHAUSTED", message, { reason: "NoInstanceSlot", hint: "Raise its limit of instances" });
}

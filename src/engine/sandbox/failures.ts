import { isSlipwayError } from "../../base/error.ts";
import type { Failure, FunctionRevision } from "../../core/invocation/function-contract.ts";

export function timeoutOf(revision: FunctionRevision): Failure {
	return { kind: "timeout", timeoutS: revision.configuration.timeoutS };
}

/** Whether the processes are not to be trusted with another event. */
export function endsProcesses(failure: Failure): boolean {
	return failure.kind === "timeout" || failure.kind === "exit" || failure.kind === "companion";
}

/** An image whose process can't be started fails like an invocation would; anything else is the platform's. */
export function launchFailure(error: unknown): Failure | undefined {
	if (!isSlipwayError(error, "INVALID_IMAGE")) return undefined;
	if (error.reason === "InvalidEntrypoint") return { kind: "invalid-entrypoint", message: error.message };
	if (error.reason === "InvalidWorkingDir") return { kind: "invalid-working-dir", message: error.message };
	return undefined;
}

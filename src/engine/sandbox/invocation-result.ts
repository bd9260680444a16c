import type { ColdStart } from "../../core/invocation/cold-start.ts";
import type { FunctionContract } from "../../core/invocation/function-contract.ts";
import type { InvocationResult } from "../../core/invocation/invocation.ts";
import { failureOf, type Outcome } from "./running-invocation.ts";

const noPayload = new Uint8Array();

/** What the caller gets of an event that ended so. */
export function invocationResult(
	contract: FunctionContract,
	executedVersion: string,
	ended: {
		requestId: string;
		outcome: Outcome;
		coldStart: ColdStart | undefined;
		logTail: Uint8Array | undefined;
	},
): InvocationResult {
	const { requestId, outcome, coldStart, logTail } = ended;
	const failure = failureOf(outcome);
	const answer = outcome.kind === "response" ? outcome.payload : noPayload;
	return {
		payload: failure ? contract.failurePayload(failure, requestId) : answer,
		functionError: failure ? "Unhandled" : undefined,
		...(failure && { errorType: contract.failureType(failure) }),
		executedVersion,
		logTail,
		coldStart,
	};
}

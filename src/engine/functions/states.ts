import { SlipwayError } from "../../base/error.ts";
import type { FunctionRecord, FunctionState } from "../../core/function/function.ts";

/** lambda-contract 4.3. */
export const creating: FunctionState = {
	state: "Pending",
	reason: "The function is being created.",
	reasonCode: "Creating",
};

/** CONFLICT while the function is being made, updated or restored (lambda-contract 4.2, 4.3). */
export function checkSettled(record: FunctionRecord): void {
	if (record.state.state === "Pending")
		throw new SlipwayError(
			"CONFLICT",
			"The operation cannot be performed at this time. The function is currently in the following state: Pending",
		);
	if (record.lastUpdate.status === "InProgress")
		throw new SlipwayError(
			"CONFLICT",
			`The operation cannot be performed at this time. An update is in progress for resource: ${record.arn}`,
		);
}

/** PRECONDITION in the words of lambda-contract 4.4. `call` is what tells the latest one. */
export function checkRevisionId(given: string | undefined, latest: string, call = "GetFunction/GetAlias"): void {
	if (given !== undefined && given !== latest)
		throw new SlipwayError(
			"PRECONDITION",
			`The Revision Id provided does not match the latest Revision Id. Call the ${call} API to retrieve the latest Revision Id`,
		);
}

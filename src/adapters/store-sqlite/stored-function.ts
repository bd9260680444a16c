import type { FunctionRecord } from "../../core/function/function.ts";
import { automaticSpares } from "../../core/function/spare-setting.ts";

/** What records written before versions, aliases, policies, concurrency, URLs and spare settings existed lack, and what it means that they lack it. */
function added(): Omit<FunctionRecord, keyof FirstRecord> {
	return {
		nextVersion: 1,
		aliases: {},
		policies: {},
		reservedConcurrency: undefined,
		provisionedConcurrency: {},
		urls: {},
		recursiveLoop: "Terminate",
		spares: automaticSpares,
	};
}

/** A record as 0.1 wrote it. */
type FirstRecord = Pick<
	FunctionRecord,
	| "name"
	| "arn"
	| "revisionId"
	| "lastModifiedMs"
	| "createdMs"
	| "configuration"
	| "code"
	| "state"
	| "lastUpdate"
	| "active"
	| "tags"
>;

/** Reads a record of this release or an earlier one. */
export function parseFunctionRecord(json: string): FunctionRecord {
	return { ...added(), ...(JSON.parse(json) as FirstRecord & Partial<FunctionRecord>) };
}

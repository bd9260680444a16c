import { isDeepStrictEqual } from "node:util";
import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { FunctionRecord, FunctionState, FunctionVersion } from "../../core/function/function.ts";
import type { FunctionRecords, RecordChange } from "./records.ts";

/** The version that was published last, if it is what $LATEST is now: publishing would make the same again. */
export function unchangedVersion(records: FunctionRecords, record: FunctionRecord): FunctionVersion | undefined {
	const last = records.version(record.name, String(record.nextVersion - 1));
	if (!last || last.state.state === "Failed") return undefined;
	if (last.code.resolvedImageUri !== record.code.resolvedImageUri) return undefined;
	const published = { ...last.configuration, description: last.functionDescription };
	return isDeepStrictEqual(plain(published), plain(record.configuration)) ? last : undefined;
}

/** Of one function, some 2 KB each in memory. The cloud's bound is the size of their code, which images do not count in. */
export const maxVersions = 10_000;

/** INVALID. */
export function checkRoomForVersion(records: FunctionRecords, name: string): void {
	if (records.versionCount(name) < maxVersions) return;
	throw new SlipwayError("INVALID", `Function ${name} has ${maxVersions} versions, and can't have more`, {
		reason: "CodeStorageExceededException",
		hint: "Delete versions that no alias needs",
	});
}

/** The record and its next version, which is what the record's $LATEST is now. Both get revision ids of their own (lambda-contract 4.3). */
export function publishNext(
	record: FunctionRecord,
	options: { description?: string | undefined; state: FunctionState; ids: Pick<Ids, "uuid"> },
): RecordChange & { version: FunctionVersion } {
	const { ids, state, description } = options;
	const { name, configuration, code, lastModifiedMs, nextVersion } = record;
	return {
		record: { ...record, nextVersion: nextVersion + 1, revisionId: ids.uuid() },
		version: {
			functionName: name,
			version: String(nextVersion),
			configuration: description === undefined ? configuration : { ...configuration, description },
			code,
			lastModifiedMs,
			revisionId: ids.uuid(),
			state,
			functionDescription: configuration.description,
		},
	};
}

/** A member that is undefined and one that is missing are the same: the store keeps no undefined ones. */
function plain(value: object): unknown {
	return JSON.parse(JSON.stringify(value));
}

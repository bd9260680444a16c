import type * as sdk from "@aws-sdk/client-cloudwatch-logs";
import { isSlipwayError } from "../../../../base/error.ts";
import type { LogGroup } from "../../../../core/log/log-store.ts";
import type { Call } from "../../service.ts";
import type { LogsDeps, LogsHandlers } from "./ports.ts";
import { checkedTags } from "./tag-handlers.ts";
import { groupArn, groupOfIdentifier, inAwsWords, invalidParameter, readToken, writeToken } from "./wire.ts";

/** DescribeLogGroups, limit. */
const maxGroups = 50;

export function groupHandlers({ logs }: LogsDeps): LogsHandlers {
	const retain = async (group: string, retentionDays: number | undefined) => {
		await inAwsWords("log group", logs.updateGroup(group, { retentionDays }));
		return {};
	};
	const nothingOf = async <Answer>(group: string | undefined, answer: Answer) => {
		if (group !== undefined) await inAwsWords("log group", logs.describeGroup(group));
		return answer;
	};
	return {
		CreateLogGroup: async (input) => {
			if (input.kmsKeyId !== undefined) throw invalidParameter("Slipway does not encrypt logs with KMS keys.");
			if (input.logGroupClass !== undefined && input.logGroupClass !== "STANDARD")
				throw invalidParameter("Slipway has the log group class STANDARD only.");
			if (input.deletionProtectionEnabled) throw invalidParameter("Slipway has no deletion protection of log groups.");
			const name = input.logGroupName;
			if (/^aws\//.test(name)) throw invalidParameter("Log groups starting with aws/ are reserved for AWS.");
			await inAwsWords("log group", logs.createGroup(name, { tags: checkedTags({}, input.tags ?? {}) }));
			return {};
		},
		DeleteLogGroup: async (input) => {
			await inAwsWords("log group", logs.deleteGroup(input.logGroupName));
			return {};
		},
		PutRetentionPolicy: (input) => retain(input.logGroupName, input.retentionInDays),
		DeleteRetentionPolicy: (input) => retain(input.logGroupName, undefined),
		DescribeLogGroups: async (input, call) => {
			const names = wanted(await logs.listGroups(), input, call);
			const after = input.nextToken === undefined ? "" : readToken(input.nextToken, ["string"])[0]!;
			const rest = names.filter((name) => name > after);
			const page = rest.slice(0, input.limit ?? maxGroups);
			const groups = await Promise.all(page.map((name) => ifThere(logs.describeGroup(name))));
			return {
				logGroups: groups.flatMap((group) => (group ? [wireGroup(group, call)] : [])),
				...(rest.length > page.length && { nextToken: writeToken([page.at(-1)!]) }),
			};
		},
		// Tools read them of every group; here a group never has any.
		DescribeMetricFilters: (input) => nothingOf(input.logGroupName, { metricFilters: [] }),
		DescribeSubscriptionFilters: (input) => nothingOf(input.logGroupName, { subscriptionFilters: [] }),
	};
}

/** A group may be deleted while it is listed. */
async function ifThere<T>(described: Promise<T>): Promise<T | undefined> {
	try {
		return await described;
	} catch (error) {
		if (isSlipwayError(error, "NOT_FOUND")) return undefined;
		throw error;
	}
}

function wanted(names: readonly string[], input: sdk.DescribeLogGroupsRequest, call: Call): string[] {
	const { logGroupNamePrefix: prefix, logGroupNamePattern: pattern, logGroupIdentifiers: identifiers } = input;
	if (prefix !== undefined && pattern !== undefined)
		throw invalidParameter("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.");
	if (input.logGroupClass !== undefined && input.logGroupClass !== "STANDARD") return [];
	if (identifiers) {
		const named = new Set(identifiers.map((identifier) => groupOfIdentifier(identifier, call)));
		return names.filter((name) => named.has(name));
	}
	// "^" anchors the pattern at the name's start (DescribeLogGroups, logGroupNamePattern).
	const start = prefix ?? (pattern?.startsWith("^") ? pattern.slice(1) : "");
	const part = pattern === undefined || pattern.startsWith("^") ? "" : pattern;
	return names.filter((name) => name.startsWith(start) && name.includes(part));
}

function wireGroup({ group, createdMs, retentionDays, storedBytes }: LogGroup, call: Call): sdk.LogGroup {
	const arn = groupArn(group, call);
	return {
		logGroupName: group,
		creationTime: Math.floor(createdMs),
		...(retentionDays !== undefined && { retentionInDays: retentionDays }),
		metricFilterCount: 0,
		arn: `${arn}:*`,
		storedBytes,
		logGroupClass: "STANDARD",
		logGroupArn: arn,
		deletionProtectionEnabled: false,
	};
}

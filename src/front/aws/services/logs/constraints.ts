/** What the API reference says of members' values: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/ */
import { type Constraint, type Constraints, checkConstraints } from "../../constraints.ts";
import { AwsError } from "../../errors.ts";

/** PutRetentionPolicy, retentionInDays. */
export const retentionDays = [
	1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
] as const;

const groupName: Constraint = { pattern: "[\\.\\-_/#A-Za-z0-9]+", minLength: 1, maxLength: 512 };
const streamName: Constraint = { pattern: "[^:*]*", minLength: 1, maxLength: 512 };
const identifier: Constraint = { pattern: "[\\w#+=/:,.@-]*", minLength: 1, maxLength: 2048 };
const resourceArn: Constraint = { pattern: "[\\w+=/:,.@#*-]*", minLength: 1, maxLength: 1011 };
const filterPattern: Constraint = { maxLength: 1024 };
const nextToken: Constraint = { minLength: 1 };
const time: Constraint = { min: 0 };

const members: Constraints = {
	logGroupName: groupName,
	logGroupNamePrefix: groupName,
	logGroupNamePattern: { pattern: "\\^?[\\.\\-_/#A-Za-z0-9]*", maxLength: 512 },
	logGroupIdentifier: identifier,
	logStreamName: streamName,
	logStreamNamePrefix: streamName,
	logStreamNames: { minLength: 1, maxLength: 100 },
	logGroupIdentifiers: { minLength: 1, maxLength: 50 },
	logStreamNamePrefixes: { minLength: 1, maxLength: 100 },
	resourceArn,
	filterPattern,
	logEventFilterPattern: filterPattern,
	logEvents: { minLength: 1, maxLength: 10_000 },
	logEventMessages: { minLength: 1, maxLength: 50 },
	orderBy: { values: ["LogStreamName", "LastEventTime"] },
	nextToken,
	startTime: time,
	endTime: time,
};

const limits: Readonly<Record<string, Constraint>> = {
	DescribeLogGroups: { min: 1, max: 50 },
	DescribeLogStreams: { min: 1, max: 50 },
	GetLogEvents: { min: 1, max: 10_000 },
	FilterLogEvents: { min: 1, max: 10_000 },
};

/** Throws AwsError InvalidParameterException, which is this service's name for a broken constraint. */
export function validate(operation: string, input: Readonly<Record<string, unknown>>): void {
	const limit = limits[operation];
	try {
		checkConstraints(limit ? { ...members, limit } : members, input);
		const { retentionInDays: days } = input;
		if (days !== undefined && !(retentionDays as readonly unknown[]).includes(days))
			throw new AwsError(
				"ValidationException",
				400,
				`1 validation error detected: Value '${String(days)}' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [${retentionDays.join(", ")}]`,
			);
	} catch (error) {
		if (!(error instanceof AwsError) || error.name !== "ValidationException") throw error;
		throw new AwsError("InvalidParameterException", 400, error.message);
	}
}

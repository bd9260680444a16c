/** What the API reference says of members' values: https://docs.aws.amazon.com/eventbridge/latest/APIReference/ */
import type { Target } from "@aws-sdk/client-eventbridge";
import { type Constraint, type Constraints, checkConstraints } from "../../constraints.ts";

const plainName = (maxLength: number): Constraint => ({ pattern: "[\\.\\-_A-Za-z0-9]+", minLength: 1, maxLength });
const busName: Constraint = { pattern: "[/\\.\\-_A-Za-z0-9]+", minLength: 1, maxLength: 256 };
const busNameOrArn: Constraint = {
	pattern: "(arn:aws[\\w-]*:events:[a-z]+-[a-z]+-[\\w-]+:[0-9]{12}:event-bus\\/)?[/\\.\\-_A-Za-z0-9]+",
	minLength: 1,
	maxLength: 1600,
};
const limit: Constraint = { min: 1, max: 100 };

const common: Constraints = {
	EventBusName: busNameOrArn,
	Rule: plainName(64),
	ArchiveName: plainName(48),
	ReplayName: plainName(64),
	NamePrefix: { minLength: 1, maxLength: 256 },
	NextToken: { minLength: 1, maxLength: 2048 },
	Limit: limit,
	Description: { maxLength: 512 },
	EventPattern: { maxLength: 4096 },
	ScheduleExpression: { maxLength: 256 },
	RoleArn: { minLength: 1, maxLength: 1600 },
	RetentionDays: { min: 0 },
	State: { values: ["ENABLED", "DISABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"] },
	Targets: { minLength: 1, maxLength: 100 },
	Ids: { minLength: 1, maxLength: 100 },
	Entries: { minLength: 1, maxLength: 10 },
	TargetArn: { minLength: 1, maxLength: 1600 },
	ResourceARN: { minLength: 1, maxLength: 1600 },
	StatementId: { pattern: "[a-zA-Z0-9-_]+", minLength: 1, maxLength: 64 },
	Principal: { pattern: "(\\d{12}|\\*)", minLength: 1, maxLength: 12 },
	Action: { pattern: "events:[a-zA-Z]+", minLength: 1, maxLength: 64 },
};

const target: Constraints = {
	Id: plainName(64),
	Arn: { minLength: 1, maxLength: 1600 },
	RoleArn: { minLength: 1, maxLength: 1600 },
	Input: { maxLength: 8192 },
	InputPath: { maxLength: 256 },
	"InputTransformer.InputTemplate": { minLength: 1, maxLength: 8192 },
	"DeadLetterConfig.Arn": { minLength: 1, maxLength: 1600 },
	"RetryPolicy.MaximumRetryAttempts": { min: 0, max: 185 },
	"RetryPolicy.MaximumEventAgeInSeconds": { min: 60, max: 86_400 },
};

/** `Name` is a bus's or a rule's. */
const byOperation: Readonly<Record<string, Constraints>> = {
	CreateEventBus: { Name: busName },
	DeleteEventBus: { Name: busName },
	DescribeEventBus: { Name: busNameOrArn },
	UpdateEventBus: { Name: busName },
	PutRule: { Name: plainName(64) },
	DeleteRule: { Name: plainName(64) },
	DescribeRule: { Name: plainName(64) },
	EnableRule: { Name: plainName(64) },
	DisableRule: { Name: plainName(64) },
	// A replay's states are other ones.
	ListReplays: { State: { values: ["STARTING", "RUNNING", "CANCELLING", "COMPLETED", "CANCELLED", "FAILED"] } },
	ListArchives: {
		State: { values: ["ENABLED", "DISABLED", "CREATING", "UPDATING", "CREATE_FAILED", "UPDATE_FAILED"] },
	},
};

/** Throws AwsError ValidationException. */
export function validate(operation: string, input: Readonly<Record<string, unknown>>): void {
	checkConstraints({ ...common, ...byOperation[operation] }, input);
	if (operation === "PutTargets")
		for (const one of input.Targets as Target[]) checkConstraints(target, one as unknown as Record<string, unknown>);
}

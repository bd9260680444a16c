import { type Constraints, checkConstraints } from "../../constraints.ts";

const name = { pattern: "[0-9a-zA-Z-_.]+", minLength: 1, maxLength: 64 };
const token = { pattern: "[a-zA-Z0-9-_]+", minLength: 1, maxLength: 64 };
const page = { min: 1, max: 100 };
const state = { values: ["ENABLED", "DISABLED"] };
const nextToken = { minLength: 1, maxLength: 2048 };
const tagArn = { minLength: 1, maxLength: 1011 };

/** https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html and API_Target.html */
const schedule: Constraints = {
	Name: name,
	GroupName: name,
	ClientToken: token,
	ScheduleExpression: { minLength: 1, maxLength: 256 },
	ScheduleExpressionTimezone: { minLength: 1, maxLength: 50 },
	Description: { maxLength: 512 },
	State: state,
	ActionAfterCompletion: { values: ["NONE", "DELETE"] },
	KmsKeyArn: { pattern: "arn:aws(-[a-z]+)?:kms:[a-z0-9\\-]+:\\d{12}:(key|alias)\\/[0-9a-zA-Z-_]*", maxLength: 2048 },
	"FlexibleTimeWindow.Mode": { values: ["OFF", "FLEXIBLE"] },
	"FlexibleTimeWindow.MaximumWindowInMinutes": { min: 1, max: 1440 },
	"Target.Arn": { minLength: 1, maxLength: 1600 },
	"Target.RoleArn": {
		pattern: "arn:aws(-[a-z]+)?:iam::\\d{12}:role\\/?[a-zA-Z_0-9+=,.@\\-_/]+",
		minLength: 1,
		maxLength: 1600,
	},
	"Target.Input": { minLength: 1, maxLength: 262_144 },
	"Target.DeadLetterConfig.Arn": {
		pattern: "arn:aws(-[a-z]+)?:sqs:[a-z0-9\\-]+:\\d{12}:[a-zA-Z0-9\\-_.]+",
		minLength: 1,
		maxLength: 1600,
	},
	"Target.RetryPolicy.MaximumEventAgeInSeconds": { min: 60, max: 86_400 },
	"Target.RetryPolicy.MaximumRetryAttempts": { min: 0, max: 185 },
	"Target.EventBridgeParameters.DetailType": { minLength: 1, maxLength: 128 },
	"Target.EventBridgeParameters.Source": {
		pattern: "(?=[/\\.\\-_A-Za-z0-9]+)((?!aws\\.).*)|(\\$(\\.[\\w_-]+(\\[(\\d+|\\*)\\])*)*)",
		minLength: 1,
		maxLength: 256,
	},
	"Target.SqsParameters.MessageGroupId": { minLength: 1, maxLength: 128 },
};

const named: Constraints = { Name: name, GroupName: name, ClientToken: token };
const tags: Constraints = { ResourceArn: tagArn, Tags: { maxLength: 200 }, TagKeys: { maxLength: 50 } };

const byOperation: Readonly<Record<string, Constraints>> = {
	CreateSchedule: schedule,
	UpdateSchedule: schedule,
	GetSchedule: named,
	DeleteSchedule: named,
	ListSchedules: { GroupName: name, NamePrefix: name, State: state, MaxResults: page, NextToken: nextToken },
	CreateScheduleGroup: { ...named, Tags: { maxLength: 200 } },
	GetScheduleGroup: named,
	DeleteScheduleGroup: named,
	ListScheduleGroups: { NamePrefix: name, MaxResults: page, NextToken: nextToken },
	ListTagsForResource: tags,
	TagResource: tags,
	UntagResource: tags,
};

export function validate(operation: string, input: Readonly<Record<string, unknown>>): void {
	checkConstraints(byOperation[operation] ?? {}, input);
}

/** Of event source mappings (the Lambda API's Smithy model). */
import type { Constraint, Constraints } from "../../constraints.ts";

const FunctionName: Constraint = {
	pattern:
		"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?",
	minLength: 1,
	maxLength: 170,
};
const EventSourceArn: Constraint = {
	pattern:
		"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)",
};

const settings: Constraints = {
	FunctionName,
	BatchSize: { min: 1, max: 10_000 },
	MaximumBatchingWindowInSeconds: { min: 0, max: 300 },
	"ScalingConfig.MaximumConcurrency": { min: 2, max: 1000 },
	FunctionResponseTypes: { values: ["ReportBatchItemFailures"], maxLength: 1 },
};

export const eventSourceMappingConstraints: Readonly<Record<string, Constraints>> = {
	CreateEventSourceMapping: {
		EventSourceArn,
		...settings,
		StartingPosition: { values: ["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"] },
	},
	UpdateEventSourceMapping: settings,
	ListEventSourceMappings: { EventSourceArn, FunctionName, MaxItems: { min: 1, max: 10_000 } },
};

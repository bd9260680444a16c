/** The Lambda API's constraints (its Smithy model, and lambda-contract 3.8 where the service is stricter than its model). */

import { type Constraint, type Constraints, checkConstraints } from "../../constraints.ts";
import { eventSourceMappingConstraints } from "./event-source-mapping-constraints.ts";
import { resourceConstraints } from "./resource-constraints.ts";

const newName: Constraint = {
	pattern:
		"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?",
	maxLength: 140,
};
const architectures: Constraint = { values: ["x86_64", "arm64"], minLength: 1, maxLength: 1 };
const taggedArn: Constraint = {
	pattern:
		"arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:(function:[a-zA-Z0-9-_]+(:(\\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)",
	maxLength: 256,
};
const maxItems: Constraint = { min: 1, max: 10_000 };

/** Any function, version or alias. */
export const qualifier: Constraint = {
	pattern: "\\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+",
	minLength: 1,
	maxLength: 128,
};

const configuration: Constraints = {
	Role: { pattern: "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+" },
	Description: { maxLength: 256 },
	Timeout: { min: 1, max: 900 },
	MemorySize: { min: 128, max: 10_240 },
	"Environment.Variables": {
		sensitive: true,
		keys: {
			rule: { pattern: "[a-zA-Z]([a-zA-Z0-9_])+" },
			says: "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]",
		},
	},
	"EphemeralStorage.Size": { min: 512, max: 10_240 },
	"DeadLetterConfig.TargetArn": { pattern: "(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()" },
	"TracingConfig.Mode": { values: ["Active", "PassThrough"] },
	"SnapStart.ApplyOn": { values: ["PublishedVersions", "None"] },
	"ImageConfig.EntryPoint": { maxLength: 1500 },
	"ImageConfig.Command": { maxLength: 1500 },
	"ImageConfig.WorkingDirectory": { maxLength: 1000 },
	"LoggingConfig.LogFormat": { values: ["JSON", "Text"] },
	"LoggingConfig.ApplicationLogLevel": { values: ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"] },
	"LoggingConfig.SystemLogLevel": { values: ["DEBUG", "INFO", "WARN"] },
	"LoggingConfig.LogGroup": { pattern: "[\\.\\-_/#A-Za-z0-9]+", minLength: 1, maxLength: 512 },
};

const byOperation: Readonly<Record<string, Constraints>> = {
	...eventSourceMappingConstraints,
	CreateFunction: {
		FunctionName: newName,
		PackageType: { values: ["Zip", "Image"] },
		Architectures: architectures,
		...configuration,
	},
	UpdateFunctionCode: { FunctionName: newName, Architectures: architectures },
	UpdateFunctionConfiguration: { FunctionName: newName, ...configuration },
	GetFunction: { Qualifier: qualifier },
	GetFunctionConfiguration: { Qualifier: qualifier },
	DeleteFunction: { Qualifier: qualifier },
	ListFunctions: {
		MaxItems: maxItems,
		FunctionVersion: { values: ["ALL"] },
		MasterRegion: { pattern: "ALL|(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}" },
	},
	ListVersionsByFunction: { MaxItems: maxItems },
	ListAliases: { MaxItems: maxItems },
	ListTags: { Resource: taggedArn },
	TagResource: { Resource: taggedArn },
	UntagResource: { Resource: taggedArn },
	Invoke: {
		InvocationType: { values: ["Event", "RequestResponse", "DryRun"] },
		LogType: { values: ["None", "Tail"] },
		Qualifier: qualifier,
	},
	InvokeWithResponseStream: {
		InvocationType: { values: ["RequestResponse", "DryRun"] },
		LogType: { values: ["None", "Tail"] },
		Qualifier: qualifier,
	},
	...resourceConstraints({ newName, qualifier }),
};

/** Throws AwsError ValidationException. */
export function validateLambda(operation: string, input: Readonly<Record<string, unknown>>): void {
	const constraints = byOperation[operation];
	if (constraints) checkConstraints(constraints, input);
}

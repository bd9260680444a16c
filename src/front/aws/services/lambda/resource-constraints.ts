/** Constraints of what belongs to a function: versions, aliases, policies, concurrency, URLs (the Lambda API's Smithy model). */
import type { Constraint, Constraints } from "../../constraints.ts";

const aliasName: Constraint = { pattern: "(?!^[0-9]+$)([a-zA-Z0-9-_]+)", minLength: 1, maxLength: 128 };
const version: Constraint = { pattern: "(\\$LATEST(\\.PUBLISHED)?|[0-9]+)", minLength: 1, maxLength: 1024 };
const description: Constraint = { maxLength: 256 };
const routing: Constraint = {
	keys: {
		rule: { pattern: "[0-9]+", minLength: 1, maxLength: 1024 },
		says: "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]",
	},
	mapValues: {
		rule: { min: 0, max: 1 },
		says: "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null]",
	},
};
const provisionedQualifier: Constraint = { pattern: "(|[a-zA-Z0-9$_-]+)", minLength: 1, maxLength: 128 };
const urlQualifier: Constraint = { pattern: "((?!^\\d+$)^[0-9a-zA-Z-_]+$)", minLength: 1, maxLength: 128 };
/** Of the lists that give 50 a page at most by their model. */
const shortList: Constraint = { min: 1, max: 50 };

const text = (minLength: number, maxLength: number): Constraint => ({
	items: {
		rule: { minLength, maxLength },
		says: `Member must satisfy constraint: [Member must have length less than or equal to ${maxLength}, Member must have length greater than or equal to ${minLength}, Member must satisfy regular expression pattern: .*, Member must not be null]`,
	},
});

const url: Constraints = {
	Qualifier: urlQualifier,
	AuthType: { values: ["NONE", "AWS_IAM"] },
	InvokeMode: { values: ["BUFFERED", "RESPONSE_STREAM"] },
	"Cors.AllowHeaders": { maxLength: 100, ...text(0, 1024) },
	"Cors.AllowMethods": { maxLength: 6, ...text(0, 6) },
	"Cors.AllowOrigins": { maxLength: 100, ...text(1, 253) },
	"Cors.ExposeHeaders": { maxLength: 100, ...text(0, 1024) },
	"Cors.MaxAge": { min: 0, max: 86_400 },
};

/** The model's, as AWS prints it in a recorded answer. */
const destination: Constraint = {
	pattern:
		"$|kafka://([^.]([a-zA-Z0-9\\-_.]{0,248}))|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)",
	maxLength: 350,
};

const eventInvoke: Constraints = {
	MaximumRetryAttempts: { min: 0, max: 2 },
	MaximumEventAgeInSeconds: { min: 60, max: 21_600 },
	"DestinationConfig.OnSuccess.Destination": destination,
	"DestinationConfig.OnFailure.Destination": destination,
};

export function resourceConstraints(shared: {
	newName: Constraint;
	qualifier: Constraint;
}): Readonly<Record<string, Constraints>> {
	const FunctionName = shared.newName;
	const Qualifier = shared.qualifier;
	const provisioned: Constraints = { FunctionName, Qualifier: provisionedQualifier };
	return {
		PublishVersion: { FunctionName, Description: description, PublishTo: { values: ["LATEST_PUBLISHED"] } },
		CreateAlias: {
			FunctionName,
			Name: aliasName,
			FunctionVersion: version,
			Description: description,
			"RoutingConfig.AdditionalVersionWeights": routing,
		},
		GetAlias: { FunctionName, Name: aliasName },
		UpdateAlias: {
			FunctionName,
			Name: aliasName,
			FunctionVersion: version,
			Description: description,
			"RoutingConfig.AdditionalVersionWeights": routing,
		},
		DeleteAlias: { FunctionName, Name: aliasName },
		AddPermission: {
			StatementId: { pattern: "([a-zA-Z0-9-_]+)", minLength: 1, maxLength: 100 },
			Action: { pattern: "(lambda:[*]|lambda:[a-zA-Z]+|[*])" },
			Principal: { pattern: "[^\\s]+" },
			SourceArn: {
				pattern:
					"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)",
			},
			SourceAccount: { pattern: "\\d{12}", maxLength: 12 },
			EventSourceToken: { pattern: "[a-zA-Z0-9._\\-]+", maxLength: 256 },
			Qualifier,
			PrincipalOrgID: { pattern: "o-[a-z0-9]{10,32}", minLength: 12, maxLength: 34 },
			FunctionUrlAuthType: { values: ["NONE", "AWS_IAM"] },
		},
		GetPolicy: { Qualifier },
		RemovePermission: {
			StatementId: { pattern: "([a-zA-Z0-9-_.]+)", minLength: 1, maxLength: 100 },
			Qualifier,
		},
		PutFunctionConcurrency: { FunctionName, ReservedConcurrentExecutions: { min: 0 } },
		GetFunctionConcurrency: { FunctionName },
		DeleteFunctionConcurrency: { FunctionName },
		PutProvisionedConcurrencyConfig: { ...provisioned, ProvisionedConcurrentExecutions: { min: 1 } },
		GetProvisionedConcurrencyConfig: provisioned,
		DeleteProvisionedConcurrencyConfig: provisioned,
		ListProvisionedConcurrencyConfigs: { FunctionName, MaxItems: shortList },
		CreateFunctionUrlConfig: { FunctionName, ...url },
		UpdateFunctionUrlConfig: { FunctionName, ...url },
		GetFunctionUrlConfig: { FunctionName, Qualifier: urlQualifier },
		DeleteFunctionUrlConfig: { FunctionName, Qualifier: urlQualifier },
		ListFunctionUrlConfigs: { FunctionName, MaxItems: shortList },
		PutFunctionRecursionConfig: { RecursiveLoop: { values: ["Terminate", "Allow"] } },
		PutRuntimeManagementConfig: { Qualifier, UpdateRuntimeOn: { values: ["Auto", "Manual", "FunctionUpdate"] } },
		GetRuntimeManagementConfig: { Qualifier },
		GetFunctionEventInvokeConfig: { Qualifier },
		DeleteFunctionEventInvokeConfig: { Qualifier },
		PutFunctionEventInvokeConfig: { Qualifier, ...eventInvoke },
		UpdateFunctionEventInvokeConfig: { Qualifier, ...eventInvoke },
		ListFunctionEventInvokeConfigs: { MaxItems: shortList },
	};
}

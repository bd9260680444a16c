/** Function names as callers write them: a name, `name:qualifier`, a partial ARN or an ARN. */
import { AwsError, validationError } from "../../errors.ts";
import type { Call } from "../../service.ts";

/** lambda-contract 4.3: the model's own pattern, with the groups that are read here. */
const pattern =
	/^(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?(?:((?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9-_.]+)(?::(\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?$/;

/** As the cloud prints it. */
const printedPattern =
	"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?";

/** Of a new function; a longer one that is only read is not found (API_CreateFunction). */
export const maxNameLength = 64;

/** Of all that may be written for a function (the model's NamespacedFunctionName). */
const maxLength = 170;

export interface FunctionName {
	name: string;
	/** As the caller gave it, in the name or beside it. */
	qualifier: string | undefined;
	/** Unqualified. */
	arn: string;
}

/** Any qualifier is taken as it is. Throws AwsError for a name out of pattern, another region or another account. */
export function parseFunctionName(text: string, qualifier: string | undefined, call: Call): FunctionName {
	if (text.length > maxLength) throw invalidLength(text);
	const match = pattern.exec(text);
	if (!match) throw invalidName(text);
	const [, region = call.region, account = call.accountId, name = "", derived] = match;
	if (region !== call.region)
		throw new AwsError(
			"ResourceNotFoundException",
			404,
			`Functions from '${region}' are not reachable in this region ('${call.region}')`,
		);
	const arn = `arn:aws:lambda:${region}:${account}:function:${name}`;
	if (account !== call.accountId)
		throw new AwsError(
			"AccessDeniedException",
			403,
			`User: ${call.principal.arn} is not authorized to perform: lambda:${call.operation} on resource: ${arn} because no resource-based policy allows the lambda:${call.operation} action`,
		);
	if (derived !== undefined && qualifier !== undefined && derived !== qualifier)
		throw invalidParameter("The derived qualifier from the function name does not match the specified qualifier.");
	return { name, qualifier: qualifier ?? derived, arn };
}

/** For operations on the function itself: they are not for versions or aliases. */
export function parseUnqualified(text: string, call: Call): FunctionName {
	const parsed = parseFunctionName(text, undefined, call);
	if (parsed.qualifier !== undefined && parsed.qualifier !== "$LATEST")
		throw invalidParameter(
			"This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.",
		);
	return parsed;
}

/** The ARN as the caller addressed the function. */
export function qualifiedArn({ arn, qualifier }: FunctionName): string {
	return qualifier === undefined ? arn : `${arn}:${qualifier}`;
}

export function notFound(arn: string): AwsError {
	return notFoundError(`Function not found: ${arn}`);
}

export function notFoundError(message: string): AwsError {
	return new AwsError("ResourceNotFoundException", 404, message);
}

export function invalidParameter(message: string): AwsError {
	return new AwsError("InvalidParameterValueException", 400, message);
}

function invalidLength(text: string): AwsError {
	return invalid(text, `Member must have length less than or equal to ${maxLength}`);
}

function invalidName(text: string): AwsError {
	return invalid(text, `Member must satisfy regular expression pattern: ${printedPattern}`);
}

function invalid(text: string, rule: string): AwsError {
	return validationError([`Value '${text.slice(0, 256)}' at 'functionName' failed to satisfy constraint: ${rule}`]);
}

/** Function names as callers write them: a name, `name:qualifier`, a partial ARN or an ARN. */
import { AwsError } from "../../errors.ts";
import type { Call } from "../../service.ts";

/** lambda-contract 4.3: the model's own pattern, with the groups that are read here. */
const pattern =
	/^(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?(?:([a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9-_.]+)(?::(\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?$/;

const maxNameLength = 64;

export interface FunctionName {
	name: string;
	/** As the caller gave it, in the name or beside it. */
	qualifier: string | undefined;
	/** Unqualified. */
	arn: string;
}

/** Any qualifier is taken as it is. Throws AwsError for a name out of pattern, another region or another account. */
export function parseFunctionName(text: string, qualifier: string | undefined, call: Call): FunctionName {
	const match = pattern.exec(text);
	if (!match || match[3]!.length > maxNameLength) throw invalidName(text, match !== null);
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
		throw new AwsError(
			"InvalidParameterValueException",
			400,
			"The derived qualifier from the function name does not match the specified qualifier.",
		);
	return { name, qualifier: qualifier ?? derived, arn };
}

/** Functions have no published versions and no aliases: every qualifier but $LATEST names nothing. */
export function parseLatest(text: string, qualifier: string | undefined, call: Call): FunctionName {
	const parsed = parseFunctionName(text, qualifier, call);
	if (parsed.qualifier !== undefined && parsed.qualifier !== "$LATEST")
		throw notFound(`${parsed.arn}:${parsed.qualifier}`);
	return parsed;
}

/** For operations that change a function: they are not for versions or aliases. */
export function parseUnqualified(text: string, call: Call): FunctionName {
	return parseLatest(text, undefined, call);
}

export function notFound(arn: string): AwsError {
	return new AwsError("ResourceNotFoundException", 404, `Function not found: ${arn}`);
}

function invalidName(text: string, tooLong: boolean): AwsError {
	const why = tooLong
		? `Member must have length less than or equal to ${maxNameLength}`
		: "Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?";
	return new AwsError(
		"ValidationException",
		400,
		`1 validation error detected: Value '${text.slice(0, 256)}' at 'functionName' failed to satisfy constraint: ${why}`,
	);
}

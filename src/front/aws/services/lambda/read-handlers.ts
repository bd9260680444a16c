import type * as sdk from "@aws-sdk/client-lambda";
import { AwsError } from "../../errors.ts";
import type { Handlers } from "../../service.ts";
import { fullConfiguration, listedConfiguration } from "./configuration.ts";
import { parseLatest } from "./function-name.ts";
import type { LambdaDeps, LambdaFunctions } from "./ports.ts";

/** "Lambda returns up to 50 items" whatever MaxItems says (API_ListFunctions). */
const maxPage = 50;

/** AWS's default quotas (lambda-contract 4.3); Slipway has no limit of its own for code. */
const codeLimits = { TotalCodeSize: 80_530_636_800, CodeSizeUnzipped: 262_144_000, CodeSizeZipped: 52_428_800 };

export function readHandlers({ functions, accountConcurrency }: LambdaDeps): Handlers<typeof sdk> {
	return {
		GetFunction(input, call) {
			const record = functions.get(parseLatest(input.FunctionName, input.Qualifier, call).name);
			const { imageUri, resolvedImageUri } = record.code;
			return {
				Configuration: fullConfiguration(record),
				Code: {
					RepositoryType: "ECR",
					ImageUri: imageUri,
					...(resolvedImageUri !== undefined && { ResolvedImageUri: resolvedImageUri }),
				},
				...(Object.keys(record.tags).length > 0 && { Tags: record.tags }),
			};
		},

		GetFunctionConfiguration(input, call) {
			return fullConfiguration(functions.get(parseLatest(input.FunctionName, input.Qualifier, call).name));
		},

		ListFunctions(input) {
			const limit = Math.min(input.MaxItems ?? maxPage, maxPage);
			const after = input.Marker ? readMarker(input.Marker) : undefined;
			const records = functions.list({ ...(after !== undefined && { after }), limit: limit + 1 });
			const page = records.slice(0, limit);
			const last = page.at(-1);
			return {
				Functions: page.map(listedConfiguration),
				...(records.length > limit && last && { NextMarker: writeMarker(last.name) }),
			};
		},

		GetAccountSettings: () => ({
			AccountLimit: {
				...codeLimits,
				ConcurrentExecutions: accountConcurrency,
				UnreservedConcurrentExecutions: accountConcurrency,
			},
			AccountUsage: { TotalCodeSize: functions.codeBytes, FunctionCount: functions.count },
		}),
		...absentThings(functions),
	};
}

/**
 * Reads of what a function here never has (versions, aliases, policies, URLs, reserved concurrency …). Tools ask for all
 * of them after a create; "none" is the true answer.
 */
function absentThings(functions: LambdaFunctions): Handlers<typeof sdk> {
	const none = (message: string) => new AwsError("ResourceNotFoundException", 404, message);
	return {
		ListVersionsByFunction(input, call) {
			const record = functions.get(parseLatest(input.FunctionName, undefined, call).name);
			return { Versions: [{ ...listedConfiguration(record), FunctionArn: `${record.arn}:$LATEST` }] };
		},
		ListAliases(input, call) {
			functions.get(parseLatest(input.FunctionName, undefined, call).name);
			return { Aliases: [] };
		},
		GetPolicy(input, call) {
			functions.get(parseLatest(input.FunctionName, input.Qualifier, call).name);
			throw none("No policy is associated with the given resource.");
		},
		GetFunctionConcurrency(input, call) {
			functions.get(parseLatest(input.FunctionName, undefined, call).name);
			return {};
		},
		GetFunctionCodeSigningConfig(input, call) {
			const { name } = functions.get(parseLatest(input.FunctionName, undefined, call).name);
			return { FunctionName: name, CodeSigningConfigArn: undefined };
		},
		GetFunctionUrlConfig(input, call) {
			functions.get(parseLatest(input.FunctionName, input.Qualifier, call).name);
			throw none("The resource you requested does not exist.");
		},
		ListFunctionUrlConfigs(input, call) {
			functions.get(parseLatest(input.FunctionName, undefined, call).name);
			return { FunctionUrlConfigs: [] };
		},
		GetFunctionEventInvokeConfig(input, call) {
			const { arn } = functions.get(parseLatest(input.FunctionName, input.Qualifier, call).name);
			throw none(`The function ${arn}:$LATEST doesn't have an EventInvokeConfig`);
		},
		ListEventSourceMappings: () => ({ EventSourceMappings: [] }),
	};
}

/** Markers are opaque to clients; ours is the last name of the page. */
function writeMarker(name: string): string {
	return Buffer.from(`v1:${name}`).toString("base64url");
}

function readMarker(marker: string): string {
	const text = Buffer.from(marker, "base64url").toString();
	if (!/^v1:[a-zA-Z0-9-_]{1,64}$/.test(text))
		throw new AwsError("InvalidParameterValueException", 400, "Invalid Marker");
	return text.slice("v1:".length);
}

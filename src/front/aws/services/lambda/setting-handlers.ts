/** Settings of a function that are small, or that functions of images can't have: recursion, runtime updates, code signing. */
import type * as sdk from "@aws-sdk/client-lambda";
import { SlipwayError } from "../../../../base/error.ts";
import { AwsError, validationError } from "../../errors.ts";
import type { Call, Handlers } from "../../service.ts";
import { notFoundError, parseFunctionName, parseUnqualified } from "./function-name.ts";
import type { LambdaDeps } from "./ports.ts";
import { missingFunction, resolve } from "./qualifiers.ts";

type Deps = Pick<LambdaDeps, "functions" | "versions">;

export function settingHandlers(deps: Deps): Handlers<typeof sdk> {
	return { ...recursionHandlers(deps), ...runtimeHandlers(deps), ...codeSigningHandlers(deps) };
}

function recursionHandlers({ functions }: Deps): Handlers<typeof sdk> {
	return {
		GetFunctionRecursionConfig(input, call) {
			return { RecursiveLoop: functions.get(plainName(input.FunctionName, call)).recursiveLoop };
		},

		async PutFunctionRecursionConfig(input, call) {
			const name = plainName(input.FunctionName, call);
			functions.get(name);
			await functions.setRecursiveLoop(name, input.RecursiveLoop);
			return { RecursiveLoop: input.RecursiveLoop };
		},
	};
}

/** The only operations whose model refuses every qualifier by its pattern, $LATEST too. */
function plainName(text: string, call: Call): string {
	const { name, qualifier } = parseFunctionName(text, undefined, call);
	if (qualifier !== undefined)
		throw validationError([
			`Value '${text}' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)`,
		]);
	return name;
}

/** An image brings its own runtime: it changes when its owner deploys another image, and never by itself. */
function runtimeHandlers(deps: Deps): Handlers<typeof sdk> {
	const described = (input: { FunctionName: string; Qualifier?: string | undefined }, call: Call) => {
		const target = parseFunctionName(input.FunctionName, input.Qualifier, call);
		resolve(deps, target, missingFunction(target));
		return { UpdateRuntimeOn: "Auto" as const, FunctionArn: `${target.arn}:${target.qualifier ?? "$LATEST"}` };
	};
	return {
		GetRuntimeManagementConfig: (input, call) => described(input, call),

		PutRuntimeManagementConfig(input, call) {
			const answer = described(input, call);
			if (input.UpdateRuntimeOn !== "Auto" || input.RuntimeVersionArn !== undefined)
				throw new SlipwayError(
					"UNSUPPORTED",
					`UpdateRuntimeOn ${input.UpdateRuntimeOn} can't be used here: an image brings its own runtime, which only a new image changes.`,
				);
			return answer;
		},
	};
}

/** Code signing is for zip packages (https://docs.aws.amazon.com/lambda/latest/dg/configuration-codesigning.html). */
function codeSigningHandlers({ functions }: Deps): Handlers<typeof sdk> {
	const unsupported = () =>
		new SlipwayError(
			"UNSUPPORTED",
			"Slipway does not support code signing: it is for zip packages, and Slipway runs container images only.",
		);
	const noConfiguration = (arn: string) =>
		notFoundError(`The Lambda code signing configuration ${arn} can not be found.`);
	return {
		GetFunctionCodeSigningConfig(input, call) {
			functions.get(parseUnqualified(input.FunctionName, call).name);
			return { CodeSigningConfigArn: undefined, FunctionName: undefined };
		},
		PutFunctionCodeSigningConfig(input, call) {
			functions.get(parseUnqualified(input.FunctionName, call).name);
			throw new AwsError(
				"CodeSigningConfigNotFoundException",
				404,
				`The code signing configuration cannot be found. Check that the provided configuration is not deleted: ${input.CodeSigningConfigArn}.`,
			);
		},
		DeleteFunctionCodeSigningConfig(input, call) {
			functions.get(parseUnqualified(input.FunctionName, call).name);
			return {};
		},
		CreateCodeSigningConfig() {
			throw unsupported();
		},
		UpdateCodeSigningConfig(input) {
			throw noConfiguration(input.CodeSigningConfigArn);
		},
		DeleteCodeSigningConfig(input) {
			throw noConfiguration(input.CodeSigningConfigArn);
		},
		GetCodeSigningConfig(input) {
			throw noConfiguration(input.CodeSigningConfigArn);
		},
		ListCodeSigningConfigs: () => ({ CodeSigningConfigs: [] }),
		ListFunctionsByCodeSigningConfig(input) {
			throw noConfiguration(input.CodeSigningConfigArn);
		},
	};
}

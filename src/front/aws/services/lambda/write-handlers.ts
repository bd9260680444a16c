import type * as sdk from "@aws-sdk/client-lambda";
import { SlipwayError } from "../../../../base/error.ts";
import type { Call, Handlers, Input } from "../../service.ts";
import { fullConfiguration, given, readConfiguration } from "./configuration.ts";
import { parseFunctionName, parseUnqualified } from "./function-name.ts";
import type { LambdaFunctions } from "./ports.ts";
import { checkTags } from "./tag-handlers.ts";
import { refuseUnsupported } from "./unsupported.ts";

type Sdk = typeof sdk;

export function writeHandlers(functions: LambdaFunctions): Handlers<Sdk> {
	return {
		async CreateFunction(input, call) {
			return fullConfiguration(await create(functions, input, call));
		},

		async UpdateFunctionCode(input, call) {
			const { name } = parseUnqualified(input.FunctionName, call);
			functions.get(name);
			refuseUnsupported({ ...input }, { ...input });
			const imageUri = input.ImageUri;
			if (!imageUri) throw invalid("Please provide ImageUri when updating a function with packageType Image.");
			const record = await functions.updateCode(name, {
				imageUri,
				...given({ architecture: input.Architectures?.[0], revisionId: input.RevisionId, dryRun: input.DryRun }),
			});
			return fullConfiguration(record);
		},

		async UpdateFunctionConfiguration(input, call) {
			const { name } = parseUnqualified(input.FunctionName, call);
			functions.get(name);
			refuseUnsupported({ ...input }, undefined);
			const changes = { ...readConfiguration(input), ...given({ revisionId: input.RevisionId }) };
			return fullConfiguration(await functions.updateConfiguration(name, changes));
		},

		async DeleteFunction(input, call) {
			const { name, qualifier, arn } = parseFunctionName(input.FunctionName, input.Qualifier, call);
			if (qualifier === "$LATEST") throw invalid("$LATEST version cannot be deleted without deleting the function.");
			if (qualifier !== undefined) throw new SlipwayError("NOT_FOUND", `Function not found: ${arn}:${qualifier}`);
			await functions.delete(name);
			return { StatusCode: 204 };
		},
	};
}

function create(functions: LambdaFunctions, input: Input<Sdk, "CreateFunction">, call: Call) {
	const { name, qualifier } = parseFunctionName(input.FunctionName, undefined, call);
	if (qualifier !== undefined) throw invalid("The function name of a new function can't have a qualifier.");
	refuseUnsupported({ ...input }, { ...input.Code });
	const imageUri = input.Code.ImageUri;
	if (input.PackageType !== "Image")
		throw invalid(
			"Please don't provide ImageUri when creating a function with packageType Zip. To run a container image, say --package-type Image.",
		);
	if (!imageUri) throw invalid("Please provide ImageUri when creating a function with packageType Image.");
	if (input.Tags) checkTags(input.Tags);
	return functions.create({
		...readConfiguration(input),
		name,
		role: input.Role,
		imageUri,
		...given({ architecture: input.Architectures?.[0], tags: input.Tags }),
	});
}

function invalid(message: string): SlipwayError {
	return new SlipwayError("INVALID", message);
}

import type * as sdk from "@aws-sdk/client-lambda";
import type { FunctionRecord, FunctionVersion } from "../../../../core/function/function.ts";
import type { Call, Handlers, Input } from "../../service.ts";
import { fullConfiguration, fullVersion, given, readConfiguration } from "./configuration.ts";
import { checkDeadLetterConfig } from "./event-invoke-config-handlers.ts";
import { invalidParameter, maxNameLength, parseFunctionName, parseUnqualified } from "./function-name.ts";
import type { LambdaDeps } from "./ports.ts";
import { isVersionNumber } from "./qualifiers.ts";
import { checkTags } from "./tag-handlers.ts";
import { refuseUnsupported } from "./unsupported.ts";

type Sdk = typeof sdk;
type Deps = Pick<LambdaDeps, "functions" | "versions" | "targets">;

export function writeHandlers(deps: Deps): Handlers<Sdk> {
	const { functions, versions } = deps;
	return {
		async CreateFunction(input, call) {
			const record = await create(deps, input, call);
			const version = input.Publish === true ? published(deps, record) : undefined;
			// The version under the function's own ARN (recorded answers).
			return version ? fullVersion(record, version, record.arn) : fullConfiguration(record);
		},

		async UpdateFunctionCode(input, call) {
			const { name } = parseUnqualified(input.FunctionName, call);
			functions.get(name);
			refuseUnsupported({ ...input }, { ...input });
			const imageUri = input.ImageUri;
			if (!imageUri) throw invalidParameter("Please provide ImageUri when updating a function with packageType Image.");
			const publish = input.Publish === true && input.DryRun !== true;
			const record = await functions.updateCode(name, {
				imageUri,
				...given({ architecture: input.Architectures?.[0], revisionId: input.RevisionId, dryRun: input.DryRun }),
				...(publish && { publish }),
			});
			const version = publish ? published(deps, record) : undefined;
			return version ? fullVersion(record, version) : fullConfiguration(record);
		},

		async UpdateFunctionConfiguration(input, call) {
			const { name } = parseUnqualified(input.FunctionName, call);
			functions.get(name);
			refuseUnsupported({ ...input }, undefined);
			checkDeadLetterConfig(deps, input.DeadLetterConfig?.TargetArn);
			const changes = { ...readConfiguration(input), ...given({ revisionId: input.RevisionId }) };
			return fullConfiguration(await functions.updateConfiguration(name, changes));
		},

		async DeleteFunction(input, call) {
			const { name, qualifier } = parseFunctionName(input.FunctionName, input.Qualifier, call);
			if (qualifier === "$LATEST")
				throw invalidParameter("$LATEST version cannot be deleted without deleting the function.");
			if (qualifier === undefined) await functions.delete(name);
			else if (isVersionNumber(qualifier)) await versions.delete(name, qualifier);
			else throw invalidParameter("Deletion of aliases is not currently supported.");
			return { StatusCode: 204 };
		},
	};
}

/** The version that the same change has made. */
function published({ versions }: Deps, { name, nextVersion }: FunctionRecord): FunctionVersion {
	return versions.get(name, String(nextVersion - 1));
}

function create({ functions, targets }: Deps, input: Input<Sdk, "CreateFunction">, call: Call) {
	const { name, qualifier } = parseFunctionName(input.FunctionName, undefined, call);
	if (name.length > maxNameLength)
		throw invalidParameter(
			`1 validation error detected: Value '${name}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to ${maxNameLength}`,
		);
	if (qualifier !== undefined) throw invalidParameter("The function name of a new function can't have a qualifier.");
	refuseUnsupported({ ...input }, { ...input.Code });
	const imageUri = input.Code.ImageUri;
	if (input.PackageType !== "Image")
		throw invalidParameter(
			"Please don't provide ImageUri when creating a function with packageType Zip. To run a container image, say --package-type Image.",
		);
	if (!imageUri) throw invalidParameter("Please provide ImageUri when creating a function with packageType Image.");
	if (input.Tags) checkTags(input.Tags);
	checkDeadLetterConfig({ targets }, input.DeadLetterConfig?.TargetArn);
	return functions.create({
		...readConfiguration(input),
		name,
		role: input.Role,
		imageUri,
		...given({ architecture: input.Architectures?.[0], tags: input.Tags }),
		...(input.Publish === true && { publish: true }),
	});
}

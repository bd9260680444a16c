import type * as sdk from "@aws-sdk/client-lambda";
import type { FunctionAlias } from "../../../../core/function/function.ts";
import type { AliasInput } from "../../../../engine/functions/aliases.ts";
import type { Handlers } from "../../service.ts";
import { given } from "./configuration.ts";
import { type FunctionName, invalidParameter, parseUnqualified } from "./function-name.ts";
import { pageOf } from "./paging.ts";
import type { LambdaDeps } from "./ports.ts";

interface AliasRequest {
	FunctionVersion?: string | undefined;
	Description?: string | undefined;
	RoutingConfig?: sdk.AliasRoutingConfiguration | undefined;
}

export function aliasHandlers({ versions }: Pick<LambdaDeps, "versions">): Handlers<typeof sdk> {
	return {
		async CreateAlias(input, call) {
			const target = parseUnqualified(input.FunctionName, call);
			return aliasConfiguration(target, await versions.createAlias(target.name, input.Name, readAlias(input)));
		},

		GetAlias(input, call) {
			const target = parseUnqualified(input.FunctionName, call);
			return aliasConfiguration(target, versions.getAlias(target.name, input.Name));
		},

		async UpdateAlias(input, call) {
			const target = parseUnqualified(input.FunctionName, call);
			const changes = { ...readAlias(input), ...given({ revisionId: input.RevisionId }) };
			return aliasConfiguration(target, await versions.updateAlias(target.name, input.Name, changes));
		},

		async DeleteAlias(input, call) {
			await versions.deleteAlias(parseUnqualified(input.FunctionName, call).name, input.Name);
			return {};
		},

		ListAliases(input, call) {
			const target = parseUnqualified(input.FunctionName, call);
			const all = versions.listAliases(target.name, input.FunctionVersion);
			const { page, ...marker } = pageOf(all, input, (alias) => alias.name);
			return { Aliases: page.map((alias) => aliasConfiguration(target, alias)), ...marker };
		},
	};
}

function readAlias({ FunctionVersion, Description, RoutingConfig }: AliasRequest): AliasInput {
	return {
		...given({ version: FunctionVersion, description: Description }),
		...(RoutingConfig && { routing: readRouting(RoutingConfig) }),
	};
}

/** Null for one without weights, which takes the routing away. */
function readRouting({ AdditionalVersionWeights = {} }: sdk.AliasRoutingConfiguration): AliasInput["routing"] {
	const weights = Object.entries(AdditionalVersionWeights);
	if (weights.length > 1)
		throw invalidParameter("Number of items in AdditionalVersionWeights cannot be greater than 1");
	const [version, weight] = weights[0] ?? [];
	return version === undefined || weight === undefined ? null : { version, weight };
}

function aliasConfiguration(target: FunctionName, alias: FunctionAlias): sdk.AliasConfiguration {
	const { name, version, description, routing, revisionId } = alias;
	return {
		AliasArn: `${target.arn}:${name}`,
		Name: name,
		FunctionVersion: version,
		Description: description,
		...(routing && { RoutingConfig: { AdditionalVersionWeights: { [routing.version]: routing.weight } } }),
		RevisionId: revisionId,
	};
}

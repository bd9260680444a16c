import type * as sdk from "@aws-sdk/client-lambda";
import type { FunctionCode } from "../../../../core/function/function.ts";
import type { Call, Handlers, Input } from "../../service.ts";
import { fullConfiguration, fullVersion, listedConfiguration, listedVersion } from "./configuration.ts";
import { type FunctionName, parseFunctionName, qualifiedArn } from "./function-name.ts";
import { compareVersions, maxPage, readMarker, writeMarker } from "./paging.ts";
import type { LambdaDeps } from "./ports.ts";
import { ifFound, missingFunction, type Resolved, resolve } from "./qualifiers.ts";

type Sdk = typeof sdk;
type Listed = ReturnType<typeof listedConfiguration>;

/** AWS's default quotas (lambda-contract 4.3); Slipway has no limit of its own for code. */
const codeLimits = { TotalCodeSize: 80_530_636_800, CodeSizeUnzipped: 262_144_000, CodeSizeZipped: 52_428_800 };

export function readHandlers(deps: LambdaDeps): Handlers<Sdk> {
	const { functions, concurrency } = deps;
	const find = (text: string, qualifier: string | undefined, call: Call) => {
		const target = parseFunctionName(text, qualifier, call);
		return { target, found: resolve(deps, target, missingFunction(target)) };
	};
	return {
		GetFunction(input, call) {
			const { target, found } = find(input.FunctionName, input.Qualifier, call);
			const { record, version } = found;
			const reserved = record.reservedConcurrency;
			return {
				Configuration: configurationOf(target, found),
				Code: codeLocation((version ?? record).code),
				...(Object.keys(record.tags).length > 0 && { Tags: record.tags }),
				// Of the function, not of a version: left out when there is a qualifier.
				...(reserved !== undefined &&
					target.qualifier === undefined && { Concurrency: { ReservedConcurrentExecutions: reserved } }),
			};
		},

		GetFunctionConfiguration(input, call) {
			const { target, found } = find(input.FunctionName, input.Qualifier, call);
			return configurationOf(target, found);
		},

		ListFunctions(input) {
			// "Only functions replicated from a master function in that Region" (API_ListFunctions): there are none.
			if (input.MasterRegion !== undefined && input.MasterRegion !== "ALL") return { Functions: [] };
			return input.FunctionVersion === "ALL" ? listEveryVersion(deps, input) : listFunctions(deps, input);
		},

		GetAccountSettings: () => ({
			AccountLimit: {
				...codeLimits,
				ConcurrentExecutions: deps.accountConcurrency,
				UnreservedConcurrentExecutions: concurrency.unreserved,
			},
			AccountUsage: { TotalCodeSize: functions.codeBytes, FunctionCount: functions.count },
		}),
	};
}

/** Under the ARN that the caller used. */
function configurationOf(target: FunctionName, { record, version }: Resolved) {
	const arn = qualifiedArn(target);
	return version ? fullVersion(record, version, arn) : fullConfiguration(record, arn);
}

function codeLocation({ imageUri, resolvedImageUri }: FunctionCode): sdk.FunctionCodeLocation {
	return {
		RepositoryType: "ECR",
		ImageUri: imageUri,
		...(resolvedImageUri !== undefined && { ResolvedImageUri: resolvedImageUri }),
	};
}

function listFunctions({ functions }: LambdaDeps, input: Input<Sdk, "ListFunctions">) {
	const limit = Math.min(input.MaxItems ?? maxPage, maxPage);
	const [after] = readMarker(input.Marker)?.split(":") ?? [];
	const records = functions.list({ ...(after !== undefined && { after }), limit: limit + 1 });
	const page = records.slice(0, limit);
	const last = page.at(-1);
	return {
		Functions: page.map((record) => listedConfiguration(record)),
		...(records.length > limit && last && { NextMarker: writeMarker(last.name) }),
	};
}

/** $LATEST and the versions of each function, under qualified ARNs. The marker is "NAME:VERSION". */
function listEveryVersion(deps: LambdaDeps, input: Input<Sdk, "ListFunctions">) {
	const limit = Math.min(input.MaxItems ?? maxPage, maxPage);
	const [name, version] = readMarker(input.Marker)?.split(":") ?? [];
	const items: Listed[] = [];
	if (name !== undefined)
		items.push(...everyVersion(deps, name).filter((item) => compareVersions(item.Version!, version ?? "$LATEST") > 0));
	const more = deps.functions.list({ ...(name !== undefined && { after: name }), limit: limit + 1 });
	for (const record of more) {
		if (items.length > limit) break;
		items.push(...everyVersion(deps, record.name));
	}
	const page = items.slice(0, limit);
	const last = page.at(-1);
	return {
		Functions: page,
		...(items.length > limit && last && { NextMarker: writeMarker(`${last.FunctionName}:${last.Version}`) }),
	};
}

/** None of a function that is gone since the page before. */
function everyVersion({ functions, versions }: LambdaDeps, name: string): Listed[] {
	const record = ifFound(() => functions.get(name));
	if (!record) return [];
	return [
		listedConfiguration(record, `${record.arn}:$LATEST`),
		...versions.list(name).map((version) => listedVersion(record, version)),
	];
}

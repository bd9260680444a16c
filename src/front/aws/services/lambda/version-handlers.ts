import type * as sdk from "@aws-sdk/client-lambda";
import type { Handlers } from "../../service.ts";
import { fullVersion, given, listedConfiguration, listedVersion } from "./configuration.ts";
import { parseUnqualified } from "./function-name.ts";
import { compareVersions, pageOf } from "./paging.ts";
import type { LambdaDeps } from "./ports.ts";
import { refuseUnsupported } from "./unsupported.ts";

type Deps = Pick<LambdaDeps, "functions" | "versions">;

export function versionHandlers({ functions, versions }: Deps): Handlers<typeof sdk> {
	return {
		async PublishVersion(input, call) {
			const { name } = parseUnqualified(input.FunctionName, call);
			functions.get(name);
			refuseUnsupported({ ...input }, undefined);
			const version = await versions.publish(
				name,
				given({ description: input.Description, codeSha256: input.CodeSha256, revisionId: input.RevisionId }),
			);
			return fullVersion(functions.get(name), version);
		},

		ListVersionsByFunction(input, call) {
			const record = functions.get(parseUnqualified(input.FunctionName, call).name);
			const all = [
				listedConfiguration(record, `${record.arn}:$LATEST`),
				...versions.list(record.name).map((version) => listedVersion(record, version)),
			];
			const { page, ...marker } = pageOf(all, input, (item) => item.Version!, compareVersions);
			return { Versions: page, ...marker };
		},
	};
}

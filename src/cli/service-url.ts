import { SlipwayError } from "../base/error.ts";
import type { ServiceView } from "../client/service-schema.ts";
import { namespaceOf, namespaceOption } from "./options.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "service url NAME [--tag TAG] [-n NAMESPACE] [--json]",
	summary: "Print a service's URL",
	positionals: [1, 1],
	options: {
		tag: { type: "string", value: "TAG", description: "The URL of this tag" },
		...namespaceOption,
		...jsonOption,
	},
	examples: [['curl "$(slipway service url hello)"', ""]],
	run: async (call) => {
		const url = await urlOf(call);
		if (call.values.json) call.context.printJson({ url });
		else call.context.print(url);
		return exitCodes.ok;
	},
};

export async function urlOf(call: Call): Promise<string> {
	const service = await call.context.client().workloads.service(namespaceOf(call), call.positionals[0] ?? "");
	return pickUrl(service, text(call.values.tag));
}

function pickUrl({ metadata: { name }, status }: ServiceView, tag: string | undefined): string {
	const targets = status.traffic ?? [];
	const url = tag === undefined ? status.url : targets.find((target) => target.tag === tag)?.url;
	if (url !== undefined) return url;
	const tags = targets.flatMap((target) => target.tag ?? []).join(", ") || "none";
	throw new SlipwayError(
		"NOT_FOUND",
		tag === undefined
			? `Service '${name}' has no URL yet`
			: `Service '${name}' has no tag '${tag}'; there are: ${tags}`,
	);
}

import { namespaceOf, namespaceOption } from "./options.ts";
import { untilReady } from "./service-progress.ts";
import { print } from "./service-traffic.ts";
import { jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "service rollback NAME [-n NAMESPACE]",
	summary: "Give all traffic back to the revision that had it before",
	details: "Later revisions get none until `slipway service traffic NAME --to-latest`.",
	positionals: [1, 1],
	options: { ...namespaceOption, ...jsonOption },
	examples: [["slipway service rollback hello", ""]],
	run: async (call) => {
		const { context, positionals } = call;
		const service = await context.client().workloads.rollback(namespaceOf(call), positionals[0] ?? "");
		return print(call, await untilReady(context, service));
	},
};

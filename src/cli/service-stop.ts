import { namespaceOf, namespaceOption } from "./options.ts";
import { exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "service stop NAME... [-n NAMESPACE]",
	summary: "Let services go to zero now, as their scale-down would",
	details:
		"Ends every instance that has no request, but for the service's minimum (--min-instances). Instances at work finish their\n" +
		"requests. The next request is a cold start.",
	positionals: [1, Number.POSITIVE_INFINITY],
	options: { ...namespaceOption, ...jsonOption },
	examples: [["slipway service stop hello", ""]],
	run: async (call) => {
		const { context, values, positionals } = call;
		const { workloads } = context.client();
		const stopped: Record<string, number> = {};
		for (const name of positionals) {
			const instances = await workloads.stopService(namespaceOf(call), name);
			stopped[name] = instances;
			if (!values.json) context.print(`${name}: ${instances} ${instances === 1 ? "instance" : "instances"} stopped`);
		}
		if (values.json) context.printJson({ stopped });
		return exitCodes.ok;
	},
};

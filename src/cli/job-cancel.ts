import { namespaceOf, namespaceOption } from "./options.ts";
import { exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "job cancel EXECUTION [-n NAMESPACE]",
	summary: "Stop an execution's tasks and start no more",
	positionals: [1, 1],
	options: { ...namespaceOption, ...jsonOption },
	examples: [["slipway job cancel nightly-3fa9c", ""]],
	run: async (call) => {
		const { context, values, positionals } = call;
		const execution = await context.client().workloads.cancelExecution(namespaceOf(call), positionals[0] ?? "");
		if (values.json) context.printJson(execution);
		else context.print(`${execution.metadata.name} is being cancelled`);
		return exitCodes.ok;
	},
};

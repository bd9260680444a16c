import { exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "function rm NAME...",
	summary: "Delete functions; events in flight finish",
	positionals: [1, Number.POSITIVE_INFINITY],
	options: jsonOption,
	examples: [["slipway function rm hello", ""]],
	run: async ({ context, values, positionals }) => {
		const client = context.client();
		for (const name of positionals) {
			await client.deleteFunction(name);
			if (!values.json) context.print(name);
		}
		if (values.json) context.printJson({ deleted: positionals });
		return exitCodes.ok;
	},
};

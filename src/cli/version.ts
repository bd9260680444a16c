import { version } from "../client/version.ts";
import { exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "version [--json]",
	summary: "Print the version",
	positionals: [0, 0],
	options: jsonOption,
	examples: [],
	run: async ({ context, values }) => {
		if (values.json) context.printJson({ version, node: process.versions.node });
		else context.print(`slipway ${version} (node ${process.versions.node})`);
		return exitCodes.ok;
	},
};

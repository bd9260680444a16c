import { table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "connection ls [--json]",
	summary: "List connections to brokers; `slipway trigger apply` makes them",
	positionals: [0, 0],
	options: jsonOption,
	examples: [["slipway connection ls", ""]],
	run: list,
};

async function list({ context, values }: Call): Promise<number> {
	const connections = await context.client().events.connections();
	if (values.json) context.printJson(connections);
	else {
		const rows = connections.map(({ name, kind, url }) => [name, kind, url]);
		context.print(table(["CONNECTION", "KIND", "URL"], rows));
	}
	return exitCodes.ok;
}

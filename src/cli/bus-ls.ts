import { table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "bus ls [--json]",
	summary: "List event buses",
	positionals: [0, 0],
	options: jsonOption,
	examples: [["slipway bus ls", ""]],
	run: list,
};

async function list({ context, values }: Call): Promise<number> {
	const buses = await context.client().events.buses();
	if (values.json) context.printJson(buses);
	else
		context.print(
			table(
				["BUS", "RULES"],
				buses.map(({ name, rules }) => [name, String(rules)]),
			),
		);
	return exitCodes.ok;
}

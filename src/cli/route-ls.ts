import { table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "route ls [--json]",
	summary: "List gateway routes",
	positionals: [0, 0],
	options: jsonOption,
	examples: [["slipway route ls", ""]],
	run: list,
};

async function list({ context, values }: Call): Promise<number> {
	const routes = await context.client().workloads.gatewayRoutes();
	if (values.json) context.printJson(routes);
	else {
		const rows = routes.map(({ name, hosts, rules }) => [name, hosts.join(" "), String(rules.length)]);
		context.print(table(["ROUTE", "HOSTS", "RULES"], rows));
	}
	return exitCodes.ok;
}

import { table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "route get NAME [--json]",
	summary: "Show a gateway route's rules",
	positionals: [1, 1],
	options: jsonOption,
	examples: [["slipway route get shop", ""]],
	run: get,
};

async function get({ context, values, positionals: [name = ""] }: Call): Promise<number> {
	const route = await context.client().workloads.gatewayRoute(name);
	if (values.json) context.printJson(route);
	else {
		const rows = route.rules.map(({ method, path, target }) => [method, path, describeTarget(target)]);
		context.print(`${route.name} on ${route.hosts.join(", ")}\n${table(["METHOD", "PATH", "TARGET"], rows)}`);
	}
	return exitCodes.ok;
}

export function describeTarget(target: Readonly<Record<string, unknown>>): string {
	if (typeof target.function === "string")
		return `function ${target.function}${target.qualifier ? `:${String(target.qualifier)}` : ""}`;
	const namespace = target.namespace === "default" || !target.namespace ? "" : `${String(target.namespace)}/`;
	const tag = target.tag ? ` (tag ${String(target.tag)})` : "";
	return `service ${namespace}${String(target.service)}${tag}`;
}

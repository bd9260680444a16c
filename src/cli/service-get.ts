import type { ServiceView } from "../client/service-schema.ts";
import { paint, table } from "./format.ts";
import { namespaceOf, namespaceOption } from "./options.ts";
import { formatState, readyOf } from "./service-progress.ts";
import { describeTraffic } from "./traffic-change.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";
import { ago, shortImage } from "./workload-verbs.ts";

export const verb: Verb = {
	usage: "service get NAME [-n NAMESPACE] [--json]",
	summary: "Show a service: state, traffic, containers, conditions",
	details: "--json prints the Knative object as it is stored.",
	positionals: [1, 1],
	options: { ...namespaceOption, ...jsonOption },
	examples: [["slipway service get hello", ""]],
	run: get,
};

async function get(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const service = await context.client().workloads.service(namespaceOf(call), positionals[0] ?? "");
	if (values.json) context.printJson(service);
	else context.print(describe(service, context.color));
	return exitCodes.ok;
}

export function describe({ metadata, spec, status }: ServiceView, color: boolean): string {
	const tags = (status.traffic ?? []).filter(({ tag, url }) => tag !== undefined && url !== undefined);
	const rows: string[][] = [
		["name", metadata.name],
		["namespace", metadata.namespace],
		["state", formatState(readyOf(status.conditions), color)],
		["url", status.url ?? ""],
		["traffic", describeTraffic(status.traffic ?? [], status.latestReadyRevisionName)],
		...tags.map(({ tag, url }) => [`tag ${tag}`, url ?? ""]),
		["latest created", status.latestCreatedRevisionName ?? ""],
		["latest ready", status.latestReadyRevisionName ?? ""],
		...spec.template.spec.containers.map(({ name = "container", image }) => [name, shortImage(image)]),
		["created", ago(metadata.creationTimestamp)],
		["generation", String(metadata.generation)],
		...Object.entries(metadata.annotations).map(([key, value]) => [paint(color, "dim", key), value]),
		...status.conditions.map(({ type, status: state, reason = "", message = "" }) => [
			type,
			[state, reason, message].filter((part) => part !== "").join(" "),
		]),
	];
	return table(rows[0] ?? [], rows.slice(1));
}

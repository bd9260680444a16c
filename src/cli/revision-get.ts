import { table } from "./format.ts";
import { namespaceOf, namespaceOption } from "./options.ts";
import { formatState, readyOf } from "./service-progress.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";
import { ago, shortImage } from "./workload-verbs.ts";

export const verb: Verb = {
	usage: "revision get NAME [-n NAMESPACE] [--json]",
	summary: "Show a revision",
	positionals: [1, 1],
	options: { ...namespaceOption, ...jsonOption },
	examples: [["slipway revision get hello-00001 --json", "the Knative object"]],
	run: get,
};

async function get(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const revision = await context.client().workloads.revision(namespaceOf(call), positionals[0] ?? "");
	if (values.json) {
		context.printJson(revision);
		return exitCodes.ok;
	}
	const { metadata, spec, status } = revision;
	const digests = new Map(status.containerStatuses?.map(({ name, imageDigest }) => [name, imageDigest]));
	const rows: string[][] = [
		["service", metadata.labels["serving.knative.dev/service"] ?? ""],
		["namespace", metadata.namespace],
		["state", formatState(readyOf(status.conditions), context.color)],
		["instances", `${status.actualReplicas ?? 0} of ${status.desiredReplicas ?? 0}`],
		...spec.containers.map(({ name = "container", image }) => [name, shortImage(digests.get(name) ?? image)]),
		["created", ago(metadata.creationTimestamp)],
		...status.conditions.map(({ type, status: state, reason = "", message = "" }) => [
			type,
			[state, reason, message].filter((part) => part !== "").join(" "),
		]),
	];
	context.print(table(["name", metadata.name], rows));
	return exitCodes.ok;
}

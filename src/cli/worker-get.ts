import { table } from "./format.ts";
import { namespaceOf, namespaceOption } from "./options.ts";
import { readyOf } from "./service-progress.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";
import { ago, shortImage } from "./workload-verbs.ts";

export const verb: Verb = {
	usage: "worker get NAME [-n NAMESPACE] [--json]",
	summary: "Show a worker and its instances",
	positionals: [1, 1],
	options: { ...namespaceOption, ...jsonOption },
	examples: [["slipway worker get mailer", ""]],
	run: get,
};

async function get(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const worker = await context.client().workloads.worker(namespaceOf(call), positionals[0] ?? "");
	if (values.json) {
		context.printJson(worker);
		return exitCodes.ok;
	}
	const { metadata, spec, status } = worker;
	const { status: ready = "Unknown", reason = "", message = "" } = readyOf(status.conditions) ?? {};
	const rows: string[][] = [
		["namespace", metadata.namespace],
		["ready", [ready, reason, message].filter((part) => part !== "").join(" ")],
		["instances", `${status.readyInstances} of ${status.desiredInstances}`],
		["latest created", status.latestCreatedRevisionName],
		["latest ready", status.latestReadyRevisionName ?? ""],
		...spec.template.spec.containers.map(({ name = "container", image }) => [name, shortImage(image)]),
		...status.instances.map(({ id, revision, state, startTime }) => [
			id,
			`${revision} ${state}, started ${ago(startTime)}`,
		]),
	];
	context.print(table(["name", metadata.name], rows));
	return exitCodes.ok;
}

import { table } from "./format.ts";
import { listOptions } from "./options.ts";
import { formatState, readyOf } from "./service-progress.ts";
import { describeTraffic } from "./traffic-change.ts";
import { type Call, exitCodes, text, type Verb } from "./verb.ts";
import { ago } from "./workload-verbs.ts";

export const verb: Verb = {
	usage: "service ls [-n NAMESPACE] [--json]",
	summary: "List services",
	positionals: [0, 0],
	options: listOptions,
	examples: [["slipway service ls", ""]],
	run: list,
};

async function list({ context, values }: Call): Promise<number> {
	const services = await context.client().workloads.services(text(values.namespace));
	if (values.json) {
		context.printJson(services);
		return exitCodes.ok;
	}
	const rows = services.map(({ metadata, status }) => [
		metadata.name,
		metadata.namespace,
		formatState(readyOf(status.conditions), context.color),
		status.url ?? "",
		describeTraffic(status.traffic ?? [], status.latestReadyRevisionName),
		ago(metadata.creationTimestamp),
	]);
	context.print(table(["SERVICE", "NAMESPACE", "STATE", "URL", "TRAFFIC", "CREATED"], rows));
	return exitCodes.ok;
}

import { table } from "./format.ts";
import { listOptions } from "./options.ts";
import { formatState, readyOf } from "./service-progress.ts";
import { type Call, exitCodes, text, type Verb } from "./verb.ts";
import { ago, shortImage } from "./workload-verbs.ts";

export const verb: Verb = {
	usage: "worker ls [-n NAMESPACE] [--json]",
	summary: "List workers",
	positionals: [0, 0],
	options: listOptions,
	examples: [["slipway worker ls", ""]],
	run: list,
};

async function list({ context, values }: Call): Promise<number> {
	const workers = await context.client().workloads.workers(text(values.namespace));
	if (values.json) {
		context.printJson(workers);
		return exitCodes.ok;
	}
	const rows = workers.map(({ metadata, spec, status }) => [
		metadata.name,
		metadata.namespace,
		formatState(readyOf(status.conditions), context.color),
		`${status.readyInstances} of ${status.desiredInstances}`,
		status.latestCreatedRevisionName,
		ago(metadata.creationTimestamp),
		shortImage(spec.template.spec.containers[0]?.image),
	]);
	context.print(table(["WORKER", "NAMESPACE", "STATE", "INSTANCES", "REVISION", "CREATED", "IMAGE"], rows));
	return exitCodes.ok;
}

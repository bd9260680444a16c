import { table } from "./format.ts";
import { listOptions } from "./options.ts";
import { formatState, readyOf } from "./service-progress.ts";
import { type Call, exitCodes, text, type Verb } from "./verb.ts";
import { ago, shortImage } from "./workload-verbs.ts";

export const verb: Verb = {
	usage: "revision ls [SERVICE] [-n NAMESPACE] [--json]",
	summary: "List revisions, of one service or all",
	positionals: [0, 1],
	options: listOptions,
	examples: [["slipway revision ls hello", ""]],
	run: list,
};

async function list({ context, values, positionals: [service] }: Call): Promise<number> {
	const revisions = await context.client().workloads.revisions(text(values.namespace), service);
	if (values.json) {
		context.printJson(revisions);
		return exitCodes.ok;
	}
	const rows = revisions.map(({ metadata, spec, status }) => [
		metadata.name,
		metadata.labels["serving.knative.dev/service"] ?? "",
		metadata.namespace,
		formatState(readyOf(status.conditions), context.color),
		`${status.actualReplicas ?? 0}`,
		ago(metadata.creationTimestamp),
		shortImage(spec.containers[0]?.image),
	]);
	context.print(table(["REVISION", "SERVICE", "NAMESPACE", "STATE", "INSTANCES", "CREATED", "IMAGE"], rows));
	return exitCodes.ok;
}

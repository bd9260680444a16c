import { table } from "./format.ts";
import { namespaceOf, namespaceOption } from "./options.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";
import { ago, shortImage } from "./workload-verbs.ts";

export const verb: Verb = {
	usage: "job get NAME [-n NAMESPACE] [--json]",
	summary: "Show a job",
	positionals: [1, 1],
	options: { ...namespaceOption, ...jsonOption },
	examples: [["slipway job get nightly", ""]],
	run: get,
};

async function get(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const job = await context.client().workloads.job(namespaceOf(call), positionals[0] ?? "");
	if (values.json) {
		context.printJson(job);
		return exitCodes.ok;
	}
	const { metadata, spec, status } = job;
	const { taskCount, parallelism, template } = spec.template.spec;
	const rows: string[][] = [
		["namespace", metadata.namespace],
		["tasks", `${taskCount}, ${parallelism === 0 ? "as many" : parallelism} at a time`],
		["retries", String(template.spec.maxRetries)],
		["timeout", `${template.spec.timeoutSeconds} s`],
		...template.spec.containers.map(({ name = "container", image }) => [name, shortImage(image)]),
		["executions", String(status.executionCount)],
		["latest", status.latestCreatedExecution?.name ?? ""],
		["created", ago(metadata.creationTimestamp)],
	];
	context.print(table(["name", metadata.name], rows));
	return exitCodes.ok;
}

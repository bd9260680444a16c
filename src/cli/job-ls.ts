import { table } from "./format.ts";
import { listOptions } from "./options.ts";
import { type Call, exitCodes, text, type Verb } from "./verb.ts";
import { ago, shortImage } from "./workload-verbs.ts";

export const verb: Verb = {
	usage: "job ls [-n NAMESPACE] [--json]",
	summary: "List jobs",
	positionals: [0, 0],
	options: listOptions,
	examples: [["slipway job ls", ""]],
	run: list,
};

async function list({ context, values }: Call): Promise<number> {
	const jobs = await context.client().workloads.jobs(text(values.namespace));
	if (values.json) {
		context.printJson(jobs);
		return exitCodes.ok;
	}
	const rows = jobs.map(({ metadata, spec, status }) => [
		metadata.name,
		metadata.namespace,
		String(spec.template.spec.taskCount),
		String(status.executionCount),
		status.latestCreatedExecution
			? `${status.latestCreatedExecution.name} ${ago(status.latestCreatedExecution.creationTimestamp)}`
			: "",
		shortImage(spec.template.spec.template.spec.containers[0]?.image),
	]);
	context.print(table(["JOB", "NAMESPACE", "TASKS", "EXECUTIONS", "LATEST", "IMAGE"], rows));
	return exitCodes.ok;
}

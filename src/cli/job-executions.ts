import { table } from "./format.ts";
import { describeCounts } from "./job-run.ts";
import { namespaceOf, namespaceOption } from "./options.ts";
import { formatState, readyOf } from "./service-progress.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";
import { ago } from "./workload-verbs.ts";

export const verb: Verb = {
	usage: "job executions NAME [-n NAMESPACE] [--json]",
	summary: "List a job's executions, the newest first",
	positionals: [1, 1],
	options: { ...namespaceOption, ...jsonOption },
	examples: [["slipway job executions nightly", ""]],
	run: list,
};

async function list(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const executions = await context.client().workloads.executions(namespaceOf(call), positionals[0] ?? "");
	if (values.json) {
		context.printJson(executions);
		return exitCodes.ok;
	}
	const rows = executions.map((execution) => {
		const completed = readyOf(execution.status.conditions, "Completed");
		return [
			execution.metadata.name,
			completed?.status === "Unknown" && !completed.reason ? "Running" : formatState(completed, context.color),
			describeCounts(execution),
			ago(execution.metadata.creationTimestamp),
			execution.status.completionTime ? ago(execution.status.completionTime) : "",
		];
	});
	context.print(table(["EXECUTION", "STATE", "TASKS", "CREATED", "COMPLETED"], rows));
	return exitCodes.ok;
}

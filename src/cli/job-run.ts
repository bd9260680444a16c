import type { ExecutionView, RunJob, TaskView } from "../client/service-schema.ts";
import type { Context } from "./context.ts";
import { DeploymentLines } from "./deployment-progress.ts";
import { follow } from "./follow.ts";
import { paint, table } from "./format.ts";
import { envOption, integerOf, listOf, namespaceOf, namespaceOption, pairsOf, secondsOf } from "./options.ts";
import { readyOf } from "./service-progress.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

/** Rows of the table of tasks; failed ones come first. */
const shownTasks = 20;

export const verb: Verb = {
	usage: "job run NAME [--wait] [options]",
	summary: "Begin an execution of a job",
	details: "With --wait the exit code is 1 when the execution fails or is cancelled; Ctrl-C leaves it running.",
	positionals: [1, 1],
	options: {
		wait: { type: "boolean", short: "w", description: "Wait until it is over, and show its tasks" },
		args: { type: "string", multiple: true, value: "WORD", description: "Arguments of this execution; repeatable" },
		...envOption,
		tasks: { type: "string", value: "COUNT", description: "Tasks of this execution" },
		"task-timeout": { type: "string", value: "TIME", description: "Of one attempt" },
		container: { type: "string", value: "NAME", description: "Whose arguments and variables, of several" },
		...namespaceOption,
		...jsonOption,
	},
	examples: [
		["slipway job run nightly --wait", ""],
		["slipway job run nightly -e DAY=2026-11-20 --tasks 1", "once more for one day"],
	],
	run,
};

async function run(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const { workloads } = context.client();
	const namespace = namespaceOf(call);
	const begun = await workloads.runJob(namespace, positionals[0] ?? "", overridesOf(values));
	const { name } = begun.metadata;
	if (!values.wait) {
		if (values.json) context.printJson(begun);
		else
			context.print(
				`${name} has begun\n\n  slipway job executions ${positionals[0]}\n  slipway job logs ${positionals[0]} -f`,
			);
		return exitCodes.ok;
	}
	const execution = await untilOver(context, namespace, begun);
	const tasks = await workloads.tasks(namespace, name);
	if (values.json) context.printJson({ execution, tasks });
	else context.print(describeTasks(execution, tasks, context.color));
	return readyOf(execution.status.conditions, "Completed")?.status === "True" ? exitCodes.ok : exitCodes.failed;
}

function overridesOf(values: Call["values"]): RunJob {
	const [args, env] = [listOf(values.args), pairsOf("env", values.env)];
	const container = text(values.container);
	const tasks = integerOf("tasks", values.tasks);
	const timeoutSeconds = secondsOf("task-timeout", values["task-timeout"]);
	return {
		...((args.length > 0 || env.length > 0) && {
			containerOverrides: [
				{ ...(container && { name: container }), ...(args.length > 0 && { args }), ...(env.length > 0 && { env }) },
			],
		}),
		...(tasks !== undefined && { taskCount: tasks }),
		...(timeoutSeconds !== undefined && { timeoutSeconds }),
	};
}

async function untilOver(context: Context, namespace: string, begun: ExecutionView): Promise<ExecutionView> {
	const { workloads } = context.client();
	const { name } = begun.metadata;
	using lines = new DeploymentLines(context.err);
	let told = "";
	return await follow({
		open: (signal) => workloads.watchExecution(namespace, name, signal),
		take: ({ execution }) => {
			const { progress } = execution.status;
			if (progress) lines.update({ revision: name, ...progress });
			const now = describeCounts(execution);
			if (now !== told) lines.print(`${name}: ${now}`);
			told = now;
			return execution.status.completionTime === undefined ? undefined : execution;
		},
		check: () => workloads.execution(namespace, name),
		what: `execution '${name}' was running`,
		later: `slipway job executions ${begun.metadata.labels["run.googleapis.com/job"]}`,
	});
}

export function describeCounts({ spec, status }: ExecutionView): string {
	const { succeededCount, failedCount, runningCount, retriedCount, cancelledCount } = status;
	const parts: [number, string][] = [
		[runningCount, "running"],
		[failedCount, "failed"],
		[cancelledCount, "cancelled"],
		[retriedCount, "retried"],
	];
	const more = parts.filter(([count]) => count > 0).map(([count, what]) => `, ${count} ${what}`);
	return `${succeededCount} of ${spec.taskCount} tasks succeeded${more.join("")}`;
}

function describeTasks(execution: ExecutionView, tasks: readonly TaskView[], color: boolean): string {
	const completed = readyOf(execution.status.conditions, "Completed");
	const colors = { succeeded: "green", failed: "red", cancelled: "yellow", running: "cyan", waiting: "dim" } as const;
	const order = ["failed", "running", "waiting", "cancelled", "succeeded"];
	const sorted = tasks.toSorted((a, b) => order.indexOf(a.status.phase) - order.indexOf(b.status.phase));
	const rows = sorted
		.slice(0, shownTasks)
		.map(({ status }) => [
			String(status.index),
			paint(color, colors[status.phase], status.phase),
			String(status.retried),
			status.lastAttemptResult?.exitCode === undefined ? "" : String(status.lastAttemptResult.exitCode),
			status.lastAttemptResult?.message ?? "",
		]);
	const message = completed?.message ?? describeCounts(execution);
	const more = tasks.length > shownTasks ? [`and ${tasks.length - shownTasks} more tasks (--json shows all)`] : [];
	const list = rows.length > 0 ? [table(["TASK", "STATE", "RETRIES", "EXIT CODE", "MESSAGE"], rows)] : [];
	return [...list, ...more, `${execution.metadata.name}: ${message}`].join("\n");
}

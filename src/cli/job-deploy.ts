import { integerOf, secondsOf } from "./options.ts";
import { type Call, exitCodes, type Verb } from "./verb.ts";
import { deployOptions, deployWorkload } from "./workload-deploy.ts";

export const verb: Verb = {
	usage: "job deploy IMAGE | -f FILE [options]",
	summary: "Create or replace a job; nothing runs yet",
	details: "FILE holds Cloud Run manifests of kind Job (run.googleapis.com/v1), in YAML or JSON; - is standard input.",
	positionals: [0, 1],
	options: {
		tasks: { type: "string", value: "COUNT", description: "Tasks of an execution, 1 to 10000 (1)" },
		parallelism: {
			type: "string",
			value: "COUNT",
			description: "Tasks at a time, 0 for as many as the machine takes (0)",
		},
		"max-retries": {
			type: "string",
			value: "COUNT",
			description: "Further attempts of a task that fails, 0 to 10 (3)",
		},
		"task-timeout": { type: "string", value: "TIME", description: "Of one attempt, up to 24h (10m)" },
		...deployOptions,
	},
	examples: [
		["slipway job deploy $SLIPWAY_REGISTRY/report:1 --tasks 10 --parallelism 2", ""],
		["slipway job deploy -f job.yaml", ""],
	],
	run: deploy,
};

async function deploy(call: Call): Promise<number> {
	const { context, values } = call;
	const { workloads } = context.client();
	const [taskCount, parallelism, maxRetries] = ["tasks", "parallelism", "max-retries"].map((option) =>
		integerOf(option, values[option]),
	);
	const timeoutSeconds = secondsOf("task-timeout", values["task-timeout"]);
	const build = (name: string, namespace: string, container: object) => ({
		apiVersion: "run.googleapis.com/v1",
		kind: "Job",
		metadata: { name, namespace },
		spec: {
			template: {
				spec: { taskCount, parallelism, template: { spec: { containers: [container], maxRetries, timeoutSeconds } } },
			},
		},
	});
	const jobs = await deployWorkload(call, "Job", build, (namespace, manifest) =>
		workloads.applyJob(namespace, manifest),
	);
	if (values.json) context.printJson(jobs.length === 1 ? jobs[0] : jobs);
	else
		for (const { metadata } of jobs) {
			const where = metadata.namespace === "default" ? "" : ` -n ${metadata.namespace}`;
			context.print(`${metadata.name} is deployed\n\n  slipway job run ${metadata.name}${where} --wait`);
		}
	return exitCodes.ok;
}

import type { WorkerView } from "../client/service-schema.ts";
import type { Context } from "./context.ts";
import { explainFailure } from "./deployment-failure.ts";
import { DeploymentLines } from "./deployment-progress.ts";
import { follow } from "./follow.ts";
import { integerOf, volumeOption, volumesOf } from "./options.ts";
import { ConditionLines, readyOf } from "./service-progress.ts";
import { type Call, exitCodes, type Verb } from "./verb.ts";
import { deployOptions, deployWorkload } from "./workload-deploy.ts";

export const verb: Verb = {
	usage: "worker deploy IMAGE | -f FILE [options]",
	summary: "Create or replace a worker: instances that run all the time and get no requests",
	details:
		"FILE holds Cloud Run manifests of kind WorkerPool (run.googleapis.com/v1), in YAML or JSON; - is standard input.\n" +
		"A new revision replaces one instance after the other, and the old ones stay when it does not start.",
	positionals: [0, 1],
	options: {
		instances: { type: "string", value: "COUNT", description: "Instances, 0 to 100 (1)" },
		"no-wait": { type: "boolean", description: "Return while it is being deployed" },
		...volumeOption,
		...deployOptions,
	},
	examples: [["slipway worker deploy $SLIPWAY_REGISTRY/mailer:1 --instances 2", ""]],
	run: deploy,
};

async function deploy(call: Call): Promise<number> {
	const { context, values } = call;
	const { workloads } = context.client();
	const instances = integerOf("instances", values.instances) ?? 1;
	const { volumes } = volumesOf(values.volume);
	const build = (name: string, namespace: string, container: object) => ({
		apiVersion: "run.googleapis.com/v1",
		kind: "WorkerPool",
		metadata: { name, namespace, annotations: { "run.googleapis.com/manualInstanceCount": String(instances) } },
		spec: { template: { spec: { containers: [container], ...(volumes.length > 0 && { volumes }) } } },
	});
	const applied = await deployWorkload(call, "WorkerPool", build, (namespace, manifest) =>
		workloads.applyWorker(namespace, manifest),
	);
	const workers: WorkerView[] = [];
	for (const worker of applied) workers.push(values["no-wait"] ? worker : await untilRunning(context, worker));
	if (values.json) context.printJson(workers.length === 1 ? workers[0] : workers);
	let code: number = exitCodes.ok;
	for (const worker of workers) {
		const { metadata, status } = worker;
		const where = metadata.namespace === "default" ? "" : ` --namespace ${metadata.namespace}`;
		if (readyOf(status.conditions)?.status === "False") {
			code = exitCodes.failed;
			await explainFailure(context, "workers", worker);
		} else if (!values.json)
			context.print(
				`${metadata.name}: ${status.readyInstances} of ${status.desiredInstances} instances\n\n  slipway worker logs ${metadata.name}${where} -f`,
			);
	}
	return code;
}

export async function untilRunning(context: Context, applied: WorkerView): Promise<WorkerView> {
	const { namespace, name } = applied.metadata;
	const { workloads } = context.client();
	const lines = new ConditionLines(context.err.isTTY === true && context.color);
	using deployment = new DeploymentLines(context.err);
	return await follow({
		open: (signal) => workloads.watchWorker(namespace, name, signal),
		take: ({ worker }) => {
			const { conditions, progress, latestCreatedRevisionName: revision } = worker.status;
			for (const change of lines.changes(conditions)) deployment.print(change);
			if (progress) deployment.update({ revision, ...progress });
			return readyOf(worker.status.conditions)?.status === "Unknown" ? undefined : worker;
		},
		check: () => workloads.worker(namespace, name),
		what: `worker '${name}' was being deployed`,
		later: `slipway worker get ${name}`,
	});
}

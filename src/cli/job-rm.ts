import { removal } from "./workload-verbs.ts";

export const verb = removal({
	usage: "job rm NAME... [-n NAMESPACE]",
	summary: "Delete jobs with their executions; those that run are ended",
	example: "slipway job rm nightly",
	remove: (client, namespace, name) => client.workloads.deleteJob(namespace, name),
});

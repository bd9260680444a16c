import { removal } from "./workload-verbs.ts";

export const verb = removal({
	usage: "revision rm NAME... [-n NAMESPACE]",
	summary: "Delete revisions that get no traffic",
	example: "slipway revision rm hello-00001",
	remove: (client, namespace, name) => client.workloads.deleteRevision(namespace, name),
});

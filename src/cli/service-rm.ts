import { removal } from "./workload-verbs.ts";

export const verb = removal({
	usage: "service rm NAME... [-n NAMESPACE]",
	summary: "Delete services with their revisions; requests in flight finish",
	example: "slipway service rm hello",
	remove: (client, namespace, name) => client.workloads.deleteService(namespace, name),
});

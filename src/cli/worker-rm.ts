import { removal } from "./workload-verbs.ts";

export const verb = removal({
	usage: "worker rm NAME... [-n NAMESPACE]",
	summary: "Delete workers; their instances are ended",
	example: "slipway worker rm mailer",
	remove: (client, namespace, name) => client.workloads.deleteWorker(namespace, name),
});

import { removal } from "./workload-verbs.ts";

export const verb = removal({
	usage: "route rm NAME...",
	summary: "Delete gateway routes",
	example: "slipway route rm shop",
	namespaced: false,
	remove: (client, _namespace, name) => client.workloads.deleteGatewayRoute(name),
});

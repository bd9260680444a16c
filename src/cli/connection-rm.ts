import { removal } from "./workload-verbs.ts";

export const verb = removal({
	usage: "connection rm NAME...",
	summary: "Delete connections that no trigger names",
	example: "slipway connection rm rabbit",
	namespaced: false,
	remove: (client, _namespace, name) => client.events.deleteConnection(name),
});

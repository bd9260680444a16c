import { removal } from "./workload-verbs.ts";

export const verb = removal({
	usage: "queue rm NAME...",
	summary: "Delete queues with their messages",
	example: "slipway queue rm orders",
	namespaced: false,
	remove: (client, _namespace, name) => client.events.deleteQueue(name),
});

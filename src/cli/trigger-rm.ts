import { removal } from "./workload-verbs.ts";

export const verb = removal({
	usage: "trigger rm NAME...",
	summary: "Delete triggers, with what they took and did not deliver",
	example: "slipway trigger rm rabbit-orders",
	namespaced: false,
	remove: (client, _namespace, name) => client.events.deleteTrigger(name),
});

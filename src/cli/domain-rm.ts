import { removal } from "./workload-verbs.ts";

export const verb = removal({
	usage: "domain rm HOST...",
	summary: "Take domains away",
	example: "slipway domain rm shop.example.com",
	namespaced: false,
	remove: (client, _namespace, name) => client.workloads.deleteDomain(name),
});

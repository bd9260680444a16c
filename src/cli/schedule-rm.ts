import { removal } from "./workload-verbs.ts";

export const verb = removal({
	usage: "schedule rm [GROUP/]NAME...",
	summary: "Delete schedules, with their ticks that are not delivered yet",
	example: "slipway schedule rm nightly",
	namespaced: false,
	remove: (client, _namespace, name) => {
		const [first = "", second] = name.split(/\/(.*)/s);
		return client.events.deleteSchedule(second === undefined ? "default" : first, second ?? first);
	},
});

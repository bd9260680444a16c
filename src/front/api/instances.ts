import type { InstanceView } from "../../client/service-schema.ts";
import type { InstanceOfWorkload } from "../../engine/jobs/types.ts";
import type { ApiDeps } from "./ports.ts";
import { type Route, route } from "./route.ts";

export function instanceRoute(deps: ApiDeps): Route {
	return route({
		id: "listInstances",
		method: "GET",
		path: "/instances",
		summary: "Instances of services, workers and jobs that exist now; functions have sandboxes",
		answer: { kind: "json", status: 200, component: "InstanceList" },
		handle: async () => ({ instances: await instances(deps) }),
	});
}

async function instances({ workloads, clock }: ApiDeps): Promise<InstanceView[]> {
	if (!workloads) return [];
	const [services, workers, jobs] = await Promise.all([
		workloads.serving.instances(),
		workloads.workers.instances(),
		workloads.jobs.instances(),
	]);
	const now = clock.now();
	return [
		...services.map(({ service: name, revision: part, ageMs, ...rest }) => ({
			...rest,
			kind: "service" as const,
			name,
			part,
			startedMs: Math.round(now - ageMs),
		})),
		...workers.map(viewOf("worker")),
		...jobs.map(viewOf("job")),
	];
}

function viewOf(kind: "worker" | "job"): (instance: InstanceOfWorkload) => InstanceView {
	return (instance) => ({ kind, ...instance });
}

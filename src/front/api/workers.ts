import { manifestSchema, scaleWorkerSchema } from "../../client/service-schema.ts";
import { workerLogGroup } from "../../core/job/job.ts";
import type { WorkerUseCases } from "../../engine/jobs/types.ts";
import { logQuery, sendLogs } from "./logs.ts";
import { writeAll } from "./ndjson.ts";
import type { ApiDeps } from "./ports.ts";
import { type Route, route } from "./route.ts";
import { apiUser, applyQuery, listQuery, workloadParams } from "./services.ts";

export function workerRoutes(deps: ApiDeps, workers: WorkerUseCases): Route[] {
	return [
		route({
			id: "listWorkers",
			method: "GET",
			path: "/workers",
			summary: "Worker pools by namespace and name",
			query: listQuery,
			answer: { kind: "json", status: 200, component: "WorkerList" },
			handle: async ({ query }) => ({ workers: workers.workers(query.namespace) }),
		}),
		route({
			id: "applyWorker",
			method: "POST",
			path: "/workers",
			summary: "Create or replace a worker pool: a Cloud Run manifest (run.googleapis.com/v1 WorkerPool) as JSON",
			query: applyQuery,
			body: { kind: "json", component: "Manifest" },
			input: manifestSchema,
			answer: { kind: "json", status: 200, component: "Worker" },
			handle: ({ query, input }) => workers.apply(query.namespace, input, { user: apiUser }),
		}),
		route({
			id: "getWorker",
			method: "GET",
			path: "/workers/{namespace}/{name}",
			summary: "One worker pool with its instances",
			params: workloadParams,
			answer: { kind: "json", status: 200, component: "Worker" },
			handle: async ({ params }) => workers.worker(params.namespace!, params.name!),
		}),
		route({
			id: "deleteWorker",
			method: "DELETE",
			path: "/workers/{namespace}/{name}",
			summary: "Delete a worker pool; its instances are ended",
			params: workloadParams,
			answer: { kind: "none", status: 204 },
			handle: ({ params }) => workers.delete(params.namespace!, params.name!),
		}),
		route({
			id: "scaleWorker",
			method: "PUT",
			path: "/workers/{namespace}/{name}/instances",
			summary: "Say how many instances run",
			params: workloadParams,
			body: { kind: "json", component: "ScaleWorker" },
			input: scaleWorkerSchema,
			answer: { kind: "json", status: 200, component: "Worker" },
			handle: ({ params, input }) => workers.scale(params.namespace!, params.name!, input.instances),
		}),
		...workerStreamRoutes(deps, workers),
	];
}

function workerStreamRoutes(deps: ApiDeps, workers: WorkerUseCases): Route[] {
	return [
		route({
			id: "watchWorker",
			method: "GET",
			path: "/workers/{namespace}/{name}/watch",
			summary: "The worker pool now and after each change",
			params: workloadParams,
			answer: { kind: "stream", component: "WorkerStreamLine" },
			handle: ({ params, response, gone }) => {
				const signal = AbortSignal.any([gone, deps.closing]);
				const pools = workers.watch(params.namespace!, params.name!, signal);
				return writeAll(response, gone, pools, (worker) => ({ type: "worker", worker }));
			},
		}),
		route({
			id: "readWorkerLogs",
			method: "GET",
			path: "/workers/{namespace}/{name}/logs",
			summary: "A worker pool's log lines in time order; streams are REVISION/INSTANCE[/CONTAINER]",
			params: workloadParams,
			query: logQuery,
			answer: { kind: "stream", component: "LogStreamLine" },
			handle: async (call) =>
				sendLogs(deps, workerLogGroup(workers.worker(call.params.namespace!, call.params.name!).metadata), call),
		}),
	];
}

import { manifestSchema, runJobSchema } from "../../client/service-schema.ts";
import { jobLogGroup } from "../../core/job/job.ts";
import { readOverrides } from "../../core/job/job-manifest.ts";
import type { JobUseCases } from "../../engine/jobs/types.ts";
import { logQuery, sendLogs } from "./logs.ts";
import { writeAll } from "./ndjson.ts";
import type { ApiDeps } from "./ports.ts";
import { type Route, route } from "./route.ts";
import { apiUser, applyQuery, listQuery, workloadParams } from "./services.ts";

export function jobRoutes(deps: ApiDeps, jobs: JobUseCases): Route[] {
	return [
		route({
			id: "listJobs",
			method: "GET",
			path: "/jobs",
			summary: "Jobs by namespace and name",
			query: listQuery,
			answer: { kind: "json", status: 200, component: "JobList" },
			handle: async ({ query }) => ({ jobs: jobs.jobs(query.namespace) }),
		}),
		route({
			id: "applyJob",
			method: "POST",
			path: "/jobs",
			summary: "Create or replace a job: a Cloud Run manifest (run.googleapis.com/v1 Job) as JSON",
			query: applyQuery,
			body: { kind: "json", component: "Manifest" },
			input: manifestSchema,
			answer: { kind: "json", status: 200, component: "Job" },
			handle: ({ query, input }) => jobs.apply(query.namespace, input, { user: apiUser }),
		}),
		route({
			id: "getJob",
			method: "GET",
			path: "/jobs/{namespace}/{name}",
			summary: "One job",
			params: workloadParams,
			answer: { kind: "json", status: 200, component: "Job" },
			handle: async ({ params }) => jobs.job(params.namespace!, params.name!),
		}),
		route({
			id: "deleteJob",
			method: "DELETE",
			path: "/jobs/{namespace}/{name}",
			summary: "Delete a job with its executions; those that run are ended",
			params: workloadParams,
			answer: { kind: "none", status: 204 },
			handle: ({ params }) => jobs.delete(params.namespace!, params.name!),
		}),
		route({
			id: "runJob",
			method: "POST",
			path: "/jobs/{namespace}/{name}/run",
			summary: "Begin an execution, with Cloud Run's overrides",
			params: workloadParams,
			body: { kind: "json", component: "RunJob" },
			input: runJobSchema,
			answer: { kind: "json", status: 201, component: "Execution" },
			handle: ({ params, input }) => jobs.run(params.namespace!, params.name!, readOverrides(input)),
		}),
		route({
			id: "readJobLogs",
			method: "GET",
			path: "/jobs/{namespace}/{name}/logs",
			summary: "A job's log lines in time order; streams are EXECUTION/TASK/ATTEMPT[/CONTAINER]",
			params: workloadParams,
			query: logQuery,
			answer: { kind: "stream", component: "LogStreamLine" },
			handle: async (call) =>
				sendLogs(deps, jobLogGroup(jobs.job(call.params.namespace!, call.params.name!).metadata), call),
		}),
		...executionRoutes(deps, jobs),
	];
}

function executionRoutes(deps: ApiDeps, jobs: JobUseCases): Route[] {
	return [
		route({
			id: "listExecutions",
			method: "GET",
			path: "/jobs/{namespace}/{name}/executions",
			summary: "A job's executions, the newest first",
			params: workloadParams,
			answer: { kind: "json", status: 200, component: "ExecutionList" },
			handle: async ({ params }) => ({ executions: jobs.executions(params.namespace!, params.name!) }),
		}),
		route({
			id: "getExecution",
			method: "GET",
			path: "/executions/{namespace}/{name}",
			summary: "One execution",
			params: workloadParams,
			answer: { kind: "json", status: 200, component: "Execution" },
			handle: async ({ params }) => jobs.execution(params.namespace!, params.name!),
		}),
		route({
			id: "deleteExecution",
			method: "DELETE",
			path: "/executions/{namespace}/{name}",
			summary: "Delete an execution that is over",
			params: workloadParams,
			answer: { kind: "none", status: 204 },
			handle: ({ params }) => jobs.deleteExecution(params.namespace!, params.name!),
		}),
		route({
			id: "cancelExecution",
			method: "POST",
			path: "/executions/{namespace}/{name}/cancel",
			summary: "Stop an execution's tasks and start no more",
			params: workloadParams,
			answer: { kind: "json", status: 200, component: "Execution" },
			handle: ({ params }) => jobs.cancel(params.namespace!, params.name!),
		}),
		route({
			id: "listTasks",
			method: "GET",
			path: "/executions/{namespace}/{name}/tasks",
			summary: "An execution's tasks that have begun, by index",
			params: workloadParams,
			answer: { kind: "json", status: 200, component: "TaskList" },
			handle: async ({ params }) => ({ tasks: jobs.tasks(params.namespace!, params.name!) }),
		}),
		route({
			id: "watchExecution",
			method: "GET",
			path: "/executions/{namespace}/{name}/watch",
			summary: "The execution now and after each change, until it is over",
			params: workloadParams,
			answer: { kind: "stream", component: "ExecutionStreamLine" },
			handle: ({ params, response, gone }) => {
				const signal = AbortSignal.any([gone, deps.closing]);
				const executions = jobs.watch(params.namespace!, params.name!, signal);
				return writeAll(response, gone, executions, (execution) => ({ type: "execution", execution }));
			},
		}),
	];
}

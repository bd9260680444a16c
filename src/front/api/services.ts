import { z } from "zod";
import type { Clock } from "../../base/clock.ts";
import {
	manifestSchema,
	namespaceSchema,
	type RevisionActivity,
	resourceNameSchema,
	setTrafficSchema,
} from "../../client/service-schema.ts";
import type { KnativeService, TrafficTarget } from "../../core/service/knative.ts";
import type { DeploymentProgress } from "../../engine/services/types.ts";
import { logQuery, sendLogs } from "./logs.ts";
import { NdjsonWriter } from "./ndjson.ts";
import type { ApiDeps, ApiWorkloads } from "./ports.ts";
import { type Call, type Route, route } from "./route.ts";

/** serving.knative.dev/creator and lastModifier of what the token's owner does. */
export const apiUser = "slipway";
/** How often a watched service's figures are sent. */
const activityMs = 1000;
/** How often it is looked how far a revision is that is being made ready. */
const progressMs = 200;

export const workloadParams = { namespace: namespaceSchema, name: resourceNameSchema.describe("Name") };
export const listQuery = z.strictObject({
	namespace: namespaceSchema.optional().describe("Only this one; all without"),
});
export const applyQuery = z.strictObject({ namespace: namespaceSchema.default("default") });
const applyServiceQuery = applyQuery.extend({
	profile: z.enum(["knative", "cloudrun"]).optional().describe("Whose defaults hold"),
	dryRun: z.stringbool().default(false).describe("Check and answer, change nothing"),
});

export function serviceRoutes(deps: ApiDeps, workloads: ApiWorkloads): Route[] {
	const { services } = workloads;
	return [
		route({
			id: "listServices",
			method: "GET",
			path: "/services",
			summary: "Services by namespace and name",
			query: listQuery,
			answer: { kind: "json", status: 200, component: "ServiceList" },
			handle: async ({ query }) => ({ services: services.services(query.namespace) }),
		}),
		route({
			id: "applyService",
			method: "POST",
			path: "/services",
			summary: "Create or replace a service: a Knative or Cloud Run manifest as JSON",
			query: applyServiceQuery,
			body: { kind: "json", component: "Manifest" },
			input: manifestSchema,
			answer: { kind: "json", status: 200, component: "Service" },
			handle: ({ query: { namespace, profile, dryRun }, input }) =>
				services.apply(namespace, input, { user: apiUser, ...(profile && { profile }), dryRun }),
		}),
		route({
			id: "getService",
			method: "GET",
			path: "/services/{namespace}/{name}",
			summary: "One service with its conditions and traffic",
			params: workloadParams,
			answer: { kind: "json", status: 200, component: "Service" },
			handle: async ({ params }) => services.service(params.namespace!, params.name!),
		}),
		route({
			id: "deleteService",
			method: "DELETE",
			path: "/services/{namespace}/{name}",
			summary: "Delete a service with its revisions; requests in flight finish",
			params: workloadParams,
			answer: { kind: "none", status: 204 },
			handle: ({ params }) => services.delete(params.namespace!, params.name!),
		}),
		...trafficRoutes(workloads),
		...serviceInstanceRoutes(deps, workloads),
		...revisionRoutes(workloads),
	];
}

function trafficRoutes({ services }: ApiWorkloads): Route[] {
	return [
		route({
			id: "setTraffic",
			method: "PUT",
			path: "/services/{namespace}/{name}/traffic",
			summary: "Say which revisions get the requests, and under which tags",
			params: workloadParams,
			body: { kind: "json", component: "SetTraffic" },
			input: setTrafficSchema,
			answer: { kind: "json", status: 200, component: "Service" },
			handle: ({ params, input }) =>
				services.setTraffic(params.namespace!, params.name!, input.traffic as TrafficTarget[], { user: apiUser }),
		}),
		route({
			id: "rollBackService",
			method: "POST",
			path: "/services/{namespace}/{name}/rollback",
			summary: "All traffic to the revision that had most of it before the newest",
			params: workloadParams,
			answer: { kind: "json", status: 200, component: "Service" },
			handle: ({ params }) => services.rollback(params.namespace!, params.name!, { user: apiUser }),
		}),
	];
}

function serviceInstanceRoutes(deps: ApiDeps, workloads: ApiWorkloads): Route[] {
	const { services } = workloads;
	return [
		route({
			id: "stopService",
			method: "POST",
			path: "/services/{namespace}/{name}/stop",
			summary: "Let a service go to zero now: end its instances without a request, but for its minimum",
			params: workloadParams,
			answer: { kind: "json", status: 200, component: "StoppedInstances" },
			handle: async ({ params }) => {
				const { namespace, name } = services.service(params.namespace!, params.name!).metadata;
				return { instances: await workloads.serving.stopIdle({ namespace, service: name }) };
			},
		}),
		route({
			id: "watchService",
			method: "GET",
			path: "/services/{namespace}/{name}/watch",
			summary: "The service now and whenever it changes, and each second what its revisions do",
			params: workloadParams,
			answer: { kind: "stream", component: "ServiceStreamLine" },
			handle: (call) => watch(deps, workloads, call),
		}),
		route({
			id: "readServiceLogs",
			method: "GET",
			path: "/services/{namespace}/{name}/logs",
			summary: "A service's log lines in time order; streams are REVISION/INSTANCE[/CONTAINER]",
			params: workloadParams,
			query: logQuery,
			answer: { kind: "stream", component: "LogStreamLine" },
			handle: async (call) => {
				const { namespace, name } = services.service(call.params.namespace!, call.params.name!).metadata;
				return sendLogs(deps, `/slipway/services/${namespace}/${name}`, call);
			},
		}),
	];
}

function revisionRoutes({ services }: ApiWorkloads): Route[] {
	const query = listQuery.extend({ service: resourceNameSchema.optional().describe("Only this service's") });
	return [
		route({
			id: "listRevisions",
			method: "GET",
			path: "/revisions",
			summary: "Revisions by namespace and name",
			query,
			answer: { kind: "json", status: 200, component: "RevisionList" },
			handle: async ({ query: { namespace, service } }) => ({
				revisions: services
					.revisions(namespace)
					.filter(
						({ metadata }) => service === undefined || metadata.labels["serving.knative.dev/service"] === service,
					),
			}),
		}),
		route({
			id: "getRevision",
			method: "GET",
			path: "/revisions/{namespace}/{name}",
			summary: "One revision",
			params: workloadParams,
			answer: { kind: "json", status: 200, component: "Revision" },
			handle: async ({ params }) => services.revision(params.namespace!, params.name!),
		}),
		route({
			id: "deleteRevision",
			method: "DELETE",
			path: "/revisions/{namespace}/{name}",
			summary: "Delete a revision that gets no traffic",
			params: workloadParams,
			answer: { kind: "none", status: 204 },
			handle: ({ params }) => services.deleteRevision(params.namespace!, params.name!),
		}),
	];
}

async function watch(
	deps: ApiDeps,
	{ services, serving }: ApiWorkloads,
	{ params, response, gone }: Call<unknown, unknown>,
): Promise<void> {
	const [namespace, name] = [params.namespace!, params.name!];
	const { resourceVersion } = services;
	let service = services.service(namespace, name);
	const ended = new AbortController();
	const signal = AbortSignal.any([gone, deps.closing, ended.signal]);
	const events = services.watch("Service", { namespace, name, resourceVersion, signal });
	const writer = new NdjsonWriter(response, gone);
	const repeated = [
		every(deps.clock, activityMs, () => writer.offer({ type: "activity", revisions: activityOf(service, serving) })),
		every(
			deps.clock,
			progressMs,
			progressLines(services, writer, () => service),
		),
	];
	try {
		await writer.write({ type: "service", service });
		for (const { tick } of repeated) tick();
		for await (const { type, object } of events) {
			if (object.kind !== "Service") continue;
			service = object;
			if (type === "DELETED") {
				await writer.write({ type: "deleted" });
				break;
			}
			await writer.write({ type: "service", service });
		}
		writer.end();
	} catch (error) {
		if (!signal.aborted) throw error;
		response.end();
	} finally {
		for (const { cancel } of repeated) cancel();
		ended.abort();
	}
}

function every(clock: Clock, periodMs: number, action: () => void): { tick: () => void; cancel: () => void } {
	let cancel = () => {};
	const tick = () => {
		action();
		cancel = clock.after(periodMs, tick);
	};
	return { tick, cancel: () => cancel() };
}

/** A line whenever the newest revision has got further than the last time. */
function progressLines(services: ApiWorkloads["services"], writer: NdjsonWriter, service: () => KnativeService) {
	let told: DeploymentProgress | undefined;
	return () => {
		const { metadata, status } = service();
		const revision = status.latestCreatedRevisionName;
		const progress = revision === undefined ? undefined : services.progress(metadata.namespace, revision);
		if (progress && progress !== told) writer.offer({ type: "progress", revision, ...progress });
		told = progress;
	};
}

function activityOf(service: KnativeService, serving: ApiWorkloads["serving"]): RevisionActivity[] {
	const { namespace } = service.metadata;
	const byRevision = new Map<string, RevisionActivity>();
	for (const { revisionName, percent = 0, tag } of service.status.traffic ?? []) {
		if (revisionName === undefined) continue;
		const known = byRevision.getOrInsertComputed(revisionName, (revision) => {
			const id = { namespace, name: revision };
			const { actualReplicas, desiredReplicas } = serving.status(id) ?? { actualReplicas: 0, desiredReplicas: 0 };
			const { requests, failures } = serving.usage(id) ?? { requests: 0, failures: 0 };
			return { revision, percent: 0, tags: [], actualReplicas, desiredReplicas, requests, failures };
		});
		known.percent += percent;
		if (tag !== undefined) known.tags.push(tag);
	}
	return [...byRevision.values()];
}

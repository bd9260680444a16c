/**
 * The little of Kubernetes' core/v1 that clients of Knative look at: namespaces, which are there for whoever uses them, and
 * the Service that Knative makes for each route (knative/serving pkg/reconciler/route/resources/service.go).
 */
import { SlipwayError } from "../../base/error.ts";
import type { KnativeRoute } from "../../core/service/knative.ts";
import { dns1123LabelProblem } from "../../core/service/kubernetes-names.ts";
import { type Presented, presentList, presentOne } from "./presentation.ts";
import { paginate, type Selectable, select } from "./read.ts";
import { type Call, flag } from "./request.ts";
import { respond } from "./respond.ts";
import { ApiError, notAllowed } from "./status.ts";

const defaultNamespace = "default";

interface CoreObject extends Selectable {
	apiVersion: "v1";
	kind: string;
	metadata: Selectable["metadata"] & { uid?: string; resourceVersion?: string; creationTimestamp?: string };
}

const namespaceColumns: Presented = {
	apiVersion: "v1",
	listKind: "NamespaceList",
	columns: [{ name: "Status", type: "string", description: "The status of the namespace", priority: 0 }],
	cells: () => ["Active"],
};

const serviceColumns: Presented = {
	apiVersion: "v1",
	listKind: "ServiceList",
	columns: [
		{ name: "Type", type: "string", description: "Type of the service", priority: 0 },
		{ name: "External-IP", type: "string", description: "Name that it stands for", priority: 0 },
	],
	cells: (object) => ["ExternalName", "spec" in object ? externalNameIn(object.spec) : ""],
};

export async function namespaces(call: Call, name: string | undefined): Promise<void> {
	requireReading(call);
	if (name === undefined) {
		const names = new Set([defaultNamespace, ...call.services.services().map(({ metadata }) => metadata.namespace)]);
		return list(call, namespaceColumns, [...names].map(namespaceObject));
	}
	const problem = dns1123LabelProblem(name);
	if (problem !== undefined)
		throw new ApiError(404, "NotFound", `namespaces "${name.slice(0, 100)}" not found: ${problem}`);
	await respond(call, 200, presentOne(namespaceColumns, call.presentation, namespaceObject(name), null));
}

export async function coreServices(call: Call, namespace: string | undefined, name: string | undefined): Promise<void> {
	requireReading(call);
	const { services, presentation } = call;
	if (namespace === undefined || name === undefined)
		return list(
			call,
			serviceColumns,
			services.routes(namespace).map((route) => serviceOf(call, route)),
		);
	await respond(
		call,
		200,
		presentOne(serviceColumns, presentation, serviceOf(call, findRoute(call, namespace, name)), null),
	);
}

async function list(call: Call, columns: Presented, objects: readonly CoreObject[]): Promise<void> {
	const { query, presentation, services } = call;
	const page = paginate(query, select(query, objects), services.resourceVersion);
	await respond(call, 200, presentList(columns, presentation, page.items, page.metadata, query.get("includeObject")));
}

function requireReading({ request, query }: Call): void {
	if (request.method !== "GET") throw notAllowed("Only GET is possible here", ["GET"]);
	if (flag(query, "watch")) throw notAllowed("These objects can't be watched", ["GET"]);
}

function findRoute({ services }: Call, namespace: string, name: string): KnativeRoute {
	try {
		return services.route(namespace, name);
	} catch (error) {
		if (error instanceof SlipwayError && error.code === "NOT_FOUND")
			throw new ApiError(404, "NotFound", `services "${name.slice(0, 100)}" not found`);
		throw error;
	}
}

function namespaceObject(name: string): CoreObject & { status: object } {
	return {
		apiVersion: "v1",
		kind: "Namespace",
		metadata: { name, labels: { "kubernetes.io/metadata.name": name } },
		status: { phase: "Active" },
	};
}

/** Knative's placeholder of the route. */
function serviceOf(
	{ services }: Call,
	{ metadata, status }: KnativeRoute,
): CoreObject & { spec: object; status: object } {
	const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
	const { labels, annotations } = services.placeholderMetadata(namespace, name);
	return {
		apiVersion: "v1",
		kind: "Service",
		metadata: Object.assign({ name, namespace, uid, resourceVersion, creationTimestamp }, { labels, annotations }),
		spec: {
			type: "ExternalName",
			sessionAffinity: "None",
			...(status.url !== undefined && { externalName: new URL(status.url).hostname }),
		},
		status: { loadBalancer: {} },
	};
}

function externalNameIn(spec: unknown): string {
	return typeof spec === "object" && spec !== null && "externalName" in spec ? String(spec.externalName) : "";
}

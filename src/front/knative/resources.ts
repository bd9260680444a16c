import type { AnyKnativeObject, Condition } from "../../core/service/knative.ts";
import type { ServiceUseCases } from "../../engine/services/types.ts";

export const group = "serving.knative.dev";
export const version = "v1";

export type KnativeKind = AnyKnativeObject["kind"];

/** A column of `kubectl get`. */
export interface Column {
	name: string;
	type: "string" | "integer";
	format?: "name";
	description: string;
	/** Only with `-o wide` when above 0. */
	priority: number;
}

/** One kind of object as the API serves it (knative/serving config/core/300-resources). */
export interface Resource {
	kind: KnativeKind;
	plural: string;
	singular: string;
	shortNames: readonly string[];
	verbs: readonly string[];
	/** Beside the name. */
	columns: readonly Column[];
	cells(object: AnyKnativeObject): (string | number)[];
	get(services: ServiceUseCases, namespace: string, name: string): AnyKnativeObject;
	/** Of every namespace when none is given. */
	list(services: ServiceUseCases, namespace: string | undefined): AnyKnativeObject[];
	/** Why it is not created, replaced or patched here; undefined: it is. */
	readOnly: string | undefined;
	/** Undefined: it goes with its service. */
	remove: ((services: ServiceUseCases, namespace: string, name: string) => Promise<AnyKnativeObject>) | undefined;
}

const reading = ["get", "list", "watch"];
const removing = ["delete", "deletecollection"];

export const resources: readonly Resource[] = [
	{
		kind: "Service",
		plural: "services",
		singular: "service",
		shortNames: ["kservice", "ksvc"],
		verbs: [...removing, ...reading, "create", "patch", "update"],
		columns: [column("URL"), column("LatestCreated"), column("LatestReady"), column("Ready"), column("Reason")],
		cells: (object) =>
			object.kind !== "Service"
				? []
				: [
						object.status.url ?? "",
						object.status.latestCreatedRevisionName ?? "",
						object.status.latestReadyRevisionName ?? "",
						...readyCells(object),
					],
		get: (services, namespace, name) => services.service(namespace, name),
		list: (services, namespace) => services.services(namespace),
		readOnly: undefined,
		remove: (services, namespace, name) => services.delete(namespace, name),
	},
	{
		kind: "Route",
		plural: "routes",
		singular: "route",
		shortNames: ["rt"],
		verbs: reading,
		columns: [column("URL"), column("Ready"), column("Reason")],
		cells: (object) => (object.kind !== "Route" ? [] : [object.status.url ?? "", ...readyCells(object)]),
		get: (services, namespace, name) => services.route(namespace, name),
		list: (services, namespace) => services.routes(namespace),
		readOnly: "A route belongs to the service of its name: change or delete that",
		remove: undefined,
	},
	{
		kind: "Configuration",
		plural: "configurations",
		singular: "configuration",
		shortNames: ["config", "cfg"],
		verbs: reading,
		columns: [column("LatestCreated"), column("LatestReady"), column("Ready"), column("Reason")],
		cells: (object) =>
			object.kind !== "Configuration"
				? []
				: [
						object.status.latestCreatedRevisionName ?? "",
						object.status.latestReadyRevisionName ?? "",
						...readyCells(object),
					],
		get: (services, namespace, name) => services.configuration(namespace, name),
		list: (services, namespace) => services.configurations(namespace),
		readOnly: "A configuration belongs to the service of its name: change or delete that",
		remove: undefined,
	},
	{
		kind: "Revision",
		plural: "revisions",
		singular: "revision",
		shortNames: ["rev"],
		verbs: [...removing, ...reading],
		columns: [
			column("Config Name"),
			column("Generation"),
			column("Ready"),
			column("Reason"),
			column("Actual Replicas", "integer"),
			column("Desired Replicas", "integer"),
		],
		cells: (object) =>
			object.kind !== "Revision"
				? []
				: [
						object.metadata.labels[`${group}/configuration`] ?? "",
						object.metadata.labels[`${group}/configurationGeneration`] ?? "",
						...readyCells(object),
						object.status.actualReplicas ?? 0,
						object.status.desiredReplicas ?? 0,
					],
		get: (services, namespace, name) => services.revision(namespace, name),
		list: (services, namespace) => services.revisions(namespace),
		readOnly: "Revisions are immutable and made by a change of a service's template only",
		remove: (services, namespace, name) => services.deleteRevision(namespace, name),
	},
];

export function resourceNamed(plural: string): Resource | undefined {
	return resources.find((resource) => resource.plural === plural);
}

/** `services.serving.knative.dev "hello"`, as Kubernetes' messages name an object. */
export function qualified({ plural }: Pick<Resource, "plural">, name: string): string {
	return `${plural}.${group} "${name}"`;
}

function column(name: string, type: Column["type"] = "string"): Column {
	return { name, type, description: `${name} of the object`, priority: 0 };
}

function readyCells(object: { status: { conditions: Condition[] } }): [string, string] {
	const ready = object.status.conditions.find(({ type }) => type === "Ready");
	return [ready?.status ?? "", ready?.reason ?? ""];
}

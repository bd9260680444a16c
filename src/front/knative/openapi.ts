/**
 * The API's description for `kubectl explain` and its check of what a PATCH takes: the objects' outline, with what lies deeper left
 * open. What a manifest may hold is checked, all of it, when it is written (core/service).
 */
import { group, type Resource, resources, version } from "./resources.ts";

const gvk = (kind: string) => [{ group, kind, version }];

const fieldValidation = {
	name: "fieldValidation",
	in: "query",
	description: "Accepted for kubectl's sake: a field that is not known is always refused, as Strict asks for.",
	schema: { type: "string", uniqueItems: true },
};
const dryRun = {
	name: "dryRun",
	in: "query",
	description: "All: the request is checked in full, and nothing changes.",
	schema: { type: "string", uniqueItems: true },
};
const fieldManager = {
	name: "fieldManager",
	in: "query",
	description: "Required for apply. There are no owners of single fields: an applied manifest is the whole object.",
	schema: { type: "string", uniqueItems: true },
};

const open = (description: string) => ({
	type: "object",
	description,
	"x-kubernetes-preserve-unknown-fields": true,
});

const outlines: Record<Resource["kind"], Record<string, object>> = {
	Service: {
		spec: {
			type: "object",
			description: "What is to run and where requests go.",
			properties: {
				template: open("What the next revision is made from: metadata, and a spec with containers."),
				traffic: {
					type: "array",
					description: "Shares of the requests, adding up to 100, and tags; all to the latest revision when not given.",
					items: {
						type: "object",
						properties: {
							revisionName: { type: "string", description: "A revision of this service." },
							latestRevision: { type: "boolean", description: "Whichever revision was last made ready." },
							percent: { type: "integer", format: "int64", description: "0 to 100." },
							tag: { type: "string", description: "Makes a URL of its own for this target." },
						},
					},
				},
			},
		},
		status: open("url, latestCreatedRevisionName, latestReadyRevisionName, traffic and conditions."),
	},
	Route: { spec: open("The service's traffic."), status: open("url, traffic and conditions.") },
	Configuration: { spec: open("The service's template."), status: open("The latest revisions, and conditions.") },
	Revision: {
		spec: open("containers, volumes, containerConcurrency and timeoutSeconds, with every default."),
		status: open("Image digests, replicas and conditions."),
	},
};

function schemas(): Record<string, object> {
	return Object.fromEntries(
		resources.map(({ kind }) => [
			schemaName(kind),
			{
				type: "object",
				description: `A ${kind} of Knative Serving.`,
				properties: {
					apiVersion: { type: "string", description: `${group}/${version}` },
					kind: { type: "string", description: kind },
					metadata: open("name, namespace, labels and annotations."),
					...outlines[kind],
				},
				"x-kubernetes-group-version-kind": gvk(kind),
			},
		]),
	);
}

export function openApiV3(slipway: string): object {
	return {
		openapi: "3.0.0",
		info: { title: "Knative Serving", version: slipway },
		paths: Object.fromEntries(resources.map((resource) => [objectPath(resource), operations(resource)])),
		components: { schemas: schemas() },
	};
}

export function openApiV2(slipway: string): object {
	return {
		swagger: "2.0",
		info: { title: "Knative Serving", version: slipway },
		paths: {},
		definitions: schemas(),
	};
}

function operations({ kind, verbs }: Resource): object {
	const answer = (code: string) => ({
		[code]: {
			description: "OK",
			content: { "application/json": { schema: { $ref: `#/components/schemas/${schemaName(kind)}` } } },
		},
	});
	const operation = (action: string, parameters: object[]) => ({
		parameters,
		responses: answer("200"),
		"x-kubernetes-action": action,
		"x-kubernetes-group-version-kind": { group, kind, version },
	});
	const changing = [dryRun, fieldManager, fieldValidation];
	return {
		get: operation("get", []),
		...(verbs.includes("update") && { put: operation("put", changing) }),
		...(verbs.includes("patch") && { patch: operation("patch", changing) }),
		...(verbs.includes("delete") && { delete: operation("delete", [dryRun]) }),
	};
}

function objectPath({ plural }: Resource): string {
	return `/apis/${group}/${version}/namespaces/{namespace}/${plural}/{name}`;
}

function schemaName(kind: string): string {
	return `dev.knative.serving.${version}.${kind}`;
}

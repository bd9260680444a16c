/** How a client wants its answer: plain JSON, YAML, a Table (kubectl get) or metadata alone. */
import type { AnyKnativeObject, ObjectMeta } from "../../core/service/knative.ts";
import { type Column, group, type Resource, version } from "./resources.ts";

export interface Presentation {
	format: "json" | "yaml";
	as: "object" | "table" | "metadata";
}

/** What a list says of itself. */
export interface ListMeta {
	resourceVersion: string;
	continue?: string;
	remainingItemCount?: number;
}

/** Enough of any object for a row. */
interface WithMeta {
	apiVersion: string;
	kind: string;
	metadata: Partial<ObjectMeta> & { name: string };
}

const nameColumn: Column = {
	name: "Name",
	type: "string",
	format: "name",
	description: "Name must be unique within a namespace.",
	priority: 0,
};

/**
 * The first media type of Accept that we speak: application/json, `;as=Table;v=v1;g=meta.k8s.io`,
 * `;as=PartialObjectMetadata[List]`, application/yaml. Nothing of it (protobuf, …): JSON, which all clients read.
 */
export function negotiate(accept: string | undefined): Presentation {
	for (const item of (accept ?? "").split(",")) {
		const [type = "", ...parameters] = item.split(";").map((part) => part.trim());
		const given = new Map(parameters.map((parameter) => parameter.split("=", 2) as [string, string]));
		const as = given.get("as");
		const isYaml = type === "application/yaml";
		if (type !== "application/json" && !isYaml && type !== "*/*" && type !== "application/*") continue;
		const format = isYaml ? "yaml" : "json";
		if (as === undefined) return { format, as: "object" };
		if (given.get("g") !== "meta.k8s.io" || given.get("v") !== "v1") continue;
		if (as === "Table") return { format, as: "table" };
		if (as === "PartialObjectMetadata" || as === "PartialObjectMetadataList") return { format, as: "metadata" };
	}
	return { format: "json", as: "object" };
}

/** What presents objects of one kind: its columns and what to put into them. */
export interface Presented {
	listKind: string;
	apiVersion: string;
	columns: readonly Column[];
	cells(object: WithMeta): (string | number)[];
}

export function presented(resource: Resource): Presented {
	return {
		listKind: `${resource.kind}List`,
		apiVersion: `${group}/${version}`,
		columns: resource.columns,
		cells: (object) => resource.cells(object as AnyKnativeObject),
	};
}

export function presentOne(
	what: Presented,
	{ as }: Presentation,
	object: WithMeta,
	includeObject: string | null,
): object {
	if (as === "table")
		return table(what, [object], { resourceVersion: object.metadata.resourceVersion ?? "" }, includeObject);
	return as === "metadata" ? partial(object) : object;
}

export function presentList(
	what: Presented,
	{ as }: Presentation,
	items: readonly WithMeta[],
	metadata: ListMeta,
	includeObject: string | null,
): object {
	switch (as) {
		case "table":
			return table(what, items, metadata, includeObject);
		case "metadata":
			return { kind: "PartialObjectMetadataList", apiVersion: "meta.k8s.io/v1", metadata, items: items.map(partial) };
		case "object":
			return { apiVersion: what.apiVersion, kind: what.listKind, metadata, items };
	}
}

/** `includeObject` of the query: what each row carries of its object. */
function table(what: Presented, items: readonly WithMeta[], metadata: ListMeta, includeObject: string | null): object {
	return {
		kind: "Table",
		apiVersion: "meta.k8s.io/v1",
		metadata,
		columnDefinitions: [nameColumn, ...what.columns].map((column) => ({ ...column, format: column.format ?? "" })),
		rows: items.map((object) => ({
			cells: [object.metadata.name, ...what.cells(object)],
			...(includeObject !== "None" && { object: includeObject === "Object" ? object : partial(object) }),
		})),
	};
}

function partial({ metadata }: WithMeta): object {
	return { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata };
}

import { group, type Resource, resourceNamed, version } from "./resources.ts";
import { noSuchPath } from "./status.ts";

/** What a path stands for. */
export type ApiPath =
	| { kind: "document"; name: DocumentName }
	| { kind: "namespaces"; name: string | undefined }
	/** Kubernetes' own services (core/v1), of which there is one for each route. */
	| { kind: "core-services"; namespace: string | undefined; name: string | undefined }
	| {
			kind: "resource";
			resource: Resource;
			/** Undefined: every namespace. */
			namespace: string | undefined;
			name: string | undefined;
			subresource: "status" | undefined;
	  };

export type DocumentName =
	| "/api"
	| "/api/v1"
	| "/apis"
	| "/apis/GROUP"
	| "/apis/GROUP/VERSION"
	| "/version"
	| "/openapi/v2"
	| "/openapi/v3"
	| "/openapi/v3/GROUP/VERSION";

const documents = new Map<string, DocumentName>([
	["/api", "/api"],
	["/api/v1", "/api/v1"],
	["/apis", "/apis"],
	[`/apis/${group}`, "/apis/GROUP"],
	[`/apis/${group}/${version}`, "/apis/GROUP/VERSION"],
	["/version", "/version"],
	["/openapi/v2", "/openapi/v2"],
	["/openapi/v3", "/openapi/v3"],
	[`/openapi/v3/apis/${group}/${version}`, "/openapi/v3/GROUP/VERSION"],
]);

/** Whether a URL's path is this API's. */
export function ownsPath(url: string): boolean {
	return /^\/(?:apis?|openapi|version)(?:[/?]|$)/.test(url);
}

/** Throws 404 where nothing is served. */
export function parsePath(path: string): ApiPath {
	const plain = path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
	const document = documents.get(plain);
	if (document) return { kind: "document", name: document };
	const core = after(plain, "/api/v1/");
	if (core) return parseCore(core);
	const own = after(plain, `/apis/${group}/${version}/`);
	if (!own) throw noSuchPath();
	const [first = "", namespace, ...rest] = own;
	return first === "namespaces" && rest.length > 0 ? parseResource(namespace, rest) : parseResource(undefined, own);
}

function parseResource(namespace: string | undefined, parts: readonly string[]): ApiPath {
	const [plural = "", name, subresource, more] = parts;
	const resource = resourceNamed(plural);
	const known = subresource === undefined || (subresource === "status" && name !== undefined);
	// An object's name says nothing without its namespace.
	if (!resource || !known || more !== undefined || (namespace === undefined && name !== undefined)) throw noSuchPath();
	return { kind: "resource", resource, namespace, name, subresource: subresource === "status" ? "status" : undefined };
}

function parseCore(parts: readonly string[]): ApiPath {
	const [first, namespace, second, name, more] = parts;
	if (more !== undefined) throw noSuchPath();
	if (first === "namespaces" && second === undefined) return { kind: "namespaces", name: namespace };
	if (first === "namespaces" && second === "services") return { kind: "core-services", namespace, name };
	if (first === "services" && namespace === undefined)
		return { kind: "core-services", namespace: undefined, name: undefined };
	throw noSuchPath();
}

function after(path: string, prefix: string): string[] | undefined {
	if (!path.startsWith(prefix)) return undefined;
	const parts = path.slice(prefix.length).split("/").map(decode);
	if (parts.includes("")) throw noSuchPath();
	return parts;
}

function decode(part: string): string {
	try {
		return decodeURIComponent(part);
	} catch {
		throw noSuchPath();
	}
}

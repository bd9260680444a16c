import { type ListMeta, presented, presentList, presentOne } from "./presentation.ts";
import { type Call, count } from "./request.ts";
import type { Resource } from "./resources.ts";
import { respond } from "./respond.ts";
import { parseFieldSelector, parseLabelSelector } from "./selector.ts";
import { ApiError, badRequest } from "./status.ts";

/** Of a `continue` token: a name, a namespace and a number, all of them bounded. */
const maxContinueLength = 2_048;

export async function getObject(call: Call, resource: Resource, namespace: string, name: string): Promise<void> {
	const object = resource.get(call.services, namespace, name);
	const { presentation, query } = call;
	await respond(call, 200, presentOne(presented(resource), presentation, object, query.get("includeObject")));
}

export async function listObjects(call: Call, resource: Resource, namespace: string | undefined): Promise<void> {
	const { services, query, presentation } = call;
	const current = services.resourceVersion;
	const page = paginate(query, select(query, resource.list(services, namespace)), current);
	const body = presentList(presented(resource), presentation, page.items, page.metadata, query.get("includeObject"));
	await respond(call, 200, body);
}

/** Whether an object is one that labelSelector and fieldSelector ask for. */
export function selection(query: URLSearchParams): (object: Selectable) => boolean {
	const byLabels = parseLabelSelector(query.get("labelSelector") ?? "");
	const { select: byFields } = parseFieldSelector(query.get("fieldSelector") ?? "");
	return ({ metadata: { name, namespace, labels } }) =>
		byLabels(labels ?? {}) && byFields({ "metadata.name": name, "metadata.namespace": namespace ?? "" });
}

export interface Selectable {
	metadata: { name: string; namespace?: string; labels?: Record<string, string> };
}

/** In the order of namespace and name, as Kubernetes lists. */
export function select<Item extends Selectable>(query: URLSearchParams, items: readonly Item[]): Item[] {
	return items.filter(selection(query)).sort((a, b) => (orderKey(a) < orderKey(b) ? -1 : 1));
}

/**
 * `limit` and `continue`. Later pages are of the state at their own time, and say the resourceVersion of the first one:
 * a watch from there misses nothing.
 */
export function paginate<Item extends Selectable>(
	query: URLSearchParams,
	items: readonly Item[],
	current: string,
): { items: readonly Item[]; metadata: ListMeta } {
	const limit = count(query, "limit") ?? 0;
	const token = query.get("continue") ?? "";
	checkVersion(query, current);
	const from = token === "" ? undefined : parseContinue(token);
	const left = from === undefined ? items : items.filter((item) => orderKey(item) > from.after);
	const resourceVersion = from?.resourceVersion ?? current;
	const last = limit === 0 ? undefined : left[limit - 1];
	if (last === undefined || left.length <= limit) return { items: left, metadata: { resourceVersion } };
	const next = Buffer.from(JSON.stringify([resourceVersion, orderKey(last)])).toString("base64url");
	const metadata = { resourceVersion, continue: next, remainingItemCount: left.length - limit };
	return { items: left.slice(0, limit), metadata };
}

/** Lists are of now only: an exact version of the past is gone, and one of the future has not come. */
function checkVersion(query: URLSearchParams, current: string): void {
	const asked = query.get("resourceVersion") ?? "";
	if (asked === "" || asked === "0") return;
	if (!/^\d{1,20}$/.test(asked)) throw badRequest(`resourceVersion: invalid value '${asked.slice(0, 50)}'`);
	if (BigInt(asked) > BigInt(current))
		throw new ApiError(504, "Timeout", `Too large resource version: ${asked}, current: ${current}`, {
			causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
		});
	if (query.get("resourceVersionMatch") === "Exact" && asked !== current)
		throw new ApiError(
			410,
			"Expired",
			`The resourceVersion ${asked} is not kept: only the current state can be listed`,
		);
}

function parseContinue(token: string): { resourceVersion: string; after: string } {
	if (token.length > maxContinueLength) throw badRequest("continue key is not valid: it is too long");
	try {
		const [resourceVersion, after] = JSON.parse(Buffer.from(token, "base64url").toString()) as unknown[];
		if (typeof resourceVersion === "string" && /^\d{1,20}$/.test(resourceVersion) && typeof after === "string")
			return { resourceVersion, after };
	} catch {
		// Not one of ours: told below.
	}
	throw badRequest("continue key is not valid");
}

/** NUL sorts before every character of a name. */
function orderKey({ metadata }: Selectable): string {
	return `${metadata.namespace ?? ""}\0${metadata.name}`;
}

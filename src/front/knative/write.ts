import { randomInt } from "node:crypto";
import { isSlipwayError } from "../../base/error.ts";
import type { AnyKnativeObject } from "../../core/service/knative.ts";
import type { ChangeOptions } from "../../engine/services/types.ts";
import { presented, presentList, presentOne } from "./presentation.ts";
import { select } from "./read.ts";
import { type Call, isDryRun, isObject, mediaType, readBody, unsupportedMediaType } from "./request.ts";
import { group, qualified, type Resource, version } from "./resources.ts";
import { respond } from "./respond.ts";
import { ApiError, badRequest, invalidOption, notAllowed, success } from "./status.ts";

/** Kubernetes' alphabet and length of a generated name's end (apimachinery/pkg/util/rand), and its tries. */
const nameAlphabet = "bcdfghjklmnpqrstvwxz2456789";
const nameSuffixLength = 5;
const maxNameTries = 8;
/** Of a service's name, a DNS label, less the suffix. */
const maxGeneratedPrefix = 63 - nameSuffixLength;

const patchTypes = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];

export async function createObject(call: Call, resource: Resource, namespace: string): Promise<void> {
	requireWritable(resource);
	const manifest = manifestOf(await readBody(call.request), resource, { namespace });
	const created = await createNamed(call, namespace, manifest);
	await answer(call, resource, created, 201);
}

export async function replaceObject(call: Call, resource: Resource, namespace: string, name: string): Promise<void> {
	requireWritable(resource);
	const manifest = manifestOf(await readBody(call.request), resource, { namespace, name });
	const options = changeOptions(call);
	await answer(call, resource, await call.services.replace(namespace, name, manifest, options), 200);
}

/**
 * Merge patch, JSON patch, and apply. There are no owners of single fields: an applied manifest is the whole object, as it is
 * for a user who alone manages it. A strategic merge patch is refused as it is for any custom resource.
 */
export async function patchObject(call: Call, resource: Resource, namespace: string, name: string): Promise<void> {
	requireWritable(resource);
	const { request, query, services } = call;
	const type = mediaType(request);
	if (!patchTypes.includes(type)) throw unsupportedMediaType(patchTypes);
	const patch = await readBody(request);
	const options = changeOptions(call);
	if (type === "application/apply-patch+yaml") {
		if (!query.get("fieldManager")) throw invalidOption("fieldManager", "Required value: is required for apply patch");
		const manifest = manifestOf(patch, resource, { namespace, name });
		const isNew = !exists(call, resource, namespace, name);
		return answer(call, resource, await services.apply(namespace, manifest, options), isNew ? 201 : 200);
	}
	if (Array.isArray(patch) !== (type === "application/json-patch+json"))
		throw badRequest(`a body of ${type} has to be ${Array.isArray(patch) ? "an object" : "an array"}`);
	await answer(call, resource, await services.patch(namespace, name, patch, options), 200);
}

export async function deleteObject(call: Call, resource: Resource, namespace: string, name: string): Promise<void> {
	const options = await deleteOptions(call);
	const object = resource.get(call.services, namespace, name);
	if (!resource.remove) throw notAllowed(resource.readOnly ?? "", ["GET"]);
	checkPreconditions(options, resource, object);
	if (!options.dryRun) await resource.remove(call.services, namespace, name);
	await respond(call, 200, success({ resource, name }, object.metadata.uid));
}

/** One after the other; what was deleted before an error stays deleted. */
export async function deleteObjects(call: Call, resource: Resource, namespace: string | undefined): Promise<void> {
	const options = await deleteOptions(call);
	if (!resource.remove) throw notAllowed(resource.readOnly ?? "", ["GET"]);
	const { services, query, presentation } = call;
	const objects = select(query, resource.list(services, namespace));
	for (const object of objects) {
		checkPreconditions(options, resource, object);
		if (!options.dryRun) await removeOnce(call, resource, object);
	}
	const metadata = { resourceVersion: services.resourceVersion };
	await respond(
		call,
		200,
		presentList(presented(resource), presentation, objects, metadata, query.get("includeObject")),
	);
}

/** Gone meanwhile is gone. */
async function removeOnce({ services }: Call, { remove }: Resource, { metadata }: AnyKnativeObject): Promise<void> {
	try {
		await remove?.(services, metadata.namespace, metadata.name);
	} catch (error) {
		if (!isSlipwayError(error, "NOT_FOUND")) throw error;
	}
}

async function answer(call: Call, resource: Resource, object: AnyKnativeObject, status: number): Promise<void> {
	const { presentation, query } = call;
	await respond(call, status, presentOne(presented(resource), presentation, object, query.get("includeObject")));
}

function exists({ services }: Call, resource: Resource, namespace: string, name: string): boolean {
	try {
		resource.get(services, namespace, name);
		return true;
	} catch (error) {
		if (isSlipwayError(error, "NOT_FOUND")) return false;
		throw error;
	}
}

async function createNamed(
	call: Call,
	namespace: string,
	manifest: Record<string, unknown>,
): Promise<AnyKnativeObject> {
	const { services } = call;
	const options = changeOptions(call);
	const metadata = isObject(manifest.metadata) ? manifest.metadata : {};
	const { generateName, ...named } = metadata;
	if ((named.name !== undefined && named.name !== "") || typeof generateName !== "string" || generateName === "")
		return services.create(namespace, { ...manifest, metadata: named }, options);
	for (let tries = 1; ; tries++) {
		const name = generateName.slice(0, maxGeneratedPrefix) + randomSuffix();
		try {
			return await services.create(namespace, { ...manifest, metadata: { ...named, name } }, options);
		} catch (error) {
			if (!isSlipwayError(error, "ALREADY_EXISTS") || tries >= maxNameTries) throw error;
		}
	}
}

function randomSuffix(): string {
	return Array.from({ length: nameSuffixLength }, () => nameAlphabet[randomInt(nameAlphabet.length)]).join("");
}

function changeOptions({ user, query }: Call): ChangeOptions {
	return { user, dryRun: isDryRun(query) };
}

function requireWritable(resource: Resource): void {
	if (resource.readOnly !== undefined)
		throw notAllowed(resource.readOnly, ["GET", ...(resource.remove ? ["DELETE"] : [])]);
}

/** Says no to what names another object than the URL does; everything else of a manifest is the engine's to judge. */
function manifestOf(
	body: unknown,
	resource: Resource,
	url: { namespace: string; name?: string },
): Record<string, unknown> {
	if (!isObject(body)) throw badRequest(body === undefined ? "the body is empty" : "the body is not an object");
	const { apiVersion, kind, metadata } = body;
	const expected = `${group}/${version}, Kind=${resource.kind}`;
	if ((apiVersion ?? `${group}/${version}`) !== `${group}/${version}` || (kind ?? resource.kind) !== resource.kind)
		throw badRequest(
			`the API version in the data (${shown(apiVersion)}, Kind=${shown(kind)}) does not match the expected one (${expected})`,
		);
	const { name, namespace } = isObject(metadata) ? metadata : {};
	if (namespace !== undefined && namespace !== "" && namespace !== url.namespace)
		throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
	if (url.name !== undefined && name !== url.name)
		throw badRequest(`the name of the object (${shown(name)}) does not match the name on the URL (${url.name})`);
	return { ...body, apiVersion: `${group}/${version}`, kind: resource.kind };
}

interface DeleteOptions {
	dryRun: boolean;
	uid: unknown;
	resourceVersion: unknown;
}

/**
 * Of the body and the query. A service's revisions, route and configuration always go with it, which is what each propagation policy
 * but Orphan asks for.
 */
async function deleteOptions({ request, query }: Call): Promise<DeleteOptions> {
	const body = (await readBody(request)) ?? {};
	if (!isObject(body)) throw badRequest("the body is not DeleteOptions");
	const policy = query.get("propagationPolicy") ?? body.propagationPolicy ?? undefined;
	if (policy === "Orphan" || body.orphanDependents === true)
		throw invalidOption("propagationPolicy", "what a service made can't outlive it: Orphan is not possible");
	if (policy !== undefined && policy !== "Foreground" && policy !== "Background")
		throw invalidOption(
			"propagationPolicy",
			`Unsupported value: "${shown(policy)}": supported values: "Background", "Foreground"`,
		);
	const preconditions = isObject(body.preconditions) ? body.preconditions : {};
	return { dryRun: isDryRun(query, body.dryRun), ...{ uid: undefined, resourceVersion: undefined }, ...preconditions };
}

function checkPreconditions(
	{ uid, resourceVersion }: DeleteOptions,
	resource: Resource,
	{ metadata }: AnyKnativeObject,
): void {
	const differs = (what: string, asked: unknown, is: string) =>
		new ApiError(
			409,
			"Conflict",
			`Operation cannot be fulfilled on ${qualified(resource, metadata.name)}: Precondition failed: ${what} in precondition: ${shown(asked)}, ${what} in object meta: ${is}`,
		);
	if (typeof uid === "string" && uid !== metadata.uid) throw differs("UID", uid, metadata.uid);
	if (typeof resourceVersion === "string" && resourceVersion !== metadata.resourceVersion)
		throw differs("ResourceVersion", resourceVersion, metadata.resourceVersion);
}

function shown(value: unknown): string {
	return String(value ?? "").slice(0, 100);
}

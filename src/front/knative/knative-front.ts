/**
 * serving.knative.dev/v1 as Kubernetes' API server would serve it (knative/specs, knative-api-specification-1.0; kubernetes.io
 * API concepts): what kubectl, client-go, kn and `gcloud run services replace` talk to.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isSlipwayError, systemCode } from "../../base/error.ts";
import { coreServices, namespaces } from "./core.ts";
import { sendDocument } from "./documents.ts";
import { negotiate } from "./presentation.ts";
import { getObject, listObjects } from "./read.ts";
import { type Call, type Credential, flag, type KnativeFrontOptions } from "./request.ts";
import { respond } from "./respond.ts";
import { type ApiPath, ownsPath, parsePath } from "./route.ts";
import { ApiError, notAllowed, type Subject, toStatus, unauthorized } from "./status.ts";
import { watchObjects } from "./watch.ts";
import { createObject, deleteObject, deleteObjects, patchObject, replaceObject } from "./write.ts";

export type { Credential, KnativeFrontOptions } from "./request.ts";

export interface KnativeFront {
	/** Answers one request. Never rejects. */
	handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
	/** Whether a request's target is this API's. */
	owns(url: string): boolean;
}

export function createKnativeFront(options: KnativeFrontOptions): KnativeFront {
	return { owns: ownsPath, handle: (request, response) => handle(options, request, response) };
}

async function handle(options: KnativeFrontOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
	let path: ApiPath | undefined;
	const presentation = negotiate(request.headers.accept);
	try {
		const [target = "", ...search] = (request.url ?? "").split("?");
		const query = new URLSearchParams(search.join("?"));
		path = parsePath(target);
		// Clients look at the version before they have logged in.
		const isOpen = path.kind === "document" && path.name === "/version";
		const user = isOpen ? "" : authenticate(options, request);
		await run({ ...options, request, response, query, presentation, user }, path);
	} catch (error) {
		await fail(options, { request, response, presentation }, subjectOf(path), error);
	}
	// What is left of a refused body, so that the client gets to read the answer.
	if (!request.readableEnded) request.on("error", () => {}).resume();
}

function authenticate({ authenticate: check }: KnativeFrontOptions, request: IncomingMessage): string {
	const credential = credentialOf(request.headers.authorization ?? "");
	const user = credential && check(credential)?.user;
	if (user === undefined) throw unauthorized();
	return user;
}

function credentialOf(header: string): Credential | undefined {
	const bearer = /^Bearer +(\S+) *$/i.exec(header);
	if (bearer?.[1] !== undefined) return { kind: "bearer", token: bearer[1] };
	const basic = /^Basic +([A-Za-z0-9+/=_-]+) *$/i.exec(header);
	const text = Buffer.from(basic?.[1] ?? "", "base64").toString();
	const colon = text.indexOf(":");
	if (colon < 0) return undefined;
	return { kind: "basic", user: text.slice(0, colon), password: text.slice(colon + 1) };
}

async function run(call: Call, path: ApiPath): Promise<void> {
	switch (path.kind) {
		case "document":
			return sendDocument(call, path.name);
		case "namespaces":
			return namespaces(call, path.name);
		case "core-services":
			return coreServices(call, path.namespace, path.name);
		case "resource": {
			const { namespace, name } = path;
			if (namespace !== undefined && name !== undefined) return runObject(call, path, namespace, name);
			return runCollection(call, path);
		}
	}
}

type ResourcePath = Extract<ApiPath, { kind: "resource" }>;

async function runObject(call: Call, path: ResourcePath, namespace: string, name: string): Promise<void> {
	const { resource, subresource } = path;
	const { method } = call.request;
	if (method === "GET")
		return flag(call.query, "watch")
			? watchObjects(call, resource, namespace, name)
			: getObject(call, resource, namespace, name);
	if (subresource === "status") throw notAllowed("The status is written by Slipway alone", ["GET"]);
	switch (method) {
		case "PUT":
			return replaceObject(call, resource, namespace, name);
		case "PATCH":
			return patchObject(call, resource, namespace, name);
		case "DELETE":
			return deleteObject(call, resource, namespace, name);
		default:
			throw notAllowed("the server does not allow this method on the requested resource", [
				"GET",
				...(resource.readOnly === undefined ? ["PUT", "PATCH"] : []),
				...(resource.remove ? ["DELETE"] : []),
			]);
	}
}

async function runCollection(call: Call, { resource, namespace }: ResourcePath): Promise<void> {
	const { method } = call.request;
	if (method === "GET")
		return flag(call.query, "watch") ? watchObjects(call, resource, namespace) : listObjects(call, resource, namespace);
	// Kubernetes creates and deletes in one namespace only.
	if (namespace !== undefined && method === "POST") return createObject(call, resource, namespace);
	if (namespace !== undefined && method === "DELETE") return deleteObjects(call, resource, namespace);
	throw notAllowed("the server does not allow this method on the requested resource", [
		"GET",
		...(namespace !== undefined && resource.readOnly === undefined ? ["POST"] : []),
		...(namespace !== undefined && resource.remove ? ["DELETE"] : []),
	]);
}

function subjectOf(path: ApiPath | undefined): Subject | undefined {
	if (path?.kind === "resource") return { resource: path.resource, name: path.name };
	if (path?.kind === "core-services") return { resource: { plural: "services" }, name: path.name, group: "" };
	if (path?.kind === "namespaces") return { resource: { plural: "namespaces" }, name: path.name, group: "" };
	return undefined;
}

async function fail(
	{ log }: KnativeFrontOptions,
	call: Pick<Call, "request" | "response" | "presentation">,
	subject: Subject | undefined,
	error: unknown,
): Promise<void> {
	const { request, response } = call;
	const { method, url } = request;
	const hungUp = ["ECONNRESET", "ERR_STREAM_PREMATURE_CLOSE", "EPIPE"].includes(systemCode(error) ?? "");
	if (response.destroyed || hungUp) {
		log.debug("A client of the Serving API hung up", { method, url, error });
		response.destroy();
		return;
	}
	const status = toStatus(error, subject);
	if (status.code >= 500) log.error("A request to the Serving API failed", { method, url, error });
	if (response.headersSent) {
		response.destroy(); // cut off, so that nobody takes a part for the whole
		return;
	}
	const retryAfter = isSlipwayError(error) && status.details?.retryAfterSeconds;
	const headers = {
		...(error instanceof ApiError && error.headers),
		...(retryAfter && { "Retry-After": String(retryAfter) }),
	};
	await respond(call, status.code, status, headers);
}

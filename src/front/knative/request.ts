import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { ServiceUseCases } from "../../engine/services/types.ts";
import type { Presentation } from "./presentation.ts";
import { ApiError, badRequest, invalidOption } from "./status.ts";

/** What a client shows for itself: RFC 6750 or RFC 7617. */
export type Credential = { kind: "bearer"; token: string } | { kind: "basic"; user: string; password: string };

export interface KnativeFrontOptions {
	services: ServiceUseCases;
	/** Undefined: these credentials are nobody's. `user` is what serving.knative.dev/creator says. */
	authenticate(credential: Credential): { user: string } | undefined;
	clock: Clock;
	log: Log;
	/** Of Slipway. */
	version: string;
	/** Ends watches when it aborts. */
	closing: AbortSignal;
}

/** One request, authenticated. */
export interface Call extends KnativeFrontOptions {
	request: IncomingMessage;
	response: ServerResponse;
	query: URLSearchParams;
	presentation: Presentation;
	user: string;
}

/** Kubernetes' API server takes 3 MiB (apiserver/pkg/server config MaxRequestBodyBytes); etcd half of it. */
const maxBodyBytes = 3 * 1024 * 1024;
/** Aliases of a YAML body that are followed: enough for a manifest, too few for a bomb. */
const maxYamlAliases = 100;

const jsonTypes = new Set(["application/json", "application/json-patch+json", "application/merge-patch+json"]);
const yamlTypes = new Set(["application/yaml", "application/x-yaml", "text/yaml", "application/apply-patch+yaml"]);

/** Without parameters, in lower case; JSON when there is none, as Kubernetes has it. */
export function mediaType(request: IncomingMessage): string {
	const [type = ""] = (request.headers["content-type"] ?? "").split(";");
	return type.trim().toLowerCase() || "application/json";
}

/** The body as a value, JSON or YAML; undefined when there is none. */
export async function readBody(request: IncomingMessage): Promise<unknown> {
	const type = mediaType(request);
	const isYaml = yamlTypes.has(type);
	if (!isYaml && !jsonTypes.has(type)) {
		const bytes = await readBytes(request);
		if (bytes.length === 0) return undefined;
		throw unsupportedMediaType([...jsonTypes, "application/yaml"]);
	}
	const bytes = await readBytes(request);
	if (bytes.length === 0) return undefined;
	try {
		const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
		return isYaml ? await parseYaml(text) : JSON.parse(text);
	} catch (error) {
		throw badRequest(`the body is not ${isYaml ? "YAML" : "JSON"}: ${(error as Error).message.slice(0, 500)}`);
	}
}

export function unsupportedMediaType(accepted: readonly string[]): ApiError {
	return new ApiError(
		415,
		"UnsupportedMediaType",
		`the body of the request was in an unknown format - accepted media types include: ${accepted.join(", ")}`,
	);
}

/** Whether nothing is to be changed. */
export function isDryRun(query: URLSearchParams, inBody?: unknown): boolean {
	const given = [...query.getAll("dryRun"), ...(Array.isArray(inBody) ? inBody : [])];
	for (const value of given)
		if (value !== "All")
			throw invalidOption("dryRun", `Unsupported value: "${String(value).slice(0, 50)}": supported values: "All"`);
	return given.length > 0;
}

/** A flag of the query: absent, "0" and "false" are no. */
export function flag(query: URLSearchParams, name: string): boolean {
	const value = query.get(name);
	return value !== null && !["", "0", "false", "F", "f", "FALSE", "False"].includes(value);
}

/** A whole number of the query. */
export function count(query: URLSearchParams, name: string): number | undefined {
	const text = query.get(name);
	if (text === null || text === "") return undefined;
	if (!/^\d{1,10}$/.test(text)) throw badRequest(`${name}: '${text.slice(0, 50)}' is not a whole number`);
	return Number(text);
}

export function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

async function readBytes(request: IncomingMessage): Promise<Buffer> {
	const tooLarge = () =>
		new ApiError(413, "RequestEntityTooLarge", `Request entity too large: limit is ${maxBodyBytes} bytes`);
	if (Number(request.headers["content-length"] ?? 0) > maxBodyBytes) throw tooLarge();
	const chunks: Buffer[] = [];
	let size = 0;
	// Not destroyed when we stop early: the refusal goes over the same socket.
	for await (const chunk of request.iterator({ destroyOnReturn: false })) {
		size += (chunk as Buffer).length;
		if (size > maxBodyBytes) throw tooLarge();
		chunks.push(chunk as Buffer);
	}
	return Buffer.concat(chunks);
}

async function parseYaml(text: string): Promise<unknown> {
	// Loaded when the first one comes: clients of the API send JSON.
	const { parseDocument } = await import("yaml");
	const document = parseDocument(text, { version: "1.2", merge: true });
	const [error] = document.errors;
	if (error) throw error;
	return document.toJS({ maxAliasCount: maxYamlAliases });
}

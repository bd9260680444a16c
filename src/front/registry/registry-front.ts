/**
 * OCI Distribution 1.1 (github.com/opencontainers/distribution-spec, spec.md) on node:http: everything below `/v2/`.
 * The daemon's server needs `requestTimeout = 0`: an upload may take longer than Node's five minutes, and a client that
 * stalls is ended here.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Clock, systemClock } from "../../base/clock.ts";
import { isSlipwayError, SlipwayError, systemCode } from "../../base/error.ts";
import { type Log, silentLog } from "../../base/log.ts";
import type { BlobStore } from "../../core/image/blob-store.ts";
import type { RepositoryStore } from "../../core/repository/repository-store.ts";
import type { BlobPins } from "../../engine/images/blob-pins.ts";
import { Registry } from "../../engine/images/registry.ts";
import { deleteBlob, getBlob } from "./blobs.ts";
import { discardRest } from "./body.ts";
import {
	type Access,
	type Authorize,
	defaultLimits,
	type Exchange,
	type PushEvent,
	type RegistryLimits,
	type Services,
} from "./exchange.ts";
import { listReferrers, listRepositories, listTags } from "./listings.ts";
import { deleteManifest, getManifest, putManifest } from "./manifests.ts";
import { errorBody, refuse, toOciError } from "./oci-error.ts";
import { respondJson } from "./respond.ts";
import { parseRoute, type Route } from "./route.ts";
import { UploadOwners } from "./upload-owners.ts";
import { beginUpload, deleteUpload, getUpload, patchUpload, putUpload } from "./uploads.ts";

export type { Access, Authorize, Principal, PushEvent, RegistryLimits } from "./exchange.ts";
export { defaultLimits } from "./exchange.ts";

export interface RegistryFrontOptions {
	blobs: BlobStore;
	repositories: RepositoryStore;
	/** Called before anything is read or written, once for the repository and once for each one mounted from. */
	authorize: Authorize;
	/** Whether a push to a repository that does not exist makes it. */
	createOnPush: boolean;
	clock?: Clock;
	log?: Log;
	limits?: Partial<RegistryLimits>;
	/** Shared with the collector, so that it takes no blob that a push is about to refer to. */
	pins?: BlobPins;
	/** Hears of every manifest after it was stored, before the client is told. Its failures are logged only. */
	onPush?: (event: PushEvent) => void | Promise<void>;
}

export type RegistryFront = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

interface Operation {
	action: Access["action"];
	run: (exchange: Exchange) => Promise<void> | void;
}

/** The handler of everything below `/v2/`. It never rejects. */
export function createRegistryFront(options: RegistryFrontOptions): RegistryFront {
	const clock = options.clock ?? systemClock;
	const services: Services = {
		blobs: options.blobs,
		repositories: options.repositories,
		registry: new Registry({ ...options, clock }),
		authorize: options.authorize,
		clock,
		log: options.log ?? silentLog,
		limits: { ...defaultLimits, ...options.limits },
		owners: new UploadOwners(),
		onPush: options.onPush,
	};
	return (request, response) => handle(services, request, response);
}

async function handle(services: Services, request: IncomingMessage, response: ServerResponse): Promise<void> {
	let route: Route | undefined;
	try {
		// Docker's clients look for it to know a registry from another web server.
		response.setHeader("Docker-Distribution-API-Version", "registry/2.0");
		const [path = "", search = ""] = splitOnce(request.url ?? "", "?");
		route = parseRoute(path);
		if (!route) throw refuse("EndpointUnknown", "There is no such endpoint");
		const operation = operationOf(route, request.method ?? "", response);
		const repository = "name" in route ? route.name : undefined;
		const principal = await services.authorize(request, { repository, action: operation.action });
		await operation.run({ ...services, request, response, query: new URLSearchParams(search), principal });
	} catch (error) {
		fail(services, request, response, route, error);
	}
	discardRest(request, services.clock);
}

function operationOf(route: Route, method: string, response: ServerResponse): Operation {
	const operations = operationsOf(route);
	const operation = Object.hasOwn(operations, method) ? operations[method] : undefined;
	if (operation) return operation;
	response.setHeader("Allow", Object.keys(operations).join(", "));
	throw refuse("MethodNotAllowed", `Method ${method} is not supported here`);
}

function operationsOf(route: Route): Record<string, Operation> {
	const reads = (action: Access["action"], run: Operation["run"]) => ({ GET: { action, run }, HEAD: { action, run } });
	const pull = (run: Operation["run"]) => reads("pull", run);
	const push = (run: Operation["run"]): Operation => ({ action: "push", run });
	const remove = (run: Operation["run"]): Operation => ({ action: "delete", run });
	switch (route.kind) {
		case "version":
			return reads("login", (exchange) => respondJson(exchange, "{}"));
		case "catalog":
			return reads("catalog", listRepositories);
		case "tags":
			return pull((exchange) => listTags(exchange, route.name));
		case "referrers":
			return pull((exchange) => listReferrers(exchange, route.name, route.digest));
		case "manifest":
			return {
				...pull((exchange) => getManifest(exchange, route.name, route.reference)),
				PUT: push((exchange) => putManifest(exchange, route.name, route.reference)),
				DELETE: remove((exchange) => deleteManifest(exchange, route.name, route.reference)),
			};
		case "blob":
			return {
				...pull((exchange) => getBlob(exchange, route.name, route.digest)),
				DELETE: remove((exchange) => deleteBlob(exchange, route.name, route.digest)),
			};
		case "uploads":
			return { POST: push((exchange) => beginUpload(exchange, route.name)) };
		case "upload":
			return {
				GET: push((exchange) => getUpload(exchange, route.name, route.id)),
				PATCH: push((exchange) => patchUpload(exchange, route.name, route.id)),
				PUT: push((exchange) => putUpload(exchange, route.name, route.id)),
				DELETE: push((exchange) => deleteUpload(exchange, route.name, route.id)),
			};
	}
}

function fail(
	{ log }: Services,
	request: IncomingMessage,
	response: ServerResponse,
	route: Route | undefined,
	error: unknown,
): void {
	const { method, url } = request;
	if (response.destroyed || isHangUp(error)) {
		log.debug("A registry client hung up", { method, url, error });
		response.destroy();
		return;
	}
	const known = isSlipwayError(error) ? error : new SlipwayError("UNAVAILABLE", "Internal error", { cause: error });
	const { status, code } = isSlipwayError(error)
		? toOciError(known, route?.kind)
		: { status: 500, code: "INTERNAL_ERROR" };
	if (status >= 500) log.error("A registry request failed", { method, url, error });
	if (response.headersSent) {
		response.destroy(); // cut off, so that nobody takes a part for the whole
		return;
	}
	const body = errorBody(code, known);
	response.writeHead(status, {
		"Content-Type": "application/json",
		"Content-Length": String(Buffer.byteLength(body)),
		// Basic, which docker, skopeo, buildah, oras and crane all answer without a token server.
		...(status === 401 ? { "WWW-Authenticate": 'Basic realm="slipway"' } : {}),
		...(status === 429 ? { "Retry-After": String(Math.ceil((known.retryAfterMs ?? 1000) / 1000)) } : {}),
	});
	response.end(method === "HEAD" ? undefined : body);
}

function isHangUp(error: unknown): boolean {
	return ["ECONNRESET", "ERR_STREAM_PREMATURE_CLOSE", "EPIPE"].includes(systemCode(error) ?? "");
}

function splitOnce(text: string, separator: string): [string, string] {
	const at = text.indexOf(separator);
	return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

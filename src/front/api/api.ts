/** The native API: routes, token, errors. Everything lives below `/_slipway`. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { SlipwayError, systemCode } from "../../base/error.ts";
import { readJson } from "./body.ts";
import type { ApiDelivery } from "./delivery-ports.ts";
import { eventRoutes } from "./events.ts";
import { functionRoutes } from "./functions.ts";
import { gatewayRouteRoutes } from "./gateway-routes.ts";
import { imageRoutes } from "./images.ts";
import { instanceRoute } from "./instances.ts";
import { jobRoutes } from "./jobs.ts";
import { logRoutes } from "./logs.ts";
import { metricRoutes } from "./metrics.ts";
import { openApiDocument } from "./openapi.ts";
import type { ApiDeps, ApiWorkloads } from "./ports.ts";
import { sendProblem, toProblem } from "./problem.ts";
import { queueRoutes } from "./queues.ts";
import { checkParameter, type Route, route } from "./route.ts";
import { busRoutes, scheduleRoutes } from "./schedules-and-buses.ts";
import { serviceRoutes } from "./services.ts";
import { triggerRoutes } from "./triggers.ts";
import { workerRoutes } from "./workers.ts";

export const basePath = "/_slipway";

export function apiRoutes(deps: ApiDeps): Route[] {
	/** Made when first asked for: a megabyte that most daemons never need. */
	let document: ReturnType<typeof openApiDocument> | undefined;
	const routes: Route[] = [
		route({
			id: "getStatus",
			method: "GET",
			path: "/status",
			summary: "The daemon: address, runtime, what it holds and uses",
			answer: { kind: "json", status: 200, component: "Status" },
			handle: async () => deps.status(),
		}),
		...functionRoutes(deps),
		...logRoutes(deps),
		route({
			id: "listSandboxes",
			method: "GET",
			path: "/sandboxes",
			summary: "Sandboxes that exist now",
			answer: { kind: "json", status: 200, component: "SandboxList" },
			handle: async () => ({ sandboxes: await deps.dispatcher.sandboxes() }),
		}),
		instanceRoute(deps),
		...imageRoutes(deps),
		...(deps.workloads ? workloadRoutes(deps, deps.workloads) : []),
		...(deps.delivery ? deliveryRoutes(deps.delivery) : []),
		...metricRoutes(deps),
		route({
			id: "getOpenApi",
			method: "GET",
			path: "/openapi.json",
			summary: "This document",
			open: true,
			answer: { kind: "json", status: 200 },
			handle: async () => {
				document ??= openApiDocument(routes, basePath, deps.version);
				return document;
			},
		}),
	];
	return routes;
}

function workloadRoutes(deps: ApiDeps, workloads: ApiWorkloads): Route[] {
	return [
		...serviceRoutes(deps, workloads),
		...jobRoutes(deps, workloads.jobs),
		...workerRoutes(deps, workloads.workers),
		...gatewayRouteRoutes(workloads),
	];
}

function deliveryRoutes(delivery: ApiDelivery): Route[] {
	return [
		...eventRoutes(delivery),
		...queueRoutes(delivery),
		...triggerRoutes(delivery),
		...scheduleRoutes(delivery.schedules, delivery.accountId),
		...busRoutes(delivery.bus),
	];
}

/** The handler for node:http. Never rejects. */
export function apiFront(deps: ApiDeps): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
	const routes = apiRoutes(deps).map((route) => ({ route, segments: route.path.split("/").slice(1) }));
	const tokenHash = hash(deps.token);
	return async (request, response) => {
		const requestId = deps.ids.uuid();
		response.setHeader("slipway-request-id", requestId);
		const left = new AbortController();
		response.once("close", () => {
			if (!response.writableFinished) left.abort(new Error("The client went away"));
		});
		try {
			const url = new URL(request.url ?? "/", "http://slipway");
			const segments = url.pathname.slice(basePath.length).split("/").slice(1).map(decode);
			const found = find(routes, request.method ?? "GET", segments);
			if (!found.route.open) authorize(request, tokenHash);
			const { params, body } = found.route;
			for (const [name, schema] of Object.entries(params)) checkParameter(name, schema, found.params[name]);
			const call = {
				params: found.params,
				query: Object.fromEntries(url.searchParams),
				input: body.kind === "json" ? await readJson(request) : undefined,
				requestId,
				request,
				response,
				gone: left.signal,
			};
			const answer = await found.route.handle(call);
			send(response, found.route, answer);
		} catch (error) {
			fail(deps, response, requestId, error, left.signal);
		}
	};
}

function send(response: ServerResponse, { answer }: Route, body: unknown): void {
	if (answer.kind === "none") response.writeHead(204).end();
	if (answer.kind !== "json") return;
	const text = `${JSON.stringify(body)}\n`;
	response.writeHead(answer.status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
	response.end(text);
}

function fail(deps: ApiDeps, response: ServerResponse, requestId: string, error: unknown, gone: AbortSignal): void {
	// Nobody is there to answer, and a broken upload is no fault of ours; a real failure of our own is logged all the same.
	if (gone.aborted && (error === gone.reason || ["ECONNRESET", "ABORT_ERR"].includes(systemCode(error) ?? ""))) return;
	const problem = toProblem(error, requestId, deps.log);
	if (!response.headersSent) sendProblem(response, problem, error);
	else if (!response.writableEnded) response.end(`${JSON.stringify({ type: "problem", problem })}\n`);
}

function hash(text: string): Buffer {
	return createHash("sha256").update(text).digest();
}

/** Hashes are compared, so that neither length nor content shows in the time it takes. */
function authorize(request: IncomingMessage, tokenHash: Buffer): void {
	const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
	if (given !== undefined && timingSafeEqual(hash(given), tokenHash)) return;
	throw new SlipwayError(
		"UNAUTHENTICATED",
		given === undefined ? "The request carries no bearer token" : "The bearer token is not this daemon's",
		{ hint: "`slipway env` prints the token as SLIPWAY_TOKEN; send `Authorization: Bearer TOKEN`" },
	);
}

function decode(segment: string): string {
	try {
		return decodeURIComponent(segment);
	} catch (error) {
		throw new SlipwayError("INVALID", `The path holds '${segment.slice(0, 100)}', which is not percent-encoded text`, {
			cause: error,
		});
	}
}

interface Candidate {
	route: Route;
	segments: string[];
}

/** Routes are few: a linear search takes a microsecond. Fixed paths win over parameters (`/images/pull`). */
function find(routes: readonly Candidate[], method: string, path: readonly string[]) {
	const matching = routes.filter(({ segments }) => segments.length === path.length && fits(segments, path));
	const ofMethod = matching.filter(({ route }) => route.method === method);
	const best = ofMethod.find(({ segments }) => !segments.some(isParameter)) ?? ofMethod[0];
	if (best) {
		const params = best.segments.flatMap((segment, index) =>
			isParameter(segment) ? [[segment.slice(1, -1), path[index] ?? ""] as const] : [],
		);
		return { route: best.route, params: Object.fromEntries(params) };
	}
	const allowed = matching.map(({ route }) => route.method).join(", ");
	throw new SlipwayError(
		"NOT_FOUND",
		allowed
			? `${method.slice(0, 20)} is not an operation of this path; ${allowed} is`
			: `There is no operation at ${basePath}/${path.join("/").slice(0, 200)}`,
		{ hint: `GET ${basePath}/openapi.json describes all operations` },
	);
}

function fits(segments: readonly string[], path: readonly string[]): boolean {
	return segments.every((segment, index) => (isParameter(segment) ? path[index] !== "" : segment === path[index]));
}

function isParameter(segment: string): boolean {
	return segment.startsWith("{");
}

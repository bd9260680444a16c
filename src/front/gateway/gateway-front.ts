/**
 * The gateway: from a request's host to a service, a revision by its traffic, room in an instance, and the container's answer.
 * Requests wait here for instances, in the engine's queue; nothing of them is kept in memory but what the connection holds.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Duplex } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import { http } from "../../base/http.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { Exchange, Forward } from "../../core/service/forward.ts";
import type { RequestAdmission } from "../../core/service/request-admission.ts";
import type { ServiceRoutes } from "../../core/service/traffic.ts";
import { type GatewayCounters, newCounters } from "./counters.ts";
import { maxHostHeaderLength, normalHost, serviceHost } from "./host.ts";
import type { AccessLog, RouteMatcher } from "./ports.ts";
import { defaultBounds, type RequestBounds } from "./request-check.ts";
import { serveRequest } from "./serve-request.ts";

export interface GatewayDeps {
	routes: ServiceRoutes;
	admission: RequestAdmission;
	forward: Forward;
	/** Paths of domains, own domains; asked before a service's own name. */
	custom?: RouteMatcher;
	/** Base domains: a service is NAME.DOMAIN. */
	domains: readonly string[];
	/** Below which containers of ours find services; "internal" by default. */
	internalDomains?: readonly string[];
	bounds?: Partial<RequestBounds>;
	/** Whose word about the client counts (Forwarded, X-Forwarded-Proto, -Host); by default that of this machine's proxies. */
	trustsProxy?: (address: string) => boolean;
	/** 0 to below 1; for the choice by weight. */
	random: () => number;
	accessLog?: AccessLog;
	/** Aborted when the daemon begins to stop: open upgrades, which have no end of their own, end then. */
	closing: AbortSignal;
	clock: Clock;
	ids: Pick<Ids, "hex">;
	log: Log;
}

export interface GatewayFront {
	readonly counters: GatewayCounters;
	/** Whether a request for this Host, as the client sent it, is the gateway's. */
	owns(host: string | undefined): boolean;
	/** Resolves when the answer is over; never rejects. Also for a request that expects a 100: who has sent it is the container. */
	handle(request: GatewayMessage["request"], response: GatewayMessage["response"]): Promise<void>;
	/** An HTTP/1.1 Upgrade. The socket is the gateway's from now on. */
	upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void>;
	/** The same for what containers of ours ask for by an internal name. */
	readonly internal: Pick<GatewayFront, "owns" | "handle" | "upgrade">;
}

type GatewayMessage =
	| { request: IncomingMessage; response: ServerResponse }
	| { request: Http2ServerRequest; response: Http2ServerResponse };

/** What a request is served with: the dependencies with their defaults, and which names are looked for. */
export interface Gateway extends Required<Omit<GatewayDeps, "custom" | "accessLog" | "bounds" | "internalDomains">> {
	custom: RouteMatcher | undefined;
	accessLog: AccessLog | undefined;
	bounds: RequestBounds;
	counters: GatewayCounters;
	internal: boolean;
	/** Ends the open upgrades. */
	upgrades: Set<Duplex>;
	/** Cached, since a client sends the same one again and again. */
	hostOf(host: string | undefined): string | undefined;
}

/** Hosts in the cache; then it is begun anew. */
const maxHosts = 1000;
const loopback = /^(?:127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+)$/;

export function createGatewayFront(deps: GatewayDeps): GatewayFront {
	const outside: Gateway = {
		...deps,
		custom: deps.custom,
		accessLog: deps.accessLog,
		bounds: { ...defaultBounds, ...deps.bounds },
		trustsProxy: deps.trustsProxy ?? ((address) => loopback.test(address)),
		counters: newCounters(),
		internal: false,
		upgrades: new Set(),
		hostOf: cachedHosts(),
	};
	const inside: Gateway = {
		...outside,
		internal: true,
		domains: deps.internalDomains ?? ["internal"],
		trustsProxy: () => false,
	};
	deps.closing.addEventListener("abort", () => {
		for (const socket of outside.upgrades) socket.destroy();
	});
	return { ...frontOf(outside), counters: outside.counters, internal: frontOf(inside) };
}

function frontOf(gateway: Gateway): GatewayFront["internal"] {
	return {
		owns: (host) => owns(gateway, gateway.hostOf(host)),
		handle: (request, response) =>
			serveRequest(
				gateway,
				{ kind: request.httpVersionMajor === 2 ? "http2" : "http1", request, response } as Exchange,
				response,
			),
		upgrade: (request, socket, head) => {
			// A socket without a listener for its errors takes the process with it.
			socket.on("error", () => socket.destroy());
			const response = new http.ServerResponse(request);
			response.shouldKeepAlive = false;
			response.assignSocket(socket as Parameters<typeof response.assignSocket>[0]);
			response.once("finish", () => socket.end());
			gateway.upgrades.add(socket);
			socket.once("close", () => gateway.upgrades.delete(socket));
			return serveRequest(gateway, { kind: "upgrade", request, socket, head }, response);
		},
	};
}

function owns({ domains, custom }: Gateway, host: string | undefined): boolean {
	return host !== undefined && (serviceHost(host, domains) !== "outside" || (custom?.owns(host) ?? false));
}

function cachedHosts(): (host: string | undefined) => string | undefined {
	const known = new Map<string, string | undefined>();
	return (host) => {
		if (host === undefined || host.length > maxHostHeaderLength) return undefined;
		if (known.has(host)) return known.get(host);
		if (known.size >= maxHosts) known.clear();
		const normal = normalHost(host);
		known.set(host, normal);
		return normal;
	};
}

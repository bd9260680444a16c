/** The one port: limits on what a connection may do, and the choice of the front that answers a request. */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Http2Server, Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { SlipwayError, systemCode } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { isCloudEventsPath } from "../front/cloud-events/cloud-events-front.ts";
import { urlIdOf } from "../front/function-url/host.ts";
import type { GatewayFront } from "../front/gateway/gateway-front.ts";
import type { AcmeChallenge } from "../front/gateway/ports.ts";
import { mayUpgrade } from "../front/gateway/request-check.ts";
import { type OpenRequest, OpenRequests } from "./listener-open-requests.ts";
import { Http2Side, type ListenerTls, makeServer } from "./listener-protocols.ts";

/** Answers one request. A rejection is a bug: it is logged, and the client gets a plain 500. */
export type Front = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

export interface Fronts {
	/** Every AWS service: Lambda, ECR, STS. */
	aws: Front;
	/** OCI distribution, /v2/. */
	registry: Front;
	/** Native API, /_slipway/. */
	api: Front;
	/** CloudEvents onto a bus, /_slipway/cloud-events/. */
	cloudEvents: Front;
	/** Function URLs: every path of the hosts ID.lambda-url.… */
	functionUrl: Front;
	/** Kubernetes-style APIs: /apis, /api, /version, /openapi. */
	knative?: Front | undefined;
	/** Keys of identity tokens: /.well-known/openid-configuration and /.well-known/jwks.json. */
	identity?: Front | undefined;
	/** Services and routes, by the request's host; the only one that speaks HTTP/2 and takes upgrades. */
	gateway?: Pick<GatewayFront, "owns" | "handle" | "upgrade"> | undefined;
}

export interface ListenerOptions {
	fronts: Fronts;
	listen: { host: string; port: number };
	tls?: ListenerTls | undefined;
	/** Answers to an ACME server's challenges, before anything else (plain HTTP only has them, on port 80). */
	challenge?: AcmeChallenge | undefined;
	/** A port for services alone: no API of the installation is to be had there. */
	gatewayOnly?: boolean | undefined;
	/** Of a request's headers, from its first byte on; 10 s by default. */
	headersTimeoutMs?: number | undefined;
	/** Whether /readyz says yes. */
	ready: () => boolean;
	log: Log;
}

export interface Listener {
	/** `host:port` with the real port. */
	readonly address: string;
	readonly port: number;
	/** Base URL for clients of this machine. */
	readonly url: string;
	readonly openRequests: number;
	/** Since the start. */
	readonly requests: number;
	/**
	 * Stops accepting, lets requests in flight finish until `signal` aborts, then cuts every connection. Resolves when
	 * the port is free, with the number of requests that were cut.
	 */
	close(signal: AbortSignal): Promise<number>;
}

/** CONFLICT for a port in use, FORBIDDEN for one that needs root, INVALID for an address that is not this machine's. */
export async function startListener(options: ListenerOptions): Promise<Listener> {
	const open = new OpenRequests();
	const http2 = new Http2Side((side) => answerHttp2(side, options, open));
	const server = serverOf(options, open, http2);
	await bind(server, options.listen);
	const stopSweep = open.sweep();
	return {
		...addressOf(server, options.tls !== undefined),
		get requests() {
			return open.total;
		},
		get openRequests() {
			return open.size;
		},
		async close(signal) {
			open.close();
			http2.close();
			let cutRequests = 0;
			await closed(server, signal, () => {
				cutRequests = open.size;
				server.closeAllConnections();
				http2.cut();
				open.cutUpgraded();
			});
			stopSweep();
			return cutRequests;
		},
	};
}

/** With what answers its requests; not bound yet. */
function serverOf(options: ListenerOptions, open: OpenRequests, http2: Http2Side): Server {
	const { fronts, tls, headersTimeoutMs } = options;
	const owns = (host: string | undefined) => fronts.gateway?.owns(host) ?? false;
	const upgrades = (request: IncomingMessage) => owns(request.headers.host) && mayUpgrade(request);
	const server = makeServer({ tls, headersTimeoutMs, offersHttp2: owns, upgrades }, http2);
	const onRequest = (request: IncomingMessage, response: ServerResponse) => {
		if (open.isFlood(request, response)) request.socket.destroy();
		else void answer(options, request, response, open.add(request, response));
	};
	server.on("request", onRequest);
	server.on("checkContinue", onRequest);
	server.on("upgrade", (request, socket, head) => {
		open.addUpgraded(socket);
		if (!hasSeveralHosts(request)) return void fronts.gateway?.upgrade(request, socket, head);
		socket.on("error", () => {});
		refuseMalformed({ code: "HPE_SEVERAL_HOSTS" }, socket);
	});
	server.on("clientError", (error, socket) => {
		if (!http2.takes(error, socket)) refuseMalformed(error as NodeJS.ErrnoException, socket);
	});
	return server;
}

async function closed(server: Server, signal: AbortSignal, cut: () => void): Promise<void> {
	signal.addEventListener("abort", cut, { once: true });
	await new Promise<void>((resolve) => {
		server.close(() => resolve());
		if (signal.aborted) cut();
	});
	signal.removeEventListener("abort", cut);
}

function addressOf(server: Server, isTls: boolean): Pick<Listener, "address" | "port" | "url"> {
	const { address, port } = server.address() as AddressInfo;
	const literal = address.includes(":") ? `[${address}]` : address;
	const local = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "[::1]" : literal;
	return { address: `${literal}:${port}`, port, url: `${isTls ? "https" : "http"}://${local}:${port}` };
}

async function bind(server: Server, { host, port }: ListenerOptions["listen"]): Promise<void> {
	try {
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen({ host, port, backlog: 1024 }, () => {
				server.removeListener("error", reject);
				resolve();
			});
		});
	} catch (error) {
		throw explainBind(error, host, port);
	}
}

function explainBind(error: unknown, host: string, port: number): unknown {
	const another = "choose another with --listen HOST:PORT (SLIPWAY_LISTEN)";
	switch (systemCode(error)) {
		case "EADDRINUSE":
			return new SlipwayError("CONFLICT", `Port ${port} on ${host} is already in use by another program`, {
				reason: "PortInUse",
				hint: `Find it with \`ss -ltnp 'sport = :${port}'\`, or ${another}; port 0 takes any free one`,
				cause: error,
			});
		case "EACCES":
			return new SlipwayError("FORBIDDEN", `Port ${port} needs root to listen on`, {
				hint: `Use a port from 1024 up: ${another}`,
				cause: error,
			});
		case "EADDRNOTAVAIL":
		case "ENOTFOUND":
		case "EAI_AGAIN":
			return new SlipwayError("INVALID", `'${host}' is not an address of this machine`, {
				hint: `List them with \`ip address\`, or ${another}`,
				cause: error,
			});
		default:
			return error;
	}
}

async function answer(
	options: ListenerOptions,
	request: IncomingMessage,
	response: ServerResponse,
	entry: OpenRequest,
): Promise<void> {
	try {
		if (hasSeveralHosts(request)) return refuseSeveralHosts(response);
		const { fronts, gatewayOnly = false } = options;
		if (options.challenge && answerChallenge(options.challenge, request, response)) return;
		const front = chooseFront(request, fronts, gatewayOnly);
		if (front === "gateway") {
			// Its requests have their service's time, and stand still for as long as their container does.
			entry.unlimited = true;
			return await fronts.gateway?.handle(request, response);
		}
		// Nobody else waits to be asked for a 100.
		if (request.headers.expect !== undefined) response.writeContinue();
		if (front === "health") answerHealth(options, request, response);
		else if (front === undefined) answerUnknown(options, request, response);
		else await fronts[front]?.(request, response);
	} catch (error) {
		options.log.error("A front failed", { method: request.method, path: pathOf(request), error });
		if (response.headersSent) response.destroy();
		else sendJson(response, 500, { error: "Internal error" });
	}
}

/** A proxy in front may have gone by the other one, so that the request would reach what it must not (RFC 9112, 3.2). */
function hasSeveralHosts({ rawHeaders }: IncomingMessage): boolean {
	let hosts = 0;
	for (let i = 0; i < rawHeaders.length; i += 2)
		if (rawHeaders[i]!.length === 4 && rawHeaders[i]!.toLowerCase() === "host") hosts++;
	return hosts > 1;
}

function refuseSeveralHosts(response: ServerResponse): void {
	response.setHeader("connection", "close");
	sendJson(response, 400, { error: "A request has one Host header" });
}

function pathOf(request: IncomingMessage): string {
	const url = request.url ?? "/";
	const query = url.indexOf("?");
	return query < 0 ? url : url.slice(0, query);
}

/** HTTP/2 is for services alone: who comes for something else is told to come again (RFC 9110, 15.5.20), with HTTP/1.1. */
function answerHttp2(server: Http2Server, { fronts }: ListenerOptions, open: OpenRequests): void {
	const onRequest = (request: Http2ServerRequest, response: Http2ServerResponse) => {
		open.addStream(response);
		const { ":authority": authority, host = authority } = request.headers;
		const { gateway } = fronts;
		if (gateway?.owns(host as string | undefined)) return void gateway.handle(request, response);
		const text = '{"error":"HTTP/2 is served for services only: use HTTP/1.1"}\n';
		response.writeHead(421, { "content-type": "application/json" });
		response.end(text);
	};
	server.on("request", onRequest);
	server.on("checkContinue", onRequest);
}

const challengePath = "/.well-known/acme-challenge/";
function answerChallenge(challenge: AcmeChallenge, request: IncomingMessage, response: ServerResponse): boolean {
	if (!request.url?.startsWith(challengePath)) return false;
	const host = (request.headers.host ?? "").replace(/:\d+$/, "").toLowerCase();
	const text = challenge(host, pathOf(request).slice(challengePath.length));
	if (text === undefined) return false;
	response.writeHead(200, { "content-type": "application/octet-stream", "content-length": Buffer.byteLength(text) });
	response.end(text);
	return true;
}

/**
 * A function URL's host comes first: all of its paths are the function's, also those that mean something here, and its
 * callers may sign. Then a service's or a route's, for the same reason. Then a signature: its scope says "AWS" whatever the path (API Gateway's own is /v2/apis). Then the path tells; an
 * unsigned call to an AWS path still goes to that front, whose business it is to refuse it in AWS's words.
 */
export function chooseFront(
	request: Pick<IncomingMessage, "url" | "headers" | "method">,
	{ gateway, knative, identity }: Pick<Fronts, "gateway" | "knative" | "identity"> = {},
	gatewayOnly = false,
): keyof Fronts | "health" | undefined {
	const url = request.url ?? "/";
	const { authorization, host } = request.headers;
	if (urlIdOf(host) !== undefined) return "functionUrl";
	if (gateway?.owns(host)) return "gateway";
	if (gatewayOnly) return undefined;
	if (authorization?.startsWith("AWS4-")) return "aws";
	if (isCloudEventsPath(url)) return "cloudEvents";
	if (url.startsWith("/_slipway/") || url === "/_slipway") return "api";
	if (url.includes("X-Amz-Signature=") || url.includes("X-Amz-Credential=")) return "aws";
	// AWS's REST paths begin with the API's date: /2015-03-31/functions.
	if (/^\/\d{4}-\d\d-\d\d\//.test(url)) return "aws";
	if (/^\/v2(\/|\?|$)/.test(url)) return "registry";
	if (/^\/(healthz|readyz)(\?|$)/.test(url)) return "health";
	if (identity && /^\/\.well-known\/(openid-configuration|jwks\.json)(\?|$)/.test(url)) return "identity";
	if (knative && /^\/(apis?|version|openapi)(\/|\?|$)/.test(url)) return "knative";
	// Those of EventBridge Scheduler do not.
	if (/^\/schedule(s|-groups)(\/|\?|$)/.test(url)) return "aws";
	if (request.headers["x-amz-target"] !== undefined) return "aws";
	// A queue's URL is where its operations are posted; the query protocol may put them in the URL's own query.
	if (/^\/\d{12}\/[\w-]{1,80}(\.fifo)?\/?(\?|$)/.test(url) || /^\/\?(.*&)?Action=/.test(url)) return "aws";
	// The query protocol (STS) posts a form to the root.
	const form = request.headers["content-type"]?.startsWith("application/x-www-form-urlencoded");
	return request.method === "POST" && form && /^\/(\?|$)/.test(url) ? "aws" : undefined;
}

function answerHealth(options: ListenerOptions, request: IncomingMessage, response: ServerResponse): void {
	const up = pathOf(request) === "/healthz" || options.ready();
	sendJson(response, up ? 200 : 503, { status: up ? "ok" : "not ready" });
}

function answerUnknown(options: ListenerOptions, request: IncomingMessage, response: ServerResponse): void {
	if (!options.ready()) {
		// It may be a service's, of which nobody knows yet.
		response.setHeader("retry-after", "1");
		return sendJson(response, 503, { error: "The daemon is starting" });
	}
	if (options.gatewayOnly) return sendJson(response, 404, { error: "No service or route has this host" });
	sendJson(response, 404, {
		error: `Nothing is served at ${request.method} ${pathOf(request).slice(0, 200)}`,
		served: {
			"/2015-03-31/functions/NAME/invocations": "AWS Lambda API (AWS_ENDPOINT_URL; signed)",
			"/ (signed)": "AWS ECR and STS APIs",
			"/v2/": "OCI registry (docker login, push, pull)",
			"/_slipway/openapi.json": "Slipway's own API, described",
			"NAME.localhost": "services, by the request's host (slipway service ls)",
			"ID.lambda-url.REGION.HOST": "function URLs, by the request's host (aws lambda create-function-url-config)",
			"/.well-known/openid-configuration": "keys of containers' identity tokens",
			"/healthz, /readyz": "health of the daemon",
		},
		hint: "`slipway env` prints the settings that clients need",
	});
}

function sendJson(response: ServerResponse, status: number, body: object): void {
	const text = `${JSON.stringify(body, null, "\t")}\n`;
	response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
	response.end(text);
}

const refusals: Record<string, string> = {
	HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
	ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
};

function refuseMalformed(error: Pick<NodeJS.ErrnoException, "code">, socket: Duplex): void {
	if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
	const status = refusals[error.code ?? ""] ?? "400 Bad Request";
	const text = `${JSON.stringify({ error: status.slice(4) })}\n`;
	socket.end(
		`HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\nconnection: close\r\n\r\n${text}`,
	);
}

/** The one port: limits on what a connection may do, and the choice of the front that answers a request. */
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { SlipwayError, systemCode } from "../base/error.ts";
import { http } from "../base/http.ts";
import type { Log } from "../base/log.ts";
import { urlIdOf } from "../front/function-url/host.ts";

/** Answers one request. A rejection is a bug: it is logged, and the client gets a plain 500. */
export type Front = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

export interface Fronts {
	/** Every AWS service: Lambda, ECR, STS. */
	aws: Front;
	/** OCI distribution, /v2/. */
	registry: Front;
	/** Native API, /_slipway/. */
	api: Front;
	/** Function URLs: every path of the hosts ID.lambda-url.… */
	functionUrl: Front;
}

export interface ListenerOptions {
	fronts: Fronts;
	listen: { host: string; port: number };
	tls?: { cert: string; key: string } | undefined;
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

/** A request's headers must be complete this soon after its first byte (slow loris). */
const headersTimeoutMs = 10_000;
/** A body that brings no byte for this long is cut; the whole request has no limit, since functions run up to 15 minutes and pushes longer. */
const bodyStallMs = 60_000;
/**
 * An answer of which a client takes nothing for this long is cut: it holds up to 6 MB of memory, and whoever may call a
 * function URL could hold as much with every connection. The system tells of a piece only when all of it has gone, so that
 * this is also the slowest client: 6 MB in five minutes are 20 KB/s.
 */
const answerStallMs = 300_000;
/** Presigned URLs, session tokens and client contexts fit; Node's default of 16 KiB is tight for a 6 KB policy and a token. */
const maxHeaderBytes = 32 * 1024;
/** Longer than load balancers' usual 60 s, so that they, not we, end idle connections. */
const keepAliveMs = 65_000;
/** Each open connection costs a few kilobytes; past this the kernel's backlog and then refusal is the answer. */
const maxConnections = 10_000;
const sweepMs = 5_000;

/** CONFLICT for a port in use, FORBIDDEN for one that needs root, INVALID for an address that is not this machine's. */
export async function startListener(options: ListenerOptions): Promise<Listener> {
	const open = new Map<ServerResponse, OpenRequest>();
	const state = { closing: false, requests: 0 };
	const server = makeServer(options.tls);
	server.on("request", (request, response) => {
		state.requests++;
		open.set(response, { request, response, bytes: 0, stalledMs: 0 });
		response.once("close", () => open.delete(response));
		if (state.closing) response.setHeader("connection", "close");
		void answer(options, request, response);
	});
	server.on("clientError", refuseMalformed);
	await bind(server, options.listen);
	const sweep = setInterval(() => cutStalled(open.values()), sweepMs);
	sweep.unref();
	const { address, port } = server.address() as AddressInfo;
	const literal = address.includes(":") ? `[${address}]` : address;
	const local = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "[::1]" : literal;
	return {
		address: `${literal}:${port}`,
		port,
		url: `${options.tls ? "https" : "http"}://${local}:${port}`,
		get requests() {
			return state.requests;
		},
		get openRequests() {
			return open.size;
		},
		async close(signal) {
			state.closing = true;
			for (const response of open.keys()) if (!response.headersSent) response.setHeader("connection", "close");
			let cutRequests = 0;
			const cut = () => {
				cutRequests = open.size;
				server.closeAllConnections();
			};
			signal.addEventListener("abort", cut, { once: true });
			await new Promise<void>((resolve) => {
				server.close(() => resolve());
				if (signal.aborted) cut();
			});
			signal.removeEventListener("abort", cut);
			clearInterval(sweep);
			return cutRequests;
		},
	};
}

function makeServer(tls: ListenerOptions["tls"]): Server {
	const limits: ServerOptions = {
		maxHeaderSize: maxHeaderBytes,
		headersTimeout: headersTimeoutMs,
		requestTimeout: 0,
		keepAliveTimeout: keepAliveMs,
		connectionsCheckingInterval: 1_000,
		noDelay: true,
	};
	const server = tls ? createTlsServer({ ...limits, ...tls, minVersion: "TLSv1.2" }) : http.createServer(limits);
	server.maxConnections = maxConnections;
	server.maxRequestsPerSocket = 0;
	server.timeout = 0;
	return server as Server;
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

async function answer(options: ListenerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
	try {
		if (hasSeveralHosts(request)) return refuseSeveralHosts(response);
		const front = chooseFront(request);
		if (front === "health") answerHealth(options, request, response);
		else if (front === undefined) answerUnknown(request, response);
		else await options.fronts[front](request, response);
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

/**
 * A function URL's host comes first: all of its paths are the function's, also those that mean something here, and its
 * callers may sign. Then a signature: its scope says "AWS" whatever the path (API Gateway's own is /v2/apis). Then the path tells; an
 * unsigned call to an AWS path still goes to that front, whose business it is to refuse it in AWS's words.
 */
export function chooseFront(
	request: Pick<IncomingMessage, "url" | "headers" | "method">,
): keyof Fronts | "health" | undefined {
	const url = request.url ?? "/";
	const { authorization, host } = request.headers;
	if (urlIdOf(host) !== undefined) return "functionUrl";
	if (authorization?.startsWith("AWS4-")) return "aws";
	if (url.startsWith("/_slipway/") || url === "/_slipway") return "api";
	if (url.includes("X-Amz-Signature=") || url.includes("X-Amz-Credential=")) return "aws";
	// AWS's REST paths begin with the API's date: /2015-03-31/functions.
	if (/^\/\d{4}-\d\d-\d\d\//.test(url)) return "aws";
	if (/^\/v2(\/|\?|$)/.test(url)) return "registry";
	if (/^\/(healthz|readyz)(\?|$)/.test(url)) return "health";
	if (request.headers["x-amz-target"] !== undefined) return "aws";
	// The query protocol (STS) posts a form to the root.
	const form = request.headers["content-type"]?.startsWith("application/x-www-form-urlencoded");
	return request.method === "POST" && form && /^\/(\?|$)/.test(url) ? "aws" : undefined;
}

function answerHealth(options: ListenerOptions, request: IncomingMessage, response: ServerResponse): void {
	const up = pathOf(request) === "/healthz" || options.ready();
	sendJson(response, up ? 200 : 503, { status: up ? "ok" : "not ready" });
}

function answerUnknown(request: IncomingMessage, response: ServerResponse): void {
	sendJson(response, 404, {
		error: `Nothing is served at ${request.method} ${pathOf(request).slice(0, 200)}`,
		served: {
			"/2015-03-31/functions/NAME/invocations": "AWS Lambda API (AWS_ENDPOINT_URL; signed)",
			"/ (signed)": "AWS ECR and STS APIs",
			"/v2/": "OCI registry (docker login, push, pull)",
			"/_slipway/openapi.json": "Slipway's own API, described",
			"ID.lambda-url.REGION.HOST": "function URLs, by the request's host (aws lambda create-function-url-config)",
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

function refuseMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
	if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
	const status = refusals[error.code ?? ""] ?? "400 Bad Request";
	const text = `${JSON.stringify({ error: status.slice(4) })}\n`;
	socket.end(
		`HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\nconnection: close\r\n\r\n${text}`,
	);
}

interface OpenRequest {
	request: Pick<IncomingMessage, "complete" | "socket">;
	response: Pick<ServerResponse, "writableLength">;
	/** Bytes that had come or gone when it was last looked at. */
	bytes: number;
	stalledMs: number;
}

/** To be called every `sweepMs`. Cuts what waits for a client that neither sends nor takes anything. */
export function cutStalled(open: Iterable<OpenRequest>): void {
	for (const entry of open) {
		const { request, response } = entry;
		const { socket, complete } = request;
		// A function that is at work has nothing waiting: only what the client is slow to take counts.
		const bytes = !complete ? socket.bytesRead : response.writableLength > 0 ? goneBytes(entry) : undefined;
		if (bytes === undefined || bytes !== entry.bytes) {
			entry.bytes = bytes ?? 0;
			entry.stalledMs = 0;
			continue;
		}
		entry.stalledMs += sweepMs;
		if (entry.stalledMs >= (complete ? answerStallMs : bodyStallMs)) socket.destroy();
	}
}

function goneBytes({ request: { socket }, response }: OpenRequest): number {
	return socket.bytesWritten - response.writableLength;
}

/**
 * What the gateway asks of others: routes by host, path and method that are not just a service's own name, certificates'
 * challenges, and a place for its access log.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";

/** HTTP/1.1, or HTTP/2 through Node's compatibility API: `headers[":authority"]` in place of Host. */
export type GatewayRequest = IncomingMessage | Http2ServerRequest;
export type GatewayResponse = ServerResponse | Http2ServerResponse;

/** Routes that somebody has made: paths of a domain, own domains. They are asked before a service's own name. */
export interface RouteMatcher {
	/** Whether any route is for this host, whatever the path. Asked for each request: a look-up, no promise. */
	owns(host: string): boolean;
	/** Undefined: no route; the host may still be a service's own. */
	match(request: RouteRequest): RouteMatch | undefined;
}

export interface RouteRequest {
	/** Lower case, without port or trailing dot. */
	host: string;
	method: string;
	/** As the client sent it, from "/" on, without the query: nothing is decoded or normalised. */
	path: string;
	/** From a container of ours, not from outside. */
	internal: boolean;
}

export type RouteMatch =
	| {
			kind: "service";
			namespace: string;
			service: string;
			tag?: string;
			/** The route's, for the access log. */
			route?: string;
			/** In place of the path that the client sent; its query is kept. */
			rewritePath?: string;
			/** Reached although the service's ingress is internal: the route is the way in. */
			exposes?: boolean;
			guard?: Guard;
	  }
	/** Somebody else's to answer whole: a function, a redirect, a preflight. `route` is for the access log. */
	| {
			kind: "handled";
			route?: string;
			handle(request: GatewayRequest, response: GatewayResponse, context: RouteContext): void | Promise<void>;
	  };

export interface RouteContext {
	/** The client's own address. */
	clientAddress: string;
	scheme: "http" | "https";
	host: string;
	/** 32 hexadecimal digits. */
	traceId: string;
	/** X-Request-Id */
	requestId: string;
	/** The client went away. */
	signal: AbortSignal;
}

/**
 * Before a request reaches its service: CORS, tokens, rate limits, a look at its body. Either it has answered by itself
 * ("answered"), or the request goes on. For an Upgrade `response` writes to the connection as for any other request.
 */
export type Guard = (
	request: GatewayRequest,
	response: GatewayResponse,
	context: RouteContext,
) => "answered" | Passed | Promise<"answered" | Passed>;

export interface Passed {
	/** Added to the answer (Access-Control-Allow-Origin, X-RateLimit-…); `undefined` removes the container's own of that name (lower case). */
	responseHeaders?: readonly (readonly [string, string | undefined])[];
	/** Set for the container; a client's own of that name is removed. `undefined` only removes. */
	requestHeaders?: Readonly<Record<string, string | undefined>>;
	/** The whole body, when the guard has read it. */
	body?: Buffer;
}

/** http-01 (RFC 8555, 8.3): the text for /.well-known/acme-challenge/TOKEN of this host. */
export type AcmeChallenge = (host: string, token: string) => string | undefined;

/** One request, for the access log. */
export interface AccessRecord {
	/** RFC 3339, of its arrival. */
	time: string;
	method: string;
	host: string;
	/** Without its query. */
	path: string;
	/** HTTP/1.0, HTTP/1.1, HTTP/2, websocket (any Upgrade) */
	protocol: string;
	/** What the client got; absent when it went away before. */
	status?: number;
	/** Of bodies, as they went over this connection. */
	bytesIn: number;
	bytesOut: number;
	/** Milliseconds: to the last byte, and of these, waiting for an instance. */
	durationMs: number;
	waitedMs?: number;
	namespace?: string;
	service?: string;
	revision?: string;
	instance?: string;
	/** An instance had to be started for it. */
	cold?: boolean;
	route?: string;
	clientAddress: string;
	userAgent?: string;
	traceId: string;
	requestId: string;
	/** Why it is not the container's own answer: "client-gone", "queue-full", "deadline", "connect", "closed", "malformed", "timeout", "not-found", "not-ready", "refused", "failed". */
	failure?: string;
}

/** Takes a record at once and never throws; what it cannot keep up with it drops and counts. */
export interface AccessLog {
	record(record: AccessRecord): void;
}

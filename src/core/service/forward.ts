import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Duplex } from "node:stream";
import type { AdmittedRequest, RequestOutcome } from "./request-admission.ts";

/** One request from outside and where its answer goes. */
export type Exchange =
	| { kind: "http1"; request: IncomingMessage; response: ServerResponse }
	| { kind: "http2"; request: Http2ServerRequest; response: Http2ServerResponse }
	/** An HTTP/1.1 Upgrade (WebSocket): the socket is the client's, with what came after the head. */
	| { kind: "upgrade"; request: IncomingMessage; socket: Duplex; head: Buffer };

export interface ForwardOptions {
	/** The client's own, without what a proxy in front said. */
	clientAddress: string;
	scheme: "http" | "https";
	/** As the client sent it. */
	host: string;
	/** Added to the answer (a session affinity cookie, a request id); `undefined` removes the container's own of that name (lower case). */
	responseHeaders: readonly (readonly [string, string | undefined])[];
	/** In place of the request's own, with its query, when a route rewrites it. */
	path?: string;
	/** The peer is a proxy of ours: what it says of the client (Forwarded, X-Forwarded-Proto, X-Forwarded-Host) is kept. */
	trustsPeer?: boolean;
	/** Set for the container in place of the client's own of that name (lower case); `undefined` only removes. */
	requestHeaders?: Readonly<Record<string, string | undefined>>;
	/** The whole body, where somebody has read it already. */
	body?: Buffer;
	/** Where the container cannot be connected to, the request is handed back (`unanswered`) instead of a 502. */
	handsBack?: boolean;
}

export interface ForwardOutcome extends RequestOutcome {
	/** Of the bodies, or of what went through a tunnel: from the client, and to it. */
	bytesIn: number;
	bytesOut: number;
}

/**
 * Hands a request to the container that it was admitted to and its answer back, both ways streamed and never whole in memory.
 * What goes wrong before the first byte of the answer is answered (502, 504); after it the connection is cut. Resolves
 * when all is over; never rejects; releases nothing.
 */
export type Forward = (
	exchange: Exchange,
	admitted: AdmittedRequest,
	options: ForwardOptions,
) => Promise<ForwardOutcome>;

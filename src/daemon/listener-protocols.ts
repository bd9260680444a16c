/**
 * HTTP/1.1, HTTP/2 and TLS on one port. Connections are HTTP/1's until they say otherwise: its parser reads from the system
 * itself, and stops by itself at HTTP/2's preface ("PRI * HTTP/2.0"), so that nothing has to be looked at before.
 */
import type { Server, ServerOptions } from "node:http";
import type { Http2Server, ServerHttp2Session } from "node:http2";
import { createServer as createTlsServer } from "node:https";
import type { Duplex } from "node:stream";
import type { SecureContext, TLSSocket, TlsOptions } from "node:tls";
import { http } from "../base/http.ts";

export interface ListenerTls {
	/** PEM; for names that `certificateFor` has nothing for. Absent: their handshake fails. */
	cert?: string;
	key?: string;
	/** The certificate of a server name; the handshake waits for one that is being made. Never rejects. */
	certificateFor?: (servername: string) => Promise<SecureContext | undefined> | SecureContext | undefined;
}

/** A request's headers must be complete this soon after its first byte (slow loris). */
const defaultHeadersTimeoutMs = 10_000;
/** Presigned URLs, session tokens and client contexts fit; Node's default of 16 KiB is tight for a 6 KB policy and a token. */
const maxHeaderBytes = 32 * 1024;
/** Longer than load balancers' usual 60 s, so that they, not we, end idle connections. */
const keepAliveMs = 65_000;
/** Each open connection costs a few kilobytes; past this the kernel's backlog and then refusal is the answer. */
const maxConnections = 10_000;
/** Requests at a time on one HTTP/2 connection, as nginx (128) and Go (250) have it. */
const maxConcurrentStreams = 250;
/** Bytes that a client may send on one stream, or on a connection, before anybody has read them. */
const streamWindowBytes = 256 * 1024;
const connectionWindowBytes = 1024 * 1024;
/** Header fields of a request over HTTP/2; more are refused with 431 above, or reset here. */
const maxHeaderPairs = 256;
/** RFC 9113, 3.4: what the parser has taken when it stops. */
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export interface ProtocolOptions {
	tls: ListenerTls | undefined;
	/** Of a request's headers, from its first byte on; 10 s by default. */
	headersTimeoutMs: number | undefined;
	/** Whether HTTP/2 is offered to who asks for this name with TLS. */
	offersHttp2: (servername: string) => boolean;
	/** Whether a request with an Upgrade header becomes one: otherwise it is a request like any other. */
	upgrades: NonNullable<ServerOptions["shouldUpgradeCallback"]>;
}

export function makeServer(options: ProtocolOptions, http2: Http2Side): Server {
	const { tls, offersHttp2, upgrades, headersTimeoutMs = defaultHeadersTimeoutMs } = options;
	const limits: ServerOptions = {
		maxHeaderSize: maxHeaderBytes,
		headersTimeout: headersTimeoutMs,
		requestTimeout: 0,
		keepAliveTimeout: keepAliveMs,
		connectionsCheckingInterval: 1_000,
		noDelay: true,
		shouldUpgradeCallback: upgrades,
	};
	const server = tls
		? (createTlsServer({ ...limits, ...tlsOptions(tls, offersHttp2) }) as Server)
		: http.createServer(limits);
	if (tls) {
		const accept = server.listeners("secureConnection") as ((socket: TLSSocket) => void)[];
		server.removeAllListeners("secureConnection");
		server.on("secureConnection", (socket: TLSSocket) => {
			if (socket.alpnProtocol === "h2") http2.accept(socket);
			else for (const listener of accept) listener.call(server, socket);
		});
	}
	server.maxConnections = maxConnections;
	server.maxRequestsPerSocket = 0;
	server.timeout = 0;
	return server;
}

function tlsOptions({ cert, key, certificateFor }: ListenerTls, offersHttp2: (name: string) => boolean): TlsOptions {
	const options: TlsOptions = {
		minVersion: "TLSv1.2",
		ALPNCallback: ({ servername, protocols }) => {
			if (protocols.includes("h2") && offersHttp2(servername)) return "h2";
			return protocols.includes("http/1.1") ? "http/1.1" : undefined;
		},
	};
	if (cert !== undefined) options.cert = cert;
	if (key !== undefined) options.key = key;
	if (certificateFor)
		options.SNICallback = async (name, done) => {
			done(null, await certificateFor(name));
		};
	return options;
}

/** The connections that speak HTTP/2. Node's module for it is loaded with the first one. */
export class Http2Side {
	readonly #sessions = new Set<ServerHttp2Session>();
	/** Handed over by the HTTP/1 server, which still believes that it waits for their headers. */
	readonly #taken = new WeakSet<Duplex>();
	readonly #prepare: (server: Http2Server) => void;
	#server: Http2Server | undefined;
	#closing = false;

	/** `prepare` attaches what answers. */
	constructor(prepare: (server: Http2Server) => void) {
		this.#prepare = prepare;
	}

	/** Whether this parse error is the beginning of HTTP/2 (then the connection is taken) or of one that has been taken. */
	takes(error: Error & { code?: string; rawPacket?: Buffer; bytesParsed?: number }, socket: Duplex): boolean {
		if (this.#taken.has(socket)) return true;
		if (error.code !== "HPE_PAUSED_H2_UPGRADE" || !error.rawPacket) return false;
		this.#taken.add(socket);
		for (const event of ["data", "end", "close", "drain", "timeout", "error"]) socket.removeAllListeners(event);
		// The parser lets go of the handle when somebody wants its data.
		const nobody = () => {};
		socket.on("data", nobody).off("data", nobody);
		socket.pause();
		socket.unshift(Buffer.concat([preface, error.rawPacket.subarray(error.bytesParsed ?? preface.length)]));
		this.accept(socket);
		return true;
	}

	accept(socket: Duplex): void {
		this.#server ??= this.#make();
		// HTTP/1's server, whose socket it is, lets a client end its side first; here nobody else would notice that it has gone.
		socket.once("end", () => socket.destroy());
		this.#server.emit("connection", socket);
	}

	/** No new requests; those under way go on. */
	close(): void {
		this.#closing = true;
		for (const session of this.#sessions) session.close();
	}

	cut(): void {
		for (const session of this.#sessions) session.destroy();
	}

	#make(): Http2Server {
		const server = process.getBuiltinModule("node:http2").createServer({
			settings: {
				maxConcurrentStreams,
				maxHeaderListSize: maxHeaderBytes,
				initialWindowSize: streamWindowBytes,
				enableConnectProtocol: false,
			},
			maxHeaderListPairs: maxHeaderPairs,
			// A container's field that comes twice is passed on as it came: Node would throw where nobody can catch it.
			strictSingleValueFields: false,
		});
		server.on("session", (session) => {
			this.#sessions.add(session);
			session.once("close", () => this.#sessions.delete(session));
			// Streams under way are finished first; an idle connection is gone at once.
			session.setTimeout(keepAliveMs, () => session.close());
			session.setLocalWindowSize(connectionWindowBytes);
			if (this.#closing) session.close();
		});
		// A broken connection is its client's business.
		server.on("sessionError", () => {});
		this.#prepare(server);
		return server;
	}
}

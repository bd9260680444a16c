import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { http } from "../../base/http.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";

/** Whose containers ask. */
export interface MetadataIdentity {
	/** Unique, of the instance. */
	instanceId: string;
	/** The service account's, or the installation's default. */
	email: string;
}

export interface MetadataOptions {
	projectId: string;
	/** Digits. */
	numericProjectId: string;
	/** "europe-west1". */
	region: string;
	log: Log;
	clock: Clock;
	ids: Ids;
	/** A signed JWT (RS256 or ES256) of these claims, with the installation's key. */
	sign: (claims: Readonly<Record<string, unknown>>) => Promise<string>;
	/** `iss` of identity tokens: where the keys are published. */
	issuer: string;
}

/** Seconds for which tokens hold, as Google's do. */
const tokenSeconds = 3600;
const scopes = ["https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email"];
const root = "/computeMetadata/v1/";
/** A client has a query and a few short headers to send. */
const maxHeaderBytes = 16 * 1024;
/** Milliseconds for a request's head, and for the next request of a connection. */
const requestTimeoutMs = 10_000;
const keepAliveMs = 60_000;
/** How often it is looked for requests that take longer, milliseconds. */
const lookMs = 5000;
/** Of one instance: its descriptors are the daemon's, and client libraries need a few. */
const maxConnections = 64;
const maxAudience = 2048;

/** A folder of names, or what stands under a name. */
type Entry = string | Folder | ((query: URLSearchParams) => Promise<Answer>);
interface Folder {
	[name: string]: Entry;
}
interface Answer {
	status: number;
	type: "application/text" | "application/json" | "text/html";
	body: string;
}

/**
 * The metadata server that Google's client libraries look for (http-contracts 1.3): which project, region and service
 * account a container is of, and its tokens. Access tokens open nothing; identity tokens are signed with the
 * installation's own key, so that services here can verify each other. Connections come in bound to an instance already.
 */
export class MetadataServer {
	readonly #options: MetadataOptions;
	readonly #server: Server;
	readonly #identities = new WeakMap<Socket, MetadataIdentity>();

	constructor(options: MetadataOptions) {
		this.#options = options;
		const limits = {
			maxHeaderSize: maxHeaderBytes,
			headersTimeout: requestTimeoutMs,
			requestTimeout: requestTimeoutMs,
			keepAliveTimeout: keepAliveMs,
			connectionsCheckingInterval: lookMs,
		};
		this.#server = http.createServer({ keepAlive: true, ...limits }, (request, response) => {
			this.#serve(request, response).catch((error) => {
				options.log.error("A request to the metadata server failed", { error });
				if (!response.headersSent) send(response, plain(500, "Internal error"));
			});
		});
		this.#server.on("clientError", (_error, socket) => socket.destroy());
		// From this event on the limits of time hold (lib/_http_server.js, setupConnectionsTracking): it never listens by itself.
		this.#server.emit("listening");
	}

	/** For the connections that come in from one instance. */
	handler(identity: MetadataIdentity): (socket: Socket) => void {
		const open = new Set<Socket>();
		return (socket) => {
			if (open.size >= maxConnections) return void socket.destroy();
			open.add(socket);
			socket.once("close", () => open.delete(socket));
			this.#identities.set(socket, identity);
			this.#server.emit("connection", socket);
		};
	}

	async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const identity = this.#identities.get(request.socket);
		request.resume();
		if (!identity) return void response.destroy();
		send(response, await this.#answer(request, identity));
	}

	async #answer({ method, url = "/", headers }: IncomingMessage, identity: MetadataIdentity): Promise<Answer> {
		if (method !== "GET" && method !== "HEAD") return plain(405, "Method Not Allowed");
		const [pathname = "", query] = url.split("?", 2);
		// The answer to "is this Google's?", which needs no header of the client's.
		if (pathname === "/") return text("computeMetadata/\n");
		// A web page that is made to ask can't set this one; a proxy would set that one.
		if (headers["metadata-flavor"] !== "Google") return plain(403, "Missing Metadata-Flavor:Google header.");
		if (headers["x-forwarded-for"] !== undefined) return plain(403, "X-Forwarded-For is not allowed.");
		if (pathname === "/computeMetadata/") return text("v1/\n");
		if (!`${pathname}/`.startsWith(root)) return plain(404, "Not Found");
		return this.#find(pathname.slice(root.length), new URLSearchParams(query), this.#tree(identity));
	}

	async #find(path: string, query: URLSearchParams, tree: Folder): Promise<Answer> {
		let entry: Entry | undefined = tree;
		for (const name of path.split("/").filter((part) => part !== "")) {
			if (typeof entry !== "object") return plain(404, "Not Found");
			entry = Object.hasOwn(entry, name) ? entry[name] : undefined;
			if (entry === undefined) return plain(404, "Not Found");
		}
		if (typeof entry === "function") return entry(query);
		const asJson = query.get("alt") === "json";
		if (typeof entry === "string") return asJson ? json(entry) : text(entry);
		if (query.get("recursive") === "true") return json(withoutTokens(entry));
		const names = Object.entries(entry).map(([name, value]) => (typeof value === "object" ? `${name}/` : name));
		return asJson ? json(names) : text(`${names.join("\n")}\n`);
	}

	#tree({ instanceId, email }: MetadataIdentity): Folder {
		const { projectId, numericProjectId, region } = this.#options;
		const account: Folder = {
			aliases: "default",
			email,
			identity: (query) => this.#identityToken(query, email),
			scopes: `${scopes.join("\n")}\n`,
			token: () => this.#accessToken(),
		};
		return {
			instance: {
				id: instanceId,
				region: `projects/${numericProjectId}/regions/${region}`,
				"service-accounts": { default: account, [email]: account },
				zone: `projects/${numericProjectId}/zones/${region}-1`,
			},
			project: { "numeric-project-id": numericProjectId, "project-id": projectId },
		};
	}

	async #accessToken(): Promise<Answer> {
		const token = `ya29.slipway.${this.#options.ids.hex(32)}`;
		return json({ access_token: token, expires_in: tokenSeconds, token_type: "Bearer" });
	}

	async #identityToken(query: URLSearchParams, email: string): Promise<Answer> {
		const audience = query.get("audience");
		if (!audience) return plain(400, "non-empty audience parameter required");
		if (audience.length > maxAudience) return plain(400, `audience has more than ${maxAudience} characters`);
		const now = Math.floor(this.#options.clock.now() / 1000);
		const claims = {
			iss: this.#options.issuer,
			aud: audience,
			azp: email,
			sub: email,
			iat: now,
			exp: now + tokenSeconds,
		};
		const known = query.get("format") === "full" ? { email, email_verified: true } : {};
		return { status: 200, type: "text/html", body: await this.#options.sign({ ...claims, ...known }) };
	}
}

/** In camel case and with lists, as the real one has it; tokens are never among what is listed. */
function withoutTokens(folder: Folder): Record<string, unknown> {
	const listed = Object.entries(folder).flatMap(([name, value]): [string, unknown][] => {
		if (typeof value === "function") return [];
		const key = name.replace(/-([a-z])/g, (_all, letter: string) => letter.toUpperCase());
		if (typeof value === "object") return [[name.includes("@") ? name : key, withoutTokens(value)]];
		if (name === "aliases" || name === "scopes") return [[key, value.trim().split("\n")]];
		return [[key, name === "numeric-project-id" ? Number(value) : value]];
	});
	return Object.fromEntries(listed);
}

function text(body: string): Answer {
	return { status: 200, type: "application/text", body };
}

function json(body: unknown): Answer {
	return { status: 200, type: "application/json", body: JSON.stringify(body) };
}

function plain(status: number, message: string): Answer {
	return { status, type: "text/html", body: `${message}\n` };
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
	response.writeHead(status, {
		"content-type": type,
		"content-length": Buffer.byteLength(body),
		"metadata-flavor": "Google",
		server: "Metadata Server for Slipway",
	});
	response.end(body);
}

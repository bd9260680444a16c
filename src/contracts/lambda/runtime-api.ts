/**
 * The Lambda Runtime API, version 2018-06-01, for every sandbox at once: connections come in already bound to the
 * session of their sandbox, so nothing in a request can name another one.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Log } from "../../base/log.ts";
import type { SessionListener } from "../../core/invocation/function-contract.ts";
import { requestTimeoutMs } from "./limits.ts";
import { apiErrors, sendError } from "./runtime-http.ts";
import { RuntimeSession } from "./runtime-session.ts";

const base = "/2018-06-01/";
const invocationPath = /^runtime\/invocation\/([^/]+)\/(response|error)$/;

export class RuntimeApi {
	readonly #server: Server;
	readonly #sessions = new WeakMap<Socket, RuntimeSession>();
	readonly #log: Log;

	constructor(log: Log) {
		this.#log = log;
		this.#server = createServer({ keepAlive: true }, (request, response) => this.#serve(request, response));
		this.#server.requestTimeout = requestTimeoutMs;
		// A frozen sandbox may hold its connection for hours and then use it.
		this.#server.keepAliveTimeout = 0;
	}

	openSession(listener: SessionListener): RuntimeSession {
		return new RuntimeSession(listener, (socket, session) => {
			this.#sessions.set(socket, session);
			socket.setNoDelay(true);
			this.#server.emit("connection", socket);
		});
	}

	#serve(request: IncomingMessage, response: ServerResponse): void {
		const session = this.#sessions.get(request.socket);
		if (!session) {
			response.destroy();
			return;
		}
		const work = this.#route(session, request, response);
		work?.catch((error: unknown) => {
			this.#log.error("Runtime API request failed", { error, url: request.url });
			sendError(response, apiErrors.internal);
		});
	}

	#route(session: RuntimeSession, request: IncomingMessage, response: ServerResponse): Promise<void> | undefined {
		const url = request.url ?? "";
		const query = url.indexOf("?");
		const path = (query < 0 ? url : url.slice(0, query)).slice(base.length);
		if (!url.startsWith(base)) return notFound(response);
		if (request.method === "GET") {
			if (path === "runtime/invocation/next") session.next(response);
			else if (path === "ping") response.writeHead(200, { "Content-Type": "text/plain" }).end("pong");
			else
				return path === "runtime/init/error" || invocationPath.test(path) ? wrongMethod(response) : notFound(response);
			return undefined;
		}
		if (request.method !== "POST") return wrongMethod(response);
		if (path === "runtime/init/error") return session.initError(request, response);
		const match = invocationPath.exec(path);
		if (!match) return path === "runtime/invocation/next" ? wrongMethod(response) : notFound(response);
		const [, id = "", verb] = match;
		return verb === "response" ? session.response(id, request, response) : session.error(id, request, response);
	}
}

function notFound(response: ServerResponse): undefined {
	response.writeHead(404, { "Content-Type": "text/plain" }).end("404 page not found\n");
}

function wrongMethod(response: ServerResponse): undefined {
	response.writeHead(405).end();
}

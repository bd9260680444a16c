/**
 * The endpoint of every sandbox at once: the Lambda Runtime API 2018-06-01, Extensions API 2020-01-01, Telemetry API
 * 2022-07-01 and Logs API 2020-08-15. Connections come in already bound to the session of their sandbox, so nothing in a
 * request can name another one.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import { systemCode } from "../../base/error.ts";
import { http } from "../../base/http.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { SessionListener, SessionSetup } from "../../core/invocation/function-contract.ts";
import { apiErrors, type Reply, sendError } from "./api-http.ts";
import { maxHeaderBytes, type StreamingLimits } from "./limits.ts";
import { RuntimeConnection } from "./runtime-connection.ts";
import { SandboxSession } from "./sandbox-session.ts";

const nextPath = "/2018-06-01/runtime/invocation/next";
const invocationPrefix = "/2018-06-01/runtime/invocation/";

type Handler = (
	session: SandboxSession,
	request: IncomingMessage,
	response: ServerResponse,
) => Promise<void> | undefined | void;

/** By method and path; the runtime's two calls for each invocation are found before. */
const routes: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
	"/2018-06-01/ping": {
		GET: (_session, _request, response) => void response.writeHead(200, { "Content-Type": "text/plain" }).end("pong"),
	},
	[nextPath]: { GET: (session, _request, response) => session.runtime.next(response) },
	"/2018-06-01/runtime/init/error": {
		POST: (session, request, response) => session.runtime.initError(request, response),
	},
	"/2020-01-01/extension/register": {
		POST: (session, request, response) => session.extensions.register(request, response),
	},
	"/2020-01-01/extension/event/next": {
		GET: (session, request, response) => session.extensions.next(request, response),
	},
	"/2020-01-01/extension/init/error": {
		POST: (session, request, response) => session.extensions.failed("init", request, response),
	},
	"/2020-01-01/extension/exit/error": {
		POST: (session, request, response) => session.extensions.failed("exit", request, response),
	},
	"/2022-07-01/telemetry": {
		PUT: (session, request, response) => session.subscribe("telemetry", request, response),
	},
	"/2020-08-15/logs": {
		PUT: (session, request, response) => session.subscribe("logs", request, response),
	},
};

export interface SandboxApiOptions {
	log: Log;
	clock: Clock;
	ids: Ids;
	streaming: StreamingLimits;
}

export class SandboxApi {
	readonly #server: Server;
	readonly #sessions = new WeakMap<Socket, SandboxSession>();
	readonly #options: SandboxApiOptions;

	constructor(options: SandboxApiOptions) {
		this.#options = options;
		this.#server = http.createServer({ keepAlive: true, maxHeaderSize: maxHeaderBytes }, (request, response) =>
			this.#serve(request, response),
		);
		// A request may take as long as its function: the invocation's deadline ends it, and the end of the processes.
		this.#server.headersTimeout = 0;
		this.#server.requestTimeout = 0;
		// A frozen sandbox may hold its connection for hours and then use it.
		this.#server.keepAliveTimeout = 0;
		this.#server.on("clientError", (error, socket) => refuseBroken(error, socket));
	}

	openSession(listener: SessionListener, setup: SessionSetup): SandboxSession {
		const { clock, ids, streaming } = this.#options;
		return new SandboxSession(listener, setup, {
			clock,
			ids,
			streaming,
			accept: (socket, session) => {
				socket.setNoDelay(true);
				new RuntimeConnection(socket, session.runtime, {
					clock,
					otherwise: (socket) => {
						this.#sessions.set(socket, session);
						this.#server.emit("connection", socket);
					},
					failed: this.#failed,
				});
			},
		});
	}

	#serve(request: IncomingMessage, response: ServerResponse): void {
		const session = this.#sessions.get(request.socket);
		if (!session) {
			response.destroy();
			return;
		}
		const failed = (error: unknown) => this.#failed(error, response);
		try {
			route(session, request, response)?.catch(failed);
		} catch (error) {
			failed(error);
		}
	}

	#failed = (error: unknown, response: Reply): void => {
		this.#options.log.error("A sandbox's request failed", { error });
		sendError(response, apiErrors.internal);
	};
}

/** Answers one request of a session's sandbox; rejects only for our own mistakes. */
export function route(
	session: SandboxSession,
	request: IncomingMessage,
	response: ServerResponse,
): Promise<void> | undefined {
	const url = request.url ?? "";
	const query = url.indexOf("?");
	const path = query < 0 ? url : url.slice(0, query);
	if (path.startsWith(invocationPrefix) && path !== nextPath) return answer(session, path, request, response);
	const methods = Object.hasOwn(routes, path) ? routes[path] : undefined;
	if (!methods) return notFound(response);
	const handler = methods[request.method ?? ""];
	return handler ? (handler(session, request, response) as Promise<void> | undefined) : wrongMethod(response);
}

/** POST /runtime/invocation/{id}/response and /runtime/invocation/{id}/error */
function answer(
	session: SandboxSession,
	path: string,
	request: IncomingMessage,
	response: ServerResponse,
): Promise<void> | undefined {
	const slash = path.indexOf("/", invocationPrefix.length);
	const id = path.slice(invocationPrefix.length, slash);
	const verb = slash < 0 ? "" : path.slice(slash + 1);
	if (id === "" || (verb !== "response" && verb !== "error")) return notFound(response);
	if (request.method !== "POST") return wrongMethod(response);
	return verb === "response"
		? session.runtime.response(id, request, response)
		: session.runtime.error(id, request, response);
}

/** What is no HTTP or broken off; the client may still listen for the answer. */
function refuseBroken(error: Error, socket: Duplex): void {
	if (!socket.writable) {
		socket.destroy();
		return;
	}
	const code = systemCode(error) ?? "";
	const { errorMessage, errorType } = apiErrors.truncated;
	const body = code === "HPE_INVALID_EOF_STATE" ? JSON.stringify({ errorMessage, errorType }) : "";
	socket.end(
		`HTTP/1.1 ${clientErrors[code] ?? "400 Bad Request"}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
			`Content-Length: ${body.length}\r\n\r\n${body}`,
	);
}

const clientErrors: Readonly<Record<string, string>> = {
	HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
};

function notFound(response: ServerResponse): undefined {
	response.writeHead(404, { "Content-Type": "text/plain" }).end("404 page not found\n");
}

function wrongMethod(response: ServerResponse): undefined {
	response.writeHead(405).end();
}

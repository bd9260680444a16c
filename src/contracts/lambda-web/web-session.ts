import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { promisify } from "node:util";
import { brotliCompress, gzip } from "node:zlib";
import type { Clock } from "../../base/clock.ts";
import type {
	ContractSession,
	DeliveredEvent,
	FunctionRevision,
	LogSource,
	SessionSetup,
	ShutdownReason,
} from "../../core/invocation/function-contract.ts";
import type { LifecycleEvent } from "../../core/invocation/lifecycle.ts";
import type { Reply } from "../lambda/api-http.ts";
import { maxResponseBytes } from "../lambda/limits.ts";
import type { SandboxSession } from "../lambda/sandbox-session.ts";
import { headerText, requestOf, type WebRequest } from "./event-request.ts";
import { RuntimeMessage, wholeMessage } from "./runtime-message.ts";
import type { WebSettings } from "./settings.ts";
import { answerOf, codingFor, preludeOf, preludeType, type WebResponse } from "./web-response.ts";
import { WebServer } from "./web-server.ts";

const compressors = { br: promisify(brotliCompress), gzip: promisify(gzip) };

/** Milliseconds that an end of the process gets to be the reason why its connection broke. */
const exitWaitMs = 100;
/** The adapter's own for AWS_LWA_ASYNC_INIT: just inside of the cloud's init phase. */
const asyncInitMs = 9800;

/**
 * One start of a sandbox whose image is a web server: the Lambda session of any function, with a runtime inside of the
 * daemon that hands each event to the server as a request. Everything that a runtime may do or not, extensions, streaming
 * and its limits, failures: as the Lambda contract has it.
 */
export class WebSession implements ContractSession {
	readonly #session: SandboxSession;
	readonly #settings: WebSettings;
	readonly #setup: SessionSetup;
	readonly #clock: Clock;
	readonly #server: WebServer;
	#event: DeliveredEvent | undefined;
	#started = false;
	#ready: Promise<void> | undefined;
	#closed = false;

	constructor(session: SandboxSession, settings: WebSettings, setup: SessionSetup, clock: Clock) {
		this.#session = session;
		this.#settings = settings;
		this.#setup = setup;
		this.#clock = clock;
		this.#server = new WebServer(settings, { connect: (port) => setup.connect(port), clock });
	}

	/** Extensions' connections; the server itself makes none. */
	onConnection(socket: Socket): void {
		this.#session.onConnection(socket);
	}

	deliver(event: DeliveredEvent): void {
		this.#event = event;
		this.#session.deliver(event);
	}

	abandon(): void {
		this.#session.abandon();
	}

	get shutdownMs(): number {
		return this.#session.shutdownMs;
	}

	shutdown(reason: ShutdownReason, deadlineMs: number): string[] {
		return this.#session.shutdown(reason, deadlineMs);
	}

	onLifecycle(event: LifecycleEvent): void {
		this.#session.onLifecycle(event);
		// A sandbox that is made ahead of need may wait for days: nobody looks for its server before it runs.
		if (event.type === "init-start" && !this.#started) {
			this.#started = true;
			void this.#init();
		}
	}

	onLog(source: LogSource, lines: readonly string[]): void {
		this.#session.onLog(source, lines);
	}

	close(): void {
		this.#closed = true;
		this.#server.close();
		this.#session.close();
	}

	async #init(): Promise<void> {
		this.#ready = this.#server.ready();
		// The session was closed: there is nobody who waits for it.
		const ended = this.#ready.catch(() => {});
		if (this.#settings.asyncInit) {
			const inTime = new AbortController();
			await Promise.race([ended, this.#clock.sleep(asyncInitMs, inTime.signal).catch(() => {})]);
			inTime.abort();
		} else await ended;
		this.#next();
	}

	/** As a runtime asks for its next event. */
	#next(): void {
		if (this.#closed) return;
		const reply = ignoredReply(() => {
			const event = this.#event;
			this.#event = undefined;
			if (event) void this.#serve(event);
		});
		this.#session.runtime.next(reply);
	}

	async #serve(event: DeliveredEvent): Promise<void> {
		try {
			await this.#ready;
			const request = requestOf(event.payload, this.#settings);
			addContext(request, event, this.#setup.revision, this.#setup.logStream, this.#settings);
			const response = await this.#server.request(request);
			if (this.#settings.errorStatuses.has(response.statusCode ?? 0)) {
				response.destroy();
				await this.#fail(
					event,
					"Function.ErrorStatusCode",
					`Request failed with configured error status code: ${response.statusCode}`,
				);
			} else if (this.#settings.streams) await this.#stream(event, request, response);
			else await this.#answer(event, request, response);
		} catch (error) {
			// Most often its process has ended, which is told with its exit code as soon as it is known.
			await this.#clock.sleep(exitWaitMs);
			const reason = error instanceof Error ? error.message : String(error);
			await this.#fail(
				event,
				"Runtime.WebServerError",
				`The web server on port ${this.#settings.port} did not answer: ${reason}`,
			);
		}
		this.#next();
	}

	async #answer(event: DeliveredEvent, request: WebRequest, response: IncomingMessage): Promise<void> {
		const body = await readAll(response);
		if (body === "too-large") return void (await this.#respond(event, Buffer.alloc(maxResponseBytes + 1)));
		const answer: WebResponse = { status: response.statusCode ?? 502, headers: response.headersDistinct, body };
		const coding = this.#settings.compresses
			? codingFor(request.headers.get("accept-encoding")?.join(","), answer)
			: undefined;
		if (coding) {
			answer.body = await compressors[coding](body);
			answer.headers = { ...answer.headers, "content-encoding": [coding], vary: ["accept-encoding"] };
			delete answer.headers["content-length"];
		}
		await this.#respond(event, answerOf(request.kind, answer));
	}

	async #respond(event: DeliveredEvent, payload: Uint8Array): Promise<void> {
		const { runtime } = this.#session;
		if (this.#closed) return;
		if (payload.length <= maxResponseBytes && runtime.takesWhole(event.requestId))
			return runtime.whole(payload, ignoredReply());
		const message = wholeMessage(payload, {
			"content-type": "application/json",
			"content-length": String(payload.length),
		});
		await answered((reply) => runtime.response(event.requestId, message, reply));
	}

	/** Prelude and body as they come, no faster than they are taken. */
	async #stream(event: DeliveredEvent, request: WebRequest, response: IncomingMessage): Promise<void> {
		const plain = request.kind === "other";
		const type = plain ? (response.headers["content-type"] ?? "application/octet-stream") : preludeType;
		const message = new RuntimeMessage({ "content-type": type, "lambda-runtime-function-response-mode": "streaming" });
		if (!plain) message.push(preludeOf({ status: response.statusCode ?? 502, headers: response.headersDistinct }));
		response.on("data", (chunk: Buffer) => {
			if (!message.push(chunk)) response.pause();
		});
		message.onRoom(() => response.resume());
		response.once("end", () => message.push(null));
		// Cut by the other side of either.
		response.once("close", () => response.complete || message.destroy());
		response.on("error", () => message.destroy());
		message.once("close", () => response.destroy());
		await answered((reply) => this.#session.runtime.response(event.requestId, message, reply));
		// Too long for a stream: nobody takes the rest.
		response.destroy();
	}

	async #fail(event: DeliveredEvent, errorType: string, errorMessage: string): Promise<void> {
		if (this.#closed) return;
		const body = Buffer.from(JSON.stringify({ errorType, errorMessage }));
		const message = wholeMessage(body, {
			"content-type": "application/json",
			"lambda-runtime-function-error-type": errorType,
		});
		await answered((reply) => this.#session.runtime.error(event.requestId, message, reply));
	}
}

/** What the Runtime API says to our own runtime: only that it has said it. */
function ignoredReply(onEnd: () => void = () => {}): Reply {
	const reply: Reply & { headersSent: boolean } = {
		headersSent: false,
		destroyed: false,
		writeHead() {
			reply.headersSent = true;
			return reply;
		},
		end: onEnd,
		once() {},
	};
	return reply;
}

/** Resolves when the API has answered, which is after the answer's last byte. */
function answered(call: (reply: Reply) => Promise<void>): Promise<void> {
	return new Promise((resolve, reject) => {
		call(ignoredReply(resolve)).catch(reject);
	});
}

async function readAll(response: IncomingMessage): Promise<Buffer | "too-large"> {
	const chunks: Buffer[] = [];
	let size = 0;
	for await (const chunk of response) {
		size += (chunk as Buffer).length;
		if (size > maxResponseBytes) {
			response.destroy();
			return "too-large";
		}
		chunks.push(chunk as Buffer);
	}
	if (!response.complete) throw new Error("The connection was closed in the middle of the answer");
	return Buffer.concat(chunks, size);
}

/** What the adapter adds: whatever of the event and its invocation no request can say. */
function addContext(
	request: WebRequest,
	event: DeliveredEvent,
	{ name, version, configuration }: FunctionRevision,
	logStream: string,
	{ authorizationSource }: WebSettings,
): void {
	const context = {
		request_id: event.requestId,
		deadline: Math.round(event.deadlineMs),
		invoked_function_arn: event.invokedArn,
		xray_trace_id: event.traceId ?? null,
		client_context: parsed(event.clientContext),
		identity: parsed(event.cognitoIdentity),
		env_config: {
			function_name: name,
			memory: configuration.memoryMiB,
			version,
			log_stream: logStream,
			log_group: configuration.logGroup,
		},
	};
	const { headers } = request;
	if (event.traceId !== undefined) headers.set("x-amzn-trace-id", [headerText(event.traceId)]);
	headers.set("x-amzn-request-context", [headerText(JSON.stringify(request.requestContext))]);
	headers.set("x-amzn-lambda-context", [headerText(JSON.stringify(context))]);
	const source = authorizationSource === undefined ? undefined : headers.get(authorizationSource);
	if (source === undefined || authorizationSource === undefined) return;
	headers.delete(authorizationSource);
	headers.set("authorization", source);
}

function parsed(json: string | undefined): unknown {
	if (json === undefined) return null;
	try {
		return JSON.parse(json);
	} catch {
		return null;
	}
}

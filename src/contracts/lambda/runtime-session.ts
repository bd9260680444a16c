import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { assert } from "../../base/error.ts";
import type { ContractSession, DeliveredEvent, SessionListener } from "../../core/invocation/function-contract.ts";
import { maxConnections, maxErrorBytes, maxResponseBytes } from "./limits.ts";
import { apiErrors, readBody, sendAccepted, sendError } from "./runtime-http.ts";
import { nextState, type RuntimeMove, type RuntimeState, stateName } from "./runtime-state.ts";

/** One sandbox's side of the Runtime API: its state, its waiting `next`, its current event. */
export class RuntimeSession implements ContractSession {
	readonly #listener: SessionListener;
	readonly #accept: (socket: Socket, session: RuntimeSession) => void;
	readonly #sockets = new Set<Socket>();
	#state: RuntimeState = "Started";
	#waiting: ServerResponse | undefined;
	#event: DeliveredEvent | undefined;
	#closed = false;

	constructor(listener: SessionListener, accept: (socket: Socket, session: RuntimeSession) => void) {
		this.#listener = listener;
		this.#accept = accept;
	}

	onConnection(socket: Socket): void {
		if (this.#closed || this.#sockets.size >= maxConnections) {
			socket.destroy();
			return;
		}
		this.#sockets.add(socket);
		socket.once("close", () => this.#sockets.delete(socket));
		this.#accept(socket, this);
	}

	deliver(event: DeliveredEvent): void {
		assert(this.#move("deliver"), `an event was delivered to a runtime that is ${this.#state}`);
		this.#event = event;
		const waiting = this.#waiting;
		this.#waiting = undefined;
		// A client that gave up its poll asks again and gets the event then.
		if (waiting) sendEvent(waiting, event);
	}

	abandon(): void {
		this.#move("abandon");
		this.#event = undefined;
	}

	close(): void {
		this.#closed = true;
		for (const socket of this.#sockets) socket.destroy();
	}

	/** GET /runtime/invocation/next */
	next(response: ServerResponse): void {
		const before = this.#state;
		if (!this.#move("next")) return this.#refuse(response, "Ready");
		if (before === "Running" && this.#event) return sendEvent(response, this.#event);
		this.#waiting = response;
		response.once("close", () => {
			if (this.#waiting === response) this.#waiting = undefined;
		});
		if (before !== "Ready") this.#listener.onReady();
	}

	/** POST /runtime/invocation/{id}/response */
	async response(id: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
		if (!this.#isCurrent(id)) return sendError(response, apiErrors.invalidRequestId);
		const mode = request.headers["lambda-runtime-function-response-mode"];
		if (mode !== undefined && mode !== "streaming") {
			this.#finish("error", response, () =>
				this.#listener.onError(platformFailure("Runtime.InvalidResponseModeHeader", "Invalid response mode header")),
			);
			return;
		}
		const body = await readBody(request, maxResponseBytes);
		if (this.#closed) return;
		if (!this.#isCurrent(id)) return sendError(response, apiErrors.invalidRequestId);
		if (body === "truncated") return sendError(response, apiErrors.truncated);
		if (body === "too-large") {
			if (!this.#move("response")) return this.#refuse(response, "InvocationResponse");
			this.#event = undefined;
			sendError(response, apiErrors.tooLarge);
			return this.#listener.onError(platformFailure("Function.ResponseSizeTooLarge", apiErrors.tooLarge.callerMessage));
		}
		this.#finish("response", response, () => this.#listener.onResponse(body));
	}

	/** POST /runtime/invocation/{id}/error */
	async error(id: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
		if (!this.#isCurrent(id)) return sendError(response, apiErrors.invalidRequestId);
		const body = await readBody(request, maxErrorBytes);
		if (this.#closed) return;
		if (!this.#isCurrent(id)) return sendError(response, apiErrors.invalidRequestId);
		if (typeof body === "string")
			return sendError(response, body === "truncated" ? apiErrors.truncated : apiErrors.tooLarge);
		const failure = { errorType: errorCategory(request), payload: errorPayload(request, body) };
		this.#finish("error", response, () => this.#listener.onError(failure));
	}

	/** POST /runtime/init/error */
	async initError(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const body = await readBody(request, maxErrorBytes);
		if (this.#closed) return;
		if (typeof body === "string")
			return sendError(response, body === "truncated" ? apiErrors.truncated : apiErrors.tooLarge);
		if (!this.#move("init/error")) return this.#refuse(response, "InitError");
		sendAccepted(response);
		this.#listener.onInitError({ errorType: errorCategory(request), payload: errorPayload(request, body) });
	}

	#isCurrent(id: string): boolean {
		return this.#event?.requestId === id;
	}

	#finish(move: "response" | "error", response: ServerResponse, report: () => void): void {
		if (!this.#move(move)) return this.#refuse(response, "InvocationResponse");
		this.#event = undefined;
		// The caller first, then the runtime's 202: the answer is what somebody waits for.
		report();
		sendAccepted(response);
	}

	#move(move: RuntimeMove): boolean {
		const state = nextState(this.#state, move);
		if (state === undefined) return false;
		this.#state = state;
		return true;
	}

	#refuse(response: ServerResponse, to: string): void {
		sendError(response, apiErrors.invalidTransition(stateName(this.#state), `Runtime${to}`));
	}
}

/** Headers in lambda-contract 1.2; each only when it has a value. */
function sendEvent(response: ServerResponse, event: DeliveredEvent): void {
	const headers: Record<string, string | number> = {
		"Content-Type": "application/json",
		"Content-Length": event.payload.length,
		"Lambda-Runtime-Aws-Request-Id": event.requestId,
		"Lambda-Runtime-Deadline-Ms": Math.round(event.deadlineMs),
		"Lambda-Runtime-Invoked-Function-Arn": event.invokedArn,
	};
	if (event.traceId) headers["Lambda-Runtime-Trace-Id"] = event.traceId;
	if (event.clientContext) headers["Lambda-Runtime-Client-Context"] = event.clientContext;
	response.writeHead(200, headers).end(event.payload);
}

/** lambda-contract 1.3: kept when it has the documented form, else reduced to its class. */
function errorCategory(request: IncomingMessage): string {
	const value = request.headers["lambda-runtime-function-error-type"];
	if (typeof value !== "string") return "Runtime.Unknown";
	if (/^(Runtime|Function)\.[A-Z][a-zA-Z]+$/.test(value)) return value;
	return value.startsWith("Function.") ? "Function.Unknown" : "Runtime.Unknown";
}

const errorCauseType = "application/vnd.aws.lambda.error.cause+json";

/** The body as it is, but for the error-cause document, whose cause the caller does not see (lambda-contract 1.3). */
function errorPayload(request: IncomingMessage, body: Uint8Array): Uint8Array {
	if (request.headers["content-type"] !== errorCauseType) return body;
	try {
		const { errorCause: _, ...rest } = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
		return Buffer.from(JSON.stringify(rest));
	} catch {
		return Buffer.from('"Invalid error body"');
	}
}

function platformFailure(errorType: string, errorMessage: string) {
	return { errorType, payload: Buffer.from(JSON.stringify({ errorMessage, errorType })) };
}

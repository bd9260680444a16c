import type { IncomingMessage } from "node:http";
import type { Clock } from "../../base/clock.ts";
import { assert } from "../../base/error.ts";
import type { DeliveredEvent, RuntimeFailure, SessionListener } from "../../core/invocation/function-contract.ts";
import { apiErrors, header, type Reply, readBody, sendAccepted, sendError } from "./api-http.ts";
import { maxErrorBytes, maxResponseBytes, type StreamingLimits } from "./limits.ts";
import { platformFailure, reportedFailure, trailerFailure } from "./runtime-error.ts";
import { sendEvent } from "./runtime-event.ts";
import { nextState, type RuntimeMove, type RuntimeState, stateName } from "./runtime-state.ts";
import { type StreamEnd, StreamedAnswer } from "./runtime-stream.ts";

export interface RuntimeListener
	extends Pick<SessionListener, "onInitError" | "onAnswering" | "onResponse" | "onStreamed" | "onError"> {
	/** It asks for the next event, after init or after an answer. */
	onWaiting(): void;
}

export interface RuntimeSettings {
	/** That answers, for the head of a stream. */
	version: string;
	streaming: StreamingLimits;
	clock: Clock;
}

/** One sandbox's side of the Runtime API: its state, its waiting `next`, its current event, its answer on the way in. */
export class RuntimeCalls {
	readonly #listener: RuntimeListener;
	readonly #settings: RuntimeSettings;
	#state: RuntimeState = "Started";
	#waiting: Reply | undefined;
	#event: DeliveredEvent | undefined;
	#stream: StreamedAnswer | undefined;
	/** An answer that broke off in the middle. It is the caller's when the runtime goes on, not when it is dying. */
	#truncated: RuntimeFailure | undefined;
	#closed = false;

	constructor(listener: RuntimeListener, settings: RuntimeSettings) {
		this.#listener = listener;
		this.#settings = settings;
	}

	get waits(): boolean {
		return this.#state === "Ready";
	}

	deliver(event: DeliveredEvent): void {
		assert(this.#move("deliver"), `an event was delivered to a runtime that is ${this.#state}`);
		this.#event = event;
		const waiting = this.#waiting;
		this.#waiting = undefined;
		// A client that gave up its poll asks again and gets the event then.
		if (waiting) sendEvent(waiting, event);
	}

	/** Nobody in the sandbox is at the event any more: its id is unknown from now on. */
	forget(): void {
		this.#event = undefined;
	}

	abandon(): void {
		this.#move("abandon");
		this.#event = undefined;
		this.#truncated = undefined;
		this.#stream?.cut();
		this.#stream = undefined;
	}

	close(): void {
		this.#closed = true;
		this.#stream?.cut();
	}

	/** GET /runtime/invocation/next */
	next(response: Reply): void {
		const before = this.#state;
		if (!this.#move("next")) return this.#refuse(response, before, "Ready");
		if (before === "Running") {
			assert(this.#event, "a running runtime has an event");
			return sendEvent(response, this.#event);
		}
		this.#waiting = response;
		response.once("close", () => {
			if (this.#waiting === response) this.#waiting = undefined;
		});
		if (before === "Ready") return;
		const truncated = this.#truncated;
		this.#truncated = undefined;
		if (truncated) this.#listener.onError(truncated);
		this.#listener.onWaiting();
	}

	/** POST /runtime/invocation/{id}/response */
	async response(id: string, request: IncomingMessage, response: Reply): Promise<void> {
		const event = this.#event;
		if (event?.requestId !== id) return sendError(response, apiErrors.invalidRequestId);
		const before = this.#state;
		if (!this.#move("response")) return this.#refuse(response, before, "InvocationResponse");
		this.#listener.onAnswering();
		const mode = header(request, "lambda-runtime-function-response-mode");
		if (mode && mode !== "streaming") return this.#invalidMode(response);
		// The caller's way counts, not what the runtime says of it: aws-lambda-go streams and says nothing (RIE, core/directinvoke).
		if (event.stream) return this.#beginStream(event.stream, request, response);
		const body = await readBody(request, maxResponseBytes);
		if (!this.#isStill(event)) return sendError(response, apiErrors.invalidRequestId);
		if (body === "truncated") return this.#broken(response);
		if (body === "too-large") return this.#tooLarge(response);
		const failure = mode ? trailerFailure(request) : undefined;
		// The caller first, then the runtime's 202: the answer is what somebody waits for.
		this.#move("sent");
		if (failure) this.#listener.onError(failure);
		else this.#listener.onResponse(body);
		sendAccepted(response);
	}

	/** Whether an answer with this id, which is all there, may go to `whole`. */
	takesWhole(id: string): boolean {
		return this.#event?.requestId === id && this.#state === "Running" && !this.#event.stream;
	}

	/** The same as `response` for a body that came whole and within the limit, without a response mode. */
	whole(body: Uint8Array, response: Reply): void {
		this.#move("response");
		this.#listener.onAnswering();
		this.#move("sent");
		this.#listener.onResponse(body);
		sendAccepted(response);
	}

	/** POST /runtime/invocation/{id}/error */
	async error(id: string, request: IncomingMessage, response: Reply): Promise<void> {
		const event = this.#event;
		if (event?.requestId !== id) return sendError(response, apiErrors.invalidRequestId);
		const before = this.#state;
		if (!this.#move("error")) return this.#refuse(response, before, "InvocationErrorResponse");
		const body = await readBody(request, maxErrorBytes);
		if (!this.#isStill(event)) return sendError(response, apiErrors.invalidRequestId);
		if (body === "truncated") return this.#broken(response);
		if (body === "too-large") return this.#tooLarge(response);
		this.#move("sent");
		this.#listener.onError(reportedFailure(request, body));
		sendAccepted(response);
	}

	/** POST /runtime/init/error */
	async initError(request: IncomingMessage, response: Reply): Promise<void> {
		const before = this.#state;
		if (!this.#move("init/error")) return this.#refuse(response, before, "InitError");
		const body = await readBody(request, maxErrorBytes);
		if (this.#closed) return;
		// The init has failed either way; a document that is not whole is only not passed on.
		const failure =
			typeof body === "string"
				? platformFailure("Runtime.Unknown", `The error document of init was ${body}`)
				: reportedFailure(request, body);
		if (typeof body === "string") sendError(response, body === "truncated" ? apiErrors.truncated : apiErrors.tooLarge);
		else sendAccepted(response);
		this.#listener.onInitError(failure);
	}

	/** Whether the event that an answer was begun for still waits for it: its deadline may have passed in between. */
	#isStill(event: DeliveredEvent): boolean {
		return !this.#closed && this.#event === event;
	}

	#invalidMode(response: Reply): void {
		this.#move("sent");
		this.#listener.onError(platformFailure("Runtime.InvalidResponseModeHeader", "Invalid response mode header"));
		sendError(response, apiErrors.invalidMode);
	}

	#tooLarge(response: Reply): void {
		this.#move("sent");
		sendError(response, apiErrors.tooLarge);
		this.#listener.onError(platformFailure("Function.ResponseSizeTooLarge", apiErrors.tooLarge.callerMessage));
	}

	#broken(response: Reply): void {
		this.#move("sent");
		this.#truncated = platformFailure("Runtime.TruncatedResponse", apiErrors.truncated.errorMessage);
		sendError(response, apiErrors.truncated);
	}

	#beginStream(open: NonNullable<DeliveredEvent["stream"]>, request: IncomingMessage, response: Reply): void {
		const contentType = header(request, "content-type") || "application/octet-stream";
		const { version, streaming, clock } = this.#settings;
		const sink = open({ contentType, executedVersion: version });
		this.#stream = new StreamedAnswer(request, sink, streaming, clock, (end, bytes) =>
			this.#streamEnded(request, response, end, bytes),
		);
	}

	#streamEnded(request: IncomingMessage, response: Reply, end: StreamEnd, bytes: number): void {
		this.#stream = undefined;
		this.#move("sent");
		this.#listener.onStreamed({ bytes, failure: streamFailure(request, end, this.#settings.streaming) });
		if (end === "complete") sendAccepted(response);
		else sendError(response, end === "truncated" ? apiErrors.truncated : apiErrors.tooLarge);
	}

	#move(move: RuntimeMove): boolean {
		const state = nextState(this.#state, move);
		if (state === undefined) return false;
		this.#state = state;
		return true;
	}

	#refuse(response: Reply, from: RuntimeState, to: RuntimeState): void {
		sendError(response, apiErrors.invalidTransition(stateName(from), stateName(to)));
	}
}

function streamFailure(request: IncomingMessage, end: StreamEnd, limits: StreamingLimits): RuntimeFailure | undefined {
	if (end === "complete") return trailerFailure(request);
	if (end === "truncated") return platformFailure("Runtime.TruncatedResponse", apiErrors.truncated.errorMessage);
	return platformFailure(
		"Function.ResponseSizeTooLarge",
		`Response payload size exceeded maximum allowed payload size (${limits.maxBytes} bytes).`,
	);
}

import type { IncomingMessage, ServerResponse } from "node:http";
import { assert } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type {
	DeliveredEvent,
	FunctionRevision,
	SessionListener,
	ShutdownReason,
} from "../../core/invocation/function-contract.ts";
import { type ApiError, apiErrors, header, readJson, sendAccepted, sendError, sendJson } from "./api-http.ts";
import { imageCommand } from "./environment.ts";
import {
	type ExtensionEvent,
	extensionIdentifier,
	invalidFormat,
	registrationEvents,
	wantsAccountId,
} from "./extension-request.ts";
import { type ExtensionMove, type ExtensionState, nextExtensionState } from "./extension-state.ts";
import { maxControlBytes, maxExtensions } from "./limits.ts";

export interface ExtensionListener extends Pick<SessionListener, "onCompanionsReady" | "onCompanionError"> {
	/** One of them asks for its next event. */
	onWaiting(): void;
}

export interface Extension {
	readonly id: string;
	readonly name: string;
	/** Of its file; undefined for one inside the main process. */
	readonly path: string | undefined;
	readonly events: readonly ExtensionEvent[];
	readonly state: ExtensionState;
	/** What it said itself when it failed. */
	readonly errorType: string | undefined;
}

interface Registered extends Extension {
	state: ExtensionState;
	errorType: string | undefined;
	waiting: ServerResponse | undefined;
	/** An event that found nobody waiting: the next poll gets it. */
	missed: Buffer | undefined;
}

/** One sandbox's side of the Extensions API: who has registered, who waits, what they are told. */
export class ExtensionCalls {
	readonly #listener: ExtensionListener;
	readonly #revision: FunctionRevision;
	readonly #ids: Ids;
	/** Path by name, of the files that the platform starts. */
	readonly #files: ReadonlyMap<string, string>;
	readonly #byName = new Map<string, Registered>();
	readonly #byId = new Map<string, Registered>();
	#closedForInternal = false;
	#shutdown: Buffer | undefined;
	#failed = false;

	constructor(listener: ExtensionListener, companions: readonly string[], revision: FunctionRevision, ids: Ids) {
		this.#listener = listener;
		this.#revision = revision;
		this.#ids = ids;
		this.#files = new Map(companions.map((path) => [path.slice(path.lastIndexOf("/") + 1), path]));
		if (companions.length === 0) listener.onCompanionsReady();
	}

	get any(): boolean {
		return this.#files.size > 0 || this.#byName.size > 0;
	}

	get anyExternal(): boolean {
		return this.#files.size > 0;
	}

	get all(): Iterable<Extension> {
		return this.#byName.values();
	}

	/** From the runtime's first `next` on nobody inside the main process registers any more. */
	closeRegistration(): void {
		this.#closedForInternal = true;
	}

	/** Init: everybody has registered and waits. An invocation: everybody who was told of it waits again. */
	allWait(phase: "init" | "invoke"): boolean {
		if (!this.any) return true;
		if (phase === "init" && !this.#allRegistered()) return false;
		for (const extension of this.#byName.values())
			if (extension.state !== "Ready" && (phase === "init" || extension.events.includes("INVOKE"))) return false;
		return true;
	}

	deliver(event: DeliveredEvent): void {
		if (this.#byName.size === 0) return;
		let body: Buffer | undefined;
		for (const extension of this.#byName.values()) {
			// One that failed while nothing happened is about to be ended.
			if (extension.state !== "Ready" || !extension.events.includes("INVOKE")) continue;
			body ??= invokeEvent(event);
			this.#tell(extension, body);
		}
	}

	/** Paths of those who want to know. */
	shutdown(reason: ShutdownReason, deadlineMs: number): Extension[] {
		this.#shutdown = Buffer.from(
			JSON.stringify({ eventType: "SHUTDOWN", deadlineMs: Math.round(deadlineMs), shutdownReason: reason }),
		);
		return [...this.#byName.values()].filter(({ events }) => events.includes("SHUTDOWN"));
	}

	/** The SHUTDOWN event for one that waits; who does not gets it with its next poll. */
	tellShutdown({ id }: Extension): void {
		const extension = this.#byId.get(id);
		if (extension?.state === "Ready" && this.#shutdown) this.#tell(extension, this.#shutdown);
	}

	/** The extension that a request comes from, or why it can't be told. */
	identify(request: IncomingMessage, unknown: (id: string) => string): Extension | ApiError {
		return this.#identify(request, unknown);
	}

	/** POST /extension/register */
	async register(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const name = header(request, "lambda-extension-name");
		if (!name)
			return sendError(response, apiErrors.forbidden("Extension.InvalidExtensionName", "Empty extension name"));
		const body = await readJson(request, response, maxControlBytes, invalidFormat);
		if (!body) return;
		const path = this.#files.get(name);
		const events = registrationEvents(body.value, path !== undefined);
		if (!Array.isArray(events)) return sendError(response, events);
		const refused = this.#refusal(name, path);
		if (refused) return sendError(response, refused);
		const extension: Registered = {
			id: this.#ids.uuid(),
			name,
			path,
			events,
			state: "Registered",
			errorType: undefined,
			waiting: undefined,
			missed: undefined,
		};
		this.#byName.set(name, extension);
		this.#byId.set(extension.id, extension);
		sendJson(response, 200, Buffer.from(JSON.stringify(this.#metadata(wantsAccountId(request)))), {
			"Lambda-Extension-Identifier": extension.id,
		});
		if (path !== undefined && this.#allRegistered()) this.#listener.onCompanionsReady();
	}

	/** GET /extension/event/next */
	next(request: IncomingMessage, response: ServerResponse): void {
		const extension = this.#identify(request, (id) => `Unknown extension ${id}`);
		if (!("id" in extension)) return sendError(response, extension);
		const missed = extension.missed;
		if (missed) {
			extension.missed = undefined;
			return this.#send(response, missed);
		}
		// A poll whose connection broke may be repeated; two at a time may not.
		if (extension.state === "Ready" && !extension.waiting) return this.#wait(extension, response);
		if (!this.#move(extension, "next")) return sendError(response, invalidState(extension, "Ready"));
		this.#wait(extension, response);
		if (this.#shutdown && extension.events.includes("SHUTDOWN")) return this.#tell(extension, this.#shutdown);
		this.#listener.onWaiting();
	}

	/** POST /extension/init/error and /extension/exit/error */
	failed(kind: "init" | "exit", request: IncomingMessage, response: ServerResponse): void {
		const extension = this.#identify(request, () => "Unknown Lambda-Extension-Identifier");
		if (!("id" in extension)) return sendError(response, extension);
		const errorType = header(request, "lambda-extension-function-error-type");
		if (!errorType)
			return sendError(
				response,
				apiErrors.forbidden("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found"),
			);
		if (!this.#move(extension, `${kind}/error`))
			return sendError(response, invalidState(extension, kind === "init" ? "InitError" : "Exited"));
		extension.errorType = errorType;
		sendAccepted(response);
		if (this.#failed) return;
		this.#failed = true;
		const type = kind === "init" ? "Extension.InitError" : "Extension.ExitError";
		this.#listener.onCompanionError(extension.path ?? extension.name, type);
	}

	#allRegistered(): boolean {
		for (const name of this.#files.keys()) if (!this.#byName.has(name)) return false;
		return true;
	}

	#refusal(name: string, path: string | undefined): ApiError | undefined {
		const known = this.#byName.get(name);
		if (known && path !== undefined)
			return apiErrors.forbidden("Extension.InvalidExtensionState", transition(known.state, "Registered", name));
		if (path === undefined && this.#closedForInternal)
			return apiErrors.forbidden("Extension.RegistrationClosed", "Extension registration closed already");
		if (known)
			return apiErrors.forbidden("Extension.InvalidExtensionState", "Extension with this name already registered");
		// Files count before they have registered: they are what the image was made with.
		const others = path === undefined ? this.#files.size + this.#internalCount() : this.#byName.size;
		if (others >= maxExtensions)
			return apiErrors.forbidden("Extension.TooManyExtensions", `Extension limit (${maxExtensions}) reached`);
		return undefined;
	}

	#internalCount(): number {
		let count = 0;
		for (const { path } of this.#byName.values()) if (path === undefined) count++;
		return count;
	}

	#metadata(withAccountId: boolean): object {
		const { name, version, arn } = this.#revision;
		return {
			...(withAccountId && { accountId: arn.split(":")[4] }),
			functionName: name,
			functionVersion: version,
			handler: imageCommand(this.#revision)[0] ?? "",
		};
	}

	#identify(request: IncomingMessage, unknown: (id: string) => string): Registered | ApiError {
		const id = extensionIdentifier(request);
		if (typeof id !== "string") return id;
		return this.#byId.get(id) ?? apiErrors.forbidden("Extension.UnknownExtensionIdentifier", unknown(id));
	}

	#wait(extension: Registered, response: ServerResponse): void {
		extension.waiting = response;
		response.once("close", () => {
			if (extension.waiting === response) extension.waiting = undefined;
		});
	}

	#tell(extension: Registered, body: Buffer): void {
		const moved = this.#move(extension, "deliver");
		assert(moved, `an event was delivered to an extension that is ${extension.state}`);
		const waiting = extension.waiting;
		extension.waiting = undefined;
		if (waiting) this.#send(waiting, body);
		else extension.missed = body;
	}

	#send(response: ServerResponse, body: Buffer): void {
		sendJson(response, 200, body, { "Lambda-Extension-Event-Identifier": this.#ids.uuid() });
	}

	#move(extension: Registered, move: ExtensionMove): boolean {
		const state = nextExtensionState(extension.state, move);
		if (state === undefined) return false;
		extension.state = state;
		return true;
	}
}

function invokeEvent({ deadlineMs, requestId, invokedArn, traceId }: DeliveredEvent): Buffer {
	return Buffer.from(
		JSON.stringify({
			eventType: "INVOKE",
			deadlineMs: Math.round(deadlineMs),
			requestId,
			invokedFunctionArn: invokedArn,
			...(traceId && { tracing: { type: "X-Amzn-Trace-Id", value: traceId } }),
		}),
	);
}

function invalidState(extension: Extension, to: string): ApiError {
	return apiErrors.forbidden("Extension.InvalidExtensionState", transition(extension.state, to, extension.id));
}

function transition(from: string, to: string, who: string): string {
	return `State transition from ${from} to ${to} failed for extension ${who}. Error: State transition is not allowed`;
}

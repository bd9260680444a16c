import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type Clock, settledWithin } from "../../base/clock.ts";
import { assert } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type {
	ContractSession,
	DeliveredEvent,
	LogSource,
	SessionListener,
	SessionSetup,
	ShutdownReason,
} from "../../core/invocation/function-contract.ts";
import type { LifecycleEvent } from "../../core/invocation/lifecycle.ts";
import { sendError } from "./api-http.ts";
import { type Extension, ExtensionCalls } from "./extension-calls.ts";
import {
	externalShutdownMs,
	internalShutdownMs,
	maxConnections,
	type StreamingLimits,
	shutdownFlushMs,
} from "./limits.ts";
import { RuntimeCalls } from "./runtime-calls.ts";
import { TelemetryCalls } from "./telemetry-calls.ts";
import type { TelemetryApi } from "./telemetry-subscription.ts";

export interface SessionDeps {
	clock: Clock;
	ids: Ids;
	streaming: StreamingLimits;
	/** Serves the requests of a connection as this session's. */
	accept(socket: Socket, session: SandboxSession): void;
}

/**
 * One start of a sandbox's processes, as the Lambda contract sees it: the runtime, its extensions and their telemetry. It
 * does not matter which process makes whose calls (the Lambda Web Adapter is an extension that is the runtime as well).
 */
export class SandboxSession implements ContractSession {
	readonly runtime: RuntimeCalls;
	readonly extensions: ExtensionCalls;
	readonly #telemetry: TelemetryCalls;
	readonly #listener: SessionListener;
	readonly #deps: SessionDeps;
	readonly #sockets = new Set<Socket>();
	#phase: "init" | "idle" | "invoke" = "init";
	#closed = false;

	constructor(listener: SessionListener, setup: SessionSetup, deps: SessionDeps) {
		this.#listener = listener;
		this.#deps = deps;
		const { clock, ids, streaming } = deps;
		this.#telemetry = new TelemetryCalls(setup, clock, (event) => {
			if (!this.#closed) listener.onLifecycle(event);
		});
		this.runtime = new RuntimeCalls(
			{
				onInitError: (error) => {
					this.#tellExtensions();
					listener.onInitError(error);
				},
				onAnswering: () => listener.onAnswering(),
				onResponse: (payload) => listener.onResponse(payload),
				onStreamed: (end) => listener.onStreamed(end),
				onError: (error) => listener.onError(error),
				onWaiting: () => {
					this.extensions.closeRegistration();
					this.#advance();
				},
			},
			{ version: setup.revision.version, streaming, clock },
		);
		this.extensions = new ExtensionCalls(
			{
				onCompanionsReady: () => listener.onCompanionsReady(),
				onCompanionError: (path, errorType) => {
					if (this.#phase === "init") this.#tellExtensions();
					listener.onCompanionError(path, errorType);
				},
				onWaiting: () => this.#advance(),
			},
			setup.companions,
			setup.revision,
			ids,
		);
	}

	onConnection(socket: Socket): void {
		if (this.#closed || this.#sockets.size >= maxConnections) {
			socket.destroy();
			return;
		}
		this.#sockets.add(socket);
		socket.once("close", () => this.#sockets.delete(socket));
		this.#deps.accept(socket, this);
	}

	deliver(event: DeliveredEvent): void {
		assert(this.#phase === "idle", `an event was delivered in the phase ${this.#phase}`);
		this.#phase = "invoke";
		this.runtime.deliver(event);
		this.extensions.deliver(event);
	}

	abandon(): void {
		this.runtime.abandon();
	}

	get shutdownMs(): number {
		if (this.extensions.anyExternal) return externalShutdownMs;
		return this.extensions.any ? internalShutdownMs : 0;
	}

	shutdown(reason: ShutdownReason, deadlineMs: number): string[] {
		const told = this.extensions.shutdown(reason, deadlineMs);
		for (const extension of told) void this.#tellShutdown(extension);
		return told.flatMap(({ path }) => path ?? []);
	}

	onLifecycle(event: LifecycleEvent): void {
		this.#telemetry.onLifecycle(event);
	}

	onLog(source: LogSource, lines: readonly string[]): void {
		this.#telemetry.onLog(source, lines);
	}

	close(): void {
		this.#closed = true;
		this.runtime.close();
		this.#telemetry.close();
		for (const socket of this.#sockets) socket.destroy();
	}

	/** PUT /telemetry and PUT /logs */
	subscribe(api: TelemetryApi, request: IncomingMessage, response: ServerResponse): Promise<void> | undefined {
		const extension = this.extensions.identify(request, (id) => `Unknown extension ${id}`);
		if ("id" in extension) return this.#telemetry.subscribe(api, extension.name, request, response);
		sendError(response, extension);
		return undefined;
	}

	/** An extension that may leave at once gets what it subscribed to first, as long as there is time for both. */
	async #tellShutdown(extension: Extension): Promise<void> {
		await settledWithin(this.#telemetry.flush(extension.name), shutdownFlushMs, this.#deps.clock);
		if (!this.#closed) this.extensions.tellShutdown(extension);
	}

	/** Init or the invocation is over when everybody who takes part in it waits. */
	#advance(): void {
		const phase = this.#phase;
		if (this.#closed || phase === "idle" || !this.runtime.waits || !this.extensions.allWait(phase)) return;
		this.#phase = "idle";
		this.runtime.forget();
		if (phase === "init") {
			this.#telemetry.closeSubscriptions();
			this.#tellExtensions();
		}
		this.#listener.onReady();
	}

	/** At the end of init, good or not (RIE, rapid/handlers.go LogAgentsInitStatus). */
	#tellExtensions(): void {
		const atMs = this.#deps.clock.now();
		for (const { name, state, events, errorType } of this.extensions.all)
			this.#listener.onLifecycle({ type: "companion", name, state, events, errorType, atMs });
	}
}

import type { Socket } from "node:net";
import type { FunctionConfiguration, RunnableImage } from "../function/function.ts";
import type { SandboxSpec } from "../sandbox/sandbox-runtime.ts";
import type { InvocationRequest } from "./invocation.ts";
import type { LifecycleEvent } from "./lifecycle.ts";

/**
 * What a function's image was written for, as the engine sees it: how its sandbox is set up, how an event gets in and
 * the answer out, and the words in which failures and log lines are put. The engine knows no protocol; contracts/lambda does.
 */
export interface FunctionContract {
	/** The contract's own part of a sandbox: process, environment, user. */
	process(revision: FunctionRevision, sandbox: SandboxIdentity): Pick<SandboxSpec, "args" | "env" | "cwd" | "user">;
	/** The environment variable in which the sandbox finds its endpoint. */
	readonly endpointVariable: string;
	/** One session a sandbox; it starts in the init phase. */
	openSession(listener: SessionListener): ContractSession;
	/** The payload a caller gets for a failure that the platform noticed. */
	failurePayload(failure: Failure, requestId: string): Uint8Array;
	/** What a lifecycle event writes into the function's log: none, one or more lines. */
	logLines(event: LifecycleEvent, revision: FunctionRevision): string[];
}

/** What sandboxes are made from; immutable. */
export interface FunctionRevision {
	name: string;
	/** Unqualified. */
	arn: string;
	version: string;
	configuration: FunctionConfiguration;
	image: RunnableImage;
	/** Differs between any two revisions of the installation. */
	id: string;
}

export interface SandboxIdentity {
	id: string;
	logStream: string;
}

export interface ContractSession {
	/** Connections that arrive from the sandbox. */
	onConnection(socket: Socket): void;
	/** Hands one event over; legal only between `onReady` and the next `deliver`. */
	deliver(event: DeliveredEvent): void;
	/** Ends the current invocation without an answer (timeout): a late answer is refused from now on. */
	abandon(): void;
	/** Breaks every connection; nothing is reported afterwards. */
	close(): void;
}

export interface DeliveredEvent extends InvocationRequest {
	/** Milliseconds since the epoch. */
	deadlineMs: number;
}

/** Every callback comes at most once for each phase; payloads are whole and within the contract's limits. */
export interface SessionListener {
	/** The runtime asks for an event: init is over, or the last invocation is. */
	onReady(): void;
	onInitError(error: RuntimeFailure): void;
	onResponse(payload: Uint8Array): void;
	onError(error: RuntimeFailure): void;
}

export interface RuntimeFailure {
	/** "Runtime.ImportModuleError", "Function.Unknown", … */
	errorType: string;
	/** What the caller gets, verbatim. */
	payload: Uint8Array;
}

/** Why an invocation or an init failed, as the platform sees it. */
export type Failure =
	| { kind: "timeout"; timeoutS: number }
	| { kind: "exit"; code: number | undefined; signal: string | undefined; oomKilled: boolean }
	/** The runtime said so itself (`init/error`, `invocation/…/error`). */
	| { kind: "runtime"; errorType: string; payload: Uint8Array }
	| { kind: "response-too-large" }
	| { kind: "invalid-entrypoint"; message: string }
	| { kind: "invalid-working-dir"; message: string };

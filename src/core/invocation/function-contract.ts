import type { Socket } from "node:net";
import type { FunctionConfiguration, RunnableImage } from "../function/function.ts";
import type { LogEvent } from "../log/log-store.ts";
import type { SandboxSpec } from "../sandbox/sandbox-runtime.ts";
import type { InvocationRequest } from "./invocation.ts";
import type { LifecycleEvent } from "./lifecycle.ts";

/**
 * What a function's image was written for, as the engine sees it: how its sandbox is set up, how an event gets in and
 * the answer out, and the words in which failures and log lines are put. The engine knows no protocol; contracts/lambda does.
 *
 * A sandbox has one main process and may have companions (Lambda calls them external extensions): programs of the image
 * that the engine starts before the main process and that the contract's session talks to in the same way.
 */
export interface FunctionContract {
	/** The contract's own part of a sandbox: process, environment, user. */
	process(revision: FunctionRevision, sandbox: SandboxIdentity): ProcessParts;
	/** Folder of the image whose files, each by itself, are companions; undefined when the contract has none. */
	readonly companionFolder: string | undefined;
	/** A file of the image (absolute path) that says by being there that none of its companions run. */
	readonly companionsDisabledBy: string | undefined;
	/**
	 * Which of the folder's files (absolute paths) run, in order; none when the image says so. `files`: what is directly in
	 * `companionFolder`, and `companionsDisabledBy` too when the image has it.
	 */
	companions(files: readonly string[], revision: FunctionRevision): string[];
	companionProcess(path: string, revision: FunctionRevision, sandbox: SandboxIdentity): ProcessParts;
	/** The environment variable in which the sandbox finds its endpoint. */
	readonly endpointVariable: string;
	/** One session for each start of a sandbox's processes: a reset sandbox gets a new one. It starts in the init phase. */
	openSession(listener: SessionListener, setup: SessionSetup): ContractSession;
	/** The payload a caller gets for a failure that the platform noticed. */
	failurePayload(failure: Failure, requestId: string): Uint8Array;
	/** Its name: "Runtime.ExitError", "Sandbox.Timedout", … */
	failureType(failure: Failure): string;
	/** What a lifecycle event of the sandbox with this log stream writes into the function's log: none, one or more lines. */
	logLines(event: LifecycleEvent, revision: FunctionRevision, logStream: string): string[];
	/**
	 * What one line of the main process or a companion, read at `nowMs`, becomes in the function's log: undefined when the
	 * function's log level leaves it out. Subscribers (`ContractSession.onLog`) get the same lines.
	 */
	applicationLine(line: string, revision: FunctionRevision, nowMs: number): LogEvent | undefined;
}

export type ProcessParts = Pick<SandboxSpec, "args" | "env" | "cwd" | "user">;

/** What sandboxes are made from; immutable. */
export interface FunctionRevision {
	name: string;
	/** Unqualified. */
	arn: string;
	/** "$LATEST" or a number. */
	version: string;
	configuration: FunctionConfiguration;
	image: RunnableImage;
	/** Differs between any two revisions of the installation. */
	id: string;
}

/** lambda-contract 2.4: how a sandbox came to be. */
export type InitializationType = "on-demand" | "provisioned-concurrency";

export interface SandboxIdentity {
	id: string;
	logStream: string;
	initializationType: InitializationType;
}

export interface SessionSetup extends SandboxIdentity {
	revision: FunctionRevision;
	/** Absolute paths of the companions that will be started, in order. */
	companions: readonly string[];
	/** `Sandbox.connect`: a connection to a server inside of the sandbox, for what subscribers want delivered. */
	connect(port: number): Promise<Socket>;
}

export interface ContractSession {
	/** Connections that arrive from the sandbox. */
	onConnection(socket: Socket): void;
	/** Hands one event over; legal only between `onReady` and the next `deliver`. */
	deliver(event: DeliveredEvent): void;
	/**
	 * Ends the current invocation without an answer (timeout): a late answer is refused from now on; one that streams is cut,
	 * its Writable destroyed, and nothing is reported of it any more.
	 */
	abandon(): void;
	/** Milliseconds that the processes get for an orderly end: 0 means none is asked to go (lambda-contract 2.3). */
	readonly shutdownMs: number;
	/**
	 * Tells the companions that want to know that the sandbox ends. Returns the paths of those that do: whoever is not
	 * among them may be killed at once. At most once.
	 */
	shutdown(reason: ShutdownReason, deadlineMs: number): string[];
	/** For subscribers inside of the sandbox (Lambda's Telemetry API): what happened … */
	onLifecycle(event: LifecycleEvent): void;
	/** … and what its processes wrote. */
	onLog(source: LogSource, lines: readonly string[]): void;
	/** Breaks every connection; nothing is reported afterwards. */
	close(): void;
}

/** Who wrote a line: the main process, or a companion. */
export type LogSource = "function" | "extension";
export type ShutdownReason = "spindown" | "timeout" | "failure";

export interface DeliveredEvent extends InvocationRequest {
	/** Milliseconds since the epoch. */
	deadlineMs: number;
}

/** Every callback comes at most once for each phase; payloads are whole and within the contract's limits. */
export interface SessionListener {
	/** Every companion has made itself known: the main process may start. At once when there is none. */
	onCompanionsReady(): void;
	/**
	 * Everybody who takes part waits for the next event: init is over, or the last invocation is. The answer came before;
	 * companions may go on for a while after it, on the invocation's time.
	 */
	onReady(): void;
	onInitError(error: RuntimeFailure): void;
	/** An answer, streamed or not, has begun to come. */
	onAnswering(): void;
	onResponse(payload: Uint8Array): void;
	/**
	 * An answer that went through `InvocationRequest.stream` has ended. `failure`: the runtime said so in the middle of it,
	 * broke off (Runtime.TruncatedResponse) or sent too much (Function.ResponseSizeTooLarge). One that breaks off may be the
	 * first that is seen of a process that has died.
	 */
	onStreamed(end: { bytes: number; failure: RuntimeFailure | undefined }): void;
	onError(error: RuntimeFailure): void;
	/**
	 * A companion says that it can't go on; the sandbox has to end. Also during init. `path`: the name alone of one that
	 * runs inside the main process.
	 */
	onCompanionError(path: string, errorType: string): void;
	/**
	 * Something of the session's own for the function's lifecycle stream (how a companion stands at the end of init, a
	 * subscription). It comes back through `ContractSession.onLifecycle` like every other event of the stream.
	 */
	onLifecycle(event: LifecycleEvent): void;
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
	| { kind: "invalid-working-dir"; message: string }
	/** A companion could not be started, ended, or said that it can't go on: "Extension.LaunchError", ".Crash", ".InitError", ".ExitError". */
	| { kind: "companion"; name: string; errorType: string; message: string };

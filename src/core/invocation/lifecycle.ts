import type { ErrorCode } from "../../base/error.ts";
import type { ColdStart } from "./cold-start.ts";
import type { Failure, InitializationType } from "./function-contract.ts";

/**
 * The one stream of what happens to a function's sandboxes and invocations. Logs, telemetry, metrics, spans and the bill
 * all read it; nothing else counts or logs lifecycle. Durations are measured milliseconds with fractions.
 */
export type LifecycleEvent =
	| { type: "init-start"; phase: InitPhase; initializationType: InitializationType; atMs: number }
	/** The main process has asked for its first event, or has failed; companions may still be at it. */
	| {
			type: "init-runtime-done";
			phase: InitPhase;
			initializationType: InitializationType;
			atMs: number;
			failure: Failure | undefined;
	  }
	| {
			type: "init-end";
			phase: InitPhase;
			initializationType: InitializationType;
			atMs: number;
			durationMs: number;
			failure: Failure | undefined;
			/** A start after a reset, of a sandbox whose init had been good once: not reported in text logs. */
			again: boolean;
	  }
	| { type: "invocation-start"; requestId: string; version: string; traceId: string | undefined; atMs: number }
	/** The runtime is done with it: the answer is whole and it asks for the next event, or it has failed. */
	| { type: "invocation-runtime-done"; requestId: string; atMs: number; runtime: RuntimeDone }
	/** Everybody is done with it. */
	| { type: "invocation-end"; requestId: string; atMs: number; report: InvocationReport }
	/** No sandbox took it: the caller hears the error. Of no sandbox's log or telemetry. */
	| { type: "invocation-refused"; requestId: string; code: ErrorCode; atMs: number }
	| {
			type: "companion";
			name: string;
			state: string;
			events: readonly string[];
			errorType: string | undefined;
			atMs: number;
	  }
	| { type: "subscription"; api: "telemetry" | "logs"; name: string; types: readonly string[]; atMs: number }
	| { type: "logs-dropped"; reason: string; droppedRecords: number; droppedBytes: number; atMs: number }
	| { type: "sandbox-end"; atMs: number; reason: string };

/** `init`: ahead of the event. `invoke`: inside the invocation that needs it, after a failed init or a reset. */
export type InitPhase = "init" | "invoke";

export interface RuntimeDone {
	durationMs: number;
	/** From the delivery of the event to the answer's first byte; undefined when there was no answer. */
	responseLatencyMs: number | undefined;
	/** From the answer's first byte to its last. */
	responseDurationMs: number | undefined;
	producedBytes: number | undefined;
	failure: Failure | undefined;
	traceId: string | undefined;
}

export interface InvocationReport {
	durationMs: number;
	billedMs: number;
	memorySizeMiB: number;
	maxMemoryUsedMiB: number;
	/** Only on the first invocation of a sandbox. */
	initMs: number | undefined;
	/** Only of an event that had to wait for one; `initMs` may be reported without it, and it without `initMs`. */
	coldStart: ColdStart | undefined;
	failure: Failure | undefined;
	traceId: string | undefined;
}

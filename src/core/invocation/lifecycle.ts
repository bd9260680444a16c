import type { Failure } from "./function-contract.ts";

/**
 * The one stream of what happens to a function's sandboxes and invocations. Logs, metrics, spans and the bill all read
 * it; nothing else counts or logs lifecycle. Durations are measured milliseconds with fractions.
 */
export type LifecycleEvent =
	| { type: "init-start"; phase: InitPhase; atMs: number }
	| { type: "init-end"; phase: InitPhase; atMs: number; durationMs: number; failure: Failure | undefined }
	| { type: "invocation-start"; requestId: string; version: string; atMs: number }
	| { type: "invocation-end"; requestId: string; atMs: number; report: InvocationReport }
	| { type: "sandbox-end"; atMs: number; reason: string };

/** `init`: ahead of the event. `invoke`: the second try, inside the invocation that needs it. */
export type InitPhase = "init" | "invoke";

export interface InvocationReport {
	durationMs: number;
	billedMs: number;
	memorySizeMiB: number;
	maxMemoryUsedMiB: number;
	/** Only on the first invocation of a sandbox. */
	initMs: number | undefined;
	failure: Failure | undefined;
	traceId: string | undefined;
}

import type { FunctionConfiguration } from "../../core/function/function.ts";
import type { ColdStart } from "../../core/invocation/cold-start.ts";
import type { Failure } from "../../core/invocation/function-contract.ts";
import type { InvocationReport, RuntimeDone } from "../../core/invocation/lifecycle.ts";
import { failureOf, type Outcome } from "./running-invocation.ts";

/** What was measured of one invocation, milliseconds. */
export interface Measured {
	failure: Failure | undefined;
	durationMs: number;
	/** Of an init that is billed with it. */
	initMs: number | undefined;
	peakBytes: number;
	coldStart: ColdStart | undefined;
}

/** As it is billed: whole milliseconds, init included (lambda-contract 3.3); a timeout took exactly the limit. */
export function invocationReport(
	{ memoryMiB, timeoutS }: FunctionConfiguration,
	traceId: string | undefined,
	{ failure, durationMs, initMs, peakBytes, coldStart }: Measured,
): InvocationReport {
	const shownMs = failure?.kind === "timeout" ? timeoutS * 1000 : durationMs;
	return {
		durationMs: shownMs,
		billedMs: Math.max(1, Math.ceil(shownMs + (initMs ?? 0))),
		memorySizeMiB: memoryMiB,
		maxMemoryUsedMiB: Math.min(memoryMiB, Math.ceil(peakBytes / 1024 / 1024)),
		initMs,
		coldStart,
		failure,
		traceId,
	};
}

/** `answeringMs`: from the first byte of the answer to its last. */
export function runtimeDone(
	outcome: Outcome,
	durationMs: number,
	answeringMs: number,
	traceId: string | undefined,
): RuntimeDone {
	const failure = failureOf(outcome);
	if (outcome.kind === "failure")
		return {
			durationMs,
			responseLatencyMs: undefined,
			responseDurationMs: undefined,
			producedBytes: undefined,
			failure,
			traceId,
		};
	return {
		durationMs,
		responseLatencyMs: durationMs - answeringMs,
		responseDurationMs: answeringMs,
		producedBytes: outcome.kind === "streamed" ? outcome.bytes : outcome.payload.length,
		failure,
		traceId,
	};
}

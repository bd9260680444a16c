import type { ColdStart } from "../../core/invocation/cold-start.ts";
import type { Failure, FunctionRevision } from "../../core/invocation/function-contract.ts";
import type { InvocationReport, LifecycleEvent, RuntimeDone } from "../../core/invocation/lifecycle.ts";
import { failureType } from "./failures.ts";

/** lambda-contract 2.4. `time` is added by whoever writes the record down. */
export interface PlatformRecord {
	type: string;
	record: object | string;
}

/** The record of a lifecycle event in the Telemetry API's schema and in JSON logs; undefined when there is none. */
export function platformRecord(
	event: LifecycleEvent,
	revision: FunctionRevision,
	logStream: string,
): PlatformRecord | undefined {
	switch (event.type) {
		case "init-start":
			return { type: "platform.initStart", record: initStart(event, revision, logStream) };
		case "init-runtime-done": {
			const { initializationType, phase, failure } = event;
			return { type: "platform.initRuntimeDone", record: { initializationType, phase, ...outcome(failure) } };
		}
		case "init-end": {
			const { initializationType, phase, failure, durationMs } = event;
			const metrics = { durationMs: rounded(durationMs) };
			return { type: "platform.initReport", record: { initializationType, phase, ...outcome(failure), metrics } };
		}
		case "invocation-start": {
			const { requestId, version, traceId } = event;
			const record = { requestId, functionArn: revision.arn, version, ...tracing(traceId) };
			return { type: "platform.start", record };
		}
		case "invocation-runtime-done":
			return { type: "platform.runtimeDone", record: runtimeDone(event.requestId, event.runtime, event.atMs) };
		case "invocation-end":
			return { type: "platform.report", record: report(event.requestId, event.report) };
		default:
			return otherRecord(event);
	}
}

function otherRecord(event: LifecycleEvent): PlatformRecord | undefined {
	if (event.type === "companion") {
		const { name, state, events, errorType } = event;
		return { type: "platform.extension", record: { name, state, events, ...(errorType && { errorType }) } };
	}
	if (event.type === "subscription") {
		const { name, types } = event;
		const type = event.api === "telemetry" ? "platform.telemetrySubscription" : "platform.logsSubscription";
		return { type, record: { name, state: "Subscribed", types } };
	}
	if (event.type !== "logs-dropped") return undefined;
	const { reason, droppedRecords, droppedBytes } = event;
	return { type: "platform.logsDropped", record: { reason, droppedRecords, droppedBytes } };
}

/** The Logs API's older records: fewer, without spans, and `platform.end` beside the report. */
export function logsApiRecords(
	event: LifecycleEvent,
	revision: FunctionRevision,
	schema: "2020-08-15" | "2021-03-18",
	logStream: string,
): PlatformRecord[] {
	switch (event.type) {
		case "init-start":
		case "init-runtime-done":
		case "init-end":
		case "sandbox-end":
			return [];
		case "invocation-start":
			return [{ type: "platform.start", record: { requestId: event.requestId, version: event.version } }];
		case "invocation-runtime-done": {
			if (schema === "2020-08-15") return [];
			const { status } = outcome(event.runtime.failure);
			// This API knows three: success, failure and timeout.
			const record = { requestId: event.requestId, status: status === "error" ? "failure" : status };
			return [{ type: "platform.runtimeDone", record }];
		}
		case "invocation-end": {
			const { requestId } = event;
			const { metrics, tracing: trace } = report(requestId, event.report) as { metrics: object; tracing?: object };
			const record = { requestId, metrics, ...(trace && { tracing: trace }) };
			return [...fault(event), { type: "platform.end", record: { requestId } }, { type: "platform.report", record }];
		}
		default: {
			const record = platformRecord(event, revision, logStream);
			return record ? [record] : [];
		}
	}
}

/** A failure of the process in one string (RIE, interop/events_api.go FaultData). */
function fault({
	requestId,
	report: { failure },
}: Extract<LifecycleEvent, { type: "invocation-end" }>): PlatformRecord[] {
	if (failure?.kind !== "exit" && failure?.kind !== "companion") return [];
	const type = failureType(failure);
	return [{ type: "platform.fault", record: `RequestId: ${requestId} Error: ${type}\n${type}\n` }];
}

function initStart(
	{ initializationType, phase }: Extract<LifecycleEvent, { type: "init-start" }>,
	revision: FunctionRevision,
	logStream: string,
): object {
	return {
		initializationType,
		phase,
		functionName: revision.name,
		functionVersion: revision.version,
		instanceId: instanceId(logStream, revision.name),
		instanceMaxMemory: revision.configuration.memoryMiB * 1024 * 1024,
	};
}

/** lambda-contract 3.1: the stream's name with the function's in it, `YYYY/MM/DD/f[$LATEST]…`. */
function instanceId(logStream: string, functionName: string): string {
	return logStream.replace("/[", `/${functionName}[`);
}

function runtimeDone(requestId: string, runtime: RuntimeDone, atMs: number): object {
	const { durationMs, responseLatencyMs, responseDurationMs, producedBytes, failure, traceId } = runtime;
	const startMs = atMs - durationMs;
	const spans: object[] = [];
	const span = (name: string, atMs: number, durationMs: number) =>
		spans.push({ name, start: new Date(atMs).toISOString(), durationMs: rounded(durationMs) });
	if (responseLatencyMs !== undefined) {
		const answeredMs = startMs + responseLatencyMs;
		span("responseLatency", startMs, responseLatencyMs);
		span("responseDuration", answeredMs, responseDurationMs ?? 0);
		const overheadMs = durationMs - responseLatencyMs - (responseDurationMs ?? 0);
		span("runtimeOverhead", answeredMs + (responseDurationMs ?? 0), Math.max(0, overheadMs));
	}
	return {
		requestId,
		...outcome(failure),
		metrics: { durationMs: rounded(durationMs), ...(producedBytes !== undefined && { producedBytes }) },
		...(spans.length > 0 && { spans }),
		...tracing(traceId),
	};
}

function report(requestId: string, report: InvocationReport): object {
	const { durationMs, billedMs, memorySizeMiB, maxMemoryUsedMiB, initMs, coldStart, failure, traceId } = report;
	return {
		requestId,
		metrics: {
			durationMs: rounded(durationMs),
			billedDurationMs: billedMs,
			memorySizeMB: memorySizeMiB,
			maxMemoryUsedMB: maxMemoryUsedMiB,
			...(initMs !== undefined && { initDurationMs: rounded(initMs) }),
		},
		...outcome(failure),
		...(coldStart && { spans: coldStartSpans(coldStart) }),
		...tracing(traceId),
	};
}

/** The schema has spans in this record and leaves their names open (Span in the Telemetry API's schema reference). */
function coldStartSpans({ arrivedMs, steps }: ColdStart): object[] {
	let atMs = arrivedMs;
	return steps.map(({ stage, ms }) => {
		const start = new Date(atMs).toISOString();
		atMs += ms;
		return { name: stage, start, durationMs: rounded(ms) };
	});
}

/** RIE, rapid/handlers.go handleReset: what is the platform's own is a failure, the function's an error. */
function outcome(failure: Failure | undefined): { status: string; errorType?: string } {
	if (!failure) return { status: "success" };
	if (failure.kind === "timeout") return { status: "timeout" };
	const errorType = failureType(failure);
	return { status: errorType.startsWith("Sandbox.") ? "failure" : "error", errorType };
}

function tracing(traceId: string | undefined): { tracing?: object } {
	if (!traceId) return {};
	const spanId = /Parent=([^;]+)/.exec(traceId)?.[1];
	return { tracing: { ...(spanId && { spanId }), type: "X-Amzn-Trace-Id", value: traceId } };
}

function rounded(ms: number): number {
	return Math.round(ms * 1000) / 1000;
}

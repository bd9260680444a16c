import type { Failure, FunctionRevision } from "../../core/invocation/function-contract.ts";
import type { LifecycleEvent } from "../../core/invocation/lifecycle.ts";
import { failureType } from "./failures.ts";

/**
 * What a lifecycle event writes into the function's log (lambda-contract 3.4, the text format of 2025-26; 3.5 for JSON).
 * A successful init of a function in text format writes nothing; images have no INIT_START line.
 */
export function lambdaLogLines(event: LifecycleEvent, revision: FunctionRevision): string[] {
	return revision.configuration.logFormat === "JSON" ? jsonLines(event, revision) : textLines(event, revision);
}

function textLines(event: LifecycleEvent, revision: FunctionRevision): string[] {
	switch (event.type) {
		case "init-start":
		case "sandbox-end":
			return [];
		case "init-end":
			return event.failure
				? [...launchErrorLines(event.failure, revision), initReport(event.phase, event.durationMs, event.failure)]
				: [];
		case "invocation-start":
			return [`START RequestId: ${event.requestId} Version: ${event.version}`];
		case "invocation-end":
			return [`END RequestId: ${event.requestId}`, report(event)];
	}
}

function initReport(phase: string, durationMs: number, failure: Failure): string {
	return `INIT_REPORT Init Duration: ${durationMs.toFixed(2)} ms\tPhase: ${phase}\t${status(failure)}`;
}

function launchErrorLines(failure: Failure, revision: FunctionRevision): string[] {
	if (failure.kind !== "invalid-entrypoint" && failure.kind !== "invalid-working-dir") return [];
	const overrides = revision.configuration.imageConfig ?? {};
	const list = (items: readonly string[]) => `[${items.join(",")}]`;
	return [
		`IMAGE\tLaunch error: ${failure.message}\tEntrypoint: ${list(overrides.entryPoint ?? revision.image.entrypoint)}\tCmd: ${list(
			overrides.command ?? revision.image.cmd,
		)}\tWorkingDir: [${overrides.workingDirectory ?? revision.image.workingDir}]`,
	];
}

function report(event: Extract<LifecycleEvent, { type: "invocation-end" }>): string {
	const { durationMs, billedMs, memorySizeMiB, maxMemoryUsedMiB, initMs, failure, traceId } = event.report;
	const parts = [
		`REPORT RequestId: ${event.requestId}`,
		`Duration: ${durationMs.toFixed(2)} ms`,
		`Billed Duration: ${billedMs} ms`,
		`Memory Size: ${memorySizeMiB} MB`,
		`Max Memory Used: ${maxMemoryUsedMiB} MB`,
	];
	if (initMs !== undefined) parts.push(`Init Duration: ${initMs.toFixed(2)} ms`);
	parts.push(failure ? status(failure) : "");
	const trace = /Root=([^;]+)/.exec(traceId ?? "")?.[1];
	return parts.join("\t") + (trace ? `\nXRAY TraceId: ${trace}\tSampled: ${/Sampled=1/.test(traceId ?? "")}` : "");
}

function status(failure: Failure): string {
	if (failure.kind === "timeout") return "Status: timeout";
	return `Status: error\tError Type: ${failureType(failure)}`;
}

function statusRecord(failure: Failure | undefined): { status: string; errorType?: string } {
	if (!failure) return { status: "success" };
	const errorType = failureType(failure);
	return failure.kind === "timeout" || errorType === undefined ? { status: "timeout" } : { status: "error", errorType };
}

const levels = ["DEBUG", "INFO", "WARN"];

function jsonLines(event: LifecycleEvent, revision: FunctionRevision): string[] {
	const minimum = levels.indexOf(revision.configuration.systemLogLevel ?? "INFO");
	const entry = jsonEntry(event, revision);
	if (!entry || levels.indexOf(entry.level) < minimum) return [];
	return [JSON.stringify({ time: new Date(event.atMs).toISOString(), type: entry.type, record: entry.record })];
}

/** Levels: lambda-contract 3.5. */
function jsonEntry(
	event: LifecycleEvent,
	revision: FunctionRevision,
): { type: string; level: string; record: object } | undefined {
	switch (event.type) {
		case "init-start":
			return {
				type: "platform.initStart",
				level: "DEBUG",
				record: {
					initializationType: "on-demand",
					phase: event.phase,
					functionName: revision.name,
					functionVersion: revision.version,
					instanceMaxMemory: revision.configuration.memoryMiB * 1024 * 1024,
				},
			};
		case "init-end":
			return {
				type: "platform.initReport",
				level: event.failure ? "WARN" : "DEBUG",
				record: {
					initializationType: "on-demand",
					phase: event.phase,
					...statusRecord(event.failure),
					metrics: { durationMs: round(event.durationMs) },
				},
			};
		case "invocation-start":
			return {
				type: "platform.start",
				level: "INFO",
				record: { requestId: event.requestId, functionArn: revision.arn, version: event.version },
			};
		case "invocation-end":
			return { type: "platform.report", level: event.report.failure ? "WARN" : "INFO", record: jsonReport(event) };
		case "sandbox-end":
			return undefined;
	}
}

function jsonReport(event: Extract<LifecycleEvent, { type: "invocation-end" }>): object {
	const { durationMs, billedMs, memorySizeMiB, maxMemoryUsedMiB, initMs, failure } = event.report;
	return {
		requestId: event.requestId,
		metrics: {
			durationMs: round(durationMs),
			billedDurationMs: billedMs,
			memorySizeMB: memorySizeMiB,
			maxMemoryUsedMB: maxMemoryUsedMiB,
			...(initMs === undefined ? {} : { initDurationMs: round(initMs) }),
		},
		...statusRecord(failure),
	};
}

function round(ms: number): number {
	return Math.round(ms * 1000) / 1000;
}

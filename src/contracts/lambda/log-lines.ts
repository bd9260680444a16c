import { serverTiming } from "../../core/invocation/cold-start.ts";
import type { Failure, FunctionRevision } from "../../core/invocation/function-contract.ts";
import type { LifecycleEvent } from "../../core/invocation/lifecycle.ts";
import { imageCommand } from "./environment.ts";
import { failureType } from "./failures.ts";
import { platformRecord } from "./telemetry-records.ts";

/**
 * What a lifecycle event writes into the function's log (lambda-contract 3.4, the text format of 2025-26; 3.5 for JSON).
 * A successful init of a function in text format writes nothing; images have no INIT_START line.
 */
export function lambdaLogLines(event: LifecycleEvent, revision: FunctionRevision, logStream: string): string[] {
	return revision.configuration.logFormat === "JSON"
		? jsonLines(event, revision, logStream)
		: textLines(event, revision);
}

function textLines(event: LifecycleEvent, revision: FunctionRevision): string[] {
	switch (event.type) {
		case "init-end":
			return initLines(event, revision);
		case "invocation-start":
			return [`START RequestId: ${event.requestId} Version: ${event.version}`];
		case "invocation-end":
			return [`END RequestId: ${event.requestId}`, report(event)];
		case "companion":
			return [
				`EXTENSION\tName: ${event.name}\tState: ${event.state}\tEvents: ${list(event.events)}${
					event.errorType ? `\tError Type: ${event.errorType}` : ""
				}`,
			];
		case "subscription":
			return [
				`${event.api === "logs" ? "LOGS" : "TELEMETRY"}\tName: ${event.name}\tState: Subscribed\tTypes: ${list(
					event.types.map((type) => type[0]?.toUpperCase() + type.slice(1)),
				)}`,
			];
		default:
			return [];
	}
}

function list(items: readonly string[], separator = ", "): string {
	return `[${items.join(separator)}]`;
}

/** Failures, and every init of provisioned concurrency; not a start after a reset (lambda-contract 3.3, 3.7). */
function initLines(event: Extract<LifecycleEvent, { type: "init-end" }>, revision: FunctionRevision): string[] {
	const { failure, phase, durationMs, again, initializationType } = event;
	const launch = failure ? launchErrorLines(failure, revision) : [];
	if (again || (!failure && initializationType === "on-demand")) return launch;
	const line = `INIT_REPORT Init Duration: ${durationMs.toFixed(2)} ms\tPhase: ${phase}`;
	return [...launch, failure ? `${line}\t${status(failure)}` : line];
}

function launchErrorLines(failure: Failure, revision: FunctionRevision): string[] {
	if (failure.kind !== "invalid-entrypoint" && failure.kind !== "invalid-working-dir") return [];
	const overrides = revision.configuration.imageConfig ?? {};
	return [
		`IMAGE\tLaunch error: ${failure.message}\tEntrypoint: ${list(
			overrides.entryPoint ?? revision.image.entrypoint,
			",",
		)}\tCmd: ${list(imageCommand(revision), ",")}\tWorkingDir: [${
			overrides.workingDirectory ?? revision.image.workingDir
		}]`,
	];
}

function report(event: Extract<LifecycleEvent, { type: "invocation-end" }>): string {
	const { durationMs, billedMs, memorySizeMiB, maxMemoryUsedMiB, initMs, coldStart, failure, traceId } = event.report;
	const parts = [
		`REPORT RequestId: ${event.requestId}`,
		`Duration: ${durationMs.toFixed(2)} ms`,
		`Billed Duration: ${billedMs} ms`,
		`Memory Size: ${memorySizeMiB} MB`,
		`Max Memory Used: ${maxMemoryUsedMiB} MB`,
	];
	if (initMs !== undefined) parts.push(`Init Duration: ${initMs.toFixed(2)} ms`);
	// Ours, not the cloud's: behind every field that it has, but for the status, which parsers look for at the end.
	if (coldStart) parts.push(`Cold Start: ${serverTiming(coldStart)}`);
	parts.push(failure ? status(failure) : "");
	return parts.join("\t") + xrayLine(traceId);
}

/** The second line of a sampled invocation's report. The segment is the caller's: this platform makes none of its own. */
function xrayLine(traceId: string | undefined): string {
	const root = /Root=([^;]+)/.exec(traceId ?? "")?.[1];
	if (!root || !/Sampled=1/.test(traceId ?? "")) return "";
	const parent = /Parent=([^;]+)/.exec(traceId ?? "")?.[1];
	return `\nXRAY TraceId: ${root}${parent ? `\tSegmentId: ${parent}` : ""}\tSampled: true`;
}

function status(failure: Failure): string {
	if (failure.kind === "timeout") return "Status: timeout";
	return `Status: error\tError Type: ${failureType(failure)}`;
}

type Level = "DEBUG" | "INFO" | "WARN";
const levels: readonly string[] = ["DEBUG", "INFO", "WARN"] satisfies Level[];

function jsonLines(event: LifecycleEvent, revision: FunctionRevision, logStream: string): string[] {
	const least = levels.indexOf(revision.configuration.systemLogLevel ?? "INFO");
	const level = systemLevel(event);
	if (level === undefined || levels.indexOf(level) < least) return [];
	const entry = platformRecord(event, revision, logStream);
	return entry ? [JSON.stringify({ time: new Date(event.atMs).toISOString(), ...entry })] : [];
}

/** lambda-contract 3.5; the extensions' own are not confirmed there. */
function systemLevel(event: LifecycleEvent): Level | undefined {
	switch (event.type) {
		case "init-start":
			return "DEBUG";
		case "init-runtime-done":
			return event.failure ? "WARN" : "DEBUG";
		case "init-end":
			if (event.failure) return "WARN";
			return event.initializationType === "on-demand" ? "DEBUG" : "INFO";
		case "invocation-start":
		case "subscription":
			return "INFO";
		case "invocation-runtime-done":
			return event.runtime.failure ? "WARN" : "DEBUG";
		case "invocation-end":
			return event.report.failure ? "WARN" : "INFO";
		case "companion":
			return event.errorType ? "WARN" : "INFO";
		case "logs-dropped":
			return "WARN";
		case "invocation-refused":
		case "sandbox-end":
			return undefined;
	}
}

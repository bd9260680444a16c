/** What the platform writes into a function's log, and what callers of a failed function get. */
import assert from "node:assert/strict";
import { randomIds } from "../../../src/base/ids.ts";
import { silentLog } from "../../../src/base/log.ts";
import { LambdaContract } from "../../../src/contracts/lambda/lambda-contract.ts";
import { testRevision } from "../../../src/contracts/lambda/testing/test-session.ts";
import type { FunctionConfiguration } from "../../../src/core/function/function.ts";
import type { ColdStart } from "../../../src/core/invocation/cold-start.ts";
import type { Failure } from "../../../src/core/invocation/function-contract.ts";
import type { InvocationReport, LifecycleEvent, RuntimeDone } from "../../../src/core/invocation/lifecycle.ts";
import { clause } from "./clause.ts";

const lifecycle = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html";
const levels = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html";
const schema = "https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html";
const extensions = "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html";
const rie = (path: string) =>
	`https://github.com/aws/aws-lambda-runtime-interface-emulator/blob/main/internal/lambda/${path}`;
const recordings =
	"https://github.com/localstack/localstack/blob/main/tests/aws/services/lambda_/test_lambda.snapshot.json";

const contract = new LambdaContract({ region: "us-east-1", ids: randomIds, log: silentLog });
const atMs = Date.UTC(2026, 10, 21, 6, 0, 1, 183);
const logStream = "2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef";

function lines(event: LifecycleEvent, configuration: Partial<FunctionConfiguration> = {}): string[] {
	return contract.logLines(event, testRevision(configuration), logStream);
}

function reportOf(more: Partial<InvocationReport> = {}): LifecycleEvent {
	const report = {
		durationMs: 2.456,
		billedMs: 417,
		memorySizeMiB: 1024,
		maxMemoryUsedMiB: 95,
		initMs: undefined,
		coldStart: undefined,
		failure: undefined,
		traceId: undefined,
		...more,
	};
	return { type: "invocation-end", requestId: "id-1", atMs, report };
}

function initEnd(more: Partial<Extract<LifecycleEvent, { type: "init-end" }>> = {}): LifecycleEvent {
	return {
		type: "init-end",
		phase: "init",
		initializationType: "on-demand",
		atMs,
		durationMs: 137.694,
		failure: undefined,
		again: false,
		...more,
	};
}

const coldStart: ColdStart = {
	arrivedMs: atMs - 433,
	spare: true,
	steps: [
		{ stage: "queue", ms: 0.0312 },
		{ stage: "sandbox", ms: 0 },
		{ stage: "process", ms: 12.3456 },
		{ stage: "init", ms: 401.2619 },
		{ stage: "first-poll", ms: 0.0518 },
	],
};
const importError: Failure = { kind: "runtime", errorType: "Runtime.ImportModuleError", payload: Buffer.from("{}") };
const timeout: Failure = { kind: "timeout", timeoutS: 3 };
const start: LifecycleEvent = {
	type: "invocation-start",
	requestId: "id-1",
	version: "$LATEST",
	traceId: undefined,
	atMs,
};

clause(
	{
		area: "Function logs",
		says: "START, END and REPORT of a good invocation, with a tab at the end",
		source: lifecycle,
	},
	() => {
		assert.deepEqual(lines(start), ["START RequestId: id-1 Version: $LATEST"]);
		assert.deepEqual(lines(reportOf()), [
			"END RequestId: id-1",
			"REPORT RequestId: id-1\tDuration: 2.46 ms\tBilled Duration: 417 ms\tMemory Size: 1024 MB\tMax Memory Used: 95 MB\t",
		]);
	},
);

clause(
	{ area: "Function logs", says: "REPORT of a sandbox's first invocation has Init Duration last", source: recordings },
	() => {
		assert.equal(
			lines(reportOf({ initMs: 413.607 }))[1],
			"REPORT RequestId: id-1\tDuration: 2.46 ms\tBilled Duration: 417 ms\tMemory Size: 1024 MB\tMax Memory Used: 95 MB\tInit Duration: 413.61 ms\t",
		);
	},
);

clause(
	{
		area: "Function logs",
		says: "REPORT says of a cold start how long its init took, and nothing of what came before and after it",
		source: recordings,
		differs:
			"Behind the cloud's own fields, ahead of a failure's status, Cold Start has every stage that the request waited for, in the syntax of the Server-Timing header: why a start was slow has to be seen where one looks. Only on requests that had a cold start.",
	},
	() => {
		const cold = (more: Partial<InvocationReport> = {}) =>
			lines(reportOf({ initMs: 413.607, coldStart, ...more }))[1]?.split("Max Memory Used: 95 MB")[1];
		const stages =
			"queue;dur=0.031, sandbox;dur=0.000;desc=spare, process;dur=12.346, init;dur=401.262, first-poll;dur=0.052";
		assert.equal(cold(), `\tInit Duration: 413.61 ms\tCold Start: ${stages}\t`);
		assert.equal(
			cold({ failure: timeout }),
			`\tInit Duration: 413.61 ms\tCold Start: ${stages}\tStatus: timeout`,
			"the status stays last",
		);
		// An init inside of the invocation is in its Duration.
		assert.equal(cold({ initMs: undefined }), `\tCold Start: ${stages}\t`);
	},
);

clause(
	{
		area: "Function logs",
		says: "platform.report in JSON logs has spans; their names are not fixed",
		source: schema,
		differs: "Those of a cold start are its stages, where the cloud sends none",
	},
	() => {
		const record = (more: Partial<InvocationReport>) =>
			JSON.parse(lines(reportOf(more), { logFormat: "JSON" })[0] ?? "{}").record as { spans?: object[] };
		assert.deepEqual(record({ coldStart }).spans, [
			{ name: "queue", start: "2026-11-21T06:00:00.750Z", durationMs: 0.031 },
			{ name: "sandbox", start: "2026-11-21T06:00:00.750Z", durationMs: 0 },
			{ name: "process", start: "2026-11-21T06:00:00.750Z", durationMs: 12.346 },
			{ name: "init", start: "2026-11-21T06:00:00.762Z", durationMs: 401.262 },
			{ name: "first-poll", start: "2026-11-21T06:00:01.163Z", durationMs: 0.052 },
		]);
		assert.equal(record({}).spans, undefined);
	},
);

clause(
	{
		area: "Function logs",
		says: "REPORT of a failed invocation ends with its status and error type, of a timeout with its status",
		source: lifecycle,
	},
	() => {
		const end = (failure: Failure) => lines(reportOf({ failure }))[1]?.split("Max Memory Used: 95 MB")[1];
		const exit = { kind: "exit", code: 1, signal: undefined, oomKilled: false } as const;
		assert.equal(end(timeout), "\tStatus: timeout");
		assert.equal(end(exit), "\tStatus: error\tError Type: Runtime.ExitError");
		assert.equal(end({ ...exit, oomKilled: true }), "\tStatus: error\tError Type: Runtime.OutOfMemory");
		assert.equal(end(importError), "\tStatus: error\tError Type: Runtime.ImportModuleError");
		assert.equal(
			end({ kind: "companion", name: "ext", errorType: "Extension.Crash", message: "exit code 1" }),
			"\tStatus: error\tError Type: Extension.Crash",
		);
	},
);

clause(
	{ area: "Function logs", says: "A sampled trace adds a second line to the REPORT event", source: recordings },
	() => {
		assert.match(
			lines(reportOf({ traceId: "Root=1-5759;Parent=5399;Sampled=1" }))[1] ?? "",
			/\t\nXRAY TraceId: 1-5759\tSegmentId: 5399\tSampled: true$/,
		);
		assert.ok(!lines(reportOf({ traceId: "Root=1-5759;Parent=5399;Sampled=0" }))[1]?.includes("XRAY"));
	},
);

clause(
	{
		area: "Function logs",
		says: "A good init writes nothing in text format, and an image's no INIT_START",
		source: lifecycle,
	},
	() => {
		const begin = { type: "init-start", phase: "init", initializationType: "on-demand", atMs } as const;
		assert.deepEqual([lines(begin), lines(initEnd())], [[], []]);
	},
);

clause(
	{
		area: "Function logs",
		says: "A failed init writes INIT_REPORT with its phase, status and error type",
		source: lifecycle,
	},
	() => {
		assert.deepEqual(lines(initEnd({ failure: importError })), [
			"INIT_REPORT Init Duration: 137.69 ms\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError",
		]);
		assert.deepEqual(lines(initEnd({ failure: timeout, phase: "invoke", durationMs: 3003.83 })), [
			"INIT_REPORT Init Duration: 3003.83 ms\tPhase: invoke\tStatus: timeout",
		]);
	},
);

clause({ area: "Function logs", says: "A start after a reset writes no INIT_REPORT", source: lifecycle }, () => {
	assert.deepEqual(lines(initEnd({ again: true, phase: "invoke" })), []);
	assert.deepEqual(lines(initEnd({ again: true, phase: "invoke", failure: importError })), []);
});

clause({ area: "Function logs", says: "Provisioned concurrency always writes INIT_REPORT", source: lifecycle }, () => {
	assert.deepEqual(lines(initEnd({ initializationType: "provisioned-concurrency" })), [
		"INIT_REPORT Init Duration: 137.69 ms\tPhase: init",
	]);
});

clause(
	{
		area: "Function logs",
		says: "An entrypoint or working directory that is missing writes an IMAGE line",
		source: rie("rapid/exit.go"),
	},
	() => {
		const failure: Failure = { kind: "invalid-entrypoint", message: "fork/exec /x: no such file or directory" };
		assert.deepEqual(lines(initEnd({ failure }), { imageConfig: { entryPoint: ["/x", "-v"] } }), [
			"IMAGE\tLaunch error: fork/exec /x: no such file or directory\tEntrypoint: [/x,-v]\tCmd: [app.handler]\tWorkingDir: [/var/task]",
			"INIT_REPORT Init Duration: 137.69 ms\tPhase: init\tStatus: error\tError Type: Runtime.InvalidEntrypoint",
		]);
	},
);

clause(
	{
		area: "Function logs",
		says: "Each extension writes an EXTENSION line with its state and events, each subscription a TELEMETRY or LOGS line",
		source: extensions,
	},
	() => {
		const companion = {
			type: "companion",
			name: "ext",
			state: "Ready",
			events: ["INVOKE", "SHUTDOWN"],
			errorType: undefined,
			atMs,
		} as const;
		assert.deepEqual(lines(companion), ["EXTENSION\tName: ext\tState: Ready\tEvents: [INVOKE, SHUTDOWN]"]);
		assert.deepEqual(lines({ ...companion, state: "InitError", events: [], errorType: "Extension.Config" }), [
			"EXTENSION\tName: ext\tState: InitError\tEvents: []\tError Type: Extension.Config",
		]);
		const subscription = {
			type: "subscription",
			api: "telemetry",
			name: "ext",
			types: ["platform", "function"],
			atMs,
		} as const;
		assert.deepEqual(lines(subscription), ["TELEMETRY\tName: ext\tState: Subscribed\tTypes: [Platform, Function]"]);
		assert.deepEqual(lines({ ...subscription, api: "logs" }), [
			"LOGS\tName: ext\tState: Subscribed\tTypes: [Platform, Function]",
		]);
	},
);

const runtime: RuntimeDone = {
	durationMs: 5,
	responseLatencyMs: undefined,
	responseDurationMs: undefined,
	producedBytes: undefined,
	failure: undefined,
	traceId: undefined,
};

/** Every kind of event: its record's type and level when it is good, and when it failed. */
const mapping: [event: LifecycleEvent, type: string, level: "DEBUG" | "INFO" | "WARN"][] = [
	[{ type: "init-start", phase: "init", initializationType: "on-demand", atMs }, "platform.initStart", "DEBUG"],
	[
		{ type: "init-runtime-done", phase: "init", initializationType: "on-demand", atMs, failure: undefined },
		"platform.initRuntimeDone",
		"DEBUG",
	],
	[
		{ type: "init-runtime-done", phase: "init", initializationType: "on-demand", atMs, failure: timeout },
		"platform.initRuntimeDone",
		"WARN",
	],
	[initEnd(), "platform.initReport", "DEBUG"],
	[initEnd({ initializationType: "provisioned-concurrency" }), "platform.initReport", "INFO"],
	[initEnd({ failure: timeout }), "platform.initReport", "WARN"],
	[start, "platform.start", "INFO"],
	[{ type: "invocation-runtime-done", requestId: "id-1", atMs, runtime }, "platform.runtimeDone", "DEBUG"],
	[
		{ type: "invocation-runtime-done", requestId: "id-1", atMs, runtime: { ...runtime, failure: timeout } },
		"platform.runtimeDone",
		"WARN",
	],
	[reportOf(), "platform.report", "INFO"],
	[reportOf({ failure: timeout }), "platform.report", "WARN"],
	[
		{ type: "companion", name: "e", state: "Ready", events: [], errorType: undefined, atMs },
		"platform.extension",
		"INFO",
	],
	[
		{ type: "companion", name: "e", state: "InitError", events: [], errorType: "E", atMs },
		"platform.extension",
		"WARN",
	],
	[
		{ type: "subscription", api: "telemetry", name: "e", types: ["platform"], atMs },
		"platform.telemetrySubscription",
		"INFO",
	],
	[{ type: "subscription", api: "logs", name: "e", types: ["platform"], atMs }, "platform.logsSubscription", "INFO"],
	[{ type: "logs-dropped", reason: "slow", droppedRecords: 1, droppedBytes: 2, atMs }, "platform.logsDropped", "WARN"],
];

clause(
	{
		area: "Function logs",
		says: "In JSON format each record is written at or above the system log level, by the documented level of its type",
		source: levels,
	},
	() => {
		const order = ["DEBUG", "INFO", "WARN"];
		for (const [event, type, level] of mapping)
			for (const systemLogLevel of [...order, undefined]) {
				const written = lines(event, { logFormat: "JSON", systemLogLevel });
				const expected = order.indexOf(level) >= order.indexOf(systemLogLevel ?? "INFO") ? [type] : [];
				assert.deepEqual(
					written.map((line) => JSON.parse(line).type),
					expected,
					`${type} ${level} at ${systemLogLevel}`,
				);
			}
		assert.deepEqual(
			lines({ type: "sandbox-end", atMs, reason: "idle" }, { logFormat: "JSON", systemLogLevel: "DEBUG" }),
			[],
		);
	},
);

clause(
	{ area: "Function logs", says: "JSON records have time, type and record, in this order", source: schema },
	() => {
		assert.deepEqual(lines(start, { logFormat: "JSON" }), [
			'{"time":"2026-11-21T06:00:01.183Z","type":"platform.start","record":{"requestId":"id-1","functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f","version":"$LATEST"}}',
		]);
		assert.deepEqual(lines(reportOf({ durationMs: 3923.569, initMs: 145.399 }), { logFormat: "JSON" }), [
			'{"time":"2026-11-21T06:00:01.183Z","type":"platform.report","record":{"requestId":"id-1","metrics":{"durationMs":3923.569,"billedDurationMs":417,"memorySizeMB":1024,"maxMemoryUsedMB":95,"initDurationMs":145.399},"status":"success"}}',
		]);
	},
);

clause(
	{
		area: "Function logs",
		says: "Application lines below the level are left out in JSON format: an object's own level, INFO for others",
		source: levels,
	},
	() => {
		const kept = (line: string, applicationLogLevel?: string, logFormat: "JSON" | "Text" = "JSON") =>
			contract.applicationLine(line, testRevision({ logFormat, applicationLogLevel }), atMs)?.message === line;
		assert.ok(!kept('{"level":"debug","m":1}'));
		assert.ok(kept('{"level":"debug","m":1}', "DEBUG"));
		assert.ok(kept('{"level":"Info","m":1}'));
		assert.ok(!kept('{"level":"INFO"}', "WARN"));
		assert.ok(kept('{"level":"FATAL"}', "FATAL"));
		assert.ok(!kept('{"level":"ERROR"}', "FATAL"));
		assert.ok(kept('{"level":"whatever"}') && !kept('{"level":"whatever"}', "WARN"));
		assert.ok(kept('{"level":3}') && kept("{broken") && kept("plain text") && !kept("plain text", "WARN"));
		assert.ok(kept('{"level":"TRACE"}', "TRACE"));
		assert.ok(kept('{"level":"TRACE"}', "ERROR", "Text"));
	},
);

clause(
	{
		area: "Function logs",
		says: "In JSON format an object's RFC 3339 timestamp is the time of its event; any other line has the time at which it came",
		source: "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html",
	},
	() => {
		const timeOf = (timestamp: unknown, logFormat: "JSON" | "Text" = "JSON") => {
			const line = JSON.stringify({ level: "INFO", message: "m", timestamp });
			const event = contract.applicationLine(line, testRevision({ logFormat }), atMs);
			assert.equal(event?.message, line);
			return event.timestamp;
		};
		assert.equal(timeOf("2026-11-21T06:00:00Z"), Date.UTC(2026, 10, 21, 6));
		assert.equal(timeOf("2026-11-21t07:00:00.123456789+01:00"), Date.UTC(2026, 10, 21, 6, 0, 0, 123));
		assert.equal(timeOf("2026-11-08T06:00:00.5Z"), Date.UTC(2026, 10, 8, 6, 0, 0, 500));
		assert.equal(timeOf("2026-11-21T06:00:00Z", "Text"), atMs);
		// No RFC 3339, no time, or one that CloudWatch Logs would not take.
		for (const timestamp of ["2026-11-21", "2026-11-21T06:00:00", "2026-13-41T06:00:00Z", "now", 1, null, undefined])
			assert.equal(timeOf(timestamp), atMs, String(timestamp));
		for (const timestamp of ["1970-01-01T00:00:00Z", "2026-11-07T05:59:59Z", "2026-11-21T08:00:02Z"])
			assert.equal(timeOf(timestamp), atMs, timestamp);
		assert.equal(contract.applicationLine('{"timestamp":', testRevision({ logFormat: "JSON" }), atMs)?.timestamp, atMs);
	},
);

clause(
	{
		area: "Function logs",
		says: "platform.initStart in JSON names the instance: its log stream with the function's name",
		source: schema,
	},
	() => {
		const [line = ""] = lines(
			{ type: "init-start", phase: "init", initializationType: "on-demand", atMs },
			{ logFormat: "JSON", systemLogLevel: "DEBUG" },
		);
		const { instanceId } = JSON.parse(line).record;
		assert.equal(instanceId, "2026/11/21/f[$LATEST]0123456789abcdef0123456789abcdef");
	},
);

const callers = (failure: Failure) => Buffer.from(contract.failurePayload(failure, "id-1")).toString();

clause(
	{
		area: "Failures",
		says: "The caller of a failed function gets the platform's payload with errorType first, or the runtime's verbatim",
		source: recordings,
	},
	() => {
		const exit = (code: number | undefined, signal?: string) =>
			({ kind: "exit", code, signal, oomKilled: false }) as const;
		const payload = (errorType: string, message: string) =>
			`{"errorType":"${errorType}","errorMessage":"RequestId: id-1 Error: ${message}"}`;
		assert.equal(callers(timeout), payload("Sandbox.Timedout", "Task timed out after 3.00 seconds"));
		assert.equal(callers(exit(127)), payload("Runtime.ExitError", "Runtime exited with error: exit status 127"));
		assert.equal(callers(exit(0)), payload("Runtime.ExitError", "Runtime exited without providing a reason"));
		assert.equal(
			callers(exit(undefined, "SIGSEGV")),
			payload("Runtime.ExitError", "Runtime exited with error: signal: segmentation fault"),
		);
		assert.equal(
			callers(exit(undefined, "SIGKILL")),
			payload("Runtime.ExitError", "Runtime exited with error: signal: killed"),
		);
		assert.equal(
			callers({ kind: "invalid-entrypoint", message: "fork/exec /x: no such file or directory" }),
			payload("Runtime.InvalidEntrypoint", "fork/exec /x: no such file or directory"),
		);
		assert.equal(
			callers({ kind: "response-too-large" }),
			'{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}',
		);
		assert.equal(callers({ kind: "runtime", errorType: "X", payload: Buffer.from(' {"a":1}') }), ' {"a":1}');
	},
);

clause({ area: "Failures", says: "Memory that ran out is Runtime.OutOfMemory", source: lifecycle }, () => {
	const failure: Failure = { kind: "exit", code: undefined, signal: "SIGKILL", oomKilled: true };
	assert.equal(contract.failureType(failure), "Runtime.OutOfMemory");
	assert.equal(
		callers(failure),
		'{"errorType":"Runtime.OutOfMemory","errorMessage":"RequestId: id-1 Error: Runtime exited with error: signal: killed"}',
	);
});

clause(
	{
		area: "Failures",
		says: "An extension that fails fails the function with its platform error type",
		source: rie("fatalerror/fatalerror.go"),
	},
	() => {
		for (const errorType of [
			"Extension.LaunchError",
			"Extension.Crash",
			"Extension.InitError",
			"Extension.ExitError",
		]) {
			const failure: Failure = { kind: "companion", name: "ext", errorType, message: "exit code 2" };
			assert.equal(contract.failureType(failure), errorType);
			assert.equal(
				callers(failure),
				`{"errorType":"${errorType}","errorMessage":"RequestId: id-1 Error: exit code 2"}`,
			);
		}
	},
);

/** What every runtime client's functions do on the platform, whatever the language: the same list for all of them. */
import assert from "node:assert/strict";
import type { CreateFunctionCommandInput } from "@aws-sdk/client-lambda";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import type { End, RuntimeClient } from "./clients.ts";
import type { TestFunction } from "./function.ts";

/** Parts of the platform that a case needs; a daemon without one skips the case. */
export type Feature = "streaming" | "log formats";

export interface Bench {
	client: RuntimeClient;
	daemon: LocalDaemon;
	/** The client's function with these settings; made at the first call of this name. */
	function: (name: string, change?: Partial<CreateFunctionCommandInput>) => Promise<TestFunction>;
}

export interface Case {
	says: string;
	needs?: Feature;
	/** False: the client has nothing like it. */
	appliesTo?: (client: RuntimeClient) => boolean;
	run: (bench: Bench) => Promise<void>;
}

/** Below the limit of 6,291,456 bytes for a request and 6,291,556 for an answer. */
const bigChars = 5_900_000;
const tooBigChars = 6_400_000;
const timeoutS = 2;

export const cases: Case[] = [
	{
		says: "a handler's answer comes back as JSON, whatever its text is",
		run: async (bench) => {
			const f = await bench.function("plain");
			const value = { text: 'grüße ✓ 𝄞 "\\\n', list: [1, 2.5, null, true, {}], deep: { er: [] } };
			const answer = await f.invoke({ do: "echo", value });
			assert.equal(answer.error, undefined, answer.text);
			assert.deepEqual(JSON.parse(answer.text), value);
			assert.equal((await f.invoke({ do: "nothing" })).text.trim(), "null");
		},
	},
	{
		says: "the same process answers one event after the other",
		run: async (bench) => {
			const f = await bench.function("counting");
			for (const expected of [1, 2, 3]) assert.equal(await countOf(f), expected);
		},
	},
	{
		says: "context and environment carry the invocation's values",
		run: contextValues,
	},
	{
		says: "the process's user is known to the system, with a home folder that is not there",
		appliesTo: ({ home }) => home === true,
		run: async (bench) => {
			const f = await bench.function("plain");
			const answer = await f.invoke({ do: "home" });
			assert.deepEqual(JSON.parse(answer.text), { name: "sbx_user1051", home: "/home/sbx_user1051", exists: false });
		},
	},
	{
		says: "a handler's error reaches the caller as the client wrote it, and the process goes on",
		run: async (bench) => {
			const f = await bench.function("plain");
			const before = await countOf(f);
			const answer = await f.invoke({ do: "error" });
			assert.equal(answer.error, "Unhandled");
			const { errorMessage, errorType } = JSON.parse(answer.text);
			assert.equal(errorMessage, "told to fail");
			assert.match(errorType, bench.client.errorType);
			assert.match(answer.log, new RegExp(`^END RequestId: ${answer.id}$`, "m"));
			assert.equal(await countOf(f), before + 2);
		},
	},
	{
		says: "a failure that the client does not catch ends the process, and the next event finds a new one",
		run: (bench) => endsWith(bench, { do: "crash" }, bench.client.crash),
	},
	{
		says: "a promise rejection that nobody handles ends the process with the client's exit code",
		appliesTo: ({ reject }) => reject !== undefined,
		run: (bench) => endsWith(bench, { do: "reject" }, bench.client.reject as End),
	},
	{
		says: "a panic in the handler is reported to the caller",
		appliesTo: ({ panic }) => panic !== undefined,
		run: async (bench) => {
			const { panic } = bench.client;
			assert.ok(panic);
			const f = await bench.function("panicking");
			assert.equal(await countOf(f), 1);
			const answer = await f.invoke({ do: "panic" });
			assert.equal(answer.error, "Unhandled");
			assert.equal(JSON.parse(answer.text).errorMessage, panic.errorMessage);
			assert.equal(await countOf(f), panic.survives ? 3 : 1);
		},
	},
	{
		says: "exit codes 7 and 0 are told apart, and the next event finds a new process",
		run: async (bench) => {
			await endsWith(bench, { do: "exit", code: 7 }, { exit: 7 });
			await endsWith(bench, { do: "exit", code: 0 }, { exit: 0 });
		},
	},
	{
		says: `a handler that does not answer is ended after its timeout, and the next event finds a new process`,
		run: async (bench) => {
			const f = await bench.function("slow", { Timeout: timeoutS });
			assert.equal(await countOf(f), 1);
			const answer = await f.invoke({ do: "hang" });
			assert.equal(answer.error, "Unhandled");
			assert.deepEqual(JSON.parse(answer.text), {
				errorType: "Sandbox.Timedout",
				errorMessage: `RequestId: ${answer.id} Error: Task timed out after ${timeoutS.toFixed(2)} seconds`,
			});
			assert.ok(answer.ms >= timeoutS * 1000 && answer.ms < timeoutS * 1000 + 1500, `${answer.ms} ms`);
			assert.match(answer.log, /\tStatus: timeout\n$/);
			assert.equal(await countOf(f), 1);
		},
	},
	{
		says: "5.9 MB go in and out",
		run: async (bench) => {
			const f = await bench.function("plain");
			const value = "x".repeat(bigChars);
			const answer = await f.invoke({ do: "echo", value });
			assert.equal(answer.error, undefined, answer.text.slice(0, 300));
			assert.ok(answer.text.trim() === JSON.stringify(value), `${answer.text.length} characters came back`);
		},
	},
	{
		says: "an answer above 6 MB is an error to the caller, and the function goes on answering",
		run: async (bench) => {
			const f = await bench.function("too-large");
			assert.equal(await countOf(f), 1);
			const answer = await f.invoke({ do: "big", size: tooBigChars });
			assert.equal(answer.error, "Unhandled", `${answer.text.length} characters`);
			assert.deepEqual(JSON.parse(answer.text), {
				errorMessage: "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
				errorType: "Function.ResponseSizeTooLarge",
			});
			assert.equal(await countOf(f), bench.client.survivesTooLarge ? 3 : 1);
		},
	},
	{
		says: "an error while the handler loads is the answer to the first event",
		run: async (bench) => {
			const f = await bench.function("init-error", { Environment: { Variables: { INIT: "error" } } });
			const answer = await f.invoke({ do: "echo", value: 1 });
			assert.equal(answer.error, "Unhandled");
			const { errorType, errorMessage } = JSON.parse(answer.text);
			const { initError } = bench.client;
			if ("errorType" in initError) {
				assert.match(errorType, initError.errorType);
				assert.match(errorMessage, /told to fail at init/);
			} else assertEnd(answer, initError);
		},
	},
	{
		says: "an exit while the handler loads names the exit code",
		run: async (bench) => {
			const f = await bench.function("init-exit", { Environment: { Variables: { INIT: "exit" } } });
			assertEnd(await f.invoke({ do: "echo", value: 1 }), { exit: 3 });
		},
	},
	{
		says: "standard output, standard error and the client's logger are in the log, between START and END",
		run: async (bench) => {
			const f = await bench.function("plain");
			const { log, id } = await f.invoke({ do: "log", text: "words" });
			const lines = log.split("\n");
			assert.ok(lines.includes("words to stdout"), log);
			assert.ok(lines.includes("words to stderr"), log);
			assert.match(log, /words at info/);
			assert.match(log, /words at error/);
			assert.match(log, new RegExp(`^START RequestId: ${id} Version: \\$LATEST\n[^]*^END RequestId: ${id}\n`, "m"));
		},
	},
	{
		says: "with the JSON log format the client's logger writes JSON with its level, and the platform keeps it so",
		needs: "log formats",
		run: async (bench) => {
			const f = await bench.function("json-log", { LoggingConfig: { LogFormat: "JSON" } });
			const { log, id } = await f.invoke({ do: "log", text: "words" });
			const line = jsonLine(bench.client, log, "words at info");
			assert.match(String(line.level), /^info$/i);
			const { requestId } = bench.client.jsonLog;
			if (requestId !== undefined) assert.equal(line[requestId], id);
			assert.match(String(jsonLine(bench.client, log, "words at error").level), /^error$/i);
			for (const type of ["platform.start", "platform.report"]) assert.ok(log.includes(`"type":"${type}"`), log);
		},
	},
	{
		says: "with application log level WARN lines of the client's logger below it are left out",
		needs: "log formats",
		run: async (bench) => {
			const f = await bench.function("warn-log", {
				LoggingConfig: { LogFormat: "JSON", ApplicationLogLevel: "WARN" },
			});
			const { log } = await f.invoke({ do: "log", text: "words" });
			jsonLine(bench.client, log, "words at error");
			assert.doesNotMatch(log, /words at info/);
		},
	},
	{
		says: "InvokeWithResponseStream returns a buffered answer too",
		needs: "streaming",
		run: async (bench) => {
			const f = await bench.function("plain");
			const answer = await f.stream({ do: "echo", value: "a text" });
			assert.equal(answer.text.trim(), '"a text"');
			assert.equal(answer.errorCode, undefined);
			const failed = await f.stream({ do: "error" });
			assert.ok(failed.errorCode, JSON.stringify(failed));
			assert.match(`${failed.errorDetails} ${failed.text}`, /told to fail/);
		},
	},
	{
		says: "a streaming handler's chunks reach the caller as they are written",
		needs: "streaming",
		appliesTo: ({ streaming }) => streaming !== undefined,
		run: async (bench) => {
			const f = await streamingFunction(bench);
			const pauseMs = 400;
			const answer = await f.stream({ do: "stream", chunks: ["one ", "two ", "three"], pauseMs });
			assertStreamed(bench.client, answer.text, "one two three");
			assert.equal(answer.errorCode, undefined);
			const [first = Number.NaN, last = Number.NaN] = [answer.arrivals[0], answer.arrivals.at(-1)];
			assert.ok(last - first > pauseMs, `chunks came at ${answer.arrivals.map(Math.round).join(", ")} ms`);
		},
	},
	{
		says: "a streaming handler's answer to a plain Invoke comes whole",
		needs: "streaming",
		appliesTo: ({ streaming }) => streaming !== undefined,
		run: async (bench) => {
			const f = await streamingFunction(bench);
			const answer = await f.invoke({ do: "stream", chunks: ["1", "2", "3"], pauseMs: 10 });
			assert.equal(answer.error, undefined);
			assertStreamed(bench.client, answer.text, "123");
		},
	},
	{
		says: "a stream of 10 MB, more than a buffered answer may have, arrives whole",
		needs: "streaming",
		appliesTo: ({ streaming }) => streaming !== undefined,
		run: async (bench) => {
			const f = await streamingFunction(bench);
			const chunk = "0123456789".repeat(100_000);
			const answer = await f.stream({ do: "stream", chunks: [chunk], repeat: 10, pauseMs: 1 });
			assertStreamed(bench.client, answer.text, chunk.repeat(10));
		},
	},
	{
		says: "a handler that fails midway ends its stream with an error",
		needs: "streaming",
		appliesTo: ({ streaming }) => streaming?.errors === true,
		run: async (bench) => {
			const f = await streamingFunction(bench);
			const answer = await f.stream({ do: "stream-error", chunks: ["one "], pauseMs: 10 });
			assertStreamed(bench.client, answer.text, "one ");
			assert.ok(answer.errorCode, JSON.stringify(answer));
			assert.match(String(answer.errorDetails), /told to fail midway/);
		},
	},
];

/** The number of events that the function's process has had, this one included. */
async function countOf(f: TestFunction): Promise<number> {
	const { text, error } = await f.invoke({ do: "count" });
	assert.equal(error, undefined, text);
	return JSON.parse(text);
}

async function endsWith(bench: Bench, event: unknown, end: End): Promise<void> {
	const f = await bench.function("ending");
	const before = await countOf(f);
	assertEnd(await f.invoke(event), end);
	assert.equal(await countOf(f), 1, `before the end it had ${before}`);
}

function assertEnd(answer: { id: string; text: string; error: string | undefined; log: string }, end: End): void {
	assert.equal(answer.error, "Unhandled", answer.text);
	if ("reported" in end) {
		const { errorType, errorMessage } = JSON.parse(answer.text);
		assert.deepEqual({ errorType, errorMessage }, end.reported);
		return;
	}
	const how = "signal" in end ? `signal: ${end.signal}` : `exit status ${end.exit}`;
	const words =
		"exit" in end && end.exit === 0 ? "Runtime exited without providing a reason" : `Runtime exited with error: ${how}`;
	assert.deepEqual(JSON.parse(answer.text), {
		errorType: "Runtime.ExitError",
		errorMessage: `RequestId: ${answer.id} Error: ${words}`,
	});
	assert.match(answer.log, /\tStatus: error\tError Type: Runtime.ExitError\n$/);
}

async function contextValues(bench: Bench): Promise<void> {
	const f = await bench.function("context", { Environment: { Variables: { COLOUR: "green" } }, Timeout: 20 });
	const traceId = "Root=1-68e6d1a2-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1";
	const client = {
		installation_id: "i",
		app_title: "tide table",
		app_version_name: "n",
		app_version_code: "c",
		app_package_name: "p",
	};
	const clientContext = { client, custom: { colour: "blue" }, env: { locale: "en" } };
	const answer = await f.invoke({ do: "context" }, { clientContext, traceId });
	assert.equal(answer.error, undefined, answer.text);
	const { environment, ...context } = JSON.parse(answer.text);
	const { remainingMs, logStream, traceId: seenTrace, ...exact } = context;
	const memoryMiB = bench.client.memoryMiB;
	assert.deepEqual(exact, {
		requestId: answer.id,
		functionArn: `arn:aws:lambda:${bench.daemon.region}:${bench.daemon.credentials.accountId}:function:${f.name}`,
		functionName: f.name,
		functionVersion: "$LATEST",
		memoryMiB,
		logGroup: `/aws/lambda/${f.name}`,
		appTitle: "tide table",
		colour: "blue",
	});
	assert.ok(remainingMs > 10_000 && remainingMs <= 20_000, `${remainingMs} ms remain`);
	assert.match(logStream, /^\d{4}\/\d\d\/\d\d\/.*\[\$LATEST\][0-9a-f]{32}$/);
	assert.match(String(seenTrace), /Root=1-68e6d1a2-0123456789abcdef01234567/);
	const expected: Record<string, string> = {
		AWS_LAMBDA_FUNCTION_NAME: f.name,
		AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
		AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memoryMiB),
		AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${f.name}`,
		AWS_LAMBDA_LOG_STREAM_NAME: logStream,
		AWS_LAMBDA_INITIALIZATION_TYPE: "on-demand",
		AWS_EXECUTION_ENV: "AWS_Lambda_Image",
		AWS_REGION: bench.daemon.region,
		AWS_DEFAULT_REGION: bench.daemon.region,
		COLOUR: "green",
	};
	for (const [name, value] of Object.entries(expected)) assert.equal(environment[name], value, name);
	for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API"])
		assert.ok(environment[name], `${name} is set`);
}

function jsonLine(client: RuntimeClient, log: string, text: string): Record<string, unknown> {
	for (const line of log.split("\n")) {
		if (!line.startsWith("{")) continue;
		const record = JSON.parse(line) as Record<string, unknown>;
		const message = client.jsonLog.message
			.split(".")
			.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], record);
		if (message === text) return record;
	}
	return assert.fail(`no line says "${text}":\n${log}`);
}

function streamingFunction({ client, function: make }: Bench): Promise<TestFunction> {
	const command = client.streaming?.command;
	return make("streaming", command === undefined ? {} : { ImageConfig: { Command: command } });
}

function assertStreamed(client: RuntimeClient, text: string, expected: string): void {
	const prelude = client.streaming?.prelude?.exec(text)?.[0] ?? "";
	if (client.streaming?.prelude !== undefined) assert.notEqual(prelude, "", text.slice(0, 200));
	const body = text.slice(prelude.length);
	assert.ok(body === expected, `${body.length} characters: ${body.slice(0, 200)}`);
}

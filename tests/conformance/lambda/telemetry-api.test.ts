/** The Telemetry API 2022-07-01 and the Logs API 2020-08-15. Subscribers listen on this machine's loopback interface. */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { until } from "../../../src/contracts/lambda/testing/test-session.ts";
import type { LifecycleEvent } from "../../../src/core/invocation/lifecycle.ts";
import { clause } from "./clause.ts";
import { buffering, opened, subscribe, subscribed, types } from "./telemetry-subscriber.ts";

const area = "Telemetry API";
const guide = "https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html";
const schema = "https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html";
const logs = "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-logs-api.html";
const rie =
	"https://github.com/aws/aws-lambda-runtime-interface-emulator/blob/main/internal/lambda-managed-instances/aws-lambda-rie/internal/telemetry";

const atMs = Date.UTC(2026, 10, 21, 6, 0, 1);
const traceId = "Root=1-x;Parent=2;Sampled=1";
const initOf = { phase: "init", initializationType: "on-demand", atMs } as const;
const timedOut = { kind: "timeout", timeoutS: 3 } as const;
/** What the engine tells of a good init, a good invocation, and one that ran into its time limit. */
const lifecycle: LifecycleEvent[] = [
	{ type: "init-start", ...initOf },
	{ type: "init-runtime-done", ...initOf, failure: undefined },
	{ type: "init-end", ...initOf, durationMs: 12.3456, failure: undefined, again: false },
	{ type: "invocation-start", requestId: "id-1", version: "$LATEST", traceId, atMs },
	{
		type: "invocation-runtime-done",
		requestId: "id-1",
		atMs,
		runtime: {
			durationMs: 10,
			responseLatencyMs: 6,
			responseDurationMs: 3,
			producedBytes: 7,
			failure: undefined,
			traceId,
		},
	},
	{
		type: "invocation-end",
		requestId: "id-1",
		atMs,
		report: {
			durationMs: 10.5,
			billedMs: 24,
			memorySizeMiB: 256,
			maxMemoryUsedMiB: 80,
			initMs: 12.3456,
			coldStart: undefined,
			failure: undefined,
			traceId,
		},
	},
	{
		type: "invocation-runtime-done",
		requestId: "id-2",
		atMs,
		runtime: {
			durationMs: 3000,
			responseLatencyMs: undefined,
			responseDurationMs: undefined,
			producedBytes: undefined,
			failure: timedOut,
			traceId: undefined,
		},
	},
	{
		type: "invocation-end",
		requestId: "id-2",
		atMs,
		report: {
			durationMs: 3000,
			billedMs: 3000,
			memorySizeMiB: 256,
			maxMemoryUsedMiB: 80,
			initMs: undefined,
			coldStart: undefined,
			failure: { kind: "exit", code: 1, signal: undefined, oomKilled: false },
			traceId: undefined,
		},
	},
	{ type: "sandbox-end", atMs, reason: "idle" },
];

clause(
	{ area, says: 'A subscription is taken with 200 and "OK", and told of to those who subscribed', source: guide },
	() =>
		opened({}, async (test, subscriber) => {
			await subscribed(test, subscriber);
			await until(() => subscriber.records.length > 0);
			const [{ type, record } = { type: "", record: "" }] = subscriber.records;
			assert.deepEqual([type, record], ["platform.telemetrySubscription", { name: "ext", state: "Subscribed", types }]);
			assert.deepEqual([subscriber.batches[0]?.method, subscriber.batches[0]?.path], ["POST", "/telemetry"]);
		}),
);

clause(
	{ area, says: "Every platform record has its type and fields, and spans where they are known", source: schema },
	() =>
		opened({}, async (test, subscriber) => {
			await subscribed(test, subscriber, { types: ["platform"] });
			for (const event of lifecycle) test.session.onLifecycle(event);
			await until(() => subscriber.records.length === 9);
			const records = subscriber.records.slice(1);
			assert.ok(records.every(({ time }) => time === "2026-11-21T06:00:01.000Z"));
			const init = { initializationType: "on-demand", phase: "init" };
			const tracing = { spanId: "2", type: "X-Amzn-Trace-Id", value: traceId };
			const size = { memorySizeMB: 256, maxMemoryUsedMB: 80 };
			assert.deepEqual(
				records.map(({ type, record }) => [type, record]),
				[
					[
						"platform.initStart",
						{
							...init,
							functionName: "f",
							functionVersion: "$LATEST",
							instanceId: "2026/11/21/f[$LATEST]0123456789abcdef0123456789abcdef",
							instanceMaxMemory: 268_435_456,
						},
					],
					["platform.initRuntimeDone", { ...init, status: "success" }],
					["platform.initReport", { ...init, status: "success", metrics: { durationMs: 12.346 } }],
					[
						"platform.start",
						{
							requestId: "id-1",
							functionArn: "arn:aws:lambda:us-east-1:123456789012:function:f",
							version: "$LATEST",
							tracing,
						},
					],
					[
						"platform.runtimeDone",
						{
							requestId: "id-1",
							status: "success",
							metrics: { durationMs: 10, producedBytes: 7 },
							spans: [
								{ name: "responseLatency", start: "2026-11-21T06:00:00.990Z", durationMs: 6 },
								{ name: "responseDuration", start: "2026-11-21T06:00:00.996Z", durationMs: 3 },
								{ name: "runtimeOverhead", start: "2026-11-21T06:00:00.999Z", durationMs: 1 },
							],
							tracing,
						},
					],
					[
						"platform.report",
						{
							requestId: "id-1",
							metrics: { durationMs: 10.5, billedDurationMs: 24, ...size, initDurationMs: 12.346 },
							status: "success",
							tracing,
						},
					],
					["platform.runtimeDone", { requestId: "id-2", status: "timeout", metrics: { durationMs: 3000 } }],
					[
						"platform.report",
						{
							requestId: "id-2",
							metrics: { durationMs: 3000, billedDurationMs: 3000, ...size },
							status: "error",
							errorType: "Runtime.ExitError",
						},
					],
				],
			);
		}),
);

clause(
	{ area, says: "What happened before the subscription, from the start of init on, is delivered too", source: guide },
	() =>
		opened({}, async (test, subscriber) => {
			test.session.onLifecycle(lifecycle[0]!);
			test.session.onLog("extension", ["early"]);
			await subscribed(test, subscriber);
			await until(() => subscriber.records.length === 3);
			assert.deepEqual(
				subscriber.records.map(({ type }) => type),
				["platform.initStart", "extension", "platform.telemetrySubscription"],
			);
		}),
);

clause(
	{
		area,
		says: "A subscriber gets the types that it asked for, lines of the function and of extensions apart",
		source: guide,
	},
	() =>
		opened({}, async (test, subscriber) => {
			await subscribed(test, subscriber, { types: ["function"] });
			test.session.onLog("extension", ["not this"]);
			test.session.onLog("function", ['say "€"', '{"level":"INFO"}']);
			await until(() => subscriber.records.length === 2);
			assert.deepEqual(
				subscriber.records.map(({ type, record }) => [type, record]),
				[
					["function", 'say "€"'],
					["function", '{"level":"INFO"}'],
				],
			);
		}),
);

clause(
	{
		area,
		says: "From schema 2022-12-13 on the lines of a function that logs JSON are objects where they are some",
		source: schema,
	},
	() =>
		opened({ configuration: { logFormat: "JSON" } }, async (test, subscriber) => {
			await subscribed(test, subscriber, { types: ["function"], schemaVersion: "2022-12-13" });
			test.session.onLog("function", ['{"level":"INFO","a":1}', "{plain", "text"]);
			await until(() => subscriber.records.length === 3);
			assert.deepEqual(
				subscriber.records.map(({ record }) => record),
				[{ level: "INFO", a: 1 }, "{plain", "text"],
			);
		}),
);

clause({ area, says: "A TCP destination gets a line of JSON for each record", source: guide }, () =>
	opened({}, async (test) => {
		let text = "";
		const server = net.createServer((socket) => socket.on("data", (data) => (text += data)).on("error", () => {}));
		server.listen(0, "127.0.0.1");
		await once(server, "listening");
		const { port } = server.address() as net.AddressInfo;
		const id = await test.register("ext", []);
		const body = {
			schemaVersion: "2022-07-01",
			types: ["function"],
			buffering,
			destination: { protocol: "TCP", port },
		};
		assert.equal((await subscribe(test, id, body)).status, 200);
		for (const line of ["one", "two"]) {
			test.session.onLog("function", [line]);
			await until(() => text.includes(line));
		}
		assert.deepEqual(
			text
				.trimEnd()
				.split("\n")
				.map((line) => JSON.parse(line).record),
			["one", "two"],
		);
		server.close();
	}),
);

clause({ area, says: "A subscription that is not valid is refused with 400 ValidationError", source: guide }, () =>
	opened({}, async (test, subscriber) => {
		const id = await test.register("ext", []);
		const good = { schemaVersion: "2022-07-01", types, destination: subscriber.destination };
		const wrong: (object | string)[] = [
			"{",
			"[]",
			{ ...good, schemaVersion: "2020-08-15" },
			{ ...good, types: [] },
			{ ...good, types: ["all"] },
			{ ...good, buffering: { maxItems: 999 } },
			{ ...good, buffering: { maxItems: 10_001 } },
			{ ...good, buffering: { maxBytes: 262_143 } },
			{ ...good, buffering: { maxBytes: 1_048_577 } },
			{ ...good, buffering: { timeoutMs: 24 } },
			{ ...good, buffering: { timeoutMs: 30_001 } },
			{ ...good, buffering: { timeoutMs: "100" } },
			{ ...good, destination: undefined },
			{ ...good, destination: { protocol: "UDP", port: 1 } },
			{ ...good, destination: { protocol: "TCP", port: 0 } },
			{ ...good, destination: { protocol: "TCP", port: 9001 } },
			{ ...good, destination: { protocol: "HTTP", URI: "http://sandbox.localdomain:9001" } },
			{ ...good, destination: { protocol: "HTTP", URI: "http://example.com:80" } },
			{ ...good, destination: { protocol: "HTTP", URI: "https://sandbox.localdomain:80" } },
			{ ...good, destination: { protocol: "HTTP", URI: "sandbox" } },
		];
		for (const body of wrong) {
			const answer = await subscribe(test, id, body);
			assert.deepEqual(
				[answer.status, JSON.parse(answer.body).errorType],
				[400, "ValidationError"],
				JSON.stringify(body),
			);
		}
		assert.equal((await subscribe(test, id, good)).status, 200);
	}),
);

clause({ area, says: "Only an extension that has registered may subscribe", source: guide }, () =>
	opened({}, async (test, subscriber) => {
		const body = { schemaVersion: "2022-07-01", types, destination: subscriber.destination };
		const answer = await subscribe(test, "00000000-0000-4000-8000-000000000000", body);
		assert.deepEqual([answer.status, JSON.parse(answer.body).errorType], [403, "Extension.UnknownExtensionIdentifier"]);
	}),
);

clause(
	{
		area,
		says: "After init a subscription is refused with 403 SubscriptionClosed, in either API's name",
		source: `${rie}/subscription_api.go`,
	},
	() =>
		opened({}, async (test, subscriber) => {
			const id = await test.register("ext", []);
			void test.extension("GET", "event/next", id);
			void test.runtime("GET", "invocation/next");
			await until(() => test.seen.ready === 1);
			const body = { types, destination: subscriber.destination };
			for (const [api, errorType] of [
				["2022-07-01/telemetry", "Telemetry.SubscriptionClosed"],
				["2020-08-15/logs", "Logs.SubscriptionClosed"],
			] as const) {
				const answer = await subscribe(test, id, body, api);
				assert.deepEqual([answer.status, JSON.parse(answer.body).errorType], [403, errorType]);
			}
		}),
);

clause(
	{ area, says: "A batch is sent when it has maxItems records, without waiting for its time", source: guide },
	() =>
		opened({}, async (test, subscriber) => {
			await subscribed(test, subscriber, { types: ["function"], buffering: { maxItems: 1000, timeoutMs: 30_000 } });
			test.session.onLog(
				"function",
				Array.from({ length: 1000 }, (_, index) => `line ${index}`),
			);
			await until(() => subscriber.records.length === 1000);
			assert.equal(subscriber.batches.length, 1);
		}),
);

clause({ area, says: "A batch is sent when it has maxBytes, without waiting for its time", source: guide }, () =>
	opened({}, async (test, subscriber) => {
		await subscribed(test, subscriber, { types: ["function"], buffering: { maxBytes: 262_144, timeoutMs: 30_000 } });
		test.session.onLog(
			"function",
			Array.from({ length: 5 }, () => "x".repeat(60_000)),
		);
		await until(() => subscriber.records.length === 5);
	}),
);

clause(
	{
		area,
		says: "A subscriber that does not keep up loses records, and is told how many in platform.logsDropped; memory is bounded",
		source: `${rie}/internal/subscriber.go`,
	},
	() => {
		const held: (() => void)[] = [];
		let wait = true;
		return opened(
			{
				connect: async (port) => {
					if (wait) await new Promise<void>((resolve) => held.push(resolve));
					const socket = net.connect(port, "127.0.0.1");
					await once(socket, "connect");
					return socket;
				},
			},
			async (test, subscriber) => {
				await subscribed(test, subscriber, { buffering: { maxItems: 1000, timeoutMs: 25 } });
				await until(() => held.length === 1);
				test.session.onLog(
					"function",
					Array.from({ length: 5000 }, (_, index) => `line ${index}`),
				);
				wait = false;
				held[0]?.();
				await until(() => subscriber.records.some(({ type }) => type === "platform.logsDropped"));
				const kept = subscriber.records.filter(({ type }) => type === "function").length;
				const dropped = subscriber.records.find(({ type }) => type === "platform.logsDropped")?.record as {
					droppedRecords: number;
					droppedBytes: number;
				};
				assert.equal(kept, 1000);
				assert.equal(dropped.droppedRecords, 4000);
				assert.ok(dropped.droppedBytes > 4000 * 50);
			},
		);
	},
);

clause(
	{
		area,
		says: "Records that a subscriber refuses are dropped and told of once it takes some again",
		source: `${rie}/internal/subscriber.go`,
	},
	() =>
		opened({}, async (test, subscriber) => {
			subscriber.status = 500;
			await subscribed(test, subscriber);
			await until(() => test.seen.lifecycle.some(({ type }) => type === "logs-dropped"));
			const told = test.seen.lifecycle.filter(({ type }) => type === "logs-dropped").length;
			await until(() => subscriber.batches.length >= 2);
			assert.equal(told, 1, "a report that is refused itself makes no further reports");
			subscriber.status = 200;
			test.session.onLog("function", ["good again"]);
			await until(() => test.seen.lifecycle.filter(({ type }) => type === "logs-dropped").length === 2);
		}),
);

clause({ area, says: "What waits for an extension is delivered before it is told to shut down", source: guide }, () =>
	opened({}, async (test, subscriber) => {
		const id = await subscribed(test, subscriber, { types: ["function"], buffering: { timeoutMs: 30_000 } });
		const event = test.extension("GET", "event/next", id);
		void test.runtime("GET", "invocation/next");
		await until(() => test.seen.ready === 1);
		test.session.onLog("function", ["last words"]);
		test.session.shutdown("spindown", 1);
		assert.equal(JSON.parse((await event).body).eventType, "SHUTDOWN");
		assert.deepEqual(
			subscriber.records.map(({ record }) => record),
			["last words"],
		);
	}),
);

clause(
	{
		area,
		says: "The Logs API has the older records: start, end, report, runtimeDone from 2021-03-18 on, and fault",
		source: logs,
	},
	() =>
		opened({}, async (test, subscriber) => {
			await subscribed(test, subscriber, { schemaVersion: "2021-03-18", types: ["platform"] }, "2020-08-15/logs");
			for (const event of lifecycle) test.session.onLifecycle(event);
			await until(() => subscriber.records.length >= 9);
			const records = subscriber.records.map(({ type, record }) => [type, record] as const);
			assert.deepEqual(
				records.map(([type]) => type),
				[
					"platform.logsSubscription",
					"platform.start",
					"platform.runtimeDone",
					"platform.end",
					"platform.report",
					"platform.runtimeDone",
					"platform.fault",
					"platform.end",
					"platform.report",
				],
			);
			assert.deepEqual(records[1]?.[1], { requestId: "id-1", version: "$LATEST" });
			assert.deepEqual(records[3]?.[1], { requestId: "id-1" });
			assert.deepEqual(records[5]?.[1], { requestId: "id-2", status: "timeout" });
			assert.match(String(records[6]?.[1]), /^RequestId: id-2 Error: /);
		}),
);

clause({ area, says: "The Logs API's schema 2020-08-15 has no runtimeDone", source: logs }, () =>
	opened({}, async (test, subscriber) => {
		await subscribed(test, subscriber, { schemaVersion: "2020-08-15", types: ["platform"] }, "2020-08-15/logs");
		for (const event of lifecycle) test.session.onLifecycle(event);
		await until(() => subscriber.records.length >= 7);
		assert.ok(!subscriber.records.some(({ type }) => type === "platform.runtimeDone"));
	}),
);

clause({ area, says: "An extension uses the Telemetry API or the Logs API, not both", source: guide }, () =>
	opened({}, async (test, subscriber) => {
		const id = await subscribed(test, subscriber);
		const body = { types, destination: subscriber.destination };
		assert.equal((await subscribe(test, id, body, "2020-08-15/logs")).status, 400);
	}),
);

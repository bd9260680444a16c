/** The Extensions API 2020-01-01: registration, events, errors, shutdown; external, internal, and the Web Adapter's way. */
import assert from "node:assert/strict";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { randomIds } from "../../../src/base/ids.ts";
import { silentLog } from "../../../src/base/log.ts";
import { LambdaContract } from "../../../src/contracts/lambda/lambda-contract.ts";
import { testEvent, testRevision, until } from "../../../src/contracts/lambda/testing/test-session.ts";
import { clause } from "./clause.ts";
import { opened, ready, refused, register } from "./extension-calls.ts";

const area = "Extensions API";
const guide = "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html";
const rie = (path: string) =>
	`https://github.com/aws/aws-lambda-runtime-interface-emulator/blob/main/internal/lambda/${path}`;
const registration = rie("rapi/handler/agentregister.go");
const states = rie("core/externalagent_states.go");
const unknownId = "00000000-0000-4000-8000-000000000000";

const withOne = { companions: ["/opt/extensions/ext"] };

clause(
	{
		area,
		says: "register answers 200 with a UUID in Lambda-Extension-Identifier and the function's name, version and handler",
		source: registration,
	},
	() =>
		opened(withOne, async (test) => {
			const answer = await register(test, "ext", '{"events":["INVOKE","SHUTDOWN"]}');
			assert.equal(answer.status, 200);
			assert.match(
				String(answer.headers["lambda-extension-identifier"]),
				/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
			);
			assert.deepEqual(JSON.parse(answer.body), {
				functionName: "f",
				functionVersion: "$LATEST",
				handler: "app.handler",
			});
		}),
);

clause(
	{ area, says: "The accountId feature adds the account's id to the registration's answer", source: registration },
	() =>
		opened(withOne, async (test) => {
			const answer = await register(test, "ext", '{"events":[]}', {
				"Lambda-Extension-Accept-Feature": "x, accountId",
			});
			assert.equal(JSON.parse(answer.body).accountId, "123456789012");
		}),
);

clause(
	{
		area,
		says: "Every file directly in /opt/extensions is an external extension, in the order of their names",
		source: guide,
	},
	() => {
		const contract = new LambdaContract({ region: "us-east-1", ids: randomIds, log: silentLog });
		assert.equal(contract.companionFolder, "/opt/extensions");
		assert.deepEqual(contract.companions(["/opt/extensions/b", "/opt/extensions/a"]), [
			"/opt/extensions/a",
			"/opt/extensions/b",
		]);
	},
);

clause(
	{
		area,
		says: "The file /opt/disable-extensions-jwigqn8j disables them all",
		source: rie("extensions/extensions.go"),
	},
	() => {
		const contract = new LambdaContract({ region: "us-east-1", ids: randomIds, log: silentLog });
		assert.equal(contract.companionsDisabledBy, "/opt/disable-extensions-jwigqn8j");
		assert.deepEqual(contract.companions(["/opt/extensions/b", contract.companionsDisabledBy]), []);
	},
);

clause(
	{ area, says: "The runtime starts when every external extension has registered", source: rie("rapid/start.go") },
	() =>
		opened({ companions: ["/opt/extensions/a", "/opt/extensions/b"] }, async (test) => {
			await test.register("a", []);
			assert.equal(test.seen.companionsReady, 0);
			await test.register("b", []);
			assert.equal(test.seen.companionsReady, 1);
		}),
);

clause(
	{
		area,
		says: "Init ends when the runtime and every registered extension wait for their next event, in whatever order",
		source: "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html",
	},
	() =>
		opened(withOne, async (test) => {
			const id = await test.register("ext", []);
			void test.runtime("GET", "invocation/next");
			await sleep(30);
			assert.equal(test.seen.ready, 0);
			void test.extension("GET", "event/next", id);
			await until(() => test.seen.ready === 1);
		}),
);

clause(
	{
		area,
		says: "An INVOKE event carries deadline, request id, ARN and trace, has an identifier, and no payload",
		source: rie("rapi/model/agentevent.go"),
	},
	() =>
		opened(withOne, async (test) => {
			const { event } = await ready(test);
			test.session.deliver(testEvent("id-1", '{"secret":1}', { traceId: "Root=1-x;Parent=2;Sampled=1" }));
			const { status, headers, body } = await event;
			assert.equal(status, 200);
			assert.ok(headers["lambda-extension-event-identifier"]);
			assert.deepEqual(JSON.parse(body), {
				eventType: "INVOKE",
				deadlineMs: 1_700_000_000_123,
				requestId: "id-1",
				invokedFunctionArn: "arn:aws:lambda:us-east-1:123456789012:function:f",
				tracing: { type: "X-Amzn-Trace-Id", value: "Root=1-x;Parent=2;Sampled=1" },
			});
		}),
);

clause(
	{
		area,
		says: "The caller has the answer before the extensions are done; the invocation ends when they all wait again",
		source: "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html",
	},
	() =>
		opened(withOne, async (test) => {
			const { id, event } = await ready(test);
			test.session.deliver(testEvent("id-1"));
			await event;
			await test.runtime("POST", "invocation/id-1/response", "1");
			assert.deepEqual(test.seen.responses, ["1"]);
			void test.runtime("GET", "invocation/next");
			await sleep(30);
			assert.equal(test.seen.ready, 1);
			void test.extension("GET", "event/next", id);
			await until(() => test.seen.ready === 2);
		}),
);

clause(
	{ area, says: "An extension that did not subscribe to INVOKE is not waited for and hears nothing", source: guide },
	() =>
		opened(withOne, async (test) => {
			const { event, next } = await ready(test, []);
			test.session.deliver(testEvent("id-1"));
			await next;
			await test.runtime("POST", "invocation/id-1/response", "1");
			void test.runtime("GET", "invocation/next");
			await until(() => test.seen.ready === 2);
			assert.equal(await Promise.race([event, sleep(20, "silent")]), "silent");
		}),
);

clause(
	{
		area,
		says: "One process may be an extension and the Runtime API's client, and the entrypoint need never call (Lambda Web Adapter)",
		source: "https://github.com/awslabs/aws-lambda-web-adapter/blob/main/src/lib.rs",
	},
	() =>
		opened({ companions: ["/opt/extensions/lambda-adapter"] }, async (test) => {
			const id = await test.register("lambda-adapter", []);
			void test.extension("GET", "event/next", id);
			const answer = await test.invoke(testEvent("id-1", '{"path":"/"}'));
			assert.equal(answer.body, '{"path":"/"}');
			await test.runtime("POST", "invocation/id-1/response", "{}");
			assert.deepEqual(test.seen.responses, ["{}"]);
			assert.equal(test.session.shutdownMs, 2000);
		}),
);

clause(
	{
		area,
		says: "An internal extension registers before the runtime's first next, for INVOKE only",
		source: registration,
	},
	() =>
		opened({}, async (test) => {
			assert.equal(test.seen.companionsReady, 1);
			refused(
				await register(test, "inside", '{"events":["SHUTDOWN"]}'),
				"Extension.InvalidEventType",
				"SHUTDOWN: ShutdownEventNotSupportedForInternalExtension",
			);
			const id = await test.register("inside", ["INVOKE"]);
			refused(
				await register(test, "inside", '{"events":[]}'),
				"Extension.InvalidExtensionState",
				"Extension with this name already registered",
			);
			const event = test.extension("GET", "event/next", id);
			const next = test.runtime("GET", "invocation/next");
			await until(() => test.seen.ready === 1);
			refused(
				await register(test, "late", '{"events":[]}'),
				"Extension.RegistrationClosed",
				"Extension registration closed already",
			);
			test.session.deliver(testEvent("id-1"));
			assert.equal(JSON.parse((await event).body).requestId, "id-1");
			await next;
		}),
);

clause(
	{
		area,
		says: "A registration without a name, of an unknown event or in a wrong format is refused with 403",
		source: registration,
	},
	() =>
		opened(withOne, async (test) => {
			refused(
				await register(test, undefined, '{"events":[]}'),
				"Extension.InvalidExtensionName",
				"Empty extension name",
			);
			refused(
				await register(test, "ext", '{"events":["START"]}'),
				"Extension.InvalidEventType",
				"START: ErrorInvalidEventType",
			);
			for (const body of [
				"{",
				"[]",
				'{"events":"INVOKE"}',
				'{"events":[1]}',
				'{"events":[],"configurationKeys":["a"]}',
			]) {
				const answer = await register(test, "ext", body);
				assert.deepEqual([answer.status, JSON.parse(answer.body).errorType], [403, "InvalidRequestFormat"], body);
			}
			await test.register("ext", []);
		}),
);

clause(
	{
		area,
		says: "A second registration of an external extension is refused with 403 InvalidExtensionState",
		source: states,
	},
	() =>
		opened(withOne, async (test) => {
			await test.register("ext", []);
			refused(
				await register(test, "ext", '{"events":[]}'),
				"Extension.InvalidExtensionState",
				"State transition from Registered to Registered failed for extension ext. Error: State transition is not allowed",
			);
		}),
);

clause(
	{ area, says: "The eleventh extension is refused with 403 TooManyExtensions", source: rie("core/agentsmap.go") },
	() =>
		opened({ companions: withOne.companions }, async (test) => {
			for (let i = 0; i < 9; i++) await test.register(`inside-${i}`, []);
			refused(
				await register(test, "inside-9", '{"events":[]}'),
				"Extension.TooManyExtensions",
				"Extension limit (10) reached",
			);
			await test.register("ext", []);
		}),
);

clause(
	{
		area,
		says: "Calls without an identifier, with one that is no UUID or that nobody has are refused with 403",
		source: rie("rapi/middleware/middleware.go"),
	},
	() =>
		opened(withOne, async (test) => {
			for (const [method, path] of [
				["GET", "event/next"],
				["POST", "init/error"],
				["POST", "exit/error"],
			] as const) {
				refused(
					await test.extension(method, path, undefined),
					"Extension.MissingExtensionIdentifier",
					"Missing Lambda-Extension-Identifier header",
				);
				refused(
					await test.extension(method, path, "nobody"),
					"Extension.InvalidExtensionIdentifier",
					"Invalid Lambda-Extension-Identifier",
				);
				refused(
					await test.extension(method, path, unknownId),
					"Extension.UnknownExtensionIdentifier",
					method === "GET" ? `Unknown extension ${unknownId}` : "Unknown Lambda-Extension-Identifier",
				);
			}
		}),
);

clause(
	{ area, says: "A second event/next beside one that waits is refused with 403 InvalidExtensionState", source: states },
	() =>
		opened(withOne, async (test) => {
			const { id } = await ready(test);
			refused(
				await test.extension("GET", "event/next", id),
				"Extension.InvalidExtensionState",
				`State transition from Ready to Ready failed for extension ${id}. Error: State transition is not allowed`,
			);
		}),
);

clause(
	{
		area,
		says: "An extension whose poll's connection broke is refused when it polls again",
		source: states,
		differs: "It may poll again and gets the event that came in between: a retry after a network error harms nobody",
	},
	() =>
		opened(withOne, async (test) => {
			const id = await test.register("ext", ["INVOKE"]);
			const socket = net.connect(test.port, "127.0.0.1");
			socket.write(
				`GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: x\r\nLambda-Extension-Identifier: ${id}\r\n\r\n`,
			);
			void test.runtime("GET", "invocation/next");
			await until(() => test.seen.ready === 1);
			socket.destroy();
			await sleep(20);
			test.session.deliver(testEvent("id-1"));
			assert.equal(JSON.parse((await test.extension("GET", "event/next", id)).body).requestId, "id-1");
		}),
);

clause(
	{
		area,
		says: "init/error needs its error type, is taken with 202 before the first next, and ends the sandbox with Extension.InitError",
		source: rie("rapi/handler/agentiniterror.go"),
	},
	() =>
		opened(withOne, async (test) => {
			const id = await test.register("ext", []);
			refused(
				await test.extension("POST", "init/error", id),
				"Extension.MissingHeader",
				"Lambda-Extension-Function-Error-Type not found",
			);
			const type = { "Lambda-Extension-Function-Error-Type": "Extension.NoConfig" };
			const answer = await test.extension("POST", "init/error", id, type);
			assert.deepEqual([answer.status, JSON.parse(answer.body)], [202, { status: "OK" }]);
			assert.equal((await test.extension("POST", "init/error", id, type)).status, 202);
			assert.deepEqual(test.seen.companionErrors, [["/opt/extensions/ext", "Extension.InitError"]]);
			assert.deepEqual(
				test.seen.lifecycle.map((event) => event.type === "companion" && [event.name, event.state, event.errorType]),
				[["ext", "InitError", "Extension.NoConfig"]],
			);
		}),
);

clause(
	{
		area,
		says: "exit/error is taken with 202 after registration, also while an event is handled, and ends the sandbox with Extension.ExitError",
		source: rie("rapi/handler/agentexiterror.go"),
	},
	() =>
		opened(withOne, async (test) => {
			const { id, event } = await ready(test);
			test.session.deliver(testEvent("id-1"));
			await event;
			const type = { "Lambda-Extension-Function-Error-Type": "Extension.Gone" };
			assert.equal((await test.extension("POST", "init/error", id, type)).status, 403);
			assert.equal((await test.extension("POST", "exit/error", id, type)).status, 202);
			assert.deepEqual(test.seen.companionErrors, [["/opt/extensions/ext", "Extension.ExitError"]]);
		}),
);

clause(
	{
		area,
		says: "SHUTDOWN with its reason, in lower case, and deadline goes to the external extensions that subscribed to it",
		source: rie("rapid/shutdown.go"),
	},
	() =>
		opened({ companions: ["/opt/extensions/ext", "/opt/extensions/other"] }, async (test) => {
			const other = await test.register("other", ["INVOKE"]);
			const silent = test.extension("GET", "event/next", other);
			const { event } = await ready(test);
			assert.deepEqual(test.session.shutdown("spindown", 1234.5), ["/opt/extensions/ext"]);
			assert.deepEqual(JSON.parse((await event).body), {
				eventType: "SHUTDOWN",
				deadlineMs: 1235,
				shutdownReason: "spindown",
			});
			assert.equal(await Promise.race([silent, sleep(20, "silent")]), "silent");
		}),
);

clause(
	{ area, says: "An extension that is busy gets SHUTDOWN with its next poll", source: rie("rapid/shutdown.go") },
	() =>
		opened(withOne, async (test) => {
			const { id, event } = await ready(test);
			test.session.deliver(testEvent("id-1"));
			await event;
			assert.deepEqual(test.session.shutdown("timeout", 5), ["/opt/extensions/ext"]);
			assert.equal(JSON.parse((await test.extension("GET", "event/next", id)).body).shutdownReason, "timeout");
			assert.equal(test.seen.ready, 1);
		}),
);

clause(
	{
		area,
		says: "The end may take 0 ms without extensions, 500 ms with internal ones and 2000 ms with an external one",
		source: "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html",
	},
	async () => {
		await opened({}, async (test) => {
			assert.equal(test.session.shutdownMs, 0);
			await test.register("inside", []);
			assert.equal(test.session.shutdownMs, 500);
		});
		await opened(withOne, async (test) => assert.equal(test.session.shutdownMs, 2000));
	},
);

clause(
	{
		area,
		says: "How each extension stands is told at the end of init, good or failed",
		source: rie("rapid/handlers.go"),
	},
	() =>
		opened(withOne, async (test) => {
			await test.register("ext", ["INVOKE", "SHUTDOWN"]);
			assert.equal(test.seen.lifecycle.length, 0);
			await test.runtime("POST", "init/error", "{}");
			const [event] = test.seen.lifecycle;
			assert.ok(event?.type === "companion");
			assert.deepEqual([event.name, event.state, event.events], ["ext", "Registered", ["INVOKE", "SHUTDOWN"]]);
		}),
);

clause(
	{
		area,
		says: "An extension's environment is the function's without reserved names of the runtime's and names that start with _",
		source: rie("rapidcore/env/environment.go"),
	},
	() => {
		const contract = new LambdaContract({ region: "eu-west-1", ids: randomIds, log: silentLog });
		const revision = testRevision({ environment: { MINE: "1", AWS_XRAY_CONTEXT_MISSING: "IGNORE_ERROR" } });
		const identity = { id: "fn-1", logStream: "s", initializationType: "on-demand" } as const;
		const { args, env, cwd } = contract.companionProcess("/opt/extensions/ext", revision, identity);
		assert.deepEqual([args, cwd], [["/opt/extensions/ext"], "/var/task"]);
		const own = contract.process(revision, identity).env;
		const missing = Object.keys(own).filter((name) => !(name in env));
		assert.deepEqual(missing.sort(), [
			"AWS_EXECUTION_ENV",
			"AWS_LAMBDA_LOG_GROUP_NAME",
			"AWS_LAMBDA_LOG_STREAM_NAME",
			"AWS_XRAY_CONTEXT_MISSING",
			"LAMBDA_RUNTIME_DIR",
			"LAMBDA_TASK_ROOT",
			"_AWS_XRAY_DAEMON_ADDRESS",
			"_AWS_XRAY_DAEMON_PORT",
		]);
		assert.deepEqual([env.MINE, env.AWS_REGION, env.AWS_LAMBDA_FUNCTION_NAME], ["1", "eu-west-1", "f"]);
	},
);

/** The Runtime API 2018-06-01 as runtimes see it, over real HTTP. */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import {
	openTestSession,
	type TestSession,
	testEvent,
	until,
} from "../../../src/contracts/lambda/testing/test-session.ts";
import { clause } from "./clause.ts";

const area = "Runtime API";
const guide = "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html";
const rie = (path: string) =>
	`https://github.com/aws/aws-lambda-runtime-interface-emulator/blob/main/internal/lambda/${path}`;
const states = rie("core/states.go");
const errors = rie("rapi/rendering/render_error.go");

function refused(answer: { status: number; body: string }, status: number, errorType: string, errorMessage: string) {
	assert.deepEqual([answer.status, JSON.parse(answer.body)], [status, { errorMessage, errorType }]);
}

function notAllowed(from: string, to: string): string {
	return `State transition from ${from} to ${to} failed for runtime. Error: State transition is not allowed`;
}

async function opened(body: (test: TestSession) => Promise<void>): Promise<void> {
	await using test = await openTestSession();
	await body(test);
}

clause(
	{
		area,
		says: "GET /runtime/invocation/next blocks until there is an event and answers 200 with its payload as it was sent",
		source: guide,
	},
	() =>
		opened(async (test) => {
			const next = test.runtime("GET", "invocation/next");
			await until(() => test.seen.ready === 1);
			assert.equal(await Promise.race([next, sleep(30, "blocks")]), "blocks");
			test.session.deliver(testEvent("id-1", ' {"a" : "€"} '));
			const { status, body } = await next;
			assert.deepEqual([status, body], [200, ' {"a" : "€"} ']);
		}),
);

clause(
	{
		area,
		says: "next carries request id, deadline, invoked ARN, trace id, client context, Cognito identity and content type, and none that is empty",
		source: rie("rapi/rendering/rendering.go"),
	},
	() =>
		opened(async (test) => {
			const first = await test.invoke(
				testEvent("id-1", "{}", {
					traceId: "Root=1-x;Parent=2;Sampled=1",
					clientContext: '{"custom":{"é":"€"}}',
					cognitoIdentity: '{"cognitoIdentityId":"a","cognitoIdentityPoolId":"b"}',
					contentType: "application/cloudevents+json",
				}),
			);
			const header = (name: string) => first.headers[`lambda-runtime-${name}`];
			assert.equal(header("aws-request-id"), "id-1");
			assert.equal(header("deadline-ms"), "1700000000123");
			assert.equal(header("invoked-function-arn"), "arn:aws:lambda:us-east-1:123456789012:function:f");
			assert.equal(header("trace-id"), "Root=1-x;Parent=2;Sampled=1");
			assert.equal(Buffer.from(String(header("client-context")), "latin1").toString(), '{"custom":{"é":"€"}}');
			assert.equal(header("cognito-identity"), '{"cognitoIdentityId":"a","cognitoIdentityPoolId":"b"}');
			assert.equal(first.headers["content-type"], "application/cloudevents+json");
			await test.runtime("POST", "invocation/id-1/response", "1");
			const second = await test.invoke(testEvent("id-2"));
			assert.equal(second.headers["content-type"], "application/json");
			for (const name of ["trace-id", "client-context", "cognito-identity"])
				assert.equal(second.headers[`lambda-runtime-${name}`], undefined);
		}),
);

clause({ area, says: "A response is taken with 202 and status OK", source: guide }, () =>
	opened(async (test) => {
		await test.invoke(testEvent("id-1"));
		const answer = await test.runtime("POST", "invocation/id-1/response", '"done"');
		assert.deepEqual([answer.status, JSON.parse(answer.body)], [202, { status: "OK" }]);
		assert.deepEqual(test.seen.responses, ['"done"']);
	}),
);

clause({ area, says: "next while an event is being handled returns the same event again", source: states }, () =>
	opened(async (test) => {
		await test.invoke(testEvent("id-1", "1"));
		const again = await test.runtime("GET", "invocation/next");
		assert.deepEqual([again.status, again.body, again.headers["lambda-runtime-aws-request-id"]], [200, "1", "id-1"]);
	}),
);

clause(
	{
		area,
		says: "An answer to an id that is not the current invocation's is refused with 400 InvalidRequestID, whatever the state",
		source: rie("rapi/middleware/middleware.go"),
	},
	() =>
		opened(async (test) => {
			refused(
				await test.runtime("POST", "invocation/none/response", "1"),
				400,
				"InvalidRequestID",
				"Invalid request ID",
			);
			await test.invoke(testEvent("id-1"));
			for (const verb of ["response", "error"])
				refused(
					await test.runtime("POST", `invocation/id-2/${verb}`, "1"),
					400,
					"InvalidRequestID",
					"Invalid request ID",
				);
			assert.equal((await test.runtime("POST", "invocation/id-1/response", "1")).status, 202);
		}),
);

clause(
	{ area, says: "A second response for the same id is refused with 403 InvalidStateTransition", source: states },
	() =>
		opened(async (test) => {
			await test.invoke(testEvent("id-1"));
			await test.runtime("POST", "invocation/id-1/response", "1");
			const type = "InvalidStateTransition";
			refused(
				await test.runtime("POST", "invocation/id-1/response", "2"),
				403,
				type,
				notAllowed("RuntimeResponseSentState", "InvocationResponse"),
			);
			refused(
				await test.runtime("POST", "invocation/id-1/error", "2"),
				403,
				type,
				notAllowed("RuntimeResponseSentState", "InvocationErrorResponse"),
			);
			assert.deepEqual([test.seen.responses, test.seen.errors], [["1"], []]);
		}),
);

clause(
	{
		area,
		says: "A second response while the first is still on its way is refused with 403 InvalidStateTransition",
		source: states,
	},
	() =>
		opened(async (test) => {
			await test.invoke(testEvent("id-1"));
			const slow = net.connect(test.port, "127.0.0.1");
			slow.write("POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n1");
			await sleep(20);
			refused(
				await test.runtime("POST", "invocation/id-1/response", "2"),
				403,
				"InvalidStateTransition",
				notAllowed("InvocationResponse", "InvocationResponse"),
			);
			slow.write("23");
			await until(() => test.seen.responses.length === 1);
			assert.deepEqual(test.seen.responses, ["123"]);
			slow.destroy();
		}),
);

clause(
	{ area, says: "init/error after the first next is refused with 403 InvalidStateTransition", source: states },
	() =>
		opened(async (test) => {
			await test.invoke(testEvent("id-1"));
			refused(
				await test.runtime("POST", "init/error", "{}"),
				403,
				"InvalidStateTransition",
				notAllowed("Running", "InitError"),
			);
			assert.deepEqual(test.seen.initErrors, []);
		}),
);

clause(
	{
		area,
		says: "init/error is taken with 202; next after it is refused with 403 InvalidStateTransition",
		source: states,
	},
	() =>
		opened(async (test) => {
			const answer = await test.runtime("POST", "init/error", '{"errorMessage":"no","errorType":"X"}', {
				"Lambda-Runtime-Function-Error-Type": "Runtime.ImportModuleError",
			});
			assert.deepEqual([answer.status, JSON.parse(answer.body)], [202, { status: "OK" }]);
			assert.deepEqual(
				test.seen.initErrors.map((error) => [error.errorType, String(error.payload)]),
				[["Runtime.ImportModuleError", '{"errorMessage":"no","errorType":"X"}']],
			);
			refused(
				await test.runtime("GET", "invocation/next"),
				403,
				"InvalidStateTransition",
				notAllowed("InitError", "Ready"),
			);
		}),
);

clause(
	{
		area,
		says: "The error type header is kept in the documented form and reduced to Function.Unknown or Runtime.Unknown otherwise; the body is the caller's verbatim",
		source: rie("fatalerror/fatalerror.go"),
	},
	() =>
		opened(async (test) => {
			const types = [
				["Function.MyError", "Function.MyError"],
				["Function.my error", "Function.Unknown"],
				["whatever", "Runtime.Unknown"],
				[undefined, "Runtime.Unknown"],
			] as const;
			for (const [round, [sent]] of types.entries()) {
				await test.invoke(testEvent(`id-${round}`));
				const headers = sent === undefined ? {} : { "Lambda-Runtime-Function-Error-Type": sent };
				const answer = await test.runtime("POST", `invocation/id-${round}/error`, '{"trace": [], "x":1}', headers);
				assert.equal(answer.status, 202);
			}
			assert.deepEqual(
				test.seen.errors.map((error) => [error.errorType, String(error.payload)]),
				types.map(([, kept]) => [kept, '{"trace": [], "x":1}']),
			);
		}),
);

clause(
	{
		area,
		says: "An error-cause document loses its cause on the way to the caller; one that is no JSON becomes the string Invalid error body",
		source: rie("rapi/handler/mime_type_error_cause_json.go"),
	},
	() =>
		opened(async (test) => {
			const headers = { "Content-Type": "application/vnd.aws.lambda.error.cause+json" };
			await test.invoke(testEvent("id-1"));
			await test.runtime("POST", "invocation/id-1/error", '{"errorMessage":"m","errorCause":{"x":1}}', headers);
			await test.invoke(testEvent("id-2"));
			await test.runtime("POST", "invocation/id-2/error", "{", headers);
			assert.deepEqual(
				test.seen.errors.map(({ payload }) => String(payload)),
				['{"errorMessage":"m"}', '"Invalid error body"'],
			);
		}),
);

clause(
	{
		area,
		says: "An X-Ray error cause of a hundred kilobytes in a header is taken",
		source: "https://github.com/aws/aws-lambda-python-runtime-interface-client/blob/main/awslambdaric/bootstrap.py",
	},
	() =>
		opened(async (test) => {
			await test.invoke(testEvent("id-1"));
			const cause = JSON.stringify({ message: "x".repeat(100_000) });
			const headers = { "Lambda-Runtime-Function-XRay-Error-Cause": cause };
			assert.equal((await test.runtime("POST", "invocation/id-1/error", "{}", headers)).status, 202);
		}),
);

clause(
	{
		area,
		says: "A response of 6291556 bytes passes; a byte more is refused with 413 RequestEntityTooLarge, the caller hears Function.ResponseSizeTooLarge, and the runtime goes on",
		source: errors,
	},
	() =>
		opened(async (test) => {
			const limit = 6_291_556;
			await test.invoke(testEvent("id-1"));
			assert.equal((await test.runtime("POST", "invocation/id-1/response", Buffer.alloc(limit, 0x31))).status, 202);
			await test.invoke(testEvent("id-2"));
			refused(
				await test.runtime("POST", "invocation/id-2/response", Buffer.alloc(limit + 1, 0x31)),
				413,
				"RequestEntityTooLarge",
				"Exceeded maximum allowed payload size (6291556 bytes).",
			);
			assert.equal(test.seen.responses[0]?.length, limit);
			assert.deepEqual(JSON.parse(String(test.seen.errors[0]?.payload)), {
				errorMessage: "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
				errorType: "Function.ResponseSizeTooLarge",
			});
			assert.equal((await test.invoke(testEvent("id-3"))).status, 200);
		}),
);

clause(
	{
		area,
		says: "A response whose connection breaks before its Content-Length is no answer: Runtime.TruncatedResponse when the runtime goes on, and a second response is refused",
		source: rie("rapi/handler/invocationresponse.go"),
	},
	() =>
		opened(async (test) => {
			await test.invoke(testEvent("id-1"));
			const socket = net.connect(test.port, "127.0.0.1");
			socket.write(
				"POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
			);
			await once(socket, "connect");
			await sleep(20);
			socket.destroy();
			await sleep(20);
			assert.deepEqual([test.seen.responses, test.seen.errors], [[], []]);
			assert.equal((await test.runtime("POST", "invocation/id-1/response", "1")).status, 403);
			const next = test.runtime("GET", "invocation/next");
			await until(() => test.seen.ready === 2);
			assert.equal(test.seen.errors[0]?.errorType, "Runtime.TruncatedResponse");
			test.session.deliver(testEvent("id-2", "2"));
			assert.equal((await next).body, "2");
		}),
);

clause(
	{
		area,
		says: "A body that ends before its Content-Length is answered with 400 TruncatedHTTPRequest where the client still listens",
		source: errors,
	},
	() =>
		opened(async (test) => {
			await test.invoke(testEvent("id-1"));
			const socket = net.connect(test.port, "127.0.0.1");
			socket.end(
				"POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
			);
			const chunks: Buffer[] = [];
			socket.on("data", (chunk) => chunks.push(Buffer.from(chunk)));
			await once(socket, "close");
			const [head, body] = Buffer.concat(chunks).toString().split("\r\n\r\n");
			assert.match(head ?? "", /^HTTP\/1.1 400/);
			assert.deepEqual(JSON.parse(body ?? ""), {
				errorMessage: "HTTP request detected as truncated",
				errorType: "TruncatedHTTPRequest",
			});
			assert.deepEqual(test.seen.responses, []);
		}),
);

clause(
	{
		area,
		says: "Another response mode than streaming is refused with 400 InvalidFunctionResponseMode and the caller gets Runtime.InvalidResponseModeHeader",
		source: rie("rapi/handler/invocationresponse.go"),
	},
	() =>
		opened(async (test) => {
			await test.invoke(testEvent("id-1"));
			const headers = { "Lambda-Runtime-Function-Response-Mode": "fast" };
			refused(
				await test.runtime("POST", "invocation/id-1/response", "1", headers),
				400,
				"InvalidFunctionResponseMode",
				"Invalid function response mode",
			);
			assert.equal(test.seen.errors[0]?.errorType, "Runtime.InvalidResponseModeHeader");
		}),
);

clause(
	{
		area,
		says: "An answer after the deadline is refused with 400 InvalidRequestID and reaches nobody",
		source: "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html",
	},
	() =>
		opened(async (test) => {
			await test.invoke(testEvent("id-1"));
			const slow = net.connect(test.port, "127.0.0.1");
			slow.write("POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n1");
			await sleep(20);
			test.session.abandon();
			slow.write("23");
			const [answer] = (await once(slow, "data")) as [Buffer];
			assert.match(answer.toString(), /^HTTP\/1.1 400 [\s\S]*InvalidRequestID/);
			slow.destroy();
			refused(
				await test.runtime("POST", "invocation/id-1/response", "1"),
				400,
				"InvalidRequestID",
				"Invalid request ID",
			);
			assert.deepEqual(test.seen.responses, []);
		}),
);

clause({ area, says: "GET /ping answers pong", source: rie("rapi/router.go") }, () =>
	opened(async (test) => {
		const { status, body } = await test.call("GET", "/2018-06-01/ping");
		assert.deepEqual([status, body], [200, "pong"]);
	}),
);

clause(
	{
		area,
		says: "An unknown path is 404 and a wrong method 405, SnapStart's restore/next among them",
		source: rie("rapi/router.go"),
	},
	() =>
		opened(async (test) => {
			const status = async (method: string, path: string) => (await test.call(method, path)).status;
			assert.equal(await status("GET", "/2018-06-01/runtime/nothing"), 404);
			assert.equal(await status("GET", "/2018-06-01/runtime/restore/next"), 404);
			assert.equal(await status("GET", "/2018-06-01/runtime/invocation/id"), 404);
			assert.equal(await status("POST", "/2018-06-01/runtime/invocation//response"), 404);
			assert.equal(await status("GET", "/constructor"), 404);
			assert.equal(await status("POST", "/2018-06-01/runtime/invocation/next"), 405);
			assert.equal(await status("PUT", "/2018-06-01/runtime/init/error"), 405);
			assert.equal(await status("GET", "/2018-06-01/runtime/invocation/id/response"), 405);
		}),
);

clause(
	{
		area,
		says: "A client that gave up its poll gets the event with its next one",
		source: guide,
	},
	() =>
		opened(async (test) => {
			const socket = net.connect(test.port, "127.0.0.1");
			socket.write("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n");
			await until(() => test.seen.ready === 1);
			socket.destroy();
			await sleep(20);
			test.session.deliver(testEvent("id-9", "9"));
			assert.equal((await test.runtime("GET", "invocation/next")).body, "9");
		}),
);

clause(
	{ area, says: "A client that pauses between the bytes of its request is served in the end", source: guide },
	() =>
		opened(async (test) => {
			const socket = net.connect(test.port, "127.0.0.1");
			for (const piece of ["GET /2018-06-01/ru", "ntime/invocation/next HTTP/1.1\r\nHo", "st: x\r\n", "\r\n"]) {
				socket.write(piece);
				await sleep(10);
			}
			await until(() => test.seen.ready === 1);
			const other = await test.call("GET", "/2018-06-01/ping");
			assert.equal(other.body, "pong");
			socket.destroy();
		}),
);

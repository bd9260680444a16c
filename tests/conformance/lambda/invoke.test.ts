/**
 * The Lambda control API and Invoke as AWS's own SDK and recorded answers have them
 * (https://docs.aws.amazon.com/lambda/latest/api/, and the error texts AWS was recorded with).
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InvokeCommand } from "@aws-sdk/client-lambda";
import { SlipwayError } from "../../../src/base/error.ts";
import { rawRequest } from "../../../src/front/aws/test-front.ts";

import { arnOf, create, raw, refused, start } from "./control-api.ts";

describe("Invoke", () => {
	it("MUST carry the payload, the version, the log tail and one request id", async () => {
		await using test = await start("f");
		const answer = await test.client.send(
			new InvokeCommand({ FunctionName: "f", Payload: Buffer.from('{"x":"€"}'), LogType: "Tail" }),
		);
		assert.equal(answer.Payload?.transformToString(), '{"x":"€"}');
		assert.deepEqual([answer.StatusCode, answer.ExecutedVersion, answer.FunctionError], [200, "$LATEST", undefined]);
		const { request } = test.front.invocations[0]!;
		assert.equal(answer.$metadata.requestId, request.requestId);
		assert.equal(
			Buffer.from(answer.LogResult ?? "", "base64").toString(),
			`START RequestId: ${request.requestId} Version: $LATEST\n`,
		);
		assert.equal(request.invokedArn, arnOf("f"));
	});

	it("MUST qualify the invoked ARN as the caller did, and pass context along", async () => {
		await using test = await start("f");
		const ClientContext = Buffer.from('{"client":1}').toString("base64");
		await test.client.send(new InvokeCommand({ FunctionName: "f", Qualifier: "$LATEST", ClientContext }));
		const { request } = test.front.invocations[0]!;
		assert.deepEqual(
			[request.invokedArn, request.clientContext, Buffer.from(request.payload).toString()],
			[`${arnOf("f")}:$LATEST`, '{"client":1}', "{}"],
		);
		await refused(
			test.client.send(new InvokeCommand({ FunctionName: "f", ClientContext: "e30x" })),
			400,
			"InvalidRequestContentException",
			"Client context must be a valid Base64-encoded JSON object.",
		);
	});

	it("MUST say Unhandled with status 200 when the function fails, and tell a cold start", async () => {
		await using test = await start("f");
		test.front.answer = () => ({
			payload: Buffer.from('{"errorMessage":"x"}'),
			functionError: "Unhandled",
			coldStart: { sandboxMs: 1.25, initMs: 80 },
		});
		const answer = await test.client.send(new InvokeCommand({ FunctionName: "f" }));
		assert.deepEqual(
			[answer.StatusCode, answer.FunctionError, answer.Payload?.transformToString()],
			[200, "Unhandled", '{"errorMessage":"x"}'],
		);
		const direct = await rawRequest(test.front, "POST", "/2015-03-31/functions/f/invocations");
		assert.equal(direct.headers.get("x-slipway-cold-start"), "sandbox;dur=1.3, init;dur=80.0");
		assert.equal(direct.headers.get("content-type"), "application/json");
		assert.equal(direct.headers.get("x-amz-function-error"), "Unhandled");
	});

	it("MUST answer a dry run with 204 and run nothing; Event is refused, not lost", async () => {
		await using test = await start("f");
		const dry = await test.client.send(new InvokeCommand({ FunctionName: "f", InvocationType: "DryRun" }));
		assert.deepEqual([dry.StatusCode, dry.ExecutedVersion], [204, undefined]);
		await refused(
			test.client.send(new InvokeCommand({ FunctionName: "f", InvocationType: "Event" })),
			400,
			"InvalidParameterValueException",
			/Event yet: nothing was accepted/,
		);
		await refused(
			test.client.send(new InvokeCommand({ FunctionName: "none", InvocationType: "DryRun" })),
			404,
			"ResourceNotFoundException",
			`Function not found: ${arnOf("none")}:$LATEST`,
		);
		assert.deepEqual(test.front.invocations, []);
	});

	it("MUST take six megabytes and not one byte more", async () => {
		await using test = await start("f");
		test.front.answer = () => ({ payload: Buffer.from("null") });
		const body = Buffer.alloc(6_291_456, "x");
		body[0] = body[body.length - 1] = 0x22;
		const url = "/2015-03-31/functions/f/invocations";
		assert.equal((await rawRequest(test.front, "POST", url, { body })).status, 200);
		assert.equal(test.front.invocations[0]?.request.payload.length, 6_291_456);
		assert.deepEqual(await raw(test.front, "POST", url, { body: Buffer.concat([body, Buffer.from(" ")]) }), {
			status: 413,
			type: "RequestEntityTooLargeException",
			body: { Message: "Request must be smaller than 6291456 bytes for the InvokeFunction operation" },
		});
	});

	it("MUST refuse a payload that is not JSON, and say where", async () => {
		await using test = await start("f");
		for (const body of ["{", "x", "{'a':1}", '{"a":1}}', Buffer.from([0x22, 0xff, 0x22])]) {
			const answer = await raw(test.front, "POST", "/2015-03-31/functions/f/invocations", { body });
			assert.deepEqual([answer.status, answer.type, answer.body.Type], [400, "InvalidRequestContentException", "User"]);
			assert.match(
				answer.body.message ?? "",
				/^Could not parse request body into json: Could not parse payload into json: .*line: 1, column: \d+\]$/s,
			);
		}
		assert.deepEqual(test.front.invocations, []);
	});

	it("MUST say 404 with $LATEST, 409 while Pending, 429 with a reason, and enum errors", async () => {
		await using test = await start("f");
		await refused(
			test.client.send(new InvokeCommand({ FunctionName: "none" })),
			404,
			"ResourceNotFoundException",
			`Function not found: ${arnOf("none")}:$LATEST`,
		);
		await test.client.send(create("slow", { Code: { ImageUri: "localhost/slow:1" } }));
		await refused(
			test.client.send(new InvokeCommand({ FunctionName: "slow" })),
			409,
			"ResourceConflictException",
			"The operation cannot be performed at this time. The function is currently in the following state: Pending",
		);
		test.front.answer = () => {
			throw new SlipwayError("THROTTLED", "Rate Exceeded.", {
				reason: "ReservedFunctionConcurrentInvocationLimitExceeded",
				retryAfterMs: 1500,
			});
		};
		const throttled = await rawRequest(test.front, "POST", "/2015-03-31/functions/f/invocations");
		assert.deepEqual(
			[throttled.status, throttled.headers.get("retry-after"), JSON.parse(throttled.text)],
			[
				429,
				"2",
				{ Type: "User", message: "Rate Exceeded.", Reason: "ReservedFunctionConcurrentInvocationLimitExceeded" },
			],
		);
		const type = await raw(test.front, "POST", "/2015-03-31/functions/f/invocations", {
			headers: { "X-Amz-Invocation-Type": "Later" },
		});
		assert.deepEqual(type, {
			status: 400,
			type: "ValidationException",
			body: {
				message:
					"1 validation error detected: Value 'Later' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]",
			},
		});
	});
});

/** Invoke, as AWS's own SDK sends it and recorded answers have it. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { InvokeCommand, type InvokeCommandInput, LambdaClient } from "@aws-sdk/client-lambda";
import { SlipwayError } from "../../../src/base/error.ts";
import {
	arn,
	type InvokeFront,
	keys,
	type RawOptions,
	region,
	send,
	startInvokeFront,
} from "../../../src/front/testing/invoke-front.ts";
import { clause as declare } from "./clause.ts";
import { refused } from "./control-api.ts";

const api = "https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html";
const recorded =
	"https://github.com/localstack/localstack/blob/main/tests/aws/services/lambda_/test_lambda.snapshot.json";
const path = "/2015-03-31/functions/f/invocations";

interface Test {
	front: InvokeFront;
	invoke: (input?: Partial<InvokeCommandInput>) => ReturnType<typeof sendInvoke>;
	post: (options: RawOptions, to?: string) => Promise<{ status: number; type: unknown; body: Record<string, unknown> }>;
}

const sendInvoke = (client: LambdaClient, input: Partial<InvokeCommandInput>) =>
	client.send(new InvokeCommand({ FunctionName: "f", ...input }));

function clause(says: string, source: string, test: (test: Test) => Promise<void>, differs?: string): void {
	declare({ area: "Invoke", says, source, ...(differs !== undefined && { differs }) }, async () => {
		await using front = await startInvokeFront();
		const client = new LambdaClient({ endpoint: front.url, region, credentials: keys, maxAttempts: 1 });
		const post: Test["post"] = async (options, to = path) => {
			const { status, headers, body } = await send(front, "POST", to, { signed: true, ...options });
			return { status, type: headers["x-amzn-errortype"], body: JSON.parse(body.toString()) };
		};
		await test({ front, invoke: (input = {}) => sendInvoke(client, input), post });
		client.destroy();
	});
}

describe("What a call carries", () => {
	clause("The payload, the version, the log's tail and one request id come back", api, async ({ front, invoke }) => {
		const answer = await invoke({ Payload: Buffer.from('{"x":"€"}'), LogType: "Tail" });
		assert.equal(answer.Payload?.transformToString(), '{"x":"€"}');
		assert.deepEqual([answer.StatusCode, answer.ExecutedVersion, answer.FunctionError], [200, "$LATEST", undefined]);
		const [request] = front.invocations;
		assert(request);
		assert.equal(answer.$metadata.requestId, request.requestId);
		const tail = Buffer.from(answer.LogResult ?? "", "base64").toString();
		assert.equal(tail, `START RequestId: ${request.requestId} Version: $LATEST\n`);
	});

	clause(
		"The function sees the ARN exactly as the caller addressed it, and the caller the version that ran",
		"https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html",
		async ({ front, invoke }) => {
			const calls: [Partial<InvokeCommandInput>, string, string | undefined, string][] = [
				[{}, arn, undefined, "$LATEST"],
				[{ Qualifier: "$LATEST" }, `${arn}:$LATEST`, "$LATEST", "$LATEST"],
				[{ Qualifier: "1" }, `${arn}:1`, "1", "1"],
				[{ FunctionName: "f:live" }, `${arn}:live`, "live", "1"],
				[{ FunctionName: `${arn}:live` }, `${arn}:live`, "live", "1"],
				[{ FunctionName: "123456789012:function:f", Qualifier: "live" }, `${arn}:live`, "live", "1"],
			];
			for (const [input, invokedArn, qualifier, version] of calls) {
				const answer = await invoke(input);
				const request = front.invocations.at(-1);
				assert.deepEqual([request?.invokedArn, request?.qualifier], [invokedArn, qualifier]);
				assert.equal(answer.ExecutedVersion, version);
			}
		},
	);

	clause("A call without a payload is an empty object to the function", api, async ({ front, invoke }) => {
		await invoke();
		assert.equal(Buffer.from(front.invocations[0]?.payload ?? []).toString(), "{}");
	});

	clause(
		"ClientContext is Base64 of JSON, at most 3,583 bytes of it, and reaches the function as JSON text",
		api,
		async ({ front, invoke }) => {
			const context = (text: string) => ({ ClientContext: Buffer.from(text).toString("base64") });
			await invoke(context('{"client":1}'));
			assert.equal(front.invocations.at(-1)?.clientContext, '{"client":1}');
			await invoke(context('{\n"name": "Zoë 🚀"}'));
			const text = front.invocations.at(-1)?.clientContext ?? "";
			assert.match(text, /^[\x20-\x7e]+$/, "the runtime gets it in a header");
			assert.deepEqual(JSON.parse(text), { name: "Zoë 🚀" });
			await refused(
				invoke({ ClientContext: "e30x" }),
				400,
				"InvalidRequestContentException",
				"Client context must be a valid Base64-encoded JSON object.",
			);
			await refused(
				invoke({ ClientContext: "e".repeat(3584) }),
				400,
				"InvalidParameterValueException",
				"Client context must be no more than 3583 bytes when Base64-encoded.",
			);
		},
	);
});

describe("Trace", () => {
	const source = "https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader";

	clause(
		"A call without a trace header begins a trace that is not sampled; the answer names it as the function saw it",
		source,
		async ({ front }) => {
			const first = await send(front, "POST", path, { signed: true });
			const second = await send(front, "POST", path, { signed: true });
			const trace = String(first.headers["x-amzn-trace-id"]);
			assert.match(trace, /^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$/);
			assert.equal(front.invocations[0]?.traceId, trace);
			assert.notEqual(second.headers["x-amzn-trace-id"], trace);
			const seconds = Number.parseInt(trace.slice(7, 15), 16);
			assert(Math.abs(seconds - Date.now() / 1000) < 5);
		},
	);

	clause("The caller's trace is kept, and what it lacks is added", source, async ({ front }) => {
		const root = "Root=1-5759e988-bd862e3fe1be46a994272793";
		const sent = async (header: string) => {
			await send(front, "POST", path, { signed: true, headers: { "X-Amzn-Trace-Id": header } });
			return front.invocations.at(-1)?.traceId ?? "";
		};
		const whole = `${root};Parent=53995c3f42cd8ad8;Sampled=1`;
		assert.equal(await sent(whole), whole);
		assert.equal(await sent(`${whole};Lineage=1:abc:0`), `${whole};Lineage=1:abc:0`);
		assert.match(await sent(root), new RegExp(`^${root};Parent=[0-9a-f]{16};Sampled=0$`));
		assert.match(await sent("nonsense"), /^Root=1-(?!5759e988)/);
	});

	clause(
		"W3C's traceparent becomes the same trace in X-Ray's words",
		"https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html#xray-api-traceids",
		async ({ front }) => {
			const traceparent = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
			await send(front, "POST", path, { signed: true, headers: { traceparent } });
			assert.equal(
				front.invocations[0]?.traceId,
				"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
			);
		},
	);
});

describe("Invocation types", () => {
	clause(
		"A dry run answers 204 without a body or a version, for qualifiers too, and runs nothing",
		recorded,
		async ({ front, invoke }) => {
			for (const Qualifier of [undefined, "$LATEST", "1", "live"]) {
				const dry = await invoke({ InvocationType: "DryRun", Qualifier });
				assert.deepEqual([dry.StatusCode, dry.ExecutedVersion, dry.Payload?.length ?? 0], [204, undefined, 0]);
			}
			for (const Qualifier of ["2", "nope"])
				await refused(
					invoke({ InvocationType: "DryRun", Qualifier }),
					404,
					"ResourceNotFoundException",
					`Function not found: ${arn}:${Qualifier}`,
				);
			assert.deepEqual(front.invocations, []);
		},
	);

	clause("Event answers 202 with nothing in it when the event is accepted", api, async ({ front, invoke }) => {
		for (const Qualifier of [undefined, "live"]) {
			const payload = Buffer.from('{"n":1}');
			const answer = await invoke({ InvocationType: "Event", Payload: payload, Qualifier, ClientContext: "e30=" });
			assert.deepEqual([answer.StatusCode, answer.ExecutedVersion, answer.Payload?.length ?? 0], [202, undefined, 0]);
			const event = front.accepted.at(-1);
			assert(event);
			assert.equal(event.requestId, answer.$metadata.requestId);
			assert.equal(event.invokedArn, Qualifier === undefined ? arn : `${arn}:live`);
			assert.equal(Buffer.from(event.payload).toString(), '{"n":1}');
			assert.equal(event.clientContext, "{}");
			assert.match(event.traceId ?? "", /^Root=1-/);
		}
		assert.deepEqual(front.invocations, []);
	});

	clause(
		"An event may have 1 MB; a larger one is refused by its size",
		"https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html",
		async ({ front, invoke }) => {
			const most = Buffer.from(JSON.stringify("x".repeat(1_048_574)));
			assert.equal((await invoke({ InvocationType: "Event", Payload: most })).StatusCode, 202);
			await refused(
				invoke({ InvocationType: "Event", Payload: Buffer.concat([most, Buffer.from(" ")]) }),
				413,
				"RequestEntityTooLargeException",
				"1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
			);
			assert.equal(front.accepted.length, 1);
		},
	);

	clause("An event for what is not there, or that is not JSON, is refused", api, async ({ front, invoke }) => {
		for (const Qualifier of ["2", "nope"])
			await refused(
				invoke({ InvocationType: "Event", Qualifier }),
				404,
				"ResourceNotFoundException",
				`Function not found: ${arn}:${Qualifier}`,
			);
		await refused(
			invoke({ InvocationType: "Event", Payload: Buffer.from("{") }),
			400,
			"InvalidRequestContentException",
			/^Could not parse request body into json/,
		);
		assert.deepEqual(front.accepted, []);
	});

	clause(
		"InvokeAsync does what Event does, with 256 KB at most",
		"https://docs.aws.amazon.com/lambda/latest/api/API_InvokeAsync.html",
		async ({ front }) => {
			const to = "/2014-11-13/functions/f/invoke-async";
			const { status, body } = await send(front, "POST", to, { signed: true, body: '{"n":1}' });
			assert.deepEqual([status, body.length], [202, 0]);
			assert.equal(Buffer.from(front.accepted[0]?.payload ?? []).toString(), '{"n":1}');
			const large = await send(front, "POST", to, { signed: true, body: JSON.stringify("x".repeat(262_144)) });
			assert.equal(large.status, 413);
			assert.equal(front.accepted.length, 1);
		},
	);

	clause("Another invocation type is refused by the model's words", api, async ({ post }) => {
		assert.deepEqual(await post({ headers: { "X-Amz-Invocation-Type": "Later" } }), {
			status: 400,
			type: "ValidationException",
			body: {
				message:
					"1 validation error detected: Value 'Later' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]",
			},
		});
	});
});

describe("Answers", () => {
	clause(
		"A failed function is status 200 with X-Amz-Function-Error Unhandled and its error as the payload",
		recorded,
		async ({ front, invoke }) => {
			front.answer = () => ({
				payload: Buffer.from('{"errorMessage":"x"}'),
				functionError: "Unhandled",
			});
			const answer = await invoke();
			assert.deepEqual(
				[answer.StatusCode, answer.FunctionError, answer.Payload?.transformToString()],
				[200, "Unhandled", '{"errorMessage":"x"}'],
			);
			const direct = await send(front, "POST", path, { signed: true });
			assert.equal(direct.headers["content-type"], "application/json");
		},
	);

	clause(
		"An unknown function, version or alias is 404 and named with its qualifier, $LATEST when there is none",
		recorded,
		async ({ invoke }) => {
			const none = `${arn.slice(0, -1)}none`;
			const missing = (message: string) => [404, "ResourceNotFoundException", message] as const;
			await refused(invoke({ FunctionName: "none" }), ...missing(`Function not found: ${none}:$LATEST`));
			await refused(invoke({ Qualifier: "7" }), ...missing(`Function not found: ${arn}:7`));
			await refused(invoke({ FunctionName: "f:nope" }), ...missing(`Function not found: ${arn}:nope`));
		},
	);

	clause("A throttled call is 429 with its reason, and when to come again", recorded, async ({ front }) => {
		const reasons = [
			"ReservedFunctionConcurrentInvocationLimitExceeded",
			"ConcurrentInvocationLimitExceeded",
			"FunctionInvocationRateLimitExceeded",
			"CallerRateLimitExceeded",
		];
		for (const reason of reasons) {
			front.answer = () => {
				throw new SlipwayError("THROTTLED", "Rate Exceeded.", { reason, retryAfterMs: 1500 });
			};
			const { status, headers, body } = await send(front, "POST", path, { signed: true });
			assert.deepEqual([status, headers["retry-after"]], [429, "2"]);
			assert.equal(headers["x-amzn-errortype"], "TooManyRequestsException");
			assert.deepEqual(JSON.parse(body.toString()), { Type: "User", message: "Rate Exceeded.", Reason: reason });
		}
	});

	clause(
		"A function whose image is not ready, gone or can't run is 409 by the name of the reason",
		"https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-images.html",
		async ({ front, invoke }) => {
			for (const state of ["Pending", "Deleted", "Failed"]) {
				const reason = `CodeArtifactUser${state}Exception`;
				front.answer = () => {
					throw new SlipwayError("CONFLICT", "The image is not there.", { reason });
				};
				await refused(invoke(), 409, reason, "The image is not there.");
			}
			const pending =
				"The operation cannot be performed at this time. The function is currently in the following state: Pending";
			front.answer = () => {
				throw new SlipwayError("CONFLICT", pending);
			};
			await refused(invoke(), 409, "ResourceConflictException", pending);
		},
	);
});

describe("Limits", () => {
	clause("6,291,456 bytes of payload are taken, and not one more", api, async ({ front, post }) => {
		front.answer = () => ({ payload: Buffer.from("null") });
		const body = Buffer.alloc(6_291_456, "x");
		body[0] = body[body.length - 1] = 0x22;
		assert.equal((await post({ body })).status, 200);
		assert.equal(front.invocations[0]?.payload.length, 6_291_456);
		assert.deepEqual(await post({ body: Buffer.concat([body, Buffer.from(" ")]) }), {
			status: 413,
			type: "RequestEntityTooLargeException",
			body: { Message: "Request must be smaller than 6291456 bytes for the InvokeFunction operation" },
		});
		assert.equal(front.invocations.length, 1);
	});

	clause("A payload that is not JSON is refused, with the place of the fault", recorded, async ({ front, post }) => {
		for (const body of ["{", "x", "{'a':1}", '{"a":1}}', Buffer.from([0x22, 0xff, 0x22])]) {
			const answer = await post({ body });
			assert.deepEqual([answer.status, answer.type, answer.body.Type], [400, "InvalidRequestContentException", "User"]);
			assert.match(
				String(answer.body.message),
				/^Could not parse request body into json: Could not parse payload into json: .*line: 1, column: \d+\]$/s,
			);
		}
		assert.deepEqual(front.invocations, []);
	});
});

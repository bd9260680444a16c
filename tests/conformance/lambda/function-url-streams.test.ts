/** Function URLs of InvokeMode RESPONSE_STREAM. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { describe } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SlipwayError } from "../../../src/base/error.ts";
import type { InvocationRequest } from "../../../src/core/invocation/invocation.ts";
import { begin, call, type InvokeFront, startInvokeFront } from "../../../src/front/testing/invoke-front.ts";
import { clause as declare } from "./clause.ts";

const streaming = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html";
const recorded =
	"https://github.com/localstack/localstack/blob/main/tests/aws/services/lambda_/test_lambda.snapshot.json";
const emulated =
	"https://github.com/localstack/localstack/blob/main/localstack-core/localstack/services/lambda_/urlrouter.py";

function clause(
	says: string,
	source: string,
	test: (front: InvokeFront) => Promise<void>,
	options: { buffered?: true; differs?: string } = {},
): void {
	const { buffered, differs } = options;
	declare({ area: "Function URLs", says, source, ...(differs !== undefined && { differs }) }, async () => {
		await using front = await startInvokeFront();
		front.functionUrl.invokeMode = buffered ? "BUFFERED" : "RESPONSE_STREAM";
		await test(front);
	});
}

const answers = (value: unknown) => () => ({ payload: Buffer.from(JSON.stringify(value)) });

const prelude = (value: unknown, rest = "") =>
	Buffer.concat([Buffer.from(JSON.stringify(value)), Buffer.alloc(8), Buffer.from(rest)]);
const integration = "application/vnd.awslambda.http-integration-response";

/** A function that streams the pieces as it is told and then ends as told. */
function streams(contentType: string, pieces: Buffer[], end: { sink?: boolean; error?: string } = {}) {
	return async ({ stream }: InvocationRequest) => {
		assert(stream, "the front offers to stream");
		const sink = stream({ contentType, executedVersion: "$LATEST" });
		for (const piece of pieces) if (!sink.write(piece)) await once(sink, "drain");
		await sleep(2);
		if (end.sink !== false) sink.end();
		return end.error === undefined ? {} : { functionError: "Unhandled" as const, errorType: end.error };
	};
}

describe("Streamed responses", () => {
	clause(
		"A stream's prelude, JSON and eight NUL bytes, is its status, headers and cookies, however it is cut",
		"https://github.com/aws/aws-lambda-nodejs-runtime-interface-client/blob/main/src/stream/HttpResponseStream.ts",
		async (front) => {
			const head = { statusCode: 418, headers: { "Content-Type": "text/plain", "X-A": "1" }, cookies: ["c=1"] };
			const whole = prelude(head, "the body\0\0\0\0\0\0\0\0 goes on");
			for (const size of [1, 3, 7, 64, whole.length]) {
				const pieces = Array.from({ length: Math.ceil(whole.length / size) }, (_, index) =>
					whole.subarray(index * size, (index + 1) * size),
				);
				front.answer = streams(integration, pieces);
				const { status, headers, body } = await call(front, "GET", "/");
				assert.deepEqual([status, headers["x-a"], headers["set-cookie"]], [418, "1", ["c=1"]]);
				assert.equal(headers["content-type"], "text/plain");
				assert.equal(headers["transfer-encoding"], "chunked");
				assert.equal(body.toString(), "the body\0\0\0\0\0\0\0\0 goes on");
			}
		},
	);

	clause("A stream without a prelude is status 200 with the runtime's content type", streaming, async (front) => {
		front.answer = streams("text/event-stream", [Buffer.from("data: 1\n\n"), Buffer.from("data: 2\n\n")]);
		const { status, headers, body } = await call(front, "GET", "/");
		assert.deepEqual([status, headers["content-type"]], [200, "text/event-stream"]);
		assert.equal(body.toString(), "data: 1\n\ndata: 2\n\n");
		assert.equal(headers["x-amzn-requestid"], front.invocations[0]?.requestId);
	});

	clause("Head and first bytes are passed on at once", streaming, async (front) => {
		const go = Promise.withResolvers<void>();
		front.answer = async ({ stream }) => {
			const sink = stream?.({ contentType: integration, executedVersion: "$LATEST" });
			sink?.write(prelude({ statusCode: 200 }));
			await go.promise;
			sink?.end("late");
			return {};
		};
		const incoming = await begin(front, "GET", "/", { headers: { host: front.host } });
		assert.equal(incoming.statusCode, 200);
		assert.equal(front.running, 1);
		go.resolve();
		const [chunk] = (await once(incoming, "data")) as [Buffer];
		assert.equal(chunk.toString(), "late");
	});

	clause("A prelude that is none, has no end, or is too long is 502, at once", streaming, async (front) => {
		const bad: Buffer[] = [
			prelude({ statusCode: 700 }),
			prelude({ statusCode: 200, headers: { "bad name": "x" } }),
			prelude("text"),
			Buffer.concat([Buffer.from("{not json"), Buffer.alloc(8)]),
			Buffer.from('{"statusCode":200}'),
			Buffer.alloc(70_000, "x"),
		];
		for (const piece of bad) {
			front.answer = streams(integration, [piece]);
			const { status, body } = await call(front, "GET", "/");
			assert.deepEqual([status, body.toString()], [502, "Internal Server Error"], piece.toString().slice(0, 40));
		}
		while (front.running > 0) await sleep(1);
	});

	clause("A failure ahead of the first byte is 502", streaming, async (front) => {
		front.answer = () => ({ functionError: "Unhandled", errorType: "Function.Error" });
		assert.equal((await call(front, "GET", "/")).status, 502);
		front.answer = streams("text/plain", [], { sink: false, error: "Sandbox.Timedout" });
		assert.equal((await call(front, "GET", "/")).status, 502);
		front.answer = () => {
			throw new SlipwayError("THROTTLED", "Rate Exceeded.");
		};
		assert.equal((await call(front, "GET", "/")).status, 429);
	});

	clause(
		"A timeout in the middle breaks the response off; an error that the runtime reports after its last byte does not",
		streaming,
		async (front) => {
			front.answer = streams("text/plain", [Buffer.from("half")], { sink: false, error: "Sandbox.Timedout" });
			await assert.rejects(call(front, "GET", "/"), { code: "ECONNRESET" });
			front.answer = streams("text/plain", [Buffer.from("half")], { error: "Function.Error" });
			assert.equal((await call(front, "GET", "/")).body.toString(), "half");
		},
	);

	clause("A function that does not stream answers as with BUFFERED", emulated, async (front) => {
		front.answer = answers({ statusCode: 202, body: "x" });
		const { status, headers, body } = await call(front, "GET", "/");
		assert.deepEqual([status, headers["content-length"], body.toString()], [202, "1", "x"]);
	});

	clause(
		"A runtime that streams to a BUFFERED URL has its prelude read all the same",
		recorded,
		async (front) => {
			front.answer = ({ stream }) => {
				assert.equal(stream, undefined, "nobody takes a stream");
				return { payload: prelude({ statusCode: 203, headers: { "x-a": "1" } }, "Hello, world!") };
			};
			const { status, headers, body } = await call(front, "GET", "/");
			assert.deepEqual([status, headers["x-a"], body.toString()], [203, "1", "Hello, world!"]);
		},
		{ buffered: true },
	);

	clause("A client of a URL that goes away does not stop the function", streaming, async (front) => {
		const finished = Promise.withResolvers<void>();
		front.answer = async (request) => {
			const pieces = Array.from({ length: 200 }, () => Buffer.alloc(64 * 1024));
			const result = await streams("text/plain", pieces)(request);
			finished.resolve();
			return result;
		};
		const incoming = await begin(front, "GET", "/", { headers: { host: front.host } });
		await once(incoming, "data");
		incoming.destroy();
		await finished.promise;
		while (front.running > 0) await sleep(1);
	});
});

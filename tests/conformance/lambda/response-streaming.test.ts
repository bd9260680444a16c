/** InvokeWithResponseStream, as AWS's own SDK reads it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { describe } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
	InvokeWithResponseStreamCommand,
	type InvokeWithResponseStreamCommandInput,
	type InvokeWithResponseStreamCommandOutput,
	type InvokeWithResponseStreamCompleteEvent,
	LambdaClient,
} from "@aws-sdk/client-lambda";
import { SlipwayError } from "../../../src/base/error.ts";
import {
	arn,
	begin,
	type InvokeFront,
	keys,
	region,
	send,
	startInvokeFront,
} from "../../../src/front/testing/invoke-front.ts";
import { clause as declare } from "./clause.ts";
import { refused } from "./control-api.ts";

const api = "https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html";
const guide = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html";
const path = "/2021-11-15/functions/f/response-streaming-invocations";

type Stream = (input?: Partial<InvokeWithResponseStreamCommandInput>) => Promise<InvokeWithResponseStreamCommandOutput>;

const sendStream = (client: LambdaClient, input: Partial<InvokeWithResponseStreamCommandInput>) =>
	client.send(new InvokeWithResponseStreamCommand({ FunctionName: "f", ...input }));

function clause(
	says: string,
	source: string,
	test: (front: InvokeFront, stream: Stream) => Promise<void>,
	differs?: string,
): void {
	declare({ area: "Response streaming", says, source, ...(differs !== undefined && { differs }) }, async () => {
		await using front = await startInvokeFront();
		const client = new LambdaClient({ endpoint: front.url, region, credentials: keys, maxAttempts: 1 });
		await test(front, (input = {}) => sendStream(client, input));
		client.destroy();
	});
}

interface Read {
	chunks: string[];
	complete: InvokeWithResponseStreamCompleteEvent | undefined;
}

async function read(answer: InvokeWithResponseStreamCommandOutput): Promise<Read> {
	const chunks: string[] = [];
	let complete: Read["complete"];
	for await (const event of answer.EventStream ?? []) {
		assert.equal(complete, undefined, "InvokeComplete is the last event");
		if (event.PayloadChunk) chunks.push(Buffer.from(event.PayloadChunk.Payload ?? []).toString());
		else complete = event.InvokeComplete;
	}
	return { chunks, complete };
}

/** A function that streams `parts`, each when the one before is taken. */
function streams(...parts: string[]): InvokeFront["answer"] {
	return async ({ stream }) => {
		const sink = stream?.({ contentType: "application/octet-stream", executedVersion: "$LATEST" });
		assert(sink);
		for (const part of parts) if (!sink.write(part)) await once(sink, "drain");
		sink.end();
		return {};
	};
}

describe("InvokeWithResponseStream", () => {
	clause("The answer comes in PayloadChunks and ends in InvokeComplete", api, async (front, stream) => {
		front.answer = streams("one ", "two ", "€");
		const answer = await stream({ LogType: "Tail", Payload: Buffer.from('{"a":1}'), Qualifier: "live" });
		assert.deepEqual(
			[answer.StatusCode, answer.ExecutedVersion, answer.ResponseStreamContentType],
			[200, "$LATEST", "application/vnd.amazon.eventstream"],
		);
		const { chunks, complete } = await read(answer);
		assert.equal(chunks.join(""), "one two €");
		const [request] = front.invocations;
		assert.equal(answer.$metadata.requestId, request?.requestId);
		assert.equal(request?.invokedArn, `${arn}:live`);
		assert.equal(Buffer.from(request?.payload ?? []).toString(), '{"a":1}');
		assert.deepEqual([complete?.ErrorCode, complete?.ErrorDetails], [undefined, undefined]);
		const tail = Buffer.from(complete?.LogResult ?? "", "base64").toString();
		assert.match(tail, new RegExp(`^START RequestId: ${request?.requestId}`));
	});

	clause("The first byte is passed on as soon as the function wrote it", guide, async (front, stream) => {
		const go = Promise.withResolvers<void>();
		front.answer = async ({ stream: open }) => {
			const sink = open?.({ contentType: "text/plain", executedVersion: "$LATEST" });
			sink?.write("first");
			await go.promise;
			sink?.end("last");
			return {};
		};
		const answer = await stream();
		assert(answer.EventStream);
		const events = answer.EventStream[Symbol.asyncIterator]();
		const { value } = await events.next();
		assert.equal(Buffer.from(value.PayloadChunk.Payload).toString(), "first");
		assert.equal(front.running, 1, "the function is still at it");
		go.resolve();
		assert.equal(Buffer.from((await events.next()).value.PayloadChunk.Payload).toString(), "last");
		assert.deepEqual((await events.next()).value.InvokeComplete, {});
	});

	clause("A function that does not stream is one PayloadChunk", guide, async (_front, stream) => {
		const { chunks, complete } = await read(await stream({ Payload: Buffer.from('{"whole":true}') }));
		assert.deepEqual([chunks, complete], [['{"whole":true}'], {}]);
	});

	clause(
		"A function that fails ahead of its answer is status 200 and InvokeComplete with ErrorCode Unhandled",
		"https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStreamCompleteEvent.html",
		async (front, stream) => {
			const error = '{"errorMessage":"x","errorType":"Error"}';
			front.answer = () => ({ payload: Buffer.from(error), functionError: "Unhandled", errorType: "Function.Error" });
			const answer = await stream();
			assert.equal(answer.StatusCode, 200);
			const { chunks, complete } = await read(answer);
			assert.deepEqual([chunks, complete], [[], { ErrorCode: "Unhandled", ErrorDetails: error }]);
		},
	);

	for (const [what, errorType, details] of [
		["The runtime's error in the middle of the answer", "Runtime.StreamError", '{"errorMessage":"half way"}'],
		["A timeout in the middle of the answer", "Sandbox.Timedout", '{"errorType":"Sandbox.Timedout"}'],
		["An answer that breaks off", "Runtime.TruncatedResponse", ""],
	] as const)
		clause(
			`${what} is told by InvokeComplete, after the chunks that came before it: ${errorType}`,
			"https://github.com/aws/aws-lambda-runtime-interface-emulator/blob/main/internal/lambda/core/directinvoke/directinvoke.go",
			async (front, stream) => {
				front.answer = async ({ stream: open }) => {
					const sink = open?.({ contentType: "text/plain", executedVersion: "$LATEST" });
					sink?.write("half of ");
					sink?.write("it");
					// A timeout does not end what the runtime wrote.
					if (errorType === "Runtime.StreamError") sink?.end();
					await sleep(5);
					return { payload: Buffer.from(details), functionError: "Unhandled", errorType };
				};
				const { chunks, complete } = await read(await stream());
				assert.equal(chunks.join(""), "half of it");
				assert.deepEqual(complete, { ErrorCode: errorType, ...(details !== "" && { ErrorDetails: details }) });
			},
		);

	clause("What is refused is refused with its own status, as with Invoke", api, async (front, stream) => {
		await refused(
			stream({ FunctionName: "none" }),
			404,
			"ResourceNotFoundException",
			`Function not found: ${arn.slice(0, -1)}none:$LATEST`,
		);
		front.answer = () => {
			throw new SlipwayError("THROTTLED", "Rate Exceeded.", { reason: "ConcurrentInvocationLimitExceeded" });
		};
		await refused(stream(), 429, "TooManyRequestsException", "Rate Exceeded.");
		await refused(
			stream({ InvocationType: "Event" as "DryRun" }),
			400,
			"ValidationException",
			/Member must satisfy enum value set: \[RequestResponse, DryRun\]/,
		);
		const body = Buffer.alloc(6_291_457, " ");
		const { status, headers } = await send(front, "POST", path, { signed: true, body });
		assert.deepEqual([status, headers["x-amzn-errortype"]], [413, "RequestEntityTooLargeException"]);
	});

	clause("A dry run answers 204 and runs nothing", api, async (front, stream) => {
		const { StatusCode, EventStream } = await stream({ InvocationType: "DryRun" });
		assert.equal(StatusCode, 204);
		for await (const event of EventStream ?? []) assert.fail(JSON.stringify(event));
		assert.deepEqual(front.invocations, []);
	});

	clause("A client that goes away does not stop the function", guide, async (front) => {
		let written = 0;
		const finished = Promise.withResolvers<void>();
		front.answer = async ({ stream: open }) => {
			const sink = open?.({ contentType: "text/plain", executedVersion: "$LATEST" });
			assert(sink);
			for (; written < 200; written++) {
				if (!sink.write(Buffer.alloc(64 * 1024))) await once(sink, "drain");
				if (written === 2) await sleep(20);
			}
			sink.end();
			await once(sink, "finish");
			finished.resolve();
			return {};
		};
		const incoming = await begin(front, "POST", path, { signed: true });
		await once(incoming, "data");
		incoming.destroy();
		await finished.promise;
		assert.equal(written, 200);
		while (front.running > 0) await sleep(1);
	});

	clause("A slow client holds the function up; nothing piles up in between", guide, async (front) => {
		const total = 48 * 1024 * 1024;
		let written = 0;
		front.answer = async ({ stream: open }) => {
			const sink = open?.({ contentType: "text/plain", executedVersion: "$LATEST" });
			assert(sink);
			for (const chunk = Buffer.alloc(64 * 1024); written < total; written += chunk.length)
				if (!sink.write(chunk)) await once(sink, "drain");
			sink.end();
			return {};
		};
		const incoming = await begin(front, "POST", path, { signed: true });
		incoming.pause();
		let before = -1;
		while (written !== before) {
			before = written;
			await sleep(50);
		}
		// The kernel's buffers of both ends, some megabytes each, are all that is in between.
		assert(written < 24 * 1024 * 1024, `${written} bytes were taken that nobody read`);
		let bytes = 0;
		for await (const chunk of incoming) bytes += (chunk as Buffer).length;
		assert.equal(written, total);
		assert(bytes > total);
	});
});

/** Streamed answers on the runtime's side: POST …/response with Lambda-Runtime-Function-Response-Mode: streaming. */
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { PassThrough, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import {
	openTestSession,
	type TestSession,
	type TestSessionOptions,
	testEvent,
	until,
} from "../../../src/contracts/lambda/testing/test-session.ts";
import type { StreamHead } from "../../../src/core/invocation/invocation.ts";
import { clause } from "./clause.ts";

const area = "Response streaming";
const guide = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html";
const custom = "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming";
const rie = (path: string) =>
	`https://github.com/aws/aws-lambda-runtime-interface-emulator/blob/main/internal/lambda/${path}`;
const mode = { "Lambda-Runtime-Function-Response-Mode": "streaming" };

interface Streaming {
	test: TestSession;
	heads: StreamHead[];
	/** What the runtime writes its answer to. */
	request: http.ClientRequest;
	answered: Promise<http.IncomingMessage>;
}

/** An event has been delivered, and the runtime is about to stream to `sink`. */
async function stream(
	test: TestSession,
	sink: Writable | undefined,
	headers: http.OutgoingHttpHeaders = {},
): Promise<Streaming> {
	const heads: StreamHead[] = [];
	const open = (head: StreamHead) => {
		heads.push(head);
		return sink ?? new PassThrough();
	};
	await test.invoke(testEvent("id-1", "{}", sink && { stream: open }));
	const request = http.request({
		host: "127.0.0.1",
		port: test.port,
		method: "POST",
		path: "/2018-06-01/runtime/invocation/id-1/response",
		headers: { ...mode, "Transfer-Encoding": "chunked", ...headers },
		agent: false,
	});
	const answered = once(request, "response").then(([response]) => response as http.IncomingMessage);
	answered.catch(() => {});
	request.on("error", () => {});
	return { test, heads, request, answered };
}

function collect(sink: PassThrough) {
	const chunks: Buffer[] = [];
	sink.on("data", (chunk) => chunks.push(chunk));
	return {
		text: () => Buffer.concat(chunks).toString(),
		bytes: () => chunks.reduce((sum, { length }) => sum + length, 0),
		ended: new Promise((resolve) => sink.once("end", resolve)),
	};
}

async function opened(options: TestSessionOptions, body: (test: TestSession) => Promise<void>): Promise<void> {
	await using test = await openTestSession(options);
	await body(test);
}

clause({ area, says: "The caller gets the first bytes before the function has written the last", source: guide }, () =>
	opened({}, async (test) => {
		const sink = new PassThrough();
		const got = collect(sink);
		const { heads, request, answered } = await stream(test, sink, { "Content-Type": "text/plain" });
		request.write("first ");
		await until(() => got.text() === "first ");
		assert.deepEqual(heads, [{ contentType: "text/plain", executedVersion: "$LATEST" }]);
		assert.deepEqual(test.seen.streamed, []);
		request.end("last");
		assert.equal((await answered).statusCode, 202);
		await got.ended;
		assert.equal(got.text(), "first last");
		assert.deepEqual(test.seen.streamed, [{ bytes: 10, failure: undefined }]);
		assert.deepEqual(test.seen.responses, []);
	}),
);

clause({ area, says: "A stream without a content type is application/octet-stream", source: custom }, () =>
	opened({}, async (test) => {
		const { heads, request, answered } = await stream(test, new PassThrough().resume());
		request.end("x");
		await answered;
		assert.equal(heads[0]?.contentType, "application/octet-stream");
	}),
);

clause(
	{
		area,
		says: "An error in the middle of a stream is told in trailers, its body in base64; what was streamed before it stays",
		source: custom,
	},
	() =>
		opened({}, async (test) => {
			const sink = new PassThrough();
			const got = collect(sink);
			const { request, answered } = await stream(test, sink, {
				Trailer: "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
			});
			const body = '{"errorMessage":"half-way","errorType":"Oops"}';
			request.write("part");
			request.addTrailers({
				"Lambda-Runtime-Function-Error-Type": "Function.Oops",
				"Lambda-Runtime-Function-Error-Body": Buffer.from(body).toString("base64"),
			});
			request.end();
			assert.equal((await answered).statusCode, 202);
			await got.ended;
			assert.equal(got.text(), "part");
			const [end] = test.seen.streamed;
			assert.deepEqual(
				[end?.bytes, end?.failure?.errorType, String(end?.failure?.payload)],
				[4, "Function.Oops", body],
			);
		}),
);

clause(
	{
		area,
		says: "A stream that breaks off is cut for the caller and ends with Runtime.TruncatedResponse",
		source: rie("core/directinvoke/directinvoke.go"),
	},
	() =>
		opened({}, async (test) => {
			const sink = new PassThrough();
			const got = collect(sink);
			const { request } = await stream(test, sink);
			request.write("half");
			await until(() => got.text() === "half");
			const closed = once(sink, "close");
			request.destroy();
			await closed;
			assert.equal(sink.writableFinished, false);
			assert.deepEqual(
				[test.seen.streamed[0]?.bytes, test.seen.streamed[0]?.failure?.errorType],
				[4, "Runtime.TruncatedResponse"],
			);
		}),
);

clause(
	{ area, says: "A caller that goes away does not stop the function, which may write to the end", source: guide },
	() =>
		opened({}, async (test) => {
			const sink = new PassThrough();
			const { request, answered } = await stream(test, sink);
			request.write(Buffer.alloc(100_000));
			await until(() => sink.readableLength > 0);
			sink.destroy();
			for (let i = 0; i < 100; i++) request.write(Buffer.alloc(100_000));
			request.end();
			assert.equal((await answered).statusCode, 202);
			assert.deepEqual(test.seen.streamed, [{ bytes: 10_100_000, failure: undefined }]);
		}),
);

clause({ area, says: "A slow caller slows the function down; nothing piles up in between", source: guide }, () =>
	opened({ streaming: { bytesPerSecond: Number.POSITIVE_INFINITY } }, async (test) => {
		const taken: number[] = [];
		let release = () => {};
		const sink = new Writable({
			highWaterMark: 64 * 1024,
			write(chunk: Buffer, _encoding, done) {
				taken.push(chunk.length);
				release = done;
			},
		});
		const { request, answered } = await stream(test, sink);
		let refused = 0;
		for (let i = 0; i < 300; i++) if (!request.write(Buffer.alloc(64 * 1024))) refused++;
		request.end();
		await sleep(100);
		assert.equal(taken.length, 1);
		assert.ok(sink.writableLength < 256 * 1024, `${sink.writableLength} bytes wait`);
		assert.ok(refused > 0 && request.writableLength > 1024 * 1024, "the function's own buffer fills");
		const timer = setInterval(() => release(), 0);
		assert.equal((await answered).statusCode, 202);
		clearInterval(timer);
		assert.deepEqual(test.seen.streamed, [{ bytes: 300 * 64 * 1024, failure: undefined }]);
	}),
);

clause(
	{
		area,
		says: "The first 6 MiB pass at once and the rest at 2 MiB/s, in steps of 125 ms",
		source: rie("core/bandwidthlimiter/throttler.go"),
	},
	() =>
		opened({}, async (test) => {
			const sink = new PassThrough();
			const got = collect(sink);
			const { request, answered } = await stream(test, sink);
			const startedAt = performance.now();
			request.end(Buffer.alloc(7 * 1024 * 1024));
			await until(() => got.bytes() > 5.9 * 1024 * 1024);
			const burstMs = performance.now() - startedAt;
			assert.equal((await answered).statusCode, 202);
			const totalMs = performance.now() - startedAt;
			assert.ok(burstMs < 400, `the burst took ${burstMs} ms`);
			// The last MiB needs four fillings of 256 KiB.
			assert.ok(totalMs > 380 && totalMs < 1500, `${totalMs} ms`);
		}),
);

clause(
	{
		area,
		says: "A stream may have 200 MB: past its limit it is cut, the runtime gets 413 and the failure is Function.ResponseSizeTooLarge",
		source: guide,
	},
	() =>
		opened({ streaming: { maxBytes: 1000 } }, async (test) => {
			const sink = new PassThrough();
			const got = collect(sink);
			const { request, answered } = await stream(test, sink);
			request.write(Buffer.alloc(600));
			await until(() => got.bytes() === 600);
			const closed = once(sink, "close");
			request.end(Buffer.alloc(401));
			assert.equal((await answered).statusCode, 413);
			await closed;
			const [end] = test.seen.streamed;
			assert.deepEqual([end?.bytes, end?.failure?.errorType], [1000, "Function.ResponseSizeTooLarge"]);
			const next = test.runtime("GET", "invocation/next");
			await until(() => test.seen.ready === 2);
			test.session.deliver(testEvent("id-2", "2"));
			assert.equal((await next).body, "2");
		}),
);

clause(
	{
		area,
		says: "A timeout in the middle of a stream closes the runtime's connection and cuts the caller's",
		source: rie("core/directinvoke/directinvoke.go"),
	},
	() =>
		opened({}, async (test) => {
			const sink = new PassThrough();
			const got = collect(sink);
			const { request } = await stream(test, sink);
			request.write("half");
			await until(() => got.text() === "half");
			const closed = Promise.all([new Promise((resolve) => request.once("close", resolve)), once(sink, "close")]);
			test.session.abandon();
			await closed;
			assert.equal(sink.writableFinished, false);
			assert.deepEqual(test.seen.streamed, []);
		}),
);

clause(
	{
		area,
		says: "A streamed answer to a buffered invocation is collected, up to 6 MB; its trailers make it an error",
		source: custom,
	},
	() =>
		opened({}, async (test) => {
			const plain = await stream(test, undefined);
			plain.request.write('"a');
			plain.request.end('b"');
			assert.equal((await plain.answered).statusCode, 202);
			assert.deepEqual(test.seen.responses, ['"ab"']);
			const failing = await stream(test, undefined, { Trailer: "Lambda-Runtime-Function-Error-Type" });
			failing.request.write("x");
			failing.request.addTrailers({ "Lambda-Runtime-Function-Error-Type": "Function.Oops" });
			failing.request.end();
			assert.equal((await failing.answered).statusCode, 202);
			assert.equal(test.seen.errors[0]?.errorType, "Function.Oops");
			const large = await stream(test, undefined);
			large.request.end(Buffer.alloc(6_291_557));
			assert.equal((await large.answered).statusCode, 413);
			assert.equal(test.seen.errors[1]?.errorType, "Function.ResponseSizeTooLarge");
		}),
);

clause(
	{
		area,
		says: "A caller that streams gets the answer as it comes also from a runtime that does not name a response mode",
		source: rie("core/directinvoke/directinvoke.go"),
	},
	() =>
		opened({}, async (test) => {
			const sink = new PassThrough();
			const caller = collect(sink);
			await test.invoke(testEvent("id-1", "{}", { stream: () => sink }));
			assert.equal((await test.runtime("POST", "invocation/id-1/response", '"whole"')).status, 202);
			await caller.ended;
			assert.deepEqual([caller.text(), test.seen.responses], ['"whole"', []]);
		}),
);

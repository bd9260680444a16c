import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { StreamedAnswer } from "../streamed-answer.ts";
import { bufferedResponse, integrationResponseType, MalformedResponseError } from "./response.ts";
import { maxPreludeBytes, readStreamStart } from "./streamed-response.ts";

const head = { contentType: integrationResponseType, executedVersion: "$LATEST" };
const mark = Buffer.alloc(8);

async function start(pieces: Uint8Array[], contentType = head.contentType) {
	const answer = new StreamedAnswer();
	for (const piece of pieces) answer.write(piece);
	answer.end();
	return readStreamStart({ ...head, contentType }, answer);
}

test("Garbage is a body or a refusal, and never anything else", async () => {
	const starts = ["", "{", '{"statusCode":', '{"statusCode":200,"headers":', "[", "\0".repeat(8), '{"statusCode":200}'];
	for (let round = 0; round < 500; round++) {
		const prefix = Buffer.from(starts[round % starts.length] ?? "");
		const bytes = Buffer.concat([prefix, randomBytes(round % 40), round % 3 ? mark : Buffer.alloc(0), randomBytes(5)]);
		try {
			const { status } = bufferedResponse(bytes);
			assert(status >= 200 && status <= 599);
		} catch (error) {
			assert(error instanceof MalformedResponseError, String(error));
		}
		await start([bytes]).catch((error) => assert(error instanceof MalformedResponseError, String(error)));
	}
});

test("A payload that is not JSON is the body", () => {
	for (const text of ["", "plain", "<html>", "{not json}"]) {
		const { status, body } = bufferedResponse(Buffer.from(text));
		assert.deepEqual([status, Buffer.from(body).toString()], [200, text]);
	}
});

test("The connection's headers are not the function's to set", () => {
	const headers = { Connection: "close", "Content-Length": "999", "Transfer-Encoding": "chunked", "X-A": ["1", "2"] };
	const response = bufferedResponse(Buffer.from(JSON.stringify({ statusCode: 200, headers, body: "x" })));
	assert.deepEqual(
		[...response.headers],
		[
			["x-a", ["1", "2"]],
			["content-type", ["application/json"]],
		],
	);
});

test("A member named __proto__ is a header like any other", () => {
	const { headers } = bufferedResponse(Buffer.from('{"statusCode":200,"headers":{"__proto__":"x","constructor":"y"}}'));
	assert.deepEqual([headers.get("__proto__"), headers.get("constructor")], [["x"], ["y"]]);
});

test("A prelude of the longest length is taken, and not one byte more", async () => {
	const prelude = (length: number) => Buffer.from(`{"statusCode":200,"x":"${"y".repeat(length - 25)}"}`);
	assert.equal(prelude(100).length, 100);
	const whole = await start([prelude(maxPreludeBytes), mark, Buffer.from("body")]);
	assert.equal(whole?.head.status, 200);
	await assert.rejects(start([prelude(maxPreludeBytes + 1), mark]), MalformedResponseError);
	await assert.rejects(start([Buffer.alloc(4 * maxPreludeBytes, "x")]), MalformedResponseError);
});

test("The mark is found across chunks, and the first one counts", async () => {
	const whole = Buffer.concat([Buffer.from('{"statusCode":204}'), mark, mark, Buffer.from("x")]);
	for (let cut = 1; cut < whole.length; cut++) {
		const found = await start([whole.subarray(0, cut), whole.subarray(cut)]);
		assert.equal(found?.head.status, 204, `cut at ${cut}`);
	}
});

test("A stream that ends before its first byte says nothing", async () => {
	assert.equal(await start([]), undefined);
	assert.equal(await start([], "text/plain"), undefined);
});

test("Lists and objects that are the body as they are cost no parsing, however long they are", () => {
	const parse = JSON.parse;
	let parsed = 0;
	JSON.parse = (text, reviver) => {
		parsed++;
		return parse(text, reviver);
	};
	try {
		for (const text of ["[[],[]]", ' {"items":[1,2]}', "17", "true", "\n[1]"]) {
			const { status, body } = bufferedResponse(Buffer.from(text));
			assert.deepEqual([status, Buffer.from(body).toString()], [200, text]);
		}
		assert.equal(parsed, 0);
		assert.equal(bufferedResponse(Buffer.from(' {"statusCode":201}')).status, 201);
		assert.equal(Buffer.from(bufferedResponse(Buffer.from(' "text"')).body).toString(), "text");
	} finally {
		JSON.parse = parse;
	}
});

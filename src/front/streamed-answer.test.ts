import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { StreamedAnswer } from "./streamed-answer.ts";

test("Chunks come one by one, as they were written, and the end after them", async () => {
	const answer = new StreamedAnswer();
	answer.write("a");
	answer.write("b");
	answer.end("c");
	for (const expected of ["a", "b", "c"]) assert.equal((await answer.next())?.toString(), expected);
	assert.equal(await answer.next(), undefined);
	assert.equal(await answer.next(), undefined);
	assert(answer.writableEnded);
});

test("A chunk that is waited for arrives when it is written", async () => {
	const answer = new StreamedAnswer();
	const next = answer.next();
	await new Promise(setImmediate);
	answer.write("late");
	assert.equal((await next)?.toString(), "late");
});

async function write(answer: StreamedAnswer, chunk: Buffer): Promise<void> {
	if (!answer.write(chunk)) await once(answer, "drain");
}

test("Nothing more is taken than 64 KiB until somebody reads", async () => {
	const answer = new StreamedAnswer();
	await write(answer, Buffer.alloc(63 * 1024));
	let drained = false;
	const second = write(answer, Buffer.alloc(1024)).then(() => {
		drained = true;
	});
	await new Promise(setImmediate);
	assert.equal(drained, false);
	assert.equal((await answer.next())?.length, 63 * 1024);
	await second;
	assert.equal(drained, true);
});

test("A writer that is cut off has what it wrote handed over", async () => {
	const answer = new StreamedAnswer();
	await write(answer, Buffer.from("a"));
	answer.write(Buffer.alloc(64 * 1024));
	answer.destroy();
	await once(answer, "close");
	assert.equal((await answer.next())?.toString(), "a");
	assert.equal((await answer.next())?.length, 64 * 1024);
	assert.equal(await answer.next(), undefined);
	assert.equal(answer.writableEnded, false);
});

test("An invocation that ends without ending its answer gives what was written so far", async () => {
	const answer = new StreamedAnswer();
	answer.write("a");
	answer.write("b");
	answer.close();
	assert.equal((await answer.next())?.toString(), "a");
	assert.equal((await answer.next())?.toString(), "b");
	assert.equal(await answer.next(), undefined);
	assert.equal(answer.writableEnded, false);
});

test("After discard everything is swallowed, and the writer goes on", async () => {
	const answer = new StreamedAnswer();
	answer.write("a");
	const next = answer.next().then(() => answer.next());
	await new Promise(setImmediate);
	answer.discard();
	assert.equal(await next, undefined);
	for (let count = 0; count < 100; count++) if (!answer.write(Buffer.alloc(64 * 1024))) await once(answer, "drain");
	answer.end();
	await once(answer, "finish");
});

test("Who destroys it, with an error or without, ends it", async () => {
	for (const error of [undefined, new Error("reset")]) {
		const answer = new StreamedAnswer();
		const next = answer.next();
		answer.destroy(error);
		assert.equal(await next, undefined);
	}
});

import assert from "node:assert/strict";
import { closeSync, readdirSync, writeSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../base/clock.ts";
import { OutputPipe } from "./output-pipe.ts";

const open = () => readdirSync("/proc/self/fd").length;

test("what was written before anybody asked for it is there, to its end", async () => {
	const pipe = new OutputPipe();
	writeSync(pipe.write, "early ");
	let text = "";
	pipe.stream.on("data", (part: Buffer) => {
		text += part;
	});
	writeSync(pipe.write, "late");
	closeSync(pipe.write);
	await pipe.drain(systemClock);
	assert.equal(text, "early late");
	assert.equal(pipe.stream, pipe.stream);
});

test("a reader is waited for, though not for ever, and one that never came is not", async () => {
	const held = new OutputPipe();
	held.stream.resume();
	const before = performance.now();
	await held.drain(systemClock);
	assert.ok(performance.now() - before > 100);
	closeSync(held.write);
	const unread = new OutputPipe();
	const soon = performance.now();
	await unread.drain(systemClock);
	assert.ok(performance.now() - soon < 100);
	assert.ok(unread.stream.destroyed);
	closeSync(unread.write);
});

test("leaves no descriptor, read or not, disposed once or twice", async () => {
	const before = open();
	for (const read of [true, false])
		for (let round = 0; round < 10; round++) {
			const pipe = new OutputPipe();
			if (read) pipe.stream.resume();
			closeSync(pipe.write);
			pipe[Symbol.dispose]();
			pipe[Symbol.dispose]();
			await pipe.drain(systemClock);
		}
	await sleep(10);
	assert.equal(open(), before);
});

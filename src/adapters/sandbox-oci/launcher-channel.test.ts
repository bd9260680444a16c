import assert from "node:assert/strict";
import { closeSync, readdirSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../base/clock.ts";
import { systemClock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import { socketPair } from "../../base/syscall.ts";
import { LauncherChannel } from "./launcher-channel.ts";
import { LauncherScript } from "./launcher-script.ts";

let channel: LauncherChannel;
/** Written to as the launcher would, and closed by the test. */
let launcher: number;
let late: (() => void) | undefined;
const clock: Clock = {
	...systemClock,
	after: (_, callback) => {
		late = callback;
		return () => {
			late = undefined;
		};
	},
};

beforeEach(() => {
	const [ours, theirs] = socketPair();
	channel = new LauncherChannel(ours, clock);
	launcher = theirs;
});
afterEach(() => {
	channel[Symbol.dispose]();
	assert.equal(late, undefined, "a timer stays behind");
});

const script = () => new LauncherScript().call("chdir", "/").call("chdir", "/nope");
const failed = (error: unknown) => isSlipwayError(error, "SANDBOX_FAILED");
function answer(index: number, result: number): Buffer {
	const bytes = Buffer.alloc(16);
	bytes.writeBigUInt64LE(BigInt(index));
	bytes.writeBigInt64LE(BigInt(result), 8);
	return bytes;
}

test("an answer that comes in pieces, and one after the other", async () => {
	const first = channel.run(script());
	writeSync(launcher, answer(1, -2), 0, 3);
	await sleep(5);
	writeSync(launcher, answer(1, -2), 3);
	assert.equal((await first)?.code, "ENOENT");
	const second = channel.run(script());
	writeSync(launcher, answer(2, 0));
	assert.equal(await second, undefined);
	closeSync(launcher);
});

test("what nobody asked for is not kept, and ends it", async () => {
	const writes = async () => {
		for (;;) {
			writeSync(launcher, answer(2, 0));
			await sleep(5);
		}
	};
	await assert.rejects(writes(), { code: "EPIPE" });
	await assert.rejects(channel.run(script()), failed);
	closeSync(launcher);
});

test("more than an answer ends it: nobody fills our memory", async () => {
	const running = channel.execute(script());
	const flood = new Socket({ fd: launcher });
	flood.on("error", () => {});
	flood.write(Buffer.alloc(1 << 20));
	await assert.rejects(running, failed);
	await assert.rejects(channel.execute(script()), failed);
	flood.destroy();
});

test("garbage for an answer is a failure, not a success", async () => {
	const running = channel.run(script());
	writeSync(launcher, Buffer.alloc(16, 0xff));
	await assert.rejects(running, failed);
	closeSync(launcher);
});

test("an end in the middle of an answer fails what is set up, and is an execution's success", async () => {
	for (const [method, check] of [
		["run", (running: Promise<unknown>) => assert.rejects(running, failed)],
		["execute", async (running: Promise<unknown>) => assert.equal(await running, undefined)],
	] as const) {
		const [ours, theirs] = socketPair();
		using other = new LauncherChannel(ours, systemClock);
		const running = other[method](script());
		const reader = new Socket({ fd: theirs });
		reader.once("data", () => reader.end(answer(1, 0).subarray(0, 8)));
		await check(running);
		reader.destroy();
	}
	closeSync(launcher);
});

test("one that has gone without reading has started nothing", async () => {
	const running = channel.execute(script());
	await sleep(5);
	closeSync(launcher);
	await assert.rejects(running, failed);
	await assert.rejects(channel.execute(script()), failed);
});

test("one that does not answer in time is given up, and what it says later is nobody's answer", async () => {
	const running = channel.run(script());
	late?.();
	late = undefined;
	await assert.rejects(running, /does not answer/);
	await sleep(5);
	await assert.rejects(channel.run(script()), failed);
	closeSync(launcher);
});

test("a disposal while it waits fails what waits, once, and leaves no descriptor", async () => {
	const running = channel.run(script());
	channel[Symbol.dispose]();
	channel[Symbol.dispose]();
	await assert.rejects(running, failed);
	closeSync(launcher);
	const open = () => readdirSync("/proc/self/fd").length;
	const before = open();
	for (let round = 0; round < 20; round++) {
		const [ours, theirs] = socketPair();
		const other = new LauncherChannel(ours, systemClock);
		const waiting = other.run(script()).catch(() => {});
		if (round % 2 === 0) other[Symbol.dispose]();
		closeSync(theirs);
		await waiting;
		other[Symbol.dispose]();
	}
	await sleep(5);
	assert.equal(open(), before);
});

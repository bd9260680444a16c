import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readlinkSync } from "node:fs";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../base/clock.ts";
import { Lifetime } from "../../base/lifetime.ts";
import { posixSpawn } from "../../base/posix-spawn.ts";
import { peekEndedChild, pipe, type WaitStatus } from "../../base/syscall.ts";
import { ChildReaper } from "./child-reaper.ts";

/** More than one look at the kernel's list of what has ended tells of. */
const MANY = 150;

let lifetime: Lifetime;
let reaper: ChildReaper;
beforeEach(() => {
	lifetime = new Lifetime();
	reaper = lifetime.use(new ChildReaper(systemClock));
});
afterEach(() => lifetime[Symbol.asyncDispose]());

function start(script: string, stdin: number | "ignore" = "ignore"): number {
	return posixSpawn({ path: "/bin/sh", args: ["-c", script], env: {}, fds: [stdin, "ignore", "ignore"] });
}

function exitOf(pid: number): Promise<WaitStatus> {
	return new Promise((resolve) => reaper.watch(pid, resolve));
}

/** A process that lives until the returned function is called. */
function startWaiting(script = "read line; exit 3"): { pid: number; end: () => void } {
	const { read, write } = pipe();
	const pid = start(script, read);
	closeSync(read);
	return { pid, end: () => closeSync(write) };
}

function processDescriptors(): number {
	return readdirSync("/proc/self/fd").filter((fd) => {
		try {
			return readlinkSync(`/proc/self/fd/${fd}`).includes("pidfd");
		} catch {
			return false; // The folder's own descriptor is closed by now.
		}
	}).length;
}

test("one that runs, and one that has ended before it was watched", async () => {
	const waiting = startWaiting();
	const exit = exitOf(waiting.pid);
	const ended = start("exit 4");
	while (peekEndedChild() !== ended) await sleep(1);
	assert.deepEqual(await exitOf(ended), { code: 4, signal: undefined });
	assert.equal(processDescriptors(), 1);
	waiting.end();
	assert.deepEqual(await exit, { code: 3, signal: undefined });
	assert.equal(processDescriptors(), 0);
	assert.throws(() => reaper.watch(process.pid, () => {}), { code: "ECHILD" });
});

test(`${MANY} that end at once, beside children of Node's own, which it is told of as ever`, async () => {
	const { read, write } = pipe();
	const exits = Array.from({ length: MANY }, (_, at) => exitOf(start(`read line; exit ${at % 90}`, read)));
	closeSync(read);
	const own = Array.from({ length: 10 }, (_, at) => {
		const child = spawn("/bin/sh", ["-c", `exit ${at}`], { stdio: "ignore" });
		return new Promise((resolve) => child.once("exit", resolve));
	});
	closeSync(write);
	const statuses = await Promise.all(exits);
	assert.deepEqual(
		statuses.map(({ code }) => code),
		statuses.map((_, at) => at % 90),
	);
	assert.deepEqual(await Promise.all(own), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
	assert.equal(processDescriptors(), 0);
	assert.equal(peekEndedChild(), undefined);
});

test("a zombie that nobody watches keeps no news from it, and goes at the second sweep", async () => {
	const stray = start("exit 1");
	while (peekEndedChild() !== stray) await sleep(1);
	const waiting = startWaiting();
	const exit = exitOf(waiting.pid);
	waiting.end();
	assert.deepEqual(await exit, { code: 3, signal: undefined });
	assert.equal(peekEndedChild(), stray);
	assert.equal(reaper.sweep(), 0);
	await sleep(1);
	assert.equal(reaper.sweep(), 1);
	assert.equal(peekEndedChild(), undefined);
	assert.equal(reaper.sweep(), 0);
});

test("without descriptors to spare, it learns of every end all the same", async (t) => {
	if (process.getuid?.() !== 0) return t.skip("needs root, for prlimit");
	const waiting = Array.from({ length: 3 }, () => startWaiting());
	// Room for the program that lifts the limit again.
	const spare = Array.from({ length: 20 }, () => openSync("/dev/null", "r"));
	const lowestFree = openSync("/dev/null", "r");
	closeSync(lowestFree);
	await limitDescriptors(`${lowestFree}`);
	const exits = waiting.map(({ pid }) => exitOf(pid));
	waiting[0]?.end();
	assert.deepEqual(await exits[0], { code: 3, signal: undefined });
	for (const fd of spare) closeSync(fd);
	assert.equal(processDescriptors(), 0);
	await limitDescriptors("20000");
	for (const { end } of waiting.slice(1)) end();
	for (const exit of exits) assert.equal((await exit).code, 3);
});

/** Sets the soft limit alone. */
async function limitDescriptors(soft: string): Promise<void> {
	const child = spawn("prlimit", [`--pid=${process.pid}`, `--nofile=${soft}:`], { stdio: "ignore" });
	assert.equal(await new Promise((resolve, reject) => child.once("exit", resolve).once("error", reject)), 0);
}

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { silentLog } from "../../base/log.ts";
import { logStoreContract } from "../../core/log/log-store.contract.ts";
import { FsLogStore } from "./fs-log-store.ts";

function options(maxGroupBytes?: number) {
	const root = mkdtempSync(join(tmpdir(), "slipway-logs-"));
	return { root, clock: systemClock, log: silentLog, ...(maxGroupBytes === undefined ? {} : { maxGroupBytes }) };
}

logStoreContract("fs", async () => {
	const settings = options();
	return { store: await FsLogStore.open(settings), reopen: () => FsLogStore.open(settings) };
});

test("a half line that a crash left is passed over, and the lines after it are kept", async () => {
	const settings = options();
	{
		await using store = await FsLogStore.open(settings);
		store.append("g", "s", [{ timestamp: 1, message: "whole" }]);
	}
	const folder = join(settings.root, readdirSync(settings.root)[0]!);
	appendFileSync(join(folder, readdirSync(folder)[0]!), '[2,"s","ha');
	await using store = await FsLogStore.open(settings);
	store.append("g", "s", [{ timestamp: 3, message: "after" }]);
	assert.deepEqual(
		(await store.read("g", {})).map((event) => event.message),
		["whole", "after"],
	);
});

test("a group keeps to its size: the oldest segments go", async () => {
	const settings = options(20 * 1024 * 1024);
	await using store = await FsLogStore.open(settings);
	const message = "x".repeat(1024);
	for (let round = 0; round < 5; round++) {
		for (let i = 0; i < 9 * 1024; i++) store.append("g", "s", [{ timestamp: round * 10_000 + i, message }]);
		await store.read("g", { limit: 1, startMs: Number.MAX_SAFE_INTEGER });
	}
	const all = await store.read("g", { fromStart: true, limit: 1 });
	assert.ok(all[0]!.timestamp >= 20_000, `oldest event is ${all[0]!.timestamp}`);
});

test("a full disk: lines are kept and written once when there is room again; an end without room is orderly", {
	skip: process.getuid?.() === 0 ? false : "mounting a small disk needs root",
}, async () => {
	const root = mkdtempSync(join(tmpdir(), "slipway-logs-"));
	execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "slipway-logs", root]);
	try {
		const complaints: string[] = [];
		const log = { ...silentLog, error: (message: string) => complaints.push(message) };
		const line = (n: number) => ({ timestamp: n, message: `${n} ${"x".repeat(1000)}` });
		const store = await FsLogStore.open({ root, clock: systemClock, log });
		store.append("g", "s", [line(0)]);
		await store.read("g", {});
		const filler = join(root, "filler");
		writeFileSync(filler, Buffer.alloc(200 * 1024));
		store.append(
			"g",
			"s",
			Array.from({ length: 100 }, (_, i) => line(i + 1)),
		);
		await assert.rejects(store.read("g", {}), { code: "ENOSPC" });
		rmSync(filler);
		const read = await store.read("g", {});
		assert.deepEqual(
			read.map(({ timestamp }) => timestamp),
			Array.from({ length: 101 }, (_, i) => i),
		);
		store.append(
			"g",
			"s",
			Array.from({ length: 300 }, (_, i) => line(i + 200)),
		);
		store.append("other", "s", [line(1)]);
		await store[Symbol.asyncDispose]();
		assert.ok(complaints.includes("The last lines of a function's log could not be written"), complaints.join());
	} finally {
		execFileSync("umount", [root]);
		rmSync(root, { recursive: true });
	}
});

test("lines past what may wait for the disk are counted in the log itself, though none comes after them", async () => {
	await using store = await FsLogStore.open(options());
	const message = "x".repeat(1000);
	const events = Array.from({ length: 40_000 }, (_, timestamp) => ({ timestamp, message }));
	store.append("g", "s", events);
	await store.read("g", {});
	store.append("g", "s", [{ timestamp: 1, message: "after" }]);
	const kept = await store.read("g", { fromStart: true });
	const end = await store.read("g", { limit: 2 });
	const dropped = Number(/^\[slipway\] (\d+) log lines were dropped here/.exec(end[0]?.message ?? "")?.[1]);
	assert.ok(kept.length > 0 && dropped > 20_000 && dropped < 40_000, `${dropped} are counted`);
	assert.deepEqual([end[0]?.stream, end[1]?.message], ["s", "after"]);
});

test("a follower that does not keep up is told how much it missed", async () => {
	await using store = await FsLogStore.open(options());
	const abort = new AbortController();
	const following = store.follow("g", { signal: abort.signal })[Symbol.asyncIterator]();
	const first = following.next();
	await new Promise(setImmediate);
	for (let i = 0; i < 10_101; i++) store.append("g", "s", [{ timestamp: i, message: `m${i}` }]);
	const seen = [(await first).value.message as string];
	for (let i = 0; i < 10_000; i++) seen.push((await following.next()).value.message);
	abort.abort();
	assert.equal(seen[9_999], "m9999");
	assert.match(seen[10_000]!, /^\[slipway\] 101 lines are not shown/);
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { silentLog } from "../../base/log.ts";
import { logStoreContract } from "../../core/log/log-store.contract.ts";
import type { LogPage } from "../../core/log/log-store.ts";
import { FsLogStore } from "./fs-log-store.ts";

const roots: string[] = [];
after(() => {
	for (const root of roots) rmSync(root, { recursive: true, force: true });
});

function options(maxGroupBytes?: number) {
	const root = mkdtempSync(join(tmpdir(), "slipway-logs-"));
	roots.push(root);
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
	const segment = readdirSync(folder).find((name) => name.endsWith(".ndjson"))!;
	appendFileSync(join(folder, segment), '[2,"s","ha');
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
	const timestamp = Date.now();
	const events = Array.from({ length: 40_000 }, () => ({ timestamp, message }));
	store.append("g", "s", events);
	await store.read("g", {});
	store.append("g", "s", [{ timestamp: timestamp + 60_000, message: "after" }]);
	const kept = await store.read("g", { fromStart: true });
	const end = await store.read("g", { limit: 2 });
	const dropped = Number(/^\[slipway\] (\d+) log lines were dropped here/.exec(end[0]?.message ?? "")?.[1]);
	assert.ok(kept.length > 0 && dropped > 20_000 && dropped < 40_000, `${dropped} are counted`);
	assert.deepEqual([end[0]?.stream, end[1]?.message], ["s", "after"]);
});

test("50,000 lines as fast as a sandbox may write them: none is lost or torn, and a follower has them all", async () => {
	await using store = await FsLogStore.open(options());
	const abort = new AbortController();
	let followed = 0;
	const following = (async () => {
		for await (const _ of store.follow("g", { signal: abort.signal })) followed++;
	})();
	for (let sent = 0; sent < 50_000; ) {
		const timestamp = Date.now();
		const events = Array.from({ length: 500 }, () => ({ timestamp, message: `${sent++} ${"x".repeat(100)}` }));
		store.append("g", "s", events);
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
	await store.flush("g");
	abort.abort();
	await following;
	let count = 0;
	for (let page: LogPage | undefined; !page || page.next; ) {
		page = await store.page("g", { fromStart: true, ...(page?.next && { after: page.next }) });
		for (const event of page.events) assert.ok(event.message.startsWith(`${count++} x`), event.message);
	}
	assert.deepEqual([count, followed], [50_000, 50_000]);
});

test("what an earlier release has stored is read, and new lines stand behind it", async () => {
	const settings = options();
	const folder = join(settings.root, Buffer.from("/aws/lambda/old").toString("base64url"));
	mkdirSync(folder);
	const lines = [
		[1000, "s", "one"],
		[1000, "t", "two"],
		[2000, "s", "three"],
	];
	const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
	writeFileSync(join(folder, "001700000000000-123.ndjson"), `${text}[3000,"s","ha`);
	await using store = await FsLogStore.open(settings);
	store.append("/aws/lambda/old", "s", [{ timestamp: 1000, message: "new" }]);
	const messages = async () => (await store.read("/aws/lambda/old", {})).map((event) => event.message);
	assert.deepEqual(await messages(), ["one", "two", "new", "three"]);
	assert.equal((await store.describeGroup("/aws/lambda/old")).createdMs, 1_700_000_000_000);
	const [first] = (await store.page("/aws/lambda/old", { fromStart: true })).events;
	assert.equal(first?.ingestedMs, 1000);
	assert.deepEqual((await store.page("/aws/lambda/old", { fromStart: true })).events[0], first);
});

test("an index that is missing, torn or of another segment is made anew", async () => {
	const settings = options();
	for (const spoil of [(path: string) => rmSync(path), (path: string) => writeFileSync(path, '{"version":1,"by')]) {
		{
			await using store = await FsLogStore.open(settings);
			store.append("g", "s", [{ timestamp: 5, message: "x" }]);
		}
		const folder = join(settings.root, Buffer.from("g").toString("base64url"));
		const indexes = readdirSync(folder).filter((name) => name.endsWith(".index.json"));
		assert.ok(indexes.length > 0);
		for (const name of indexes) spoil(join(folder, name));
		await using again = await FsLogStore.open(settings);
		assert.deepEqual(await again.listStreams("g"), [{ stream: "s", firstMs: 5, lastMs: 5 }]);
		assert.equal(readdirSync(folder).filter((name) => name.endsWith(".index.json")).length, indexes.length);
	}
});

test("retention: what has expired is not read at once, and segments go when all of them has", async () => {
	const settings = options();
	let nowMs = 1_700_000_000_000;
	const clock = { ...systemClock, now: () => nowMs };
	await using store = await FsLogStore.open({ ...settings, clock });
	const dayMs = 86_400_000;
	for (let day = 0; day < 5; day++, nowMs += dayMs) {
		store.append("g", "s", [{ timestamp: nowMs, message: `day ${day}` }]);
		await store.flush("g");
	}
	const folder = join(settings.root, Buffer.from("g").toString("base64url"));
	const segments = () => readdirSync(folder).filter((name) => name.endsWith(".ndjson")).length;
	assert.equal(segments(), 5);
	await store.updateGroup("g", { retentionDays: 3 });
	assert.deepEqual(
		(await store.read("g", {})).map((event) => event.message),
		["day 2", "day 3", "day 4"],
	);
	assert.equal(segments(), 3);
	nowMs += 10 * dayMs;
	assert.deepEqual(await store.read("g", {}), []);
	await store.updateGroup("g", { retentionDays: 1 });
	assert.equal(segments(), 0);
	store.append("g", "s", [{ timestamp: nowMs, message: "again" }]);
	assert.equal((await store.read("g", {})).length, 1);
});

test("a page of a filter that matches nothing goes through a part of a large group, and says where to go on", async () => {
	await using store = await FsLogStore.open(options());
	const message = "x".repeat(10_000);
	for (let i = 0; i < 5000; i++) {
		store.append("g", "s", [{ timestamp: i, message: i === 4999 ? "needle" : message }]);
		if (i % 500 === 0) await store.flush("g");
	}
	const search = { fromStart: true, matches: (text: string) => text === "needle" };
	const first = await store.page("g", search);
	assert.deepEqual(first.events, []);
	assert.ok(first.next && first.next.timestamp > 2000 && first.next.timestamp < 4999, JSON.stringify(first.next));
	const second = await store.page("g", { ...search, after: first.next });
	assert.deepEqual([second.events[0]?.message, second.next], ["needle", undefined]);
	const turned = await store.page("g", { fromStart: false, matches: (text) => text === message, startMs: 0, endMs: 1 });
	assert.equal(turned.events.length, 1);
});

test("settings that are no settings are left out, and the lines are read", async () => {
	const settings = options();
	const complaints: string[] = [];
	{
		await using store = await FsLogStore.open(settings);
		store.append("g", "s", [{ timestamp: 5, message: "x" }]);
	}
	writeFileSync(join(settings.root, Buffer.from("g").toString("base64url"), "group.json"), "{");
	mkdirSync(join(settings.root, "!deleted-1-1"));
	await using store = await FsLogStore.open({
		...settings,
		log: { ...silentLog, error: (message: string) => complaints.push(message) },
	});
	assert.equal((await store.read("g", {})).length, 1);
	assert.equal(complaints.length, 1);
	assert.equal(readdirSync(settings.root).length, 1);
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

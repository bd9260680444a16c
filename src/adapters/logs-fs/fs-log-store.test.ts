import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readdirSync } from "node:fs";
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

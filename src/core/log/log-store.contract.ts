import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import type { LogStore } from "./log-store.ts";

/** What every LogStore keeps to. `open` gives a fresh one; `reopen`, where the store survives, the same one again. */
export function logStoreContract(
	name: string,
	open: () => Promise<{ store: LogStore; reopen?: () => Promise<LogStore> }>,
): void {
	const line = (timestamp: number, message: string) => ({ timestamp, message });

	test(`${name}: events come back in order, with their stream`, async () => {
		await using store = (await open()).store;
		store.append("/aws/lambda/a", "s1", [line(1, "one"), line(2, "two\twith tab")]);
		store.append("/aws/lambda/a", "s2", [line(3, "three ü \u0000")]);
		assert.deepEqual(await store.read("/aws/lambda/a", {}), [
			{ timestamp: 1, stream: "s1", message: "one" },
			{ timestamp: 2, stream: "s1", message: "two\twith tab" },
			{ timestamp: 3, stream: "s2", message: "three ü \u0000" },
		]);
	});

	test(`${name}: stream, time range and limit select`, async () => {
		await using store = (await open()).store;
		for (let i = 0; i < 100; i++) store.append("g", i % 2 ? "odd" : "even", [line(i, `m${i}`)]);
		const messages = async (query: Parameters<LogStore["read"]>[1]) =>
			(await store.read("g", query)).map((event) => event.message);
		assert.deepEqual(await messages({ limit: 2 }), ["m98", "m99"]);
		assert.deepEqual(await messages({ limit: 2, fromStart: true }), ["m0", "m1"]);
		assert.deepEqual(await messages({ stream: "odd", startMs: 10, endMs: 15 }), ["m11", "m13"]);
	});

	test(`${name}: an unknown group is NOT_FOUND, also after it was deleted`, async () => {
		await using store = (await open()).store;
		await assert.rejects(store.read("none", {}), (error) => isSlipwayError(error, "NOT_FOUND"));
		store.append("gone", "s", [line(1, "x")]);
		await store.deleteGroup("gone");
		assert.deepEqual(await store.listGroups(), []);
		await assert.rejects(store.read("gone", {}), (error) => isSlipwayError(error, "NOT_FOUND"));
	});

	test(`${name}: a follower sees what is appended from now on, until it stops`, async () => {
		await using store = (await open()).store;
		store.append("g", "s", [line(1, "before")]);
		const abort = new AbortController();
		const seen: string[] = [];
		const following = (async () => {
			for await (const event of store.follow("g", { signal: abort.signal })) {
				seen.push(event.message);
				if (seen.length === 2) abort.abort();
			}
		})();
		await new Promise(setImmediate);
		store.append("g", "s", [line(2, "a"), line(3, "b")]);
		await following;
		assert.deepEqual(seen, ["a", "b"]);
	});

	test(`${name}: streams are listed with their first and last time`, async () => {
		await using store = (await open()).store;
		store.append("g", "s", [line(5, "x"), line(9, "y")]);
		assert.deepEqual(await store.listStreams("g"), [{ stream: "s", firstMs: 5, lastMs: 9 }]);
	});

	test(`${name}: what was written is there after reopening`, async (t) => {
		const { store, reopen } = await open();
		store.append("/g/x", "s", [line(1, "kept")]);
		await store[Symbol.asyncDispose]();
		if (!reopen) return t.skip("this store does not survive");
		await using again = await reopen();
		assert.deepEqual(await again.listGroups(), ["/g/x"]);
		again.append("/g/x", "s", [line(2, "more")]);
		assert.deepEqual(
			(await again.read("/g/x", {})).map((event) => event.message),
			["kept", "more"],
		);
	});
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { type LogCursor, type LogPageQuery, type LogStore, maxPageBytes } from "./log-store.ts";

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

	test(`${name}: events of any order come in the order of their times, those of one time as they were appended`, async () => {
		await using store = (await open()).store;
		store.append("g", "s", [line(5, "e"), line(3, "c1")]);
		store.append("g", "t", [line(1, "a"), line(3, "c2")]);
		assert.deepEqual(
			(await store.read("g", {})).map((event) => event.message),
			["a", "c1", "c2", "e"],
		);
	});

	test(`${name}: pages in both directions have every event once, also when some have one time`, async () => {
		await using store = (await open()).store;
		for (let i = 0; i < 50; i++) store.append("g", `s${i % 3}`, [line(Math.floor(i / 7), `m${i}`)]);
		const all = (await store.read("g", {})).map((event) => event.message);
		assert.equal(all.length, 50);
		for (const fromStart of [true, false]) {
			const seen: string[][] = [];
			let next: LogCursor | undefined;
			do {
				const from = next && (fromStart ? { after: next } : { before: next });
				const page = await store.page("g", { fromStart, limit: 8, ...from });
				seen.push(page.events.map((event) => event.message));
				next = page.next;
			} while (next);
			assert.deepEqual((fromStart ? seen : seen.reverse()).flat(), all);
		}
	});

	test(`${name}: a page has streams by name or prefix, what a filter matches, and at most its bytes`, async () => {
		await using store = (await open()).store;
		for (const stream of ["a/1", "a/2", "b"])
			store.append("g", stream, [line(1, `${stream} x`), line(2, `${stream} y`)]);
		const messages = async (query: Partial<LogPageQuery>) =>
			(await store.page("g", { fromStart: true, ...query })).events.map((event) => event.message);
		assert.deepEqual(await messages({ streams: ["b", "none"] }), ["b x", "b y"]);
		assert.deepEqual(await messages({ streamPrefix: "a/" }), ["a/1 x", "a/2 x", "a/1 y", "a/2 y"]);
		assert.deepEqual(await messages({ matches: (message) => message.endsWith("y") }), ["a/1 y", "a/2 y", "b y"]);
		const large = "x".repeat(maxPageBytes);
		for (let i = 0; i < 3; i++) store.append("large", "s", [line(i, large)]);
		const page = await store.page("large", { fromStart: true });
		assert.equal(page.events.length, 1);
		assert.equal(page.next?.timestamp, 0);
	});

	test(`${name}: an event keeps its place, and a reader goes on from the last one it has seen`, async () => {
		await using store = (await open()).store;
		store.append("g", "s", [line(1, "a")]);
		const first = await store.page("g", { fromStart: true });
		const last = first.events.at(-1)!;
		assert.deepEqual(await store.page("g", { fromStart: true, after: last }), { events: [], next: undefined });
		store.append("g", "s", [line(1, "b")]);
		const second = await store.page("g", { fromStart: true, after: last });
		assert.deepEqual(
			second.events.map((event) => event.message),
			["b"],
		);
		assert.deepEqual((await store.page("g", { fromStart: true })).events[0], last);
	});

	test(`${name}: groups are made empty, with settings that can be changed`, async () => {
		const { store, reopen } = await open();
		await store.createGroup("/made", { tags: { a: "1" } });
		await assert.rejects(store.createGroup("/made"), (error) => isSlipwayError(error, "ALREADY_EXISTS"));
		await store.updateGroup("/made", { retentionDays: 7 });
		const { group, retentionDays, tags, storedBytes } = await store.describeGroup("/made");
		assert.deepEqual([group, retentionDays, { ...tags }, storedBytes], ["/made", 7, { a: "1" }, 0]);
		assert.deepEqual(await store.read("/made", {}), []);
		await assert.rejects(store.describeGroup("none"), (error) => isSlipwayError(error, "NOT_FOUND"));
		await assert.rejects(store.updateGroup("none", {}), (error) => isSlipwayError(error, "NOT_FOUND"));
		const long = "g".repeat(512);
		store.append(long, "s", [line(1, "x")]);
		assert.equal((await store.read(long, {})).length, 1);
		await store[Symbol.asyncDispose]();
		if (!reopen) return;
		await using again = await reopen();
		assert.deepEqual(await again.listGroups(), ["/made", long]);
		const kept = await again.describeGroup("/made");
		assert.deepEqual([kept.retentionDays, { ...kept.tags }], [7, { a: "1" }]);
		await again.updateGroup("/made", { retentionDays: undefined });
		assert.equal((await again.describeGroup("/made")).retentionDays, undefined);
	});

	test(`${name}: streams are made empty or by their lines, and a deleted one is empty when it comes again`, async () => {
		const { store, reopen } = await open();
		await assert.rejects(store.createStream("g", "s"), (error) => isSlipwayError(error, "NOT_FOUND"));
		store.append("g", "lines", [line(1, "x"), line(4, "y")]);
		await store.createStream("g", "empty");
		for (const stream of ["empty", "lines"])
			await assert.rejects(store.createStream("g", stream), (error) => isSlipwayError(error, "ALREADY_EXISTS"));
		const brief = async (of: LogStore) =>
			(await of.describeStreams("g")).map(({ stream, events }) => [stream, events?.firstMs, events?.lastMs]);
		assert.deepEqual(await brief(store), [
			["empty", undefined, undefined],
			["lines", 1, 4],
		]);
		await store.deleteStream("g", "lines");
		await assert.rejects(store.deleteStream("g", "lines"), (error) => isSlipwayError(error, "NOT_FOUND"));
		assert.deepEqual(await store.read("g", {}), []);
		store.append("g", "lines", [line(2, "again")]);
		assert.deepEqual(
			(await store.read("g", {})).map((event) => event.message),
			["again"],
		);
		await store[Symbol.asyncDispose]();
		if (!reopen) return;
		await using again = await reopen();
		assert.deepEqual(
			(await again.describeStreams("g")).map(({ stream }) => stream),
			["empty", "lines"],
		);
		assert.deepEqual(
			(await again.read("g", {})).map((event) => event.message),
			["again"],
		);
	});

	test(`${name}: a stream may be called as any object's own property is`, async () => {
		await using store = (await open()).store;
		await store.createGroup("g");
		const names = ["__proto__", "constructor"];
		for (const stream of names) await store.createStream("g", stream);
		const listed = async () => (await store.describeStreams("g")).map(({ stream }) => stream);
		assert.deepEqual(await listed(), names);
		for (const stream of names) {
			await assert.rejects(store.createStream("g", stream), (error) => isSlipwayError(error, "ALREADY_EXISTS"));
			store.append("g", stream, [line(1, "x")]);
			await store.deleteStream("g", stream);
		}
		assert.deepEqual(await listed(), []);
	});

	test(`${name}: a group that is deleted while lines come is there again with those that came after`, async () => {
		await using store = (await open()).store;
		store.append("g", "s", [line(1, "before")]);
		await store.updateGroup("g", { retentionDays: 30 });
		const deletion = store.deleteGroup("g");
		store.append("g", "s", [line(2, "after")]);
		await deletion;
		store.append("g", "s", [line(3, "later")]);
		assert.deepEqual(
			(await store.read("g", {})).map((event) => event.message),
			["after", "later"],
		);
		assert.equal((await store.describeGroup("g")).retentionDays, undefined);
	});
}

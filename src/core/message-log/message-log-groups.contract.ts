/** The part of the contract about ordered lanes, moving, purging and looking. */
import assert from "node:assert/strict";
import { type LogTest, type LogUser, refused, texts } from "./message-log.contract.ts";

export function groupContract(test: LogTest): void {
	ordering(test);
	moving(test);
	looking(test);
}

async function sendGrouped(given: LogUser, lane: string, ...names: string[]): Promise<void> {
	await given.log.commit(names.map((name) => given.append(lane, name, { group: name[0] })));
}

function ordering(test: LogTest): void {
	test("leases as many of a group as fit, in order, and locks it until all of them are settled", async (given) => {
		await given.define("f", { ordered: true });
		await sendGrouped(given, "f", "a1", "a2", "b1", "a3", "b2", "a4");
		const [a1, a2, a3, ...none] = await given.take("f", 3);
		assert.deepEqual([texts([a1, a2, a3].flatMap((one) => one ?? [])), none], [["a1", "a2", "a3"], []]);
		assert.deepEqual(await given.counts("f"), [3, 0, 3]);
		const bs = await given.take("f");
		assert.deepEqual(texts(bs), ["b1", "b2"]);
		for (const one of [a2, a1]) await given.settle(one ?? { token: "" });
		assert.deepEqual(await given.take("f"), []);
		await given.settle(a3 ?? { token: "" });
		assert.deepEqual(texts(await given.take("f")), ["a4"]);
	});

	test("leases groups after each other, and stops at the bound of bytes", async (given) => {
		await given.define("f", { ordered: true, maxInFlight: 5 });
		await sendGrouped(given, "f", "a1", "b1", "a2", "b2", "c1", "c2");
		assert.deepEqual(texts(await given.log.lease("f", { max: 9, maxBytes: 6, visibility: 1000 })), ["a1", "a2", "b1"]);
		assert.deepEqual(texts(await given.take("f")), ["c1", "c2"]);
		await given.clock.advance(1000);
		assert.deepEqual(texts(await given.take("f")), ["a1", "a2", "b1"]);
	});

	test("lets one that is given back wait for later ones that are held, and then come first", async (given) => {
		await given.define("f", { ordered: true });
		await sendGrouped(given, "f", "a1", "a2", "a3", "a4");
		const [a1, a2, a3] = await given.take("f", 3);
		await given.settle(a1 ?? { token: "" }, { outcome: "retry", delayMs: 0 });
		assert.deepEqual([await given.take("f"), await given.counts("f")], [[], [2, 0, 2]]);
		await given.settle(a2 ?? { token: "" });
		assert.deepEqual(await given.take("f"), []);
		await given.settle(a3 ?? { token: "" }, { outcome: "retry", delayMs: 1000 });
		// a3 is delayed: what is behind it waits, what is before it does not.
		const again = await given.takeOne("f");
		assert.deepEqual(texts([again]), ["a1"]);
		await given.settle(again);
		assert.deepEqual(await given.take("f"), []);
		await given.clock.advance(1000);
		assert.deepEqual(texts(await given.take("f")), ["a3", "a4"]);
	});

	test("has a group wait for one that is delayed longer than the rest of its run is held", async (given) => {
		await given.define("f", { ordered: true });
		await sendGrouped(given, "f", "a1", "a2");
		const [a1] = await given.take("f", 2, 1000);
		await given.settle(a1 ?? { token: "" }, { outcome: "retry", delayMs: 2000 });
		await given.clock.advance(1500);
		assert.deepEqual([await given.take("f"), await given.counts("f")], [[], [1, 1, 0]]);
		await given.clock.advance(500);
		assert.deepEqual(texts(await given.take("f")), ["a1", "a2"]);
	});

	test("keeps a group behind a delayed oldest, and a lapsed lease from settling", async (given) => {
		await given.define("f", { ordered: true });
		await given.log.commit([
			given.append("f", "a1", { group: "a", delayMs: 1000 }),
			given.append("f", "a2", { group: "a" }),
			given.append("f", "a3", { group: "a", delayMs: 500 }),
		]);
		assert.deepEqual(await given.counts("f"), [1, 2, 0]);
		await given.clock.advance(600);
		assert.deepEqual([await given.take("f"), await given.counts("f")], [[], [2, 1, 0]]);
		await given.clock.advance(400);
		const message = await given.takeOne("f", 1000);
		assert.deepEqual(texts([message]), ["a1"]);
		await given.clock.advance(1000);
		await assert.rejects(given.settle(message), refused("PRECONDITION", "LeaseEnded"));
		assert.deepEqual(texts(await given.take("f")), ["a1", "a2", "a3"]);
	});

	test("goes on with a group when its oldest dies, expires, is moved or lapses with its process", async (given) => {
		await given.define("f", { ordered: true, retentionMs: 10_000, redrive: { maxLeases: 1, lane: "dead" } });
		await sendGrouped(given, "f", "a1", "b1");
		await given.take("f", 1);
		await given.restart();
		await given.clock.advance(5_000);
		await sendGrouped(given, "f", "a2", "a3", "b2");
		// a1 was leased once and is dead; a2 comes after it and before b1.
		assert.deepEqual(texts(await given.take("f", 1)), ["b1"]);
		assert.deepEqual(texts(await given.log.scan("dead", { limit: 9 })), ["a1"]);
		assert.deepEqual(texts(await given.take("f", 1)), ["a2"]);
		await given.restart();
		await given.clock.advance(5_000);
		assert.deepEqual(texts(await given.take("f")), ["b2", "a3"].toSorted());
		assert.equal(await given.log.move("f", { max: 9, to: { lane: "g" } }), 0);
	});

	test("needs a group in an ordered lane, and keeps the order of what was sent without one to be moved there", async (given) => {
		await given.define("f", { ordered: true });
		await assert.rejects(given.send("f", "x"), refused("INVALID"));
		await given.send("plain", "1", "2");
		assert.equal(await given.log.move("plain", { max: 9, to: { lane: "f" } }), 2);
		assert.deepEqual(texts(await given.take("f")), ["1", "2"]);
		await assert.rejects(given.define("f"), refused("CONFLICT"));
		await given.define("f", { ordered: true, maxMessages: 5 });
	});
}

function moving(test: LogTest): void {
	test("moves back to where each came from, the oldest first, nothing that is held", async (given) => {
		await given.send("a", "a1", "a2");
		await given.send("b", "b1");
		for (const lane of ["a", "b"])
			for (const message of await given.take(lane)) await given.settle(message, { outcome: "move", lane: "dead" });
		await given.send("dead", "own");
		assert.equal(await given.log.move("dead", { max: 1, to: "origin" }), 1);
		assert.deepEqual(texts(await given.take("a")), ["a1"]);
		await given.take("dead", 1);
		assert.equal(await given.log.move("dead", { max: 10, to: "origin" }), 1);
		assert.deepEqual(
			[await given.counts("a"), await given.counts("b")],
			[
				[0, 0, 1],
				[1, 0, 0],
			],
		);
		assert.deepEqual(await given.counts("dead"), [1, 0, 1]);
		assert.equal(await given.log.move("dead", { max: 10, to: "origin" }), 0);
		assert.equal(await given.log.move("dead", { max: 10, to: { lane: "b" } }), 1);
		assert.deepEqual(texts(await given.take("b")), ["b1", "own"]);
		assert.equal(await given.log.move("nowhere", { max: 10, to: "origin" }), 0);
	});

	test("moves the named ones only, and none when they have no room", async (given) => {
		await given.define("small", { maxMessages: 1 });
		const sent = await given.send("a", "1", "2", "3");
		const ids = [sent[0], sent[2]].map((one) => one?.id ?? "");
		await assert.rejects(given.log.move("a", { max: 9, ids, to: { lane: "small" } }), refused("EXHAUSTED", "LaneFull"));
		assert.equal(await given.log.move("a", { max: 9, ids: [...ids, "other"], to: { lane: "b" } }), 2);
		assert.deepEqual([texts(await given.take("a")), texts(await given.take("b"))], [["2"], ["1", "3"]]);
		await given.send("b", "4");
		await assert.rejects(given.log.move("b", { max: 9, to: { lane: "b" } }), refused("INVALID"));
	});

	test("purges all, leased ones too, and removes lanes with what they have", async (given) => {
		await given.send("a", "1", "2", "3");
		const message = await given.takeOne("a");
		await given.log.commit([given.append("a", "4", { delayMs: 10_000 })]);
		assert.equal(await given.log.purge("a"), 4);
		const { visible, delayed, inFlight, bytes } = await given.log.counts("a");
		assert.deepEqual([visible, delayed, inFlight, bytes], [0, 0, 0, 0]);
		await assert.rejects(given.settle(message), refused("PRECONDITION", "StaleLease"));
		const [sent] = await given.send("a", "5");
		const held = await given.takeOne("a");
		await given.log.removeLane("a");
		await given.log.removeLane("nowhere");
		await assert.rejects(given.settle(held), refused("PRECONDITION", "StaleLease"));
		await assert.rejects(given.counts("a"), refused("NOT_FOUND"));
		assert.deepEqual([await given.take("a"), await given.log.find(sent?.id ?? "")], [[], []]);
		await given.send("a", "6");
		assert.deepEqual(texts(await given.take("a")), ["6"]);
		assert.equal(await given.log.purge("nowhere"), 0);
	});
}

function looking(test: LogTest): void {
	test("counts, and lists lanes by name", async (given) => {
		await given.send("x/b", "12345");
		await given.clock.advance(10);
		await given.send("x/a", "1", "22");
		await given.send("x0", "1");
		await given.take("x/a", 1);
		const lanes = await given.log.lanes("x/");
		assert.deepEqual(
			lanes.map(({ lane, visible, inFlight, bytes, oldestSentMs }) => [lane, visible, inFlight, bytes, oldestSentMs]),
			[
				["x/a", 1, 1, 3, given.clock.now()],
				["x/b", 1, 0, 5, given.clock.now() - 10],
			],
		);
		assert.deepEqual(await given.log.counts("x/b"), lanes[1]);
		await given.settle(await given.takeOne("x/b"));
		assert.equal((await given.log.counts("x/b")).oldestSentMs, undefined);
	});

	test("scans in order without leasing, by state, place and time", async (given) => {
		const sent = await given.send("a", "1", "2", "3");
		await given.take("a", 1);
		await given.clock.advance(1000);
		await given.log.commit([given.append("a", "4", { delayMs: 1000 })]);
		const scan = async (options: object) => texts(await given.log.scan("a", { limit: 10, ...options }));
		assert.deepEqual(await scan({}), ["1", "2", "3", "4"]);
		assert.deepEqual(await scan({ limit: 2 }), ["1", "2"]);
		assert.deepEqual(await scan({ after: sent[1]?.sequence }), ["3", "4"]);
		assert.deepEqual(await scan({ state: "leased" }), ["1"]);
		assert.deepEqual(await scan({ state: "ready" }), ["2", "3"]);
		assert.deepEqual(await scan({ state: "delayed" }), ["4"]);
		const nowMs = given.clock.now();
		assert.deepEqual([await scan({ fromMs: nowMs }), await scan({ toMs: nowMs - 1000 })], [["4"], ["1", "2", "3"]]);
		assert.deepEqual(await given.log.scan("nowhere", { limit: 1 }), []);
		assert.deepEqual(await given.counts("a"), [2, 1, 1]);
	});

	test("finds by id and by correlation, in any lane", async (given) => {
		await given.log.commit([
			given.append("a", "1", { id: "m" }),
			given.append("b", "2", { correlation: "m" }),
			given.append("b", "3", { correlation: "other" }),
		]);
		assert.deepEqual(texts(await given.log.find("m")), ["1", "2"]);
		assert.deepEqual(
			(await given.log.find("other")).map(({ lane, state }) => [lane, state]),
			[["b", "ready"]],
		);
		assert.deepEqual(await given.log.find("none"), []);
	});
}

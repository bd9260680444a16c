import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import type { Delivery, Handover } from "../../core/delivery/target.ts";
import { FakeMessageLog } from "../../core/message-log/fake-message-log.ts";
import { defaultLaneSettings, type SettleOutcome } from "../../core/message-log/message-log.ts";
import { Events } from "./events.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Targets that append to `lambda/NAME`; the function "gone" is none, and "refuses" takes nothing. */
function targets() {
	const check = (arn: string) => {
		if (arn.endsWith(":gone")) throw new SlipwayError("NOT_FOUND", `There is no ${arn}`);
	};
	return {
		check,
		handOver(arn: string, { id, correlation, body }: Delivery): Handover {
			check(arn);
			if (arn.endsWith(":refuses")) throw new SlipwayError("UNAVAILABLE", "It takes nothing");
			const lane = `lambda/${arn.split(":function:")[1]}`;
			return { kind: "append", changes: [{ change: "append", lane, id, correlation, body }] };
		},
	};
}

function world() {
	const log = new FakeMessageLog({ clock: systemClock });
	const replayed: unknown[] = [];
	const events = new Events({
		log,
		targets: targets(),
		clock: systemClock,
		ids: randomIds,
		region: "eu-west-1",
		accountId: "123456789012",
		deadLetterLanes: () => ["sqs/functions-dlq"],
		replayArchive: async (name, range) => {
			replayed.push([name, range]);
			return "replay-1";
		},
	});
	const append = (lane: string, id: string, more: object = {}) =>
		log.commit([{ change: "append", lane, id, body: bytes(`{"id":"${id}"}`), ...more }]);
	/** Leases the oldest and settles it so. */
	const settle = async (lane: string, outcome: SettleOutcome, detail?: Record<string, unknown>) => {
		const [message] = await log.lease(lane, { max: 1, visibility: "process" });
		assert.ok(message);
		await log.commit([{ change: "settle", token: message.token, ...outcome, detail }]);
	};
	return { log, events, append, settle, replayed, [Symbol.dispose]: () => log[Symbol.dispose]() };
}

const isCode = (code: "INVALID" | "NOT_FOUND" | "UNSUPPORTED") => (error: unknown) => isSlipwayError(error, code);

test("The overview tells by place what waits, is tried again, is in hand and is dead", async () => {
	using w = world();
	await w.log.defineLane("sqs/orders", { ...defaultLaneSettings, redrive: { maxLeases: 3, lane: "sqs/orders-dlq" } });
	await w.append("sqs/orders", "a");
	await w.append("sqs/orders", "b", { delayMs: 60_000 });
	await w.append("sqs/orders-dlq", "c");
	await w.append("sqs/functions-dlq", "d");
	await w.append("dead-letters/triggers/t", "e");
	await w.append("lambda/f", "x");
	await w.settle("lambda/f", { outcome: "retry", delayMs: 60_000, note: '{"failures":1}' });
	await w.append("events/default/r/t", "y");
	await w.log.lease("events/default/r/t", { max: 1, visibility: "process" });
	await w.append("archive/all", "z");
	await w.log.defineLane("sqs/empty", defaultLaneSettings);
	const { lanes, total, faults } = await w.events.overview();
	const shown = lanes.map(({ name, ready, delayed, retrying, inFlight, dead }) => [
		name,
		ready,
		delayed,
		retrying,
		inFlight,
		dead,
	]);
	assert.deepEqual(shown, [
		["archive all", 1, 0, 0, 0, 0],
		["dead letters of trigger t", 1, 0, 0, 0, 1],
		["rule default/r -> t", 0, 0, 0, 1, 0],
		["function f", 0, 1, 1, 0, 0],
		["queue functions-dlq", 1, 0, 0, 0, 1],
		["queue orders", 1, 1, 0, 0, 0],
		["queue orders-dlq", 1, 0, 0, 0, 1],
	]);
	assert.deepEqual({ ...total, bytes: 0 }, { ready: 1, delayed: 2, retrying: 1, inFlight: 1, dead: 3, bytes: 0 });
	assert.equal(faults, 0);
	assert.ok((await w.events.overview({ empty: true })).lanes.some(({ name }) => name === "queue empty"));
	assert.equal((await w.events.lane("function f")).retrying, 1);
	await assert.rejects(w.events.lane("queue/none"), /ever waited, at 'queue\/none'/);
	await assert.rejects(w.events.list({ lane: "function none", limit: 1 }), /ever waited, at 'function none'/);
	await assert.rejects(w.events.lane("nonsense"), isCode("INVALID"));
});

test("A lane is listed by pages, by state, and with as much of the bodies as was asked for", async () => {
	using w = world();
	for (let index = 0; index < 5; index++) await w.append("lambda/f", `m${index}`);
	await w.settle("lambda/f", { outcome: "retry", delayMs: 60_000, note: "text" });
	const first = await w.events.list({ lane: "function/f", limit: 2 });
	assert.deepEqual(
		first.events.map(({ id, state, note }) => [id, state, note]),
		[
			["m0", "retrying", "text"],
			["m1", "ready", undefined],
		],
	);
	assert.equal(first.events[0]?.body, undefined);
	const second = await w.events.list({ lane: "function/f", limit: 10, after: first.next });
	assert.deepEqual([second.events.map(({ id }) => id), second.next], [["m2", "m3", "m4"], undefined]);
	const retrying = await w.events.list({ lane: "function/f", limit: 10, state: "retrying", bodyBytes: 100 });
	assert.deepEqual(
		retrying.events.map(({ id, body, bodyEncoding }) => [id, body, bodyEncoding]),
		[["m0", '{"id":"m0"}', "utf8"]],
	);
	await w.append("sqs/odd", "u", { body: bytes("aé€") });
	await w.append("sqs/odd", "b", { body: Uint8Array.of(0xff, 0xfe, 0) });
	const odd = (await w.events.list({ lane: "queue/odd", limit: 10, bodyBytes: 5 })).events;
	assert.deepEqual(
		odd.map(({ body, bodyEncoding, truncated }) => [body, bodyEncoding, truncated]),
		[
			["aé", "utf8", true],
			["//4A", "base64", undefined],
		],
	);
});

test("An event is followed through its attempts to its destination and what comes of it there, from each of its ids", async () => {
	using w = world();
	await w.append("lambda/f", "event");
	await w.settle("lambda/f", { outcome: "retry", delayMs: 0 }, { error: "first" });
	const [message] = await w.log.lease("lambda/f", { max: 1, visibility: "process" });
	await w.log.commit([
		{ change: "settle", token: message!.token, outcome: "done", result: "dead", detail: { error: "second" } },
		{ change: "append", lane: "sqs/functions-dlq", id: "letter", correlation: "event", body: bytes("{}") },
	]);
	for (const id of ["event", "letter"]) {
		const story = await w.events.story(id, { body: true });
		assert.equal(story.state, "dead");
		assert.deepEqual(
			story.steps.map(({ id, name, step, attempt, detail }) => [id, name, step, attempt, detail?.error]).sort(),
			[
				["event", "function f", "dead", 2, "second"],
				["event", "function f", "retry", 1, "first"],
				["event", "function f", "sent", undefined, undefined],
				["letter", "queue functions-dlq", "sent", undefined, undefined],
			],
		);
		assert.equal(story.steps[0]?.step, "sent");
		assert.deepEqual(
			story.present.map(({ id, state, body }) => [id, state, body]),
			[["letter", "dead", "{}"]],
		);
	}
	await w.append("lambda/f", "fine");
	await w.settle("lambda/f", { outcome: "done" });
	assert.equal((await w.events.story("fine")).state, "delivered");
	await assert.rejects(w.events.story("unknown"), isCode("NOT_FOUND"));
});

test("Dead letters go back to where they came from: all, some, or those of a time", async () => {
	using w = world();
	await w.log.defineLane("sqs/q", { ...defaultLaneSettings, redrive: { maxLeases: 1, lane: "sqs/q-dlq" } });
	const start = Date.now() - 10_000;
	for (let index = 0; index < 6; index++) await w.append("sqs/q", `m${index}`, { sentMs: start + 1000 * index });
	for (const message of await w.log.lease("sqs/q", { max: 10, visibility: "process" }))
		await w.log.commit([{ change: "settle", token: message.token, outcome: "move", lane: "sqs/q-dlq" }]);
	assert.deepEqual(await w.events.replay({ lane: "queue/q-dlq", ids: ["m4", "none"] }), {
		replayed: 1,
		kept: 0,
		problems: [],
	});
	assert.equal((await w.events.replay({ lane: "queue/q-dlq", fromMs: start + 1000, toMs: start + 2000 })).replayed, 2);
	assert.equal((await w.events.replay({ lane: "queue/q-dlq", max: 1 })).replayed, 1);
	const back = (await w.events.list({ lane: "queue/q", limit: 10 })).events.map(({ id }) => id);
	assert.deepEqual(back.sort(), ["m0", "m1", "m2", "m4"]);
	assert.equal((await w.events.replay({ lane: "queue/q-dlq" })).replayed, 2);
	assert.equal(await w.events.purge("queue/q"), 6);
	await assert.rejects(w.events.replay({ lane: "function/f" }), isCode("NOT_FOUND"));
	await w.append("lambda/f", "x");
	await assert.rejects(w.events.replay({ lane: "function/f" }), isCode("UNSUPPORTED"));
});

test("A dead letter that is a message of its own is handed to the function that failed, or to a target that is named", async () => {
	using w = world();
	await w.append("lambda/f:live", "event");
	const [message] = await w.log.lease("lambda/f:live", { max: 1, visibility: "process" });
	await w.log.commit([
		{ change: "settle", token: message!.token, outcome: "done", result: "dead" },
		{ change: "append", lane: "sqs/functions-dlq", id: "letter", correlation: "event", body: bytes('{"n":1}') },
	]);
	await w.append("sqs/functions-dlq", "stray");
	const result = await w.events.replay({ lane: "queue/functions-dlq" });
	assert.deepEqual([result.replayed, result.kept, result.problems[0]?.id], [1, 1, "stray"]);
	const [again] = (await w.events.list({ lane: "function/f:live", limit: 10, bodyBytes: 100 })).events;
	assert.deepEqual([again?.body, again?.correlation], ['{"n":1}', "event"]);
	await assert.rejects(
		w.events.replay({ lane: "queue/functions-dlq", target: "arn:aws:lambda:::function:gone" }),
		isCode("NOT_FOUND"),
	);
	const named = await w.events.replay({ lane: "queue/functions-dlq", target: "arn:aws:lambda:::function:g" });
	assert.equal(named.replayed, 1);
	assert.equal((await w.events.lane("function/g")).ready, 1);
	assert.equal((await w.events.lane("queue/functions-dlq")).ready, 0);
	assert.deepEqual((await w.log.lanes("replay/")).length, 0);
});

test("A replay that fails, or whose daemon is killed, leaves the letters where they lay", async () => {
	using w = world();
	await w.append("lambda/gone", "event");
	const [message] = await w.log.lease("lambda/gone", { max: 1, visibility: "process" });
	await w.log.commit([
		{ change: "settle", token: message!.token, outcome: "done", result: "dead" },
		{ change: "append", lane: "sqs/functions-dlq", id: "letter", correlation: "event", body: bytes("{}") },
	]);
	const failed = await w.events.replay({ lane: "queue/functions-dlq" });
	assert.deepEqual([failed.replayed, failed.kept, failed.problems.length], [0, 1, 1]);
	assert.match(failed.problems[0]?.problem ?? "", /There is no arn:/);
	assert.equal((await w.events.lane("queue/functions-dlq")).ready, 1);
	await w.log.move("sqs/functions-dlq", { max: 1, to: { lane: "replay/killed" } });
	await w.log.lease("replay/killed", { max: 1, visibility: "process" });
	w.log.restart();
	await w.events.recover();
	assert.equal((await w.events.lane("queue/functions-dlq")).ready, 1);
	assert.deepEqual(await w.log.lanes("replay/"), []);
});

test("A page of letters that no target takes is tried once, though each goes back to the end", async () => {
	using w = world();
	for (let index = 0; index < 1000; index++) await w.append("sqs/functions-dlq", `m${index}`);
	const result = await w.events.replay({ lane: "queue/functions-dlq", target: "arn:aws:lambda:::function:refuses" });
	assert.deepEqual([result.replayed, result.kept], [0, 1000]);
	assert.equal((await w.events.lane("queue/functions-dlq")).ready, 1000);
});

test("A dead event that was sent back and delivered is delivered", async () => {
	using w = world();
	await w.log.defineLane("sqs/q", { ...defaultLaneSettings, redrive: { maxLeases: 1, lane: "sqs/q-dlq" } });
	await w.append("sqs/q", "m");
	await w.settle("sqs/q", { outcome: "move", lane: "sqs/q-dlq" });
	assert.equal((await w.events.story("m")).state, "dead");
	await w.events.replay({ lane: "queue/q-dlq" });
	assert.equal((await w.events.story("m")).state, "ready");
	await w.settle("sqs/q", { outcome: "done" });
	assert.equal((await w.events.story("m")).state, "delivered");
	await w.append("lambda/f", "event");
	await w.settle("lambda/f", { outcome: "done", result: "dead" });
	await w.append("sqs/functions-dlq", "letter", { correlation: "event" });
	assert.equal((await w.events.replay({ lane: "queue/functions-dlq" })).replayed, 1);
	await w.settle("lambda/f", { outcome: "done" });
	assert.equal((await w.events.story("event")).state, "delivered");
});

test("An archive is replayed by its bus", async () => {
	using w = world();
	await w.append("archive/all", "z");
	assert.equal((await w.events.replay({ lane: "archive/all", fromMs: 1, toMs: 2 })).replay, "replay-1");
	assert.deepEqual(w.replayed, [["all", { fromMs: 1, toMs: 2 }]]);
	await assert.rejects(w.events.replay({ lane: "archive/all", ids: ["z"] }), isCode("INVALID"));
});

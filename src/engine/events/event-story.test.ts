import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { FakeMessageLog } from "../../core/message-log/fake-message-log.ts";
import { defaultLaneSettings } from "../../core/message-log/message-log.ts";
import { eventStory } from "./event-story.ts";

const body = new Uint8Array();

async function told(log: FakeMessageLog, id: string): Promise<string[]> {
	const story = await eventStory(log, id, { isDead: () => false, body: false });
	return (story?.steps ?? []).map(({ name, step, to, back }) =>
		[name, step, ...(to === undefined ? [] : [back ? "back to" : "to", to])].join(" "),
	);
}

test("In one millisecond the end of an attempt comes before what it sent, siblings stay as they were sent", async () => {
	const clock = new VirtualClock();
	using log = new FakeMessageLog({ clock });
	const correlation = "event";
	await log.commit([
		{ change: "append", lane: "lambda/later", id: "one", correlation, body },
		{ change: "append", lane: "lambda/other", id: "two", correlation, body },
	]);
	await clock.advance(10);
	const [one] = await log.lease("lambda/later", { max: 1, visibility: "process" });
	await log.commit([
		{ change: "settle", token: one?.token ?? "", outcome: "done", result: "dead" },
		{ change: "append", lane: "sqs/later-failed", id: "letter", correlation, body },
	]);
	const [letter] = await log.lease("sqs/later-failed", { max: 1, visibility: "process" });
	await log.commit([{ change: "settle", token: letter?.token ?? "", outcome: "done" }]);
	assert.deepEqual(await told(log, "event"), [
		"function later sent",
		"function other sent",
		"function later dead",
		"queue later-failed sent",
		"queue later-failed delivered",
	]);
	await log.commit([{ change: "append", lane: "lambda/f", id: "root", body }]);
	const [root] = await log.lease("lambda/f", { max: 1, visibility: "process" });
	await log.commit([
		{ change: "append", lane: "sqs/done", id: "record", correlation: "root", body },
		{ change: "settle", token: root?.token ?? "", outcome: "done" },
	]);
	assert.deepEqual(await told(log, "root"), ["function f sent", "function f delivered", "queue done sent"]);
});

test("A dead letter that many were sent back with says so", async () => {
	const clock = new VirtualClock();
	using log = new FakeMessageLog({ clock });
	await log.defineLane("sqs/orders", { ...defaultLaneSettings, redrive: { maxLeases: 1, lane: "sqs/dead" } });
	await log.commit([{ change: "append", lane: "sqs/orders", id: "m", body }]);
	await log.lease("sqs/orders", { max: 1, visibility: 1000 });
	await clock.advance(1000);
	await log.lease("sqs/orders", { max: 1, visibility: 1000 });
	await clock.advance(1000);
	assert.equal(await log.move("sqs/dead", { max: 10, to: "origin" }), 1);
	await clock.advance(1000);
	assert.equal(await log.move("sqs/orders", { max: 10, to: { lane: "sqs/elsewhere" } }), 1);
	assert.deepEqual(await told(log, "m"), [
		"queue orders sent",
		"queue orders lapsed",
		"queue orders dead to queue dead",
		"queue dead moved back to queue orders",
		"queue orders moved to queue elsewhere",
	]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { describeLane, type LaneSubject, laneOf, parseLane, readLane } from "./lane-name.ts";

const all: [lane: string, subject: LaneSubject, words: string, path: string][] = [
	["lambda/orders", { kind: "function", name: "orders", qualifier: undefined }, "function orders", "function/orders"],
	[
		"lambda/orders:live",
		{ kind: "function", name: "orders", qualifier: "live" },
		"function orders:live",
		"function/orders:live",
	],
	["sqs/orders.fifo", { kind: "queue", name: "orders.fifo" }, "queue orders.fifo", "queue/orders.fifo"],
	[
		"events/default/r1/t",
		{ kind: "rule", bus: "default", rule: "r1", target: "t" },
		"rule default/r1 -> t",
		"rule/default/r1/t",
	],
	[
		"events/aws.partner/x/y/r1/t",
		{ kind: "rule", bus: "aws.partner/x/y", rule: "r1", target: "t" },
		"rule aws.partner/x/y/r1 -> t",
		"rule/aws.partner/x/y/r1/t",
	],
	[
		"schedules/default/nightly",
		{ kind: "schedule", group: "default", name: "nightly" },
		"schedule default/nightly",
		"schedule/default/nightly",
	],
	["archive/all", { kind: "archive", name: "all" }, "archive all", "archive/all"],
	[
		"dead-letters/triggers/rabbit",
		{ kind: "dead", of: "triggers/rabbit" },
		"dead letters of trigger rabbit",
		"dead/trigger/rabbit",
	],
	["fan-out/default", { kind: "bus", name: "default" }, "bus default", "bus/default"],
	["triggers/rabbit", { kind: "trigger", name: "rabbit" }, "trigger rabbit", "trigger/rabbit"],
];

test("A lane's name says what it is, in people's words and back", () => {
	for (const [lane, subject, words, path] of all) {
		assert.deepEqual(parseLane(lane), subject);
		assert.equal(laneOf(subject), lane);
		assert.equal(describeLane(lane), words);
		assert.deepEqual([readLane(lane), readLane(words), readLane(path)], [lane, lane, lane]);
	}
});

test("What is no lane of ours is told by its name, and refused where it is asked for", () => {
	for (const lane of [
		"",
		"x",
		"sqs/",
		"events/default/r1",
		"schedules/x",
		"toString/x",
		"dead-letters/x",
		"dead-letters/dead-letters/sqs/x",
	]) {
		assert.deepEqual(parseLane(lane), { kind: "other", name: lane });
		assert.equal(describeLane(lane), lane);
		assert.throws(
			() => readLane(lane),
			(error) => isSlipwayError(error, "INVALID"),
		);
	}
	assert.throws(() => readLane("rule/default/r1"), /must be rule\/BUS\/RULE\/TARGET/);
	assert.throws(() => readLane(`queue/${"x".repeat(600)}`), /no name of a lane/);
});

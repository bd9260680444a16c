/**
 * Every state that a small log can come to is visited: two lanes, messages of two groups, two consumers, and at each point a crash, the
 * passing of time and the clock set back. What must hold is checked in each; broken machines have to be caught.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import * as operations from "./lane-operations.ts";
import { copyLog, emptyLog, type LogState, parseToken, promoteDue, restart, tokenOf } from "./lane-state.ts";
import { defaultLaneSettings, type LeasedMessage, type SettleOutcome } from "./message-log.ts";

const machine = { lease: operations.lease, settle: operations.settle, extend: operations.extend, durable: true };
type Machine = typeof machine;

/** A message that a consumer believes it holds. */
type Held = Pick<LeasedMessage, "token" | "id" | "group">;

interface World {
	log: LogState;
	/** What the disk has: where a machine answers before it commits, not the same as `log`. */
	disk: LogState;
	nowMs: number;
	sent: number;
	/** Consumers of this process, and what each has in hand, oldest first. */
	hands: Held[][];
	/** Ids in the order in which they were settled as done, by acknowledged calls. */
	done: string[];
	/** Tokens whose lease was settled or taken over, as the log told: none of them may settle anything again. */
	stale: string[];
}

interface Setting {
	ordered: boolean;
	messages: number;
	/** Groups of the messages in the order in which they are sent. */
	groups: string;
	maxLeases: number;
	/** Messages in one lease. */
	batch: number;
	visibility: number | "process";
}

const stepMs = 10;
/** Virtual time ends here; what is due later stays so. */
const lastMs = 30;

function start(setting: Setting): World {
	const log = emptyLog();
	const { ordered, maxLeases } = setting;
	operations.define(log, "work", { ...defaultLaneSettings, ordered, redrive: { maxLeases, lane: "dead" } });
	return { log, disk: copyLog(log), nowMs: 0, sent: 0, hands: [[], []], done: [], stale: [] };
}

function copyWorld(world: World): World {
	const { log, disk, hands, done, stale } = world;
	return {
		...world,
		log: copyLog(log),
		disk: copyLog(disk),
		hands: hands.map((hand) => [...hand]),
		done: [...done],
		stale: [...stale],
	};
}

type Step = [name: string, take: (world: World) => void];

/** What may happen next. Each works on a copy. */
function stepsOf(world: World, setting: Setting, broken: Machine): Step[] {
	const steps: Step[] = [];
	if (world.sent < setting.messages) steps.push(["append", (next) => append(next, setting)]);
	for (const [consumer, hand] of world.hands.entries()) {
		if (hand.length === 0) steps.push([`lease by ${consumer}`, (next) => lease(next, consumer, setting, broken)]);
		for (const held of hand) {
			const settle = (outcome: SettleOutcome) => (next: World) => settleOne(next, consumer, held, outcome, broken);
			steps.push([`${held.id} done by ${consumer}`, settle({ outcome: "done" })]);
			steps.push([`${held.id} retried by ${consumer}`, settle({ outcome: "retry", delayMs: 0 })]);
			steps.push([`${held.id} delayed by ${consumer}`, settle({ outcome: "retry", delayMs: stepMs })]);
			if (setting.visibility !== "process")
				steps.push([`${held.id} extended by ${consumer}`, (next) => extend(next, held, broken)]);
		}
	}
	if (world.nowMs < lastMs) steps.push(["time passes", (next) => passTime(next)]);
	if (world.nowMs > 0)
		steps.push(["the clock is set back", (next) => Object.assign(next, { nowMs: next.nowMs - stepMs })]);
	if (world.hands.some((hand) => hand.length > 0)) steps.push(["crash", (next) => crash(next)]);
	if (!broken.durable) steps.push(["flush", (next) => Object.assign(next, { disk: copyLog(next.log) })]);
	return steps;
}

/** A call that is answered: what it changed is on the disk before, where the machine is whole. */
function answered<T>(world: World, broken: Machine, call: (log: LogState) => T): T {
	promoteDue(world.log, world.nowMs);
	const result = call(world.log);
	if (broken.durable) world.disk = copyLog(world.log);
	return result;
}

function append(world: World, setting: Setting): void {
	const id = `m${world.sent}`;
	const group = setting.groups[world.sent++];
	const change = { change: "append", lane: "work", id, group, body: new Uint8Array(1) } as const;
	answered(world, machine, (log) => operations.append(log, change, world.nowMs));
}

function lease(world: World, consumer: number, setting: Setting, broken: Machine): void {
	const options = { max: setting.batch, visibility: setting.visibility };
	const before = copyLog(world.log);
	const leased = answered(world, broken, (log) => broken.lease(log, "work", options, world.nowMs));
	if (setting.ordered) checkRuns(before, world.log, leased);
	for (const { sequence } of leased)
		for (const held of world.hands.flat())
			if (parseToken(held.token)?.sequence === sequence) world.stale.push(held.token);
	world.hands[consumer] = leased.map(({ token, id, group }) => ({ token, id, group }));
}

/** What a lease gives of a group is what is left of it from its oldest on, without a gap, and nobody else has any of it. */
function checkRuns(before: LogState, after: LogState, leased: readonly LeasedMessage[]): void {
	const work = [...(after.lanes.get("work")?.messages.values() ?? [])];
	const heldBefore = [...(before.lanes.get("work")?.messages.values() ?? [])].filter((one) => one.state === "leased");
	for (const [group, run] of Map.groupBy(leased, (one) => one.group)) {
		const oldest = work.filter((one) => one.group === group).slice(0, run.length);
		assert.deepEqual(
			run.map(({ id }) => id),
			oldest.map(({ id }) => id),
			`${run[0]?.id} overtakes`,
		);
		assert.ok(!heldBefore.some((one) => one.group === group), `two consumers have messages of ${group}`);
	}
}

function settleOne(world: World, consumer: number, held: Held, outcome: SettleOutcome, broken: Machine): void {
	world.hands[consumer] = (world.hands[consumer] ?? []).filter(({ token }) => token !== held.token);
	try {
		const change = { change: "settle", token: held.token, ...outcome } as const;
		answered(world, broken, (log) => broken.settle(log, change, world.nowMs));
	} catch (error) {
		assert.ok(isSlipwayError(error, "PRECONDITION"), `${error}`);
		return;
	}
	assert.ok(!world.stale.includes(held.token), `the stale lease ${held.token} settled ${held.id}`);
	world.stale.push(held.token);
	if (outcome.outcome === "done") world.done.push(held.id);
}

function extend(world: World, held: Held, broken: Machine): void {
	const change = { change: "extend", token: held.token, visibilityMs: stepMs } as const;
	try {
		answered(world, broken, (log) => broken.extend(log, change, world.nowMs));
	} catch (error) {
		assert.ok(isSlipwayError(error, "PRECONDITION"), `${error}`);
		return;
	}
	assert.ok(!world.stale.includes(held.token), `the stale lease ${held.token} was extended`);
}

function passTime(world: World): void {
	world.nowMs += stepMs;
	promoteDue(world.log, world.nowMs);
	promoteDue(world.disk, world.nowMs);
}

/** The process is killed, and the next one opens what the disk has. */
function crash(world: World): void {
	world.log = copyLog(world.disk);
	world.hands = world.hands.map(() => []);
	restart(world.log, world.nowMs);
	world.disk = copyLog(world.log);
}

function checkInvariants(world: World, setting: Setting): void {
	const lanes = [...world.log.lanes.values()].flatMap((lane) => [...lane.messages.values()]);
	const count = (id: string) =>
		lanes.filter((one) => one.id === id).length + world.done.filter((one) => one === id).length;
	for (let i = 0; i < world.sent; i++)
		assert.equal(count(`m${i}`), 1, `m${i} is there ${count(`m${i}`)} times: each is in one lane, or done once`);
	const work = [...(world.log.lanes.get("work")?.messages.values() ?? [])];
	for (const message of work) {
		assert.ok(message.attempts <= setting.maxLeases, `${message.id} was leased ${message.attempts} times`);
		assert.equal(
			message.dueMs !== undefined,
			message.state === "delayed" || (message.state === "leased" && setting.visibility !== "process"),
		);
		if (!setting.ordered) assert.notEqual(message.state, "blocked");
	}
	for (const message of world.log.lanes.get("dead")?.messages.values() ?? []) assert.equal(message.origin, "work");
	if (setting.ordered) checkGroups(work);
	checkHands(world, setting);
}

/** Of a group only the oldest can be had, as soon as nobody holds any of it, and not before. */
function checkGroups(work: readonly { group: string | undefined; state: string; id: string }[]): void {
	for (const group of Map.groupBy(work, (one) => one.group).values()) {
		const isHeld = group.some(({ state }) => state === "leased");
		for (const [place, { state, id }] of group.entries())
			if (isHeld) assert.notEqual(state, "ready", `${id} is ready`);
			else assert.ok(place === 0 ? state !== "blocked" : state !== "ready", `${id} is ${state}`);
	}
}

/** Whoever holds a message for as long as the process lives is the only one, and no lease is nobody's. */
function checkHands(world: World, setting: Setting): void {
	const held = world.hands
		.flatMap((hand) => hand.map(({ token }) => token))
		.filter((one) => !world.stale.includes(one));
	const leased = [...(world.log.lanes.get("work")?.messages.values() ?? [])].filter((one) => one.state === "leased");
	if (setting.visibility === "process") assert.deepEqual(leased.map(tokenOf).sort(), held.sort());
	else
		for (const one of leased)
			assert.ok(held.includes(tokenOf(one)) || world.hands.length * setting.batch > held.length);
}

function keyOf(world: World): string {
	const logKey = (log: LogState) =>
		[...log.lanes.values()].map(({ name, messages }) => [
			name,
			[...messages.values()].map((one) => [one.id, one.state, one.dueMs, one.attempts, one.lease, one.sequence]),
		]);
	const { log, disk, nowMs, sent, hands, done, stale } = world;
	const known = hands.map((hand) => hand.map(({ token }) => token));
	return JSON.stringify([
		logKey(log),
		logKey(disk),
		nowMs,
		sent,
		known,
		[...done].sort(),
		stale.filter((one) => known.flat().includes(one)),
	]);
}

/** How many states there are; throws with the way to the first that is wrong. */
function explore(setting: Setting, broken: Machine = machine): number {
	const seen = new Set<string>();
	const waiting: { world: World; way: string[] }[] = [{ world: start(setting), way: [] }];
	for (let at = waiting.pop(); at; at = waiting.pop()) {
		const { world, way } = at;
		for (const [name, take] of stepsOf(world, setting, broken)) {
			const next = copyWorld(world);
			try {
				take(next);
				checkInvariants(next, setting);
			} catch (error) {
				throw new Error(`${[...way, name].join(", ")}: ${error instanceof Error ? error.message : error}`, {
					cause: error,
				});
			}
			const key = keyOf(next);
			if (seen.has(key)) continue;
			seen.add(key);
			waiting.push({ world: next, way: [...way, name] });
		}
	}
	return seen.size;
}

const plain: Setting = { ordered: false, messages: 2, groups: "", maxLeases: 2, batch: 1, visibility: "process" };
const timed: Setting = { ...plain, visibility: stepMs };
const fifo: Setting = { ordered: true, messages: 3, groups: "aab", maxLeases: 2, batch: 1, visibility: "process" };
const fifoTimed: Setting = { ...fifo, visibility: stepMs };
/** A group's messages in one hand. */
const runs: Setting = { ...fifo, groups: "aaa", batch: 2 };

describe("the state machine of the message log", () => {
	for (const [name, setting, atLeast] of [
		["leases of the process", { ...plain, messages: 3 }, 10_000],
		["leases for a time", timed, 2000],
		["an ordered lane, leases of the process", fifo, 5000],
		["an ordered lane, leases for a time", { ...fifoTimed, maxLeases: 1 }, 3000],
		["several of a group in one lease", runs, 1000],
		["several of a group in one lease, for a time", { ...runs, maxLeases: 1, visibility: stepMs }, 1000],
	] as const)
		it(`keeps its promises in every state: ${name}`, (t) => {
			const states = explore(setting);
			t.diagnostic(`${states} states`);
			assert.ok(states > atLeast, `only ${states} states`);
		});

	it("is caught when a stale lease settles", () => {
		const settle: Machine["settle"] = (log, change, nowMs) => {
			const sequence = parseToken(change.token)?.sequence ?? 0;
			const newest = [...log.lanes.values()].map(({ messages }) => messages.get(sequence)).find(Boolean);
			machine.settle(log, newest ? { ...change, token: tokenOf(newest) } : change, nowMs);
		};
		assert.throws(() => explore(timed, { ...machine, settle }), /stale lease/);
	});

	it("is caught when answers come before the commit", () => {
		assert.throws(() => explore(plain, { ...machine, durable: false }), /is there 2 times|is there 0 times|leased/);
	});

	it("is caught when a dead letter is put down without being taken out", () => {
		const lease: Machine["lease"] = (log, name, options, nowMs) => {
			const before = copyLog(log);
			const leased = machine.lease(log, name, options, nowMs);
			for (const message of before.lanes.get(name)?.messages.values() ?? [])
				if (log.lanes.get("dead")?.messages.size !== before.lanes.get("dead")?.messages.size)
					log.lanes.get(name)?.messages.set(message.sequence, message);
			return leased;
		};
		assert.throws(() => explore(plain, { ...machine, lease }), /is there 2 times/);
	});

	it("is caught when a group's next is ready while its oldest is leased", () => {
		const lease: Machine["lease"] = (log, name, options, nowMs) => {
			const leased = machine.lease(log, name, options, nowMs);
			const messages = log.lanes.get(name)?.messages ?? new Map();
			for (const one of leased.length > 0 ? messages.values() : [])
				if (one.state === "blocked") messages.set(one.sequence, { ...one, state: "ready" });
			return leased;
		};
		assert.throws(() => explore(fifo, { ...machine, lease }), /is ready/);
	});

	it("is caught when one that is given back does not wait for the later ones that are still held", () => {
		const settle: Machine["settle"] = (log, change, nowMs) => {
			machine.settle(log, change, nowMs);
			const messages = log.lanes.get("work")?.messages ?? new Map();
			for (const head of messages.values()) {
				if (head.state === "blocked") messages.set(head.sequence, { ...head, state: "ready" });
				return;
			}
		};
		assert.throws(() => explore(runs, { ...machine, settle }), /is ready/);
	});

	it("is caught when a run goes on behind one that is delayed", () => {
		const lease: Machine["lease"] = (log, name, options, nowMs) => {
			const lane = log.lanes.get(name);
			const delayed = [...(lane?.messages.values() ?? [])].filter((one) => one.state === "delayed");
			for (const one of delayed) lane?.messages.delete(one.sequence);
			for (const one of delayed.length > 0 ? (lane?.messages.values() ?? []) : [])
				if (one.state === "blocked") lane?.messages.set(one.sequence, { ...one, state: "ready" });
			const leased = machine.lease(log, name, options, nowMs);
			const back = [...delayed, ...(lane?.messages.values() ?? [])].sort((a, b) => a.sequence - b.sequence);
			lane?.messages.clear();
			for (const one of back) lane?.messages.set(one.sequence, one);
			return leased;
		};
		assert.throws(() => explore(runs, { ...machine, lease }), /overtakes|is ready/);
	});
});

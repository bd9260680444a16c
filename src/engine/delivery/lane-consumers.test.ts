import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { systemClock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { silentLog } from "../../base/log.ts";
import { FakeMessageLog } from "../../core/message-log/fake-message-log.ts";
import type { LeasedMessage, LogChange } from "../../core/message-log/message-log.ts";
import { LaneConsumers, type LaneConsumersOptions } from "./lane-consumers.ts";

const append = (lane: string, id: string): LogChange => ({ change: "append", lane, id, body: Buffer.from(id) });
const done = ({ token }: LeasedMessage): LogChange[] => [{ change: "settle", token, outcome: "done" }];

function setUp(options: Partial<LaneConsumersOptions> = {}) {
	const clock = new VirtualClock();
	const log = new FakeMessageLog({ clock });
	const handled: string[] = [];
	const consumers = new LaneConsumers(
		{ log, clock, logger: silentLog },
		{
			prefix: "a/",
			concurrency: () => 4,
			async handle(message) {
				handled.push(message.id);
				return done(message);
			},
			...options,
		},
	);
	consumers.start();
	const send = (lane: string, ...ids: string[]) => log.commit(ids.map((id) => append(lane, id)));
	return {
		clock,
		log,
		consumers,
		handled,
		send,
		async [Symbol.asyncDispose]() {
			const ended = consumers[Symbol.asyncDispose]();
			await clock.advance(20_000);
			await ended;
			log[Symbol.dispose]();
		},
	};
}

const left = async ({ log }: { log: FakeMessageLog }) =>
	(await log.lanes("")).reduce((sum, { visible, delayed, inFlight }) => sum + visible + delayed + inFlight, 0);

test("messages are handled as they come, those that were there before too, and only those of the prefix", async () => {
	await using test = setUp();
	await test.send("a/1", "m1", "m2");
	await test.send("b/1", "other");
	await test.clock.advance(0);
	await test.send("a/2", "m3");
	await test.clock.advance(0);
	assert.deepEqual(test.handled, ["m1", "m2", "m3"]);
	assert.equal(await left(test), 1);
	assert.equal(test.consumers.inHand, 0);
});

test("an idle consumer has no timers", async () => {
	await using test = setUp();
	await test.clock.advance(0);
	const before = test.clock.pending;
	await test.send("a/1", "m1");
	await test.clock.advance(0);
	assert.equal(test.clock.pending, before);
});

test("at most `concurrency` handlers are at work in a lane, and the next begins as one ends", async () => {
	const ends: (() => void)[] = [];
	let atWork = 0;
	let most = 0;
	await using test = setUp({
		concurrency: (lane) => (lane === "a/1" ? 3 : 1),
		async handle(message) {
			if (message.lane === "a/1") most = Math.max(most, ++atWork);
			await new Promise<void>((resolve) => ends.push(resolve));
			if (message.lane === "a/1") atWork--;
			return done(message);
		},
	});
	await test.send("a/1", ...Array.from({ length: 10 }, (_, at) => `m${at}`));
	await test.send("a/2", "n1", "n2");
	await test.clock.advance(0);
	assert.equal(ends.length, 4);
	while (ends.length > 0) {
		ends.shift()?.();
		await test.clock.advance(0);
	}
	assert.equal(most, 3);
	assert.equal(await left(test), 0);
});

test("many waiting messages are leased together", async () => {
	await using test = setUp({ concurrency: () => 50 });
	let leases = 0;
	const lease = test.log.lease.bind(test.log);
	test.log.lease = (...args) => {
		leases++;
		return lease(...args);
	};
	await test.send("a/1", ...Array.from({ length: 500 }, (_, at) => `m${at}`));
	await test.clock.advance(0);
	assert.equal(test.handled.length, 500);
	assert.ok(leases < 100, `${leases} leases`);
});

test("a handler that fails has its message again after 1 s, 2 s, … 5 min, and no message is lost", async () => {
	const attempts: number[] = [];
	const errors: unknown[] = [];
	await using test = setUp({
		async handle(message) {
			attempts.push(test.clock.monotonic());
			if (attempts.length < 12) throw new Error("no");
			return done(message);
		},
		onError: (_message, error) => errors.push(error),
	});
	await test.send("a/1", "m1");
	await test.clock.advance(3_600_000);
	const waits = attempts.slice(1).map((at, index) => at - attempts[index]!);
	assert.deepEqual(
		waits,
		[1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map((s) => s * 1000),
	);
	assert.equal(errors.length, 11);
	assert.equal(await left(test), 0);
});

test("a handler that does not settle its message, or twice, is a failure", async () => {
	let calls = 0;
	await using test = setUp({
		async handle(message) {
			calls++;
			return calls === 1 ? [] : calls === 2 ? [...done(message), ...done(message)] : done(message);
		},
	});
	await test.send("a/1", "m1");
	await test.clock.advance(10_000);
	assert.equal(calls, 3);
	assert.equal(await left(test), 0);
});

test("while the disk refuses, the outcome is written again and again, and the handler is not called again", async () => {
	await using test = setUp();
	await test.send("a/1", "m1", "m2");
	let refusals = 0;
	test.log.onCommit = (when, _number, changes) => {
		if (when === "before" && changes[0]?.change === "settle" && refusals < 30) {
			refusals++;
			throw new SlipwayError("EXHAUSTED", "No space is left", { reason: "DiskFull" });
		}
	};
	await test.clock.advance(60_000);
	assert.ok(refusals < 25, `${refusals} tries in a minute are no busy loop`);
	await test.clock.advance(3_600_000);
	assert.deepEqual(test.handled, ["m1", "m2"]);
	assert.equal(await left(test), 0);
});

test("what can never be committed is tried again with its handler, or as its owner says", async () => {
	for (const [own, times] of [
		[false, 2],
		[true, 1],
	] as const) {
		let calls = 0;
		await using test = setUp({
			async handle(message) {
				calls++;
				return calls === 1 ? [...done(message), append("full", "copy")] : done(message);
			},
			...(own && { onRefused: done }),
		});
		await test.log.defineLane("full", {
			ordered: false,
			retentionMs: 1e9,
			maxMessages: 1,
			maxInFlight: 10,
		});
		await test.send("full", "first");
		await test.send("a/1", "m1");
		await test.clock.advance(10_000);
		assert.equal(calls, times);
		assert.equal(await left(test), 1);
	}
});

test("a lease that fails is tried again later", async () => {
	await using test = setUp();
	let failures = 0;
	const lease = test.log.lease.bind(test.log);
	test.log.lease = async (...args) => {
		if (failures++ < 5) throw new SlipwayError("UNAVAILABLE", "The log is behind");
		return lease(...args);
	};
	await test.send("a/1", "m1");
	await test.clock.advance(0);
	assert.equal(failures, 1);
	await test.clock.advance(60_000);
	assert.deepEqual(test.handled, ["m1"]);
});

test("a lane whose concurrency is 0 rests until it is poked, by name or with all others", async () => {
	for (const lane of ["a/1", undefined]) {
		let paused = true;
		await using test = setUp({ concurrency: () => (paused ? 0 : 1) });
		await test.send("a/1", "m1");
		await test.clock.advance(60_000);
		assert.deepEqual(test.handled, []);
		paused = false;
		test.consumers.poke(lane);
		await test.clock.advance(0);
		assert.deepEqual(test.handled, ["m1"]);
	}
});

test("at the end handlers finish, late ones are told to stop, and what they had is the next process's", async () => {
	const signals: AbortSignal[] = [];
	await using test = setUp({
		async handle(message, signal) {
			signals.push(signal);
			await test.clock.sleep(message.id === "quick" ? 5000 : 50_000, signal);
			return done(message);
		},
	});
	await test.send("a/1", "quick", "late");
	await test.clock.advance(0);
	const ended = test.consumers[Symbol.asyncDispose]();
	await test.send("a/1", "after");
	await test.clock.advance(20_000);
	await ended;
	assert.equal(signals[0]?.aborted, true);
	test.log.restart();
	const messages = await test.log.scan("a/1", { limit: 10 });
	assert.deepEqual(
		messages.map(({ id, state }) => [id, state]),
		[
			["late", "ready"],
			["after", "ready"],
		],
	);
});

test("thousands of lanes that are ready at once are all served", async () => {
	await using test = setUp();
	const lanes = 2000;
	for (let lane = 0; lane < lanes; lane++) await test.send(`a/${lane}`, `m${lane}`);
	for (let turn = 0; turn < 50; turn++) await test.clock.advance(0);
	assert.equal(test.handled.length, lanes);
	assert.equal(await left(test), 0);
});

test("nothing is lost and nothing is handled twice under many messages", async () => {
	const log = new FakeMessageLog({ clock: systemClock });
	const handled = new Set<string>();
	let twice = 0;
	await using consumers = new LaneConsumers(
		{ log, clock: systemClock, logger: silentLog },
		{
			prefix: "",
			concurrency: () => 64,
			async handle(message) {
				if (handled.has(message.id)) twice++;
				handled.add(message.id);
				return done(message);
			},
		},
	);
	for (let from = 0; from < 5000; from++) await log.commit([append("a", `m${from}`)]);
	consumers.start();
	while (handled.size < 5000 || consumers.inHand > 0) await new Promise(setImmediate);
	assert.equal(twice, 0);
	log[Symbol.dispose]();
});

test("what was leased ahead and has no handler yet goes back at once when the consumer ends, with its attempt", async () => {
	await using test = setUp({
		concurrency: () => 1,
		async handle(message, signal) {
			await test.clock.sleep(1000, signal);
			return done(message);
		},
	});
	await test.send("a/1", ...Array.from({ length: 20 }, (_, at) => `m${at}`));
	await test.clock.advance(1500);
	const leased = async () => (await test.log.counts("a/1")).inFlight;
	assert.ok((await leased()) > 1, "more than one is leased for one handler");
	const ended = test.consumers[Symbol.asyncDispose]();
	await test.clock.advance(0);
	assert.equal(await leased(), 1);
	await test.clock.advance(5000);
	await ended;
	const left = await test.log.scan("a/1", { limit: 100 });
	assert.deepEqual([...new Set(left.map(({ state, attempts }) => `${state} ${attempts}`))], ["ready 0"]);
	assert.equal(left.length, 18);
});

test("a lane that is paused gives back what was leased ahead, and goes on where it was when it is poked", async () => {
	let concurrency = 1;
	await using test = setUp({
		concurrency: () => concurrency,
		async handle(message) {
			await test.clock.sleep(1000);
			return done(message);
		},
	});
	await test.send("a/1", ...Array.from({ length: 10 }, (_, at) => `m${at}`));
	await test.clock.advance(1500);
	concurrency = 0;
	await test.clock.advance(1000);
	const { visible, inFlight } = await test.log.counts("a/1");
	assert.deepEqual([visible, inFlight], [8, 0]);
	await test.clock.advance(600_000);
	assert.equal(test.consumers.inHand, 0);
	concurrency = 2;
	test.consumers.poke("a/1");
	await test.clock.advance(10_000);
	assert.equal(await left(test), 0);
});

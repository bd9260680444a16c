/** Spares over virtual hours: what callers wait for with and without them, and that they stay within their bounds. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { SpareSetting } from "../../src/core/function/spare-setting.ts";
import type { MemoryObservation } from "../../src/engine/dispatch/memory-pressure.ts";
import type { SpareLimits } from "../../src/engine/dispatch/spares.ts";
import { Random } from "./random.ts";
import type { Script } from "./simulated-platform.ts";
import { countSpares, hour, impatient, leisurely, limits, minute, second, slow } from "./spare-world.ts";
import { revisionOf, simulate, tally, type World } from "./world.ts";

const seeds = [1, 2, 20261121];
const none: SpareLimits = { maxTotal: 0, maxPerFunction: 0, keepMs: 0 };

interface Arrival {
	/** After the one before. */
	afterMs: number;
	count: number;
	name: string;
}

interface Outcome {
	events: number;
	/** Callers that waited for an init. */
	cold: number;
	/** Callers that waited for more than 40 ms beyond their event: a sandbox that had to be made, or an init. */
	slow: number;
}

async function play(world: World, of: SpareLimits, arrivals: Iterable<Arrival>): Promise<Outcome> {
	const { clock, invoke } = world;
	const waits: { at: number; sent: ReturnType<World["invoke"]> }[] = [];
	for (const { afterMs, count, name } of arrivals) {
		await clock.advance(afterMs);
		await countSpares(world, of);
		for (let n = 0; n < count; n++) waits.push({ at: clock.now(), sent: invoke(name) });
	}
	await clock.advance(30 * second);
	const outcome = { events: waits.length, cold: 0, slow: 0 };
	assert.equal(tally(waits.map(({ sent }) => sent)).ok, waits.length);
	for (const { at, sent } of waits) {
		const { answer } = sent;
		assert.ok(answer && "result" in answer);
		if (answer.result.coldStart) outcome.cold++;
		// An event takes 50 ms.
		if (answer.at - at > 90) outcome.slow++;
	}
	return outcome;
}

/** The same arrivals with spares of both kinds, with created ones alone, and without any. */
async function compare(
	t: TestContext,
	script: Partial<Script>,
	options: { idleTimeoutMs: number; sweepMs: number },
	arrivals: () => Iterable<Arrival>,
): Promise<{ both: Outcome; created: Outcome; without: Outcome }> {
	const { initialized: _, ...onlyCreated } = limits;
	const run = async (spares: SpareLimits) => {
		const world = simulate(t, script, { ...options, spares });
		const outcome = await play(world, spares, arrivals());
		await world.clock.advance(limits.keepMs + options.idleTimeoutMs + options.sweepMs);
		assert.equal((await world.sandboxes()).length, 0, "nothing is left when nothing is used");
		assert.deepEqual(world.complaints, []);
		return outcome;
	};
	return { both: await run(limits), created: await run(onlyCreated), without: await run(none) };
}

test("an event every five minutes: after the third, each finds a sandbox initialized", async (t) => {
	const every5Minutes = Array.from({ length: 24 }, () => ({ afterMs: 5 * minute, count: 1, name: "f" }));
	const { both, created, without } = await compare(t, slow, leisurely, () => every5Minutes);
	assert.deepEqual(without, { events: 24, cold: 24, slow: 24 });
	assert.equal(created.cold, 24);
	assert.deepEqual(both, { events: 24, cold: 3, slow: 3 });
});

test("a quick init is not run ahead: a created sandbox is all it needs", async (t) => {
	const quick: Partial<Script> = { init: () => ({ ms: 30, ends: "well" }) };
	const every5Minutes = Array.from({ length: 12 }, () => ({ afterMs: 5 * minute, count: 1, name: "f" }));
	const { both, without } = await compare(t, quick, leisurely, () => every5Minutes);
	assert.deepEqual(without, { events: 12, cold: 12, slow: 12 });
	assert.deepEqual(both, { events: 12, cold: 12, slow: 1 });
});

test("a single event has one spare made behind it, and nothing once its time is over", async (t) => {
	const world = simulate(t, slow, { ...impatient, spares: limits });
	assert.equal((await world.burst(1, "f", 10 * second)).ok, 1);
	assert.deepEqual(await countSpares(world, limits), { created: 1, initialized: 0, all: 2 });
	await world.clock.advance(limits.keepMs - 10 * second);
	assert.deepEqual(await countSpares(world, limits), { created: 1, initialized: 0, all: 1 });
	await world.clock.advance(second);
	assert.equal((await world.sandboxes()).length, 0);
	assert.equal(world.platform.created, 2);
});

for (const seed of seeds)
	test(`bursts at random: more callers find what they need than without (seed ${seed})`, async (t) => {
		const bursts = function* () {
			const random = new Random(seed);
			for (let n = 0; n < 30; n++)
				yield { afterMs: minute + random.below(8 * minute), count: 1 + random.below(4), name: "f" };
		};
		const { both, created, without } = await compare(t, slow, leisurely, bursts);
		assert.ok(without.cold > 0.9 * without.events, `${without.cold} of ${without.events} were cold`);
		assert.ok(both.cold < 0.6 * without.cold, `${both.cold} instead of ${without.cold}`);
		assert.ok(created.cold <= without.cold);
	});

for (const seed of seeds.slice(0, 2))
	test(`a day with a night: spares follow the demand and are gone at night (seed ${seed})`, async (t) => {
		const spares = limits;
		const world = simulate(t, slow, { ...leisurely, sweepMs: 20 * second, spares });
		const { clock, invoke } = world;
		const random = new Random(seed);
		const sent: ReturnType<World["invoke"]>[] = [];
		let atNight = 0;
		for (let at = 0; at < 24 * hour; ) {
			const day = Math.sin((at / (24 * hour)) * 2 * Math.PI);
			// An event a minute at noon, one in a quarter of an hour at dusk, none from dusk till dawn.
			const gap = day <= 0.05 ? 30 * minute : Math.round((minute / day) * (0.2 + random.below(20) / 10));
			await clock.advance(gap);
			at += gap;
			const { all } = await countSpares(world, spares);
			if (day > 0.05) for (let n = 0; n <= random.below(3); n++) sent.push(invoke("f"));
			else if (at > 12.8 * hour) atNight = Math.max(atNight, all);
		}
		await clock.advance(30 * second);
		assert.equal(tally(sent).ok, sent.length);
		assert.equal(atNight, 0);
		const cold = sent.filter(({ answer }) => answer && "result" in answer && answer.result.coldStart).length;
		assert.ok(sent.length > 200 && cold < sent.length / 10, `${cold} of ${sent.length} were cold`);
	});

test("a thousand functions of which five are busy: the five have the spares, and nobody makes and drops in turns", async (t) => {
	const world = simulate(t, slow, { ...leisurely, spares: limits });
	const { clock, dispatcher, invoke, platform } = world;
	// All are deployed at once, which is demand of a kind.
	for (let n = 0; n < 1000; n++) dispatcher.expect(revisionOf(`f${n}`));
	const random = new Random(7);
	const sent: ReturnType<World["invoke"]>[] = [];
	let before = platform.created;
	let starts = 0;
	let mostChurn = 0;
	for (let minutes = 0; minutes < 60; minutes++) {
		for (const n of [100, 300, 500, 700, 900])
			if (minutes % 2 === 0) {
				sent.push(invoke(`f${n}`));
				starts++;
			}
		// And now and then somebody else.
		if (random.chance(20)) {
			sent.push(invoke(`f${random.below(1000)}`));
			starts++;
		}
		for (let n = 0; n < 6; n++) {
			await clock.advance(10 * second);
			await countSpares(world, limits);
		}
		// What is made beyond what events used up: one for each of these, and what changes hands.
		if (minutes > 0) mostChurn = Math.max(mostChurn, platform.created - before - starts);
		before = platform.created;
		starts = 0;
	}
	assert.equal(tally(sent).ok, sent.length);
	const spares = (await world.sandboxes()).filter(({ invocations }) => invocations === 0);
	const busy = spares.filter(({ functionName }) => /^f[13579]00$/.test(functionName));
	assert.ok(busy.length >= 5, `${busy.length} of ${spares.length} spares are of those that are used`);
	assert.ok(mostChurn <= limits.maxTotal + limits.initialized.maxTotal, `${mostChurn} made in a minute for no event`);
	await clock.advance(limits.keepMs + minute);
	assert.equal((await world.sandboxes()).length, 0);
});

for (const seed of seeds)
	test(`memory that runs short now and then: spares give way at once and come back once (seed ${seed})`, async (t) => {
		const random = new Random(seed);
		let memory: MemoryObservation = { availableBytes: 800, totalBytes: 1000, stalledPercent: 0 };
		const setting: SpareSetting = { created: 3, initialized: 2 };
		const world = simulate(
			t,
			slow,
			{ idleTimeoutMs: 2 * second, sweepMs: second, spares: limits },
			{ memory: () => memory, spareSetting: () => setting },
		);
		const { clock, platform, invoke } = world;
		for (let episode = 0; episode < 20; episode++) {
			invoke("f");
			memory = { ...memory, availableBytes: 800 };
			await clock.advance(2 * minute);
			assert.deepEqual(await countSpares(world, limits), { created: 3, initialized: 2, all: 5 });
			const short = random.chance(50);
			memory = { ...memory, availableBytes: short ? 40 : 80 };
			await clock.advance(3 * second);
			const left = short ? { created: 0, initialized: 0, all: 0 } : { created: 1, initialized: 0, all: 1 };
			assert.deepEqual(await countSpares(world, limits), left);
			// It hovers around the limit: nothing is made, as nothing would stay.
			const made = platform.created;
			for (let n = 0; n < 60; n++) {
				memory = { ...memory, availableBytes: (short ? 50 : 100) + random.below(20) - 10 };
				await clock.advance(second);
			}
			assert.ok(platform.created - made <= 1, `${platform.created - made} made while memory was short`);
		}
	});

/**
 * Asynchronous invocation over two months of virtual time: functions that fail, are throttled and are slow, a log that now and then
 * refuses, and a process that is killed at random. Each accepted event comes to exactly one end.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SlipwayError } from "../../src/base/error.ts";
import { longTests } from "../../src/base/testing/long-tests.ts";
import type { InvocationResult } from "../../src/core/invocation/invocation.ts";
import { failure, queueArn, type TestWorld, testWorld } from "../../src/engine/async-invocations/testing.ts";
import { Random } from "./random.ts";

const day = 86_400_000;
const events = 1500;
const kills = 200;
const functions = ["a", "b", "c"];

type Kind = "good" | "poison" | "flaky";

interface Run {
	random: Random;
	world: TestWorld;
	kinds: Map<string, Kind>;
	accepted: Set<string>;
	/** How often each event is in the destination of that name. */
	ends: Record<"good" | "bad" | "dead", Map<string, number>>;
}

const quick = [[20_261_121, 10]] as const;
const long = [
	[1, 60],
	[2, 60],
] as const;
for (const [seed, days] of longTests ? [...quick, ...long] : quick)
	test(`${days} days, seed ${seed}: no event is lost, and each ends once`, () => simulate(seed, days));

async function simulate(seed: number, days: number): Promise<void> {
	const random = new Random(seed);
	await using world = await testWorld();
	const ends = { good: new Map(), bad: new Map(), dead: new Map() };
	const run: Run = { random, world, kinds: new Map(), accepted: new Set(), ends };
	await configure(run);
	world.answer = (_name, { requestId }) => answer(run, run.kinds.get(requestId) ?? "good");
	world.log.onCommit = (when) => {
		if (run.random.below(400) === 0) throw new SlipwayError("UNAVAILABLE", `The disk refuses (${when})`);
	};
	const killAt = new Set(Array.from({ length: kills }, () => random.below(events)));
	for (let number = 0; number < events; number++) {
		await send(run, `event-${number}`);
		// Half of the events come close together, as they do.
		await world.clock.advance(random.chance(50) ? random.below(5000) : random.below((2 * 2 * days * day) / events / 2));
		if (killAt.has(number)) await world.restart();
		if (number % 50 === 0) await collect(run);
	}
	await world.clock.advance(day);
	await collect(run);
	await check(run);
}

async function configure({ world }: Run): Promise<void> {
	for (const name of functions) world.functions.put(name, { deadLetterArn: queueArn("dead") });
	const destinations = { onSuccess: queueArn("good"), onFailure: queueArn("bad") };
	const { configs } = world.invocations;
	await configs.put("a", "$LATEST", destinations);
	await configs.put("b", "$LATEST", { ...destinations, maximumRetryAttempts: 0 });
	await configs.put("c", "$LATEST", { ...destinations, maximumRetryAttempts: 1, maximumEventAgeS: 600 });
}

async function send({ random, world, kinds, accepted }: Run, id: string): Promise<void> {
	kinds.set(id, random.pick(["good", "good", "flaky", "poison"]));
	try {
		await world.send(random.pick(functions), id, JSON.stringify({ id }));
		accepted.add(id);
	} catch (error) {
		// Whoever sent it does not know; it may be there.
		assert.ok(error instanceof SlipwayError, String(error));
	}
}

async function answer({ random, world }: Run, kind: Kind): Promise<Partial<InvocationResult>> {
	const luck = random.below(100);
	if (luck < 10) throw new SlipwayError("THROTTLED", "Rate Exceeded.");
	if (luck < 15) throw new SlipwayError("SANDBOX_FAILED", "The sandbox died");
	if (random.chance(40)) await world.clock.sleep(random.below(20_000));
	return kind === "poison" || (kind === "flaky" && random.chance(50)) ? failure(kind) : {};
}

/** Takes what the destinations have got. */
async function collect({ world, ends }: Run): Promise<void> {
	const { onCommit } = world.log;
	world.log.onCommit = undefined;
	for (const [lane, counts] of Object.entries(ends))
		for (let more = true; more; ) {
			const messages = await world.inLane(`sqs/${lane}`);
			for (const { correlation = "" } of messages) counts.set(correlation, (counts.get(correlation) ?? 0) + 1);
			more = messages.length === 1000;
			await world.log.purge(`sqs/${lane}`);
		}
	world.log.onCommit = onCommit;
}

async function check({ world, kinds, accepted, ends }: Run): Promise<void> {
	for (const { lane, visible, delayed, inFlight } of await world.log.lanes("lambda/"))
		assert.deepEqual([visible, delayed, inFlight], [0, 0, 0], lane);
	assert.ok(accepted.size > events * 0.98);
	for (const [id, kind] of kinds) {
		const [good = 0, bad = 0, dead = 0] = [ends.good.get(id), ends.bad.get(id), ends.dead.get(id)];
		assert.equal(bad, dead, `${id} is in the dead-letter queue as often as at the destination`);
		assert.ok(good + bad === 1 || (good + bad === 0 && !accepted.has(id)), `${id} (${kind}): ${good} good, ${bad} bad`);
		if (kind === "poison") assert.equal(good, 0);
	}
	const poison = [...accepted].filter((id) => kinds.get(id) === "poison");
	assert.ok(poison.length > events / 8);
	assert.ok(ends.good.size > events / 4);
	// The other way round: nothing came out that did not go in.
	for (const counts of Object.values(ends)) for (const id of counts.keys()) assert.ok(kinds.has(id), id);
}

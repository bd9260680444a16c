import assert from "node:assert/strict";
import { test } from "node:test";
import { SlipwayError } from "../../base/error.ts";
import { testWorld } from "./testing.ts";

/** Functions that take a second each, on a machine with time. */
async function slowWorld(maxConcurrency: number) {
	const atWork = { now: 0, most: 0, history: [] as number[] };
	const world = await testWorld({ maxConcurrency, cpu: { idleMs: () => world.clock.monotonic() * 2 } });
	world.answer = async () => {
		atWork.most = Math.max(atWork.most, ++atWork.now);
		atWork.history.push(atWork.now);
		await world.clock.sleep(1000);
		atWork.now--;
		return {};
	};
	return { world, atWork };
}

test("a backlog of slow functions begins with two at once and has more from look to look, up to the limit", async () => {
	const { world, atWork } = await slowWorld(40);
	await using _ = world;
	world.functions.put("f");
	for (let event = 0; event < 400; event++) await world.send("f", `r${event}`);
	await world.clock.advance(0);
	assert.equal(atWork.now, 2);
	await world.clock.advance(1000);
	assert.ok(atWork.now > 4 && atWork.now < 20, String(atWork.now));
	await world.clock.advance(40_000);
	assert.equal(atWork.most, 40);
	assert.equal(world.invocations.counters()[0]?.succeeded, 400);
	await world.clock.advance(1000);
	const { pending } = world.clock;
	await world.clock.advance(60_000);
	assert.ok(world.clock.pending <= pending, "no timers when all is done");
});

test("many functions together stay below the limit of all, and each has its turn", async () => {
	const { world, atWork } = await slowWorld(10);
	await using _ = world;
	for (let name = 0; name < 50; name++) world.functions.put(`f${name}`);
	for (let event = 0; event < 200; event++) await world.send(`f${event % 50}`, `r${event}`);
	await world.clock.advance(60_000);
	assert.equal(atWork.most, 10);
	assert.equal(new Set(world.calls.map(({ name }) => name)).size, 50);
	assert.equal(world.calls.length, 200);
});

test("where others use up a function's concurrency few events are tried for nothing", async () => {
	const { world } = await slowWorld(40);
	await using _ = world;
	world.functions.put("f");
	let isFree = false;
	let refused = 0;
	world.answer = () => {
		if (isFree) return {};
		refused++;
		return Promise.reject(new SlipwayError("THROTTLED", "Rate Exceeded."));
	};
	for (let event = 0; event < 500; event++) await world.send("f", `r${event}`);
	await world.clock.advance(60_000);
	assert.ok(refused > 5 && refused < 100, `${refused} throttles in a minute`);
	isFree = true;
	await world.clock.advance(600_000);
	assert.equal(world.invocations.counters()[0]?.succeeded, 500);
});

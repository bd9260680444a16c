/** One function's spares: which it has, who takes them, and when they go. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { automaticSpares, type SpareSetting } from "../../src/core/function/spare-setting.ts";
import { Random } from "./random.ts";
import { countSpares, hour, impatient, leisurely, limits, minute, second, slow } from "./spare-world.ts";
import { revisionOf, simulate, tally, type World } from "./world.ts";

test("never for a function that its owner keeps at zero, by its concurrency or its setting", async (t) => {
	const settings: Record<string, SpareSetting> = {
		off: { created: 0, initialized: 0 },
		wanted: { created: 2, initialized: 2 },
	};
	const world = simulate(
		t,
		slow,
		{ ...impatient, spares: limits },
		{ spareSetting: (name) => settings[name] ?? automaticSpares },
	);
	world.reserved.set("zero", 0);
	settings.zero = { created: 3, initialized: 2 };
	for (const name of ["off", "wanted", "zero"]) world.dispatcher.expect(revisionOf(name));
	await world.clock.advance(10 * second);
	const names = async () => (await world.sandboxes()).map(({ functionName }) => functionName);
	assert.deepEqual(await names(), ["wanted", "wanted", "wanted", "wanted"]);
	world.reserved.set("wanted", 0);
	await world.clock.advance(second);
	assert.deepEqual(await names(), []);
});

test("initialized ahead, they wait frozen, take events after those that others have used, and count as nobody's cold start", async (t) => {
	const spareSetting = () => ({ created: 0, initialized: 2 });
	const world = simulate(t, slow, { spares: limits }, { spareSetting });
	const { clock, dispatcher, sandboxes, invoke } = world;
	dispatcher.expect(revisionOf("f"));
	await clock.advance(5 * second);
	const frozen = { initializationType: "on-demand", preInitialized: true, state: "frozen", invocations: 0 };
	const seen = async () =>
		(await sandboxes()).map(({ initializationType, preInitialized, state, invocations }) => ({
			initializationType,
			preInitialized,
			state,
			invocations,
		}));
	assert.deepEqual(await seen(), [frozen, frozen]);
	const first = invoke("f");
	await clock.advance(60);
	assert.ok(first.answer && "result" in first.answer && first.answer.result.coldStart === undefined);
	await clock.advance(5 * second);
	assert.deepEqual(await seen(), [frozen, { ...frozen, invocations: 1 }, frozen]);
	const second_ = invoke("f");
	await clock.advance(60);
	assert.ok(second_.answer && "result" in second_.answer && second_.answer.result.coldStart === undefined);
	assert.deepEqual(
		(await seen()).map(({ invocations }) => invocations),
		[0, 2, 0],
	);
	assert.equal(dispatcher.census().initializedSpares, 2);
});

test("an event that comes while one is initialized takes it over, and waits for the rest of it only", async (t) => {
	for (const reserve of [undefined, 1]) {
		const spareSetting = () => ({ created: 0, initialized: 1 });
		const world = simulate(t, slow, { spares: limits }, { spareSetting });
		const { clock, dispatcher, invoke, platform, reserved } = world;
		if (reserve) reserved.set("f", reserve);
		dispatcher.expect(revisionOf("f"));
		// Begun after 100 ms, made after 120, initialized after 620.
		await clock.advance(400);
		const sent = invoke("f");
		await clock.advance(219 + 50);
		assert.equal(tally([sent]).ok, 0);
		await clock.advance(5);
		assert.ok(sent.answer && "result" in sent.answer && sent.answer.result.coldStart);
		assert.equal(platform.created, 1);
	}
});

test("never more environments than a function's reserve", async (t) => {
	const spareSetting = () => ({ created: 2, initialized: 2 });
	const world = simulate(t, { ...slow, finishMs: () => 300 }, { ...impatient, spares: limits }, { spareSetting });
	world.reserved.set("f", 2);
	const random = new Random(3);
	const sent: ReturnType<World["invoke"]>[] = [];
	for (let step = 0; step < 600; step++) {
		if (random.chance(10)) sent.push(world.invoke("f"));
		await world.clock.advance(random.below(200));
		const all = (await world.sandboxes()).filter(({ state }) => state === "busy" || state === "initializing");
		assert.ok(all.length <= 2, `${all.length} at work`);
	}
	await world.clock.advance(30 * second);
	const { ok, throttled } = tally(sent);
	assert.equal(ok + (throttled.ReservedFunctionConcurrentInvocationLimitExceeded ?? 0), sent.length);
});

test("an init that fails ahead of events is tried ever more rarely, and fails no event", async (t) => {
	let fails = true;
	let inits = 0;
	const init = () => {
		inits++;
		return { ms: 200, ends: fails ? "exit" : "well" } as const;
	};
	const spareSetting = () => ({ created: 0, initialized: 1 });
	const spares = { ...limits, keepMs: 24 * hour };
	const world = simulate(t, { init }, { ...leisurely, sweepMs: second, spares }, { spareSetting });
	const { clock, dispatcher, invoke } = world;
	dispatcher.expect(revisionOf("f"));
	await clock.advance(4 * hour);
	// After 0, 1, 3, 7, 15, 31, 63, 123, 183 minutes.
	assert.equal(inits, 9);
	assert.equal((await world.sandboxes()).length, 0);
	fails = false;
	const sent = invoke("f");
	await clock.advance(second);
	assert.equal(tally([sent]).ok, 1);
	await clock.advance(hour);
	assert.equal(dispatcher.census().initializedSpares, 1);
	assert.deepEqual(world.complaints, []);
});

test("one that dies while it waits costs no event and is not replaced over and over", async (t) => {
	const spareSetting = () => ({ created: 0, initialized: 1 });
	const world = simulate(t, slow, { spares: limits }, { spareSetting });
	const { clock, dispatcher, platform, invoke } = world;
	dispatcher.expect(revisionOf("f"));
	for (let step = 0; step < 600; step++) {
		await clock.advance(second);
		for (const sandbox of platform.sandboxes) sandbox.exit({ signal: "SIGKILL", oomKilled: true });
	}
	assert.ok(platform.created <= 5, `${platform.created} in ten minutes`);
	const sent = invoke("f");
	await clock.advance(2 * second);
	assert.equal(tally([sent]).ok, 1);
});

test("they are replaced when they get old, and go with their revision", async (t) => {
	const spareSetting = () => ({ created: 1, initialized: 2 });
	const spares = { ...limits, keepMs: 24 * hour };
	const world = simulate(t, slow, { spares, sweepMs: second, maxAgeMs: hour }, { spareSetting });
	const { clock, dispatcher, platform } = world;
	dispatcher.expect(revisionOf("f"));
	await clock.advance(5 * second);
	assert.equal(platform.created, 3);
	await clock.advance(hour + 2 * second);
	assert.equal(platform.created, 5);
	assert.deepEqual(await countSpares(world, limits), { created: 1, initialized: 2, all: 3 });
	dispatcher.retire("f");
	await clock.advance(second);
	assert.equal((await world.sandboxes()).length, 0);
});

test("they make room for sandboxes that events need, created ones first", async (t) => {
	const spareSetting = (name: string) =>
		name === "f" ? { created: 2, initialized: 2 } : { created: 0, initialized: 0 };
	const world = simulate(t, slow, { spares: limits, maxSandboxes: 4 }, { spareSetting });
	const { clock, dispatcher, burst } = world;
	dispatcher.expect(revisionOf("f"));
	await clock.advance(5 * second);
	assert.deepEqual(await countSpares(world, limits), { created: 2, initialized: 2, all: 4 });
	assert.equal((await burst(2, "g", 2 * second)).ok, 2);
	assert.deepEqual(await countSpares(world, limits), { created: 0, initialized: 2, all: 4 });
	assert.equal((await burst(4, "h", 5 * second)).ok, 4);
	assert.deepEqual(await countSpares(world, limits), { created: 0, initialized: 0, all: 4 });
});

test("a function that is stopped is at zero at once, stays there, and comes back with its next event", async (t) => {
	const spareSetting = () => ({ created: 2, initialized: 1 });
	const world = simulate(t, slow, { sweepMs: 200, spares: limits }, { spareSetting });
	const { clock, dispatcher, burst } = world;
	assert.equal((await burst(2, "f", 10 * second)).ok, 2);
	dispatcher.provision(revisionOf("f", "1"), 1);
	await clock.advance(5 * second);
	const stopped = dispatcher.stop("f");
	await clock.advance(200);
	// Two that were used, and three spares of each version.
	assert.equal(await stopped, 8);
	await clock.advance(10 * minute);
	assert.deepEqual(
		(await world.sandboxes()).map(({ initializationType }) => initializationType),
		["provisioned-concurrency"],
	);
	assert.equal(await dispatcher.stop("unknown"), 0);
	assert.equal((await burst(1, "f", 10 * second)).ok, 1);
	assert.deepEqual((await countSpares(world, { ...limits })).initialized, 1);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "./random.ts";
import { revisionOf, simulate, tally } from "./world.ts";

const seeds = [1, 2, 3, 20261121];

const provisioned = "provisioned-concurrency";

test("provisioned sandboxes get ready ahead, take the events first, and the rest spills over", async (t) => {
	const { clock, dispatcher, burst, sandboxes } = simulate(t);
	const one = revisionOf("f", "1");
	dispatcher.provision(one, 3);
	assert.deepEqual(dispatcher.provisionedState("f", "1"), {
		allocated: 3,
		available: 0,
		status: "IN_PROGRESS",
		reason: undefined,
	});
	await clock.advance(1000);
	assert.deepEqual(dispatcher.provisionedState("f", "1"), {
		allocated: 3,
		available: 3,
		status: "READY",
		reason: undefined,
	});
	assert.deepEqual(await burst(3, "f", 1000, "1"), { ok: 3, throttled: {} });
	assert.deepEqual(
		(await sandboxes()).map(({ version, initializationType, invocations }) => [
			version,
			initializationType,
			invocations,
		]),
		[1, 2, 3].map(() => ["1", provisioned, 1]),
	);
	assert.deepEqual(await burst(5, "f", 1000, "1"), { ok: 5, throttled: {} });
	const kinds = (await sandboxes()).map(({ initializationType }) => initializationType);
	assert.deepEqual(kinds.sort(), ["on-demand", "on-demand", provisioned, provisioned, provisioned]);
	assert.deepEqual(await burst(3, "f", 1000, "1"), { ok: 3, throttled: {} });
	// What spilled over may have been served by a provisioned one that was done before the new one was ready. These not.
	const counts = (await sandboxes()).map(
		({ initializationType, invocations }) => `${initializationType} ${invocations}`,
	);
	assert.deepEqual(counts.sort(), [
		"on-demand 0",
		"on-demand 0",
		`${provisioned} 3`,
		`${provisioned} 4`,
		`${provisioned} 4`,
	]);
	assert.equal(dispatcher.provisionedState("f", "1")?.status, "READY");
	assert.equal(dispatcher.provisionedState("f", "$LATEST"), undefined);
});

test("they outlive the idle time, and making room for others", async (t) => {
	const { clock, dispatcher, burst, sandboxes } = simulate(t, {}, { maxSandboxes: 3, idleTimeoutMs: 60_000 });
	dispatcher.provision(revisionOf("f", "1"), 2);
	await clock.advance(600_000);
	assert.equal((await sandboxes()).length, 2);
	for (const name of ["a", "b", "c"]) assert.deepEqual(await burst(1, name, 1000), { ok: 1, throttled: {} });
	assert.equal(dispatcher.provisionedState("f", "1")?.available, 2);
	dispatcher.provision(revisionOf("f", "1"), 9);
	await clock.advance(1000);
	const full = dispatcher.provisionedState("f", "1");
	assert.deepEqual([full?.available, full?.status], [3, "IN_PROGRESS"]);
	assert.match(full?.reason ?? "", /^This machine has no room/);
});

test("less of them: idle ones go at once, busy ones after their event; none: all go", async (t) => {
	const { clock, dispatcher, invoke, sandboxes } = simulate(t);
	const one = revisionOf("f", "1");
	dispatcher.provision(one, 4);
	await clock.advance(1000);
	const sent = [1, 2, 3].map(() => invoke("f", "1"));
	await clock.advance(1);
	dispatcher.provision(one, 2);
	await clock.advance(1);
	assert.deepEqual(dispatcher.provisionedState("f", "1")?.available, 2);
	await clock.advance(1000);
	assert.equal(tally(sent).ok, 3);
	assert.equal((await sandboxes()).length, 2);
	dispatcher.provision(one, 0);
	await clock.advance(1000);
	assert.equal(dispatcher.provisionedState("f", "1"), undefined);
	assert.equal((await sandboxes()).length, 0);
});

test("an alias that moves: the new version is warmed, the old one let go, and no event fails", async (t) => {
	const { clock, dispatcher, revisions, invoke, sandboxes } = simulate(t);
	const [one, two] = [revisionOf("f", "1"), revisionOf("f", "2")];
	revisions.set("f:live", one);
	dispatcher.provision(one, 2);
	await clock.advance(1000);
	const sent = [];
	for (let step = 0; step < 100; step++) {
		if (step === 50) {
			revisions.set("f:live", two);
			dispatcher.provision(two, 2);
			dispatcher.provision(one, 0);
		}
		sent.push(invoke("f", "live"));
		await clock.advance(30);
	}
	await clock.advance(2000);
	assert.deepEqual(tally(sent), { ok: 100, throttled: {} });
	const versions = (await sandboxes()).filter(({ initializationType }) => initializationType === provisioned);
	assert.deepEqual(
		versions.map(({ version }) => version),
		["2", "2"],
	);
});

test("an init that keeps failing is FAILED, tried again ever more rarely, and READY when it works", async (t) => {
	let works = false;
	let inits = 0;
	const init = () => {
		inits++;
		return { ms: 10, ends: works ? "well" : "exit" } as const;
	};
	const { clock, dispatcher, sandboxes } = simulate(t, { init });
	dispatcher.provision(revisionOf("f", "1"), 1);
	await clock.advance(500);
	assert.equal(dispatcher.provisionedState("f", "1")?.status, "IN_PROGRESS");
	await clock.advance(9500);
	assert.deepEqual(dispatcher.provisionedState("f", "1"), {
		allocated: 0,
		available: 0,
		status: "FAILED",
		reason: "FUNCTION_ERROR_INIT_FAILURE",
	});
	assert.equal(inits, 4, "after 0, 1, 3 and 7 s");
	await clock.advance(1_200_000);
	assert.ok(inits >= 11 && inits <= 13, `${inits} tries in twenty minutes`);
	assert.equal((await sandboxes()).length, 0);
	works = true;
	await clock.advance(301_000);
	assert.equal(dispatcher.provisionedState("f", "1")?.status, "READY");
});

test("a process that ends as soon as it is ready is not started over and over", async (t) => {
	const { clock, platform, dispatcher } = simulate(t, { init: () => ({ ms: 1, ends: "well" }) });
	dispatcher.provision(revisionOf("f", "1"), 1);
	for (let step = 0; step < 600; step++) {
		await clock.advance(100);
		for (const sandbox of platform.sandboxes) sandbox.exit({ code: 0, oomKilled: false });
	}
	assert.ok(platform.created < 12, `${platform.created} sandboxes in a minute`);
	assert.equal(dispatcher.provisionedState("f", "1")?.status, "FAILED");
});

test("the limit of their init is 130 s, or the function's timeout if that is more", async (t) => {
	const slow = { init: () => ({ ms: 125_000, ends: "well" }) as const };
	const { clock, dispatcher } = simulate(t, slow);
	dispatcher.provision(revisionOf("f", "1"), 1);
	await clock.advance(126_000);
	assert.equal(dispatcher.provisionedState("f", "1")?.status, "READY");
	const slower = simulate(t, { init: () => ({ ms: 600_000, ends: "well" }) });
	slower.dispatcher.provision(revisionOf("g", "1", 900), 1);
	slower.dispatcher.provision(revisionOf("h", "1", 3), 1);
	await slower.clock.advance(601_000);
	assert.equal(slower.dispatcher.provisionedState("g", "1")?.status, "READY");
	assert.equal(slower.dispatcher.provisionedState("h", "1")?.status, "FAILED");
});

test("old ones are replaced one at a time, the new one first: there is never one less", async (t) => {
	const { clock, dispatcher, platform, sandboxes } = simulate(t, {}, { maxAgeMs: 3_600_000 });
	dispatcher.provision(revisionOf("f", "1"), 4);
	await clock.advance(3_599_000);
	assert.equal(platform.created, 4);
	for (let step = 0; step < 400; step++) {
		await clock.advance(10);
		assert.equal(dispatcher.provisionedState("f", "1")?.available, 4);
		assert.ok((await sandboxes()).length <= 6);
	}
	assert.equal(platform.created, 8);
	assert.equal((await sandboxes()).length, 4);
});

for (const seed of seeds)
	test(`whatever fails, as many as were asked for come back, and every event gets an answer (seed ${seed})`, async (t) => {
		const random = new Random(seed);
		const { clock, dispatcher, platform, revisions, invoke, sandboxes, complaints } = simulate(
			t,
			{
				init: () => ({
					ms: 20 + random.below(200),
					ends: random.chance(5) ? "exit" : random.chance(5) ? "error" : "well",
				}),
				event: () => ({
					ms: random.below(300),
					ends: random.pick(["well", "well", "well", "well", "error", "exit", "hang"]),
				}),
				finishMs: () => random.pick([0, 0, 0, 1, 40]),
			},
			{ maxAgeMs: 60_000, idleTimeoutMs: 5000 },
		);
		const requested = [0, 0, 0];
		const sent = [];
		for (let step = 0; step < 1500; step++) {
			const version = 1 + random.below(3);
			if (random.chance(2)) {
				requested[version - 1] = random.below(5);
				dispatcher.provision(revisionOf("f", String(version)), requested[version - 1]!);
			}
			if (random.chance(2)) revisions.set("f:live", revisionOf("f", String(version)));
			if (random.chance(3))
				for (const sandbox of platform.sandboxes) if (random.chance(20)) sandbox.exit({ code: 1, oomKilled: false });
			sent.push(invoke("f", random.chance(50) ? "live" : String(version)));
			await clock.advance(random.below(80));
		}
		await clock.advance(30_000);
		assert.equal(sent.filter(({ answer }) => answer === undefined).length, 0, "every event has an answer");
		assert.equal(tally(sent).ok, sent.length);
		// Those that were killed as they got an event, which another one took.
		for (const complaint of complaints) assert.match(complaint, /The sandbox ended before the event reached it$/);
		// Once nothing fails any more, what was asked for stands, and nothing else.
		platform.script.init = () => ({ ms: 20, ends: "well" });
		await clock.advance(700_000);
		for (const [index, count] of requested.entries()) {
			const state = dispatcher.provisionedState("f", String(index + 1));
			assert.deepEqual([state?.available, state?.status], count ? [count, "READY"] : [undefined, undefined]);
		}
		assert.equal(
			(await sandboxes()).length,
			requested.reduce((sum, n) => sum + n, 0),
		);
	});

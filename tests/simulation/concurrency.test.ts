import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "./random.ts";
import { revisionOf, simulate, tally } from "./world.ts";

const seeds = [1, 2, 3, 20261121];

test("a burst gets a thousand environments at once, then a hundred a second: the others are throttled", async (t) => {
	const { clock, revisions, burst, sandboxes } = simulate(
		t,
		{ event: () => ({ ms: 30_000, ends: "well" }) },
		{ accountConcurrency: 5000 },
	);
	revisions.set("f", revisionOf("f", "$LATEST", 900));
	assert.deepEqual(await burst(1500, "f", 1), {
		ok: 0,
		throttled: { FunctionInvocationRateLimitExceeded: 500 },
	});
	await clock.advance(1999);
	assert.deepEqual((await burst(500, "f", 1000)).throttled, { FunctionInvocationRateLimitExceeded: 300 });
	assert.equal((await burst(1000, "other", 1000)).throttled.FunctionInvocationRateLimitExceeded, undefined);
	assert.equal((await sandboxes()).length, 2200);
});

test("what stands needs no new environment, and is never throttled for the rate", async (t) => {
	const { burst, clock } = simulate(t, {}, { scaling: { environments: 10, periodMs: 10_000 } });
	assert.deepEqual(await burst(10, "f", 1000), { ok: 10, throttled: {} });
	for (let n = 0; n < 5; n++) assert.deepEqual(await burst(10, "f", 100), { ok: 10, throttled: {} });
	await clock.advance(10);
	assert.deepEqual(await burst(13, "f", 500), { ok: 11, throttled: { FunctionInvocationRateLimitExceeded: 2 } });
});

test("a function with a reserve of one never has two environments at work, not even after its answer", async (t) => {
	const { clock, platform, reserved, invoke, dispatcher } = simulate(t, { finishMs: () => 400 });
	reserved.set("f", 1);
	const sent = [];
	for (let n = 0; n < 50; n++) {
		sent.push(invoke("f"));
		await clock.advance(100);
		const busy = (await dispatcher.sandboxes()).filter(({ state }) => state !== "idle" && state !== "frozen");
		assert.ok(busy.length <= 1);
	}
	await clock.advance(5000);
	const { ok, throttled } = tally(sent);
	assert.ok(ok >= 10, `${ok} events`);
	assert.deepEqual(Object.keys(throttled), ["ReservedFunctionConcurrentInvocationLimitExceeded"]);
	assert.equal(platform.created, 1);
});

test("an event right after a failure meets the same environment again", async (t) => {
	let event = 0;
	const { clock, platform, invoke } = simulate(t, {
		event: () => ({ ms: 5, ends: event++ % 2 === 0 ? "exit" : "well" }),
	});
	for (let n = 0; n < 20; n++) {
		const sent = invoke("f");
		while (!sent.answer) await clock.advance(1);
	}
	await clock.advance(1000);
	// The first one was made; each failure has another process in it.
	assert.deepEqual([...platform.sandboxes].map(({ id }) => id).length, 1);
	assert.equal(platform.created, 1);
});

test("after a failed init the event goes to the same environment, whose second init is on the event's time", async (t) => {
	let inits = 0;
	const { platform, burst, clock } = simulate(t, { init: () => ({ ms: 100, ends: inits++ === 0 ? "exit" : "well" }) });
	assert.deepEqual(await burst(1, "f", 1000), { ok: 1, throttled: {} });
	await clock.advance(100);
	assert.deepEqual([inits, platform.created, platform.sandboxes.size], [2, 1, 1]);
});

test("environments past their age get no more events, busy or idle", async (t) => {
	const { clock, burst, invoke, sandboxes } = simulate(t, {}, { maxAgeMs: 60_000, idleTimeoutMs: 1e12 });
	assert.equal((await burst(3, "f", 1000)).ok, 3);
	assert.equal((await sandboxes()).length, 3);
	await clock.advance(60_000);
	assert.equal((await sandboxes()).length, 0, "idle ones end by themselves");
	const sent = [];
	const ages: number[] = [];
	// An event every 60 ms, each of 50 ms: a busy environment is never idle for long.
	for (let n = 0; n < 2500; n++) {
		sent.push(invoke("f"));
		await clock.advance(60);
		for (const { startedMs } of await sandboxes()) ages.push(clock.now() - startedMs);
	}
	await clock.advance(1000);
	assert.deepEqual(tally(sent), { ok: sent.length, throttled: {} });
	const oldest = Math.max(...ages);
	assert.ok(oldest >= 59_900 && oldest <= 60_100, `${oldest} ms`);
});

test("an idle environment is frozen within 20 ms; one that gets event after event never", async (t) => {
	const { clock, platform, burst, invoke } = simulate(t, { event: () => ({ ms: 2, ends: "well" }) });
	await burst(1, "f", 122);
	assert.equal([...platform.sandboxes][0]?.frozen, false);
	await clock.advance(20);
	assert.equal([...platform.sandboxes][0]?.frozen, true);
	assert.equal(platform.freezes, 1);
	for (let n = 0; n < 200; n++) {
		invoke("f");
		await clock.advance(4 + (n % 5));
	}
	assert.equal(platform.freezes, 1);
	await clock.advance(1000);
	assert.equal(platform.freezes, 2);
	assert.equal(platform.created, 1);
});

const oneSpare = { spares: { maxTotal: 1, maxPerFunction: 1, keepMs: 60_000 } };

test("a spare that is being made does not hold up the event that comes meanwhile", async (t) => {
	for (const [limit, options] of [
		["the reserve", {}],
		["the machine", { maxSandboxes: 1 }],
	] as const) {
		const { clock, dispatcher, reserved, invoke } = simulate(t, { createMs: 50 }, { ...oneSpare, ...options });
		if (limit === "the reserve") reserved.set("f", 1);
		dispatcher.expect(revisionOf("f"));
		// The spare is begun after 100 ms.
		await clock.advance(110);
		assert.equal(dispatcher.sandboxCount, 1);
		const sent = invoke("f");
		await clock.advance(1000);
		assert.deepEqual(tally([sent]), { ok: 1, throttled: {} }, limit);
	}
});

test("a spare is no way around a reserve of one either", async (t) => {
	const { clock, dispatcher, reserved, invoke } = simulate(t, { finishMs: () => 400 }, oneSpare);
	reserved.set("f", 1);
	dispatcher.expect(revisionOf("f"));
	await clock.advance(200);
	invoke("f");
	await clock.advance(300);
	assert.equal(dispatcher.sandboxCount, 2, "one at work and a spare");
	const sent = invoke("f");
	for (let n = 0; n < 100; n++) {
		const working = (await dispatcher.sandboxes()).filter(({ state }) => state === "busy" || state === "initializing");
		assert.ok(working.length <= 1, `${working.length} at work`);
		await clock.advance(10);
	}
	assert.deepEqual(tally([sent]), { ok: 1, throttled: {} });
});

test("a spare that has died costs no event", async (t) => {
	const { clock, dispatcher, platform, invoke } = simulate(t, {}, oneSpare);
	dispatcher.expect(revisionOf("f"));
	await clock.advance(200);
	for (const sandbox of platform.sandboxes) {
		const dispose = sandbox[Symbol.asyncDispose].bind(sandbox);
		sandbox[Symbol.asyncDispose] = () => clock.sleep(100).then(dispose);
		sandbox.exit({ signal: "SIGKILL", oomKilled: true });
	}
	await clock.advance(1);
	const sent = invoke("f");
	await clock.advance(1000);
	assert.deepEqual(tally([sent]), { ok: 1, throttled: {} });
});

test("an event whose sandbox is ended while it thaws hears so at once, and no timer stays", async (t) => {
	const { clock, dispatcher, invoke, burst } = simulate(t, {
		thawMs: () => 50,
		companions: ["/companions/a"],
		companion: () => ({ registersMs: 5, crashesMs: undefined, leavesMs: undefined }),
		// It would answer, were the event handed to it.
		event: () => ({ ms: 1000, ends: "well" }),
	});
	assert.equal((await burst(1, "f", 2000)).ok, 1);
	assert.equal((await dispatcher.sandboxes())[0]?.state, "frozen");
	const sent = invoke("f");
	await clock.advance(10);
	const closed = dispatcher.close(0);
	await clock.advance(50);
	assert.equal(
		String(sent.answer && "error" in sent.answer && sent.answer.error),
		"SlipwayError: Slipway is shutting down",
	);
	await clock.advance(5000);
	await closed;
	assert.equal(clock.pending, 0);
});

for (const seed of seeds)
	test(`no limit is ever passed, and every event is answered or throttled (seed ${seed})`, async (t) => {
		const random = new Random(seed);
		const names = ["a", "b", "c"];
		const { clock, reserved, platform, invoke, dispatcher, complaints } = simulate(
			t,
			{
				init: () => ({ ms: random.below(100), ends: random.chance(3) ? "exit" : "well" }),
				event: () => ({
					ms: random.below(200),
					ends: random.chance(90) ? "well" : random.pick(["error", "exit", "hang"]),
				}),
				finishMs: () => random.pick([0, 0, 0, 3, 50]),
			},
			{
				accountConcurrency: 20,
				maxSandboxes: 15,
				maxAgeMs: 10_000,
				idleTimeoutMs: 3000,
				scaling: { environments: 30, periodMs: 10_000 },
				spares: { maxTotal: 2, maxPerFunction: 1, keepMs: 5000 },
				cpus: 3,
			},
		);
		reserved.set("a", 3);
		const sent: { name: string; sent: ReturnType<typeof invoke> }[] = [];
		for (let step = 0; step < 3000; step++) {
			const name = random.pick(names);
			sent.push({ name, sent: invoke(name) });
			await clock.advance(random.chance(30) ? random.below(60) : 0);
			const running = sent.filter((each) => !each.sent.answer);
			assert.ok(running.length <= 20, "the account's limit");
			assert.ok(running.filter((each) => each.name === "a").length <= 3, "the reserve");
			assert.ok(running.filter((each) => each.name !== "a").length <= 17, "what is left to the others");
			const busy = (await dispatcher.sandboxes()).filter(
				({ functionName, state }) => functionName === "a" && state === "busy",
			);
			assert.ok(busy.length <= 3, "environments of a function with a reserve");
		}
		await clock.advance(60_000);
		assert.equal(sent.filter((each) => !each.sent.answer).length, 0);
		const counts = tally(sent.map((each) => each.sent));
		assert.ok(counts.ok > 200, `${counts.ok} answers`);
		assert.deepEqual(Object.keys(counts.throttled).sort(), [
			"ConcurrentInvocationLimitExceeded",
			"FunctionInvocationRateLimitExceeded",
			"ReservedFunctionConcurrentInvocationLimitExceeded",
		]);
		assert.equal(platform.sandboxes.size, 0, "idle ones and spares are gone");
		assert.deepEqual(complaints, []);
	});

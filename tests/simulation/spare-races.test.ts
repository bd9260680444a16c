/** Spares that come, die or are given back at the wrong moment, and what that must not do to events, to room and to the machine. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FunctionPool } from "../../src/engine/dispatch/function-pool.ts";
import type { SpareLimits } from "../../src/engine/dispatch/spares.ts";
import { Random } from "./random.ts";
import type { Script } from "./simulated-platform.ts";
import { revisionOf, simulate, tally, type World } from "./world.ts";

const second = 1000;
const minute = 60 * second;
const limits: SpareLimits = {
	maxTotal: 6,
	maxPerFunction: 4,
	keepMs: 15 * minute,
	initialized: { maxTotal: 4, maxPerFunction: 2, maxBytes: 2 ** 30 },
};
const slow: Partial<Script> = { init: () => ({ ms: 500, ends: "well" }) };

function answeredAt({ answer }: ReturnType<World["invoke"]>): number {
	assert.ok(answer && "result" in answer, "answered");
	return answer.at;
}

test("an event that found the last room taken by a spare in the making gets that room", async (t) => {
	const { clock, invoke } = simulate(
		t,
		{ event: (_, { name }) => ({ ms: name === "long" ? 20_000 : 50, ends: "well" }) },
		{ maxSandboxes: 2, spares: limits },
	);
	invoke("long");
	// Its start is over after 120 ms; its spare is begun at 200 and made at 220.
	await clock.advance(205);
	const sentAt = clock.now();
	const sent = invoke("other");
	await clock.advance(second);
	assert.ok(answeredAt(sent) - sentAt < 300);
});

test("an event that waits for room gets that of a spare which its own function did not need after all", async (t) => {
	const { clock, invoke, dispatcher, burst, platform, revisions } = simulate(
		t,
		{
			init: ({ name }) => ({ ms: name.startsWith("slow") ? 5000 : 100, ends: "well" }),
			// The third takes long.
			event: (_, { name }) => ({ ms: name === "f" && platform.deadlines.size > 2 ? 25_000 : 300, ends: "well" }),
		},
		{ cpus: 1, maxSandboxes: 5, spares: { ...limits, maxTotal: 1 } },
		{ spareSetting: (name) => ({ created: name === "f" ? 1 : 0, initialized: 0 }) },
	);
	revisions.set("f", revisionOf("f", "$LATEST", 60));
	assert.equal((await burst(1, "f", second)).ok, 1);
	assert.equal(dispatcher.census().spares, 1);
	// As many functions as may have a start under way however busy the CPUs are.
	for (const name of ["slow1", "slow2", "slow3"]) invoke(name);
	await clock.advance(50);
	invoke("f");
	invoke("f");
	const sent = invoke("other");
	await clock.advance(4 * second);
	assert.equal(tally([sent]).ok, 1);
});

test("a spare that dies while it waits to be started takes no room, and is not counted for good", async (t) => {
	const { clock, invoke, dispatcher, burst, platform } = simulate(
		t,
		{
			init: ({ name }) => ({ ms: name.startsWith("slow") ? 5000 : 100, ends: "well" }),
			event: (_, { name }) => ({ ms: name === "f" ? 300 : 20_000, ends: "well" }),
		},
		{ cpus: 1, maxSandboxes: 6, spares: { ...limits, maxTotal: 1 } },
		{ spareSetting: (name) => ({ created: name === "f" ? 1 : 0, initialized: 0 }) },
	);
	assert.equal((await burst(1, "f", second)).ok, 1);
	for (const name of ["slow1", "slow2", "slow3"]) invoke(name);
	await clock.advance(50);
	const sent = [invoke("f"), invoke("f")];
	await clock.advance(50);
	for (const sandbox of platform.sandboxes) if (!sandbox.started) sandbox.exit({ signal: "SIGKILL", oomKilled: true });
	await clock.advance(900);
	assert.equal(tally(sent).ok, 2);
	// Another is made in its place as soon as the starts are over, and stays the only one.
	await clock.advance(7 * second);
	assert.equal(dispatcher.census().spares, 1);
});

test("spares that can't be made are tried now and then only, and each failure is told of once", async (t) => {
	let tries = 0;
	const broken = () => ++tries > 0;
	const { clock, dispatcher, complaints } = simulate(t, { breaks: broken }, { spares: limits });
	dispatcher.expect(revisionOf("f"));
	await clock.advance(10 * minute);
	assert.ok(tries >= 5 && tries <= 61, `${tries} tries in ten minutes`);
	assert.equal(complaints.length, tries);
});

test("one that can't be made does not keep another function's from being made", async (t) => {
	let tries = 0;
	const { clock, dispatcher, sandboxes } = simulate(t, { breaks: () => tries++ === 0 }, { spares: limits });
	dispatcher.expect(revisionOf("first"));
	dispatcher.expect(revisionOf("second"));
	await clock.advance(500);
	assert.deepEqual(
		(await sandboxes()).map(({ functionName }) => functionName),
		["second"],
	);
});

test("an event that waits for a sandbox which takes long to finish gets a spare that was initialized meanwhile", async (t) => {
	const { clock, invoke, platform } = simulate(
		t,
		{ ...slow, event: () => ({ ms: 50, ends: platform.deadlines.size === 1 ? "exit" : "well" }) },
		{ spares: limits },
		{ spareSetting: () => ({ created: 0, initialized: 1 }) },
	);
	invoke("f");
	await clock.advance(560);
	// Its processes fail at 570, and it takes others two seconds to stand in their place; the spare's take their usual time.
	platform.script.createMs = 2000;
	await clock.advance(20);
	platform.script.createMs = 20;
	await clock.advance(420);
	const sentAt = clock.now();
	const sent = invoke("f");
	await clock.advance(second);
	assert.ok(answeredAt(sent) - sentAt < 320, `${answeredAt(sent) - sentAt} ms`);
});

test("a start that its event did not need leaves a sandbox that is kept as long as any, however old its spare was", async (t) => {
	const { clock, invoke, burst, sandboxes } = simulate(
		t,
		slow,
		{ idleTimeoutMs: minute, maxAgeMs: 13 * minute, spares: { ...limits, initialized: undefined } as SpareLimits },
		{ spareSetting: () => ({ created: 1, initialized: 0 }) },
	);
	for (let n = 0; n < 25; n++) assert.equal((await burst(1, "f", 30 * second)).ok, 1);
	const sent = [invoke("f"), invoke("f")];
	await clock.advance(30 * second);
	assert.equal(tally(sent).ok, 2);
	const unused = (await sandboxes()).filter(({ invocations, state }) => invocations === 0 && state !== "created");
	assert.equal(unused.length, 1);
	await clock.advance(minute);
	assert.equal((await sandboxes()).filter(({ state }) => state !== "created").length, 0);
});

test("starts that go on for long do not keep others from having spares", async (t) => {
	const { clock, invoke, dispatcher } = simulate(
		t,
		{ init: ({ name }) => ({ ms: name === "java" ? 8000 : 100, ends: "well" }) },
		{ cpus: 4, spares: limits },
		{ spareSetting: (name) => (name === "f" ? { created: 1, initialized: 1 } : { created: 0, initialized: 0 }) },
	);
	invoke("java");
	dispatcher.expect(revisionOf("f"));
	await clock.advance(second);
	const { spares, initializedSpares } = dispatcher.census();
	assert.deepEqual({ spares, initializedSpares }, { spares: 1, initializedSpares: 1 });
});

test("ten thousand functions: a look at those at rest costs nothing, and those in demand are decided on now and then", async (t) => {
	let asked = 0;
	const { clock, dispatcher } = simulate(
		t,
		{},
		{ spares: { ...limits, maxTotal: 0 } },
		{
			spareSetting: () => {
				asked++;
				return { created: "auto", initialized: "auto" };
			},
		},
	);
	const count = 10_000;
	for (let n = 0; n < count; n++) dispatcher.expect(revisionOf(`f${n}`));
	await clock.advance(10 * second);
	assert.ok(asked <= 11 * count, `asked ${asked / count} times for each in ten seconds`);
	await clock.advance(20 * minute);
	let looks = 0;
	t.mock.method(FunctionPool.prototype, "sweep", () => void looks++);
	await clock.advance(10 * second);
	assert.equal(looks, 0);
});

for (const seed of [1, 2, 3, 20261121])
	test(`spares that die, break and are given back in the midst of bursts: every event is answered, nothing is left (seed ${seed})`, async (t) => {
		const random = new Random(seed);
		let broken = 0;
		const breaks = () => {
			const does = random.chance(3);
			if (does) broken++;
			return does;
		};
		const max = 12;
		const { clock, dispatcher, invoke, platform, reserved } = simulate(
			t,
			{
				createMs: 15,
				breaks,
				init: () => ({ ms: random.below(400), ends: random.chance(95) ? "well" : "exit" }),
				event: () => ({ ms: random.below(200), ends: random.chance(95) ? "well" : "exit" }),
				disposeMs: () => random.below(30),
			},
			{ cpus: 2, maxSandboxes: max, idleTimeoutMs: 5 * second, spares: { ...limits, keepMs: 20 * second } },
			{ spareSetting: () => ({ created: random.below(3), initialized: random.below(3) }) },
		);
		reserved.set("f0", 2);
		const sent: ReturnType<World["invoke"]>[] = [];
		let most = 0;
		for (let step = 0; step < 300; step++) {
			for (let n = random.chance(15) ? random.below(8) : random.below(2); n > 0; n--)
				sent.push(invoke(`f${random.below(6)}`));
			if (random.chance(20))
				for (const sandbox of platform.sandboxes)
					if (!sandbox.started && random.chance(50)) sandbox.exit({ signal: "SIGKILL", oomKilled: true });
			if (random.chance(3)) void dispatcher.stop(`f${random.below(6)}`);
			if (random.chance(3)) dispatcher.retire(`f${random.below(6)}`);
			await clock.advance(random.below(250));
			most = Math.max(most, dispatcher.sandboxCount);
		}
		await clock.advance(2 * minute);
		let failed = 0;
		for (const { answer } of sent) {
			assert.ok(answer, "answered");
			if ("error" in answer && !String(answer.error).includes("Rate Exceeded")) failed++;
		}
		assert.ok(failed <= broken, `${failed} failed by ${broken}`);
		assert.ok(most <= 2 * max, `${most} at once`);
		assert.deepEqual([platform.sandboxes.size, dispatcher.sandboxCount], [0, 0]);
		assert.equal(platform.lateStarts, 0);
	});

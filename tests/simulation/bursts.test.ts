/** Many cold starts at once, through the dispatcher. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../src/base/error.ts";
import { Random } from "./random.ts";
import { revisionOf, simulate, tally, type World } from "./world.ts";

const hourMs = 3_600_000;
const seeds = [1, 2, 3, 20261121];

type Sent = ReturnType<World["invoke"]>;

function answersAt(sent: readonly Sent[]): number[] {
	return sent.map(({ answer }) => answer?.at ?? Number.POSITIVE_INFINITY);
}

/** How many events ended in which way: "answered", or the code of the error. */
function outcomes(sent: readonly Sent[]): Record<string, number> {
	const counts: Record<string, number> = {};
	for (const { answer } of sent) {
		const kind = !answer
			? "lost"
			: "result" in answer
				? "answered"
				: isSlipwayError(answer.error)
					? answer.error.code
					: String(answer.error);
		counts[kind] = (counts[kind] ?? 0) + 1;
	}
	return counts;
}

test("events that take long each get a sandbox of their own, in the order in which they came", async (t) => {
	const { clock, platform, invoke } = simulate(t, { event: () => ({ ms: 20_000, ends: "well" }) }, { cpus: 2 });
	const sent = Array.from({ length: 30 }, () => invoke("f"));
	await clock.advance(29_000);
	assert.deepEqual(outcomes(sent), { answered: 30 });
	assert.equal(platform.created, 30);
	const at = answersAt(sent);
	assert.deepEqual(
		at,
		[...at].sort((a, b) => a - b),
	);
});

test("short events are served by the first sandboxes: starts that nobody needs any more never begin", async (t) => {
	const { clock, platform, invoke, dispatcher } = simulate(
		t,
		{ event: () => ({ ms: 1, ends: "well" }) },
		{ cpus: 2, scaling: { environments: 100, periodMs: 10_000 } },
	);
	const sent = Array.from({ length: 100 }, () => invoke("f"));
	await clock.advance(0);
	assert.equal(dispatcher.sandboxCount, 2, "what waits for its turn is not there yet");
	await clock.advance(1000);
	assert.deepEqual(tally(sent), { ok: 100, throttled: {} });
	assert.ok(platform.created <= 8, `${platform.created} made`);
	assert.equal(dispatcher.sandboxCount, platform.created);
	// They have not used up the rate of new environments either.
	const more = Array.from({ length: 92 }, () => invoke("f"));
	await clock.advance(1000);
	assert.deepEqual(tally(more), { ok: 92, throttled: {} });
});

test("a burst of one function is not ahead of others that come a moment later", async (t) => {
	const begun: string[] = [];
	const init = ({ name }: { name: string }) => {
		begun.push(name);
		return { ms: 100, ends: "well" as const };
	};
	const { clock, invoke } = simulate(t, { init, event: () => ({ ms: 20_000, ends: "well" }) }, { cpus: 2 });
	for (let n = 0; n < 200; n++) invoke("many");
	await clock.advance(5);
	for (let n = 0; n < 20; n++) invoke(`f${n}`);
	await clock.advance(2000);
	const others = begun.filter((name) => name !== "many");
	assert.deepEqual(new Set(others).size, 20);
	const untilLast = begun.lastIndexOf(others.at(-1) ?? "");
	const many = begun.slice(0, untilLast).filter((name) => name === "many").length;
	assert.ok(many <= 4, `${many} of the many began before the last of the others`);
});

test("an init that sleeps holds up neither its own function's others nor those of another", async (t) => {
	const { clock, invoke } = simulate(
		t,
		{ init: ({ name }) => ({ ms: name === "sleepy" ? 5000 : 10, ends: "well" }) },
		{ cpus: 2 },
		{ cpu: { idleMs: (): number => clock.monotonic() * 2 } },
	);
	const sleepy = Array.from({ length: 60 }, () => invoke("sleepy"));
	await clock.advance(1000);
	const quick = invoke("quick");
	await clock.advance(100);
	assert.deepEqual(tally([quick]), { ok: 1, throttled: {} });
	await clock.advance(5500);
	assert.deepEqual(tally(sleepy), { ok: 60, throttled: {} });
});

test("ends come after the starts that callers wait for, and come", async (t) => {
	const { clock, dispatcher, burst, invoke, platform } = simulate(
		t,
		{ disposeMs: () => 40, event: () => ({ ms: 2000, ends: "well" }) },
		{ cpus: 2 },
	);
	assert.equal((await burst(20, "old", 6000)).ok, 20);
	assert.equal(platform.sandboxes.size, 20);
	const sent = Array.from({ length: 40 }, (_, n) => invoke(`f${n}`));
	dispatcher.retire("old");
	await clock.advance(400);
	const gone = () =>
		20 - [...platform.sandboxes].filter(({ id }) => platform.sessions.get(id)?.setup.revision.name === "old").length;
	assert.ok(gone() >= 5 && gone() <= 11, `${gone()} of 20 gone`);
	await clock.advance(2000);
	assert.equal(gone(), 20);
	await clock.advance(2000);
	assert.deepEqual(tally(sent), { ok: 40, throttled: {} });
});

test("when room is short, it is made for every function in its turn", async (t) => {
	const { clock, invoke, dispatcher, platform } = simulate(
		t,
		{ disposeMs: () => 40, event: () => ({ ms: 100, ends: "well" }) },
		{ cpus: 2, maxSandboxes: 10 },
	);
	const sent = Array.from({ length: 300 }, (_, n) => invoke(n < 200 ? "many" : `f${n}`));
	let most = 0;
	for (let n = 0; n < 300; n++) {
		await clock.advance(100);
		// Those that have to go for others are still on their way.
		most = Math.max(most, dispatcher.sandboxCount);
	}
	assert.deepEqual(tally(sent), { ok: 300, throttled: {} });
	assert.ok(most <= 10 + 4, `${most} at once`);
	assert.ok(platform.created >= 101);
});

test("a clock that is set forward or back by an hour changes nothing for events and sandboxes", async (t) => {
	for (const step of [hourMs, -hourMs]) {
		const { clock, invoke, burst, sandboxes, dispatcher } = simulate(t, {}, { cpus: 2, idleTimeoutMs: 60_000 });
		assert.equal((await burst(4, "f", 2000)).ok, 4);
		const before = (await sandboxes()).length;
		const sent = Array.from({ length: 40 }, (_, n) => invoke(`f${n % 10}`));
		await clock.advance(50);
		clock.step(step);
		dispatcher.provision(revisionOf("kept", "1"), 3);
		await clock.advance(20_000);
		assert.deepEqual(tally(sent), { ok: 40, throttled: {} });
		assert.equal(dispatcher.provisionedState("kept", "1")?.available, 3);
		assert.equal((await sandboxes()).filter(({ functionName }) => functionName === "f").length, before);
		await clock.advance(61_000);
		assert.equal(dispatcher.sandboxCount, 3, "idle ones end at their time");
		assert.ok((await sandboxes()).every(({ state }) => state === "frozen"));
	}
});

test("a daemon that stops during a burst starts nothing more, and every event hears so", async (t) => {
	const { clock, invoke, dispatcher, platform } = simulate(t, { disposeMs: () => 10 }, { cpus: 2 });
	const sent = Array.from({ length: 100 }, (_, n) => invoke(n < 50 ? "many" : `f${n}`));
	await clock.advance(30);
	// Its events still wait, and nobody has it any more.
	dispatcher.retire("many");
	const closed = dispatcher.close(0);
	await clock.advance(1000);
	await closed;
	await clock.advance(60_000);
	const { UNAVAILABLE = 0, answered = 0, SANDBOX_FAILED = 0, ...others } = outcomes(sent);
	assert.deepEqual(others, {});
	assert.ok(UNAVAILABLE >= 90, `${UNAVAILABLE} told, ${SANDBOX_FAILED} failed, ${answered} answered`);
	assert.equal(platform.sandboxes.size, 0);
	assert.equal(dispatcher.sandboxCount, 0);
	assert.equal(clock.pending, 0);
});

for (const seed of seeds)
	test(`a thousand functions are deleted during a thousand starts (seed ${seed})`, async (t) => {
		const random = new Random(seed);
		const { clock, invoke, dispatcher, platform, revisions, complaints } = simulate(
			t,
			{
				createMs: 5,
				init: () => ({ ms: random.below(20), ends: random.chance(5) ? "exit" : "well" }),
				event: () => ({ ms: random.below(50), ends: "well" }),
				disposeMs: () => random.below(40),
			},
			{ cpus: 8, maxSandboxes: 300, spares: { maxTotal: 5, maxPerFunction: 2, keepMs: 60_000 } },
		);
		const sent: Sent[] = [];
		for (let n = 0; n < 1000; n++) {
			const name = `f${n}`;
			revisions.set(name, revisionOf(name));
			sent.push(invoke(name));
			const deleted = `f${n - random.below(10)}`;
			revisions.delete(deleted);
			dispatcher.retire(deleted);
			if (random.chance(20)) await clock.advance(random.below(30));
		}
		for (let n = 0; n < 1000; n++) dispatcher.retire(`f${n}`);
		await clock.advance(60_000);
		assert.deepEqual(outcomes(sent), { answered: 1000 });
		assert.equal(platform.sandboxes.size, 0);
		assert.equal(dispatcher.sandboxCount, 0);
		assert.equal(platform.lateStarts, 0);
		assert.deepEqual(complaints, []);
	});

for (const seed of seeds)
	test(`bursts of many functions where much goes wrong: each event has one answer, and nothing is left (seed ${seed})`, async (t) => {
		const random = new Random(seed);
		let broken = 0;
		const breaks = () => {
			const does = random.chance(10);
			if (does) broken++;
			return does;
		};
		const world = simulate(
			t,
			{
				createMs: 8,
				breaks,
				init: ({ name }) => ({
					ms: name === "f0" ? 3000 : random.below(80),
					ends: random.chance(90) ? "well" : random.pick(["exit", "error"]),
				}),
				event: () => ({
					ms: random.below(300),
					ends: random.chance(95) ? "well" : random.pick(["error", "exit", "hang"]),
				}),
				finishMs: () => random.pick([0, 0, 3, 50]),
				disposeMs: () => random.below(60),
			},
			{
				cpus: 2,
				accountConcurrency: 150,
				maxSandboxes: 60,
				maxAgeMs: 30_000,
				idleTimeoutMs: 2000,
				scaling: { environments: 120, periodMs: 10_000 },
				spares: { maxTotal: 4, maxPerFunction: 2, keepMs: 5000 },
			},
			{ cpu: { idleMs: () => random.below(1000) } },
		);
		const { clock, reserved, invoke, dispatcher, platform, revisions } = world;
		reserved.set("f1", 5);
		const sent: Sent[] = [];
		let generation = 0;
		for (let step = 0; step < 150; step++) {
			const name = `f${random.below(12)}`;
			for (let count = random.chance(20) ? random.below(100) : random.below(4); count > 0; count--)
				sent.push(invoke(name));
			if (random.chance(10)) revisions.set(name, { ...revisionOf(name), id: `${name}:${++generation}` });
			if (random.chance(5)) dispatcher.retire(name);
			if (random.chance(5)) clock.step(random.pick([hourMs, -hourMs]));
			await clock.advance(random.below(300));
			// Those on their way out for others come on top: never more than are being removed at once, and what waits for that.
			assert.ok(dispatcher.sandboxCount <= 60 + 60, `${dispatcher.sandboxCount} sandboxes`);
		}
		await clock.advance(60_000);
		const { answered = 0, THROTTLED = 0, SANDBOX_FAILED = 0, ...others } = outcomes(sent);
		assert.deepEqual(others, {}, "no other outcome");
		assert.ok(SANDBOX_FAILED <= broken, `${SANDBOX_FAILED} events failed by ${broken} sandboxes`);
		assert.ok(answered > sent.length / 4, `${answered} of ${sent.length} answered, ${THROTTLED} throttled`);
		assert.deepEqual([platform.sandboxes.size, dispatcher.sandboxCount, platform.lateStarts], [0, 0, 0]);
	});

/** Sandboxes with companions, and everything that can happen to sandboxes at the same time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../src/base/error.ts";
import { Random } from "./random.ts";
import { revisionOf, simulate, tally } from "./world.ts";

const seeds = [1, 2, 20261121];
const companions = ["/companions/a", "/companions/b"];
const good = { registersMs: 5, crashesMs: undefined, leavesMs: 10 };

test("the time that ended companions get for their end is not that of the event which waits for it", async (t) => {
	let inits = 0;
	const { clock, revisions, platform, invoke } = simulate(t, {
		companions,
		// They never leave by themselves: the end takes its whole 2 s.
		companion: () => ({ ...good, leavesMs: undefined }),
		init: () => ({ ms: 100, ends: inits++ === 0 ? "error" : "well" }),
		event: () => ({ ms: 500, ends: "well" }),
	});
	revisions.set("f", revisionOf("f", "$LATEST", 1));
	const sent = invoke("f");
	await clock.advance(5000);
	assert.deepEqual(tally([sent]), { ok: 1, throttled: {} });
	assert.equal(sent.answer && "result" in sent.answer && sent.answer.result.functionError, undefined);
	assert.equal(platform.created, 1);
});

test("a companion that makes itself known when init has failed does not start the main process", async (t) => {
	const { clock, platform, invoke } = simulate(t, {
		companions,
		companion: (path) => ({ ...good, registersMs: path.endsWith("a") ? 5 : 10_500, leavesMs: undefined }),
	});
	const sent = invoke("f");
	await clock.advance(30_000);
	assert.equal(sent.answer && "result" in sent.answer && sent.answer.result.errorType, "timeout");
	assert.equal(platform.lateStarts, 0);
});

for (const seed of seeds)
	test(`whatever happens to sandboxes, no event and no sandbox is lost (seed ${seed})`, async (t) => {
		const random = new Random(seed);
		const rarely = <T>(percent: number, value: () => T) => (random.chance(percent) ? value() : undefined);
		const world = simulate(
			t,
			{
				companions,
				init: () => ({ ms: random.below(150), ends: random.pick(["well", "well", "well", "well", "error", "exit"]) }),
				event: () => ({
					ms: random.below(300),
					ends: random.chance(80) ? "well" : random.pick(["error", "exit", "hang"]),
				}),
				finishMs: () => random.pick([0, 0, 0, 2, 30, 400]),
				companion: () => ({
					registersMs: random.chance(97) ? random.below(30) : rarely(50, () => 10_000 + random.below(2500)),
					crashesMs: rarely(4, () => random.below(5000)),
					leavesMs: rarely(70, () => random.below(2500)),
				}),
				breaks: () => random.chance(1),
				thawMs: () => random.pick([0, 0, 1, 5]),
			},
			{
				maxSandboxes: 12,
				maxAgeMs: 60_000,
				idleTimeoutMs: 4000,
				spares: { maxTotal: 3, maxPerFunction: 2, keepMs: 5000 },
				cpus: 3,
			},
		);
		const { clock, platform, dispatcher, revisions, reserved, invoke } = world;
		reserved.set("c", 1);
		const names = ["a", "b", "c"];
		const sent = [];
		for (let step = 0; step < 1200; step++) {
			const name = random.pick(names);
			sent.push(invoke(name, name === "a" && random.chance(50) ? "1" : undefined));
			if (random.chance(2)) dispatcher.provision(revisionOf("a", "1"), random.below(4));
			if (random.chance(2)) {
				const changed = { ...revisionOf("b"), id: `b:${step}` };
				revisions.set("b", changed);
				dispatcher.retire("b");
				dispatcher.expect(changed);
			}
			if (random.chance(1)) void dispatcher.stopIdle();
			if (random.chance(3)) disturb(random, world);
			await clock.advance(random.below(60));
			await checkSandboxes(world);
		}
		await clock.advance(60_000);
		assert.equal(sent.filter(({ answer }) => !answer).length, 0, "every event has an answer");
		const answers = sent.filter(({ answer }) => answer && "result" in answer && !answer.result.functionError).length;
		assert.ok(answers > 300, `${answers} good answers`);
		for (const { answer } of sent) {
			const deadline = platform.deadlines.get(answer?.requestId ?? "");
			if (answer && deadline !== undefined) assert.ok(answer.at <= deadline + 1000, `${answer.at - deadline} ms late`);
			if (answer && "error" in answer)
				assert.ok(
					isSlipwayError(answer.error, "THROTTLED") || /that fails$/.test(String(answer.error)),
					String(answer.error),
				);
		}
		// In the middle of things.
		const last = Array.from({ length: 30 }, () => invoke(random.pick(names)));
		await clock.advance(random.below(400));
		const closed = dispatcher.close(100);
		await clock.advance(5000);
		await closed;
		assert.equal(last.filter(({ answer }) => !answer).length, 0, "every event has an answer when all is closed");
		assert.deepEqual([platform.lateStarts, platform.repeatedShutdowns], [0, 0]);
		assert.equal(platform.sandboxes.size, 0, "no sandbox stands");
		assert.equal(dispatcher.sandboxCount, 0);
		assert.equal(clock.pending, 0, "no timer waits");
	});

type Simulation = ReturnType<typeof simulate>;

/** Ends or breaks something of some sandboxes. */
function disturb(random: Random, { platform }: Simulation): void {
	for (const sandbox of platform.sandboxes) {
		if (!random.chance(15)) continue;
		const companion = random.pick(companions);
		if (random.chance(40)) sandbox.exit({ code: 1, oomKilled: false });
		else if (random.chance(50)) sandbox.companions.get(companion)?.exit({ code: 1, oomKilled: false });
		else if (sandbox.companions.size > 0) platform.sessions.get(sandbox.id)?.companionFails(companion);
	}
}

/** What stands is known, once; what is at rest has all its processes; a reserve of one is one at work. */
async function checkSandboxes({ platform, dispatcher }: Simulation): Promise<void> {
	const views = await dispatcher.sandboxes();
	const known = new Map(views.map((view) => [view.id, view]));
	assert.equal(known.size, views.length, "no sandbox is known twice");
	for (const { id } of platform.sandboxes) assert.ok(known.has(id), `${id} is lost`);
	const working = views.filter(
		({ functionName, state }) => functionName === "c" && (state === "initializing" || state === "busy"),
	);
	assert.ok(working.length <= 1, "a reserve of one");
}

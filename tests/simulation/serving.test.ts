/** Load, crashes and rollouts at random: what must hold of a service whatever comes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "./random.ts";
import { ServingModel } from "./serving-model.ts";

const seeds = Array.from({ length: 12 }, (_, index) => index + 1);
/** Seconds of load, and then until the last window, grace and retry is over. */
const [loadS, restS] = [120, 400];

const met = { cut: 0, aborted: 0, failedRollouts: 0, refused: new Set<string>() };

async function walk(seed: number): Promise<void> {
	const random = new Random(seed);
	const concurrency = random.pick([0, 1, 1, 2, 10]);
	const options = { random, concurrency, slots: 4 + random.below(30), maxWaiting: 10 + random.below(200) };
	const annotations: Record<string, string> = random.chance(50)
		? {}
		: { "autoscaling.knative.dev/activation-scale": "2", "autoscaling.knative.dev/max-scale": "10" };
	const model = new ServingModel({ ...options, annotations, failingStarts: random.pick([0, 10, 25]) });
	const { clock, counts } = model;
	while (!model.revision) {
		void model.rollOut();
		await clock.advance(10_000);
	}
	let rate = 0;
	for (let second = 0; second < loadS; second++) {
		// Load comes in waves, with quiet in between.
		if (second % 15 === 0) rate = random.pick([0, 0, 2, 8, 30]);
		for (let n = 0; n < rate; n++) {
			const slow = random.chance(3);
			model.ask(slow ? 20_000 : 20 + random.below(1500), random.chance(5) ? random.below(3000) : undefined);
			await clock.advance(Math.floor(1000 / rate));
			model.verify();
		}
		if (rate === 0) await clock.advance(1000);
		if (random.chance(4)) model.crash();
		if (random.chance(4)) void model.rollOut();
		model.verify();
	}
	await clock.advance(restS * 1000);
	model.verify();
	assert.deepEqual([model.settled, model.inFlight], [counts.asked, 0], "a request was lost");
	if (!counts.refused.has("QueueFull"))
		assert.ok(counts.answered > counts.asked / 2, `${counts.answered} of ${counts.asked} were answered`);
	assert.deepEqual([model.instances.instances.size, model.slots.taken], [0, 0], "the service has not gone to zero");
	assert.equal(clock.pending, 0, "a service at zero holds a timer");
	model.ask(10);
	await clock.advance(60_000);
	assert.equal(model.settled, counts.asked, "the service did not wake");
	await model.end();
	met.cut += counts.cut;
	met.aborted += counts.aborted;
	met.failedRollouts += counts.failedRollouts;
	for (const reason of counts.refused.keys()) met.refused.add(reason);
}

for (const seed of seeds) test(`walk of a service, seed ${seed}`, () => walk(seed));

test("the walks have met what they are about", () => {
	assert.ok(met.cut > 0 && met.aborted > 0 && met.failedRollouts > 0, JSON.stringify(met));
	assert.ok(met.refused.has("QueueFull"), [...met.refused].join(", "));
});

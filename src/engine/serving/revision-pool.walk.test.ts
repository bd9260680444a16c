import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../../tests/simulation/random.ts";
import { isSlipwayError } from "../../base/error.ts";
import type { Admission } from "./admission.ts";
import { answered, setUpPool, testRevision } from "./testing/served-revision.ts";

const seeds = Array.from({ length: 40 }, (_, index) => index + 1);
const steps = 150;

/** Requests, clients that leave, instances that fail or die, and an autoscaler that says anything, in any order. */
async function walk(seed: number): Promise<void> {
	const random = new Random(seed);
	const concurrency = random.pick([0, 1, 2, 5]);
	const limit = 1 + random.below(6);
	const slow: (() => void)[] = [];
	const { pool, clock, instances, slots } = setUpPool(
		testRevision({ concurrency, timeoutMs: 60_000, cpu: random.pick(["request", "always"] as const) }),
		{
			slots: limit,
			maxWaiting: 20,
			instances: {
				start: () => {
					if (random.chance(15)) throw new Error("does not start");
					return random.chance(50) ? undefined : new Promise<void>((resolve) => slow.push(resolve));
				},
				stop: () => (random.chance(50) ? Promise.resolve() : clock.sleep(random.below(5000))),
			},
		},
	);
	let asked = 0;
	let settled = 0;
	const served: Admission[] = [];
	const order: number[] = [];
	const aborts: AbortController[] = [];
	const admit = () => {
		const number = asked++;
		const abort = new AbortController();
		aborts.push(abort);
		pool.admit({ signal: abort.signal, preferred: random.chance(20) ? `i-${random.below(10)}` : undefined }).then(
			(admission) => {
				settled++;
				order.push(number);
				served.push(admission);
			},
			(error) => {
				settled++;
				assert.ok(abort.signal.aborted || isSlipwayError(error), String(error));
			},
		);
	};
	const release = () => {
		const [admission] = served.splice(random.below(served.length), 1);
		admission?.release(answered);
	};
	const die = () => random.pick([...instances.instances.values(), undefined])?.exit(1);
	const flap = () => {
		const instance = random.pick([...instances.instances.values(), undefined]);
		if (instance?.state === "ready") instance.become("unready");
		else if (instance?.state === "unready") instance.become("ready");
	};
	const actions = [
		admit,
		admit,
		admit,
		release,
		release,
		() => random.pick([...aborts, undefined])?.abort(),
		() => pool.scaleTo(random.below(8)),
		() => slow.splice(0).forEach((start) => void start()),
		die,
		flap,
		() => clock.advance(random.below(20_000)),
	];
	for (let step = 0; step < steps; step++) {
		await random.pick(actions)();
		// Those that were given room hear of it in the order in which they were.
		await new Promise(setImmediate);
		const members = pool.instances;
		for (const { inFlight } of members) assert.ok(concurrency === 0 || inFlight <= concurrency, `step ${step}`);
		assert.ok(instances.instances.size <= limit && slots.taken <= limit, `step ${step}: more instances than slots`);
		for (const { instance, inFlight, isFrozen } of members)
			assert.ok(!isFrozen || inFlight === 0, `step ${step}: ${instance.id} is frozen with a request`);
	}
	await clock.advance(0);
	assert.deepEqual(
		order,
		order.toSorted((a, b) => a - b),
		"requests were served out of order",
	);
	while (served.length > 0) release();
	const closed = pool.close(1000);
	for (const start of slow.splice(0)) start();
	await clock.advance(10_000);
	await closed;
	assert.equal(settled, asked, "a request was lost");
	while (served.length > 0) release();
	assert.deepEqual([instances.instances.size, slots.taken, pool.waiting, clock.pending], [0, 0, 0, 0]);
}

for (const seed of seeds) test(`walk of a pool, seed ${seed}`, () => walk(seed));

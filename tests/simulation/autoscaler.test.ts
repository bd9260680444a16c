/** How services are scaled, told by simulations: load, instances that take time to start, the autoscaler, virtual time. */
import assert from "node:assert/strict";
import { type ScalingSimulation, scenario } from "./autoscaler-model.ts";
import { Random } from "./random.ts";

const windowMs = 60_000;
const panicMs = 6000;
const graceMs = 30_000;
/** A second until a load is recorded, and until the next decision as many as it takes. */
const recordMs = 1000;
const decisionMs = 2000;

/** Milliseconds from now until `reached`; fails after `withinMs`. */
async function until(simulation: ScalingSimulation, reached: () => boolean, withinMs: number): Promise<number> {
	const beganMs = simulation.clock.monotonic();
	while (!reached()) {
		const tookMs = simulation.clock.monotonic() - beganMs;
		assert.ok(tookMs <= withinMs, `not within ${withinMs} ms`);
		await simulation.run(100);
	}
	return simulation.clock.monotonic() - beganMs;
}

const changes = ({ events }: ScalingSimulation, sinceMs: number) => events.filter(({ ms }) => ms >= sinceMs).length;

scenario(
	"a step from zero to 200 is met a decision after the first second of it",
	{ startMs: 100 },
	async (simulation) => {
		const { revision, clock } = simulation;
		await simulation.run(5000);
		assert.equal(clock.pending, 0, "nothing ticks at zero");
		simulation.clients(200, 250);
		assert.equal(revision.count, 1, "one at once");
		const ms = await until(simulation, () => revision.ready >= 200, recordMs + 200);
		assert.ok(ms <= recordMs + 200, `${ms}`);
		await simulation.run(30_000);
		assert.equal(revision.count, 286, "200 over a target of 0.7");
	},
);

scenario(
	"a step from one idle instance to 200 is met within the panic window and a second",
	{ startMs: 100 },
	async (simulation) => {
		const { revision } = simulation;
		simulation.clients(1, 100);
		await simulation.run(120_000);
		simulation.clients(200, 250);
		const ms = await until(simulation, () => revision.ready >= 200, panicMs + recordMs);
		assert.ok(ms <= panicMs + recordMs, `${ms}`);
		assert.ok(simulation.moment().panicking);
	},
);

scenario(
	"with the weighted average such a step is met in half of the time",
	{ startMs: 100, annotations: { "metric-aggregation-algorithm": "weighted-exponential" } },
	async (simulation) => {
		simulation.clients(1, 100);
		await simulation.run(120_000);
		simulation.clients(200, 250);
		await until(simulation, () => simulation.revision.ready >= 200, panicMs / 2);
	},
);

scenario("a steady load is scaled to its target once, and left alone", { startMs: 500 }, async (simulation) => {
	simulation.clients(50, 200);
	await simulation.run(windowMs + 20_000);
	const sinceMs = simulation.clock.monotonic();
	await simulation.run(600_000, ({ desired }) => assert.equal(desired, 72));
	assert.equal(changes(simulation, sinceMs), 0);
	assert.ok(!simulation.moment().panicking);
});

for (const seed of [1, 2, 20261121])
	scenario(
		`a noisy load leaves the scale where it is, but for one or two (seed ${seed})`,
		{ seed },
		async (simulation) => {
			simulation.arrivals(40, 250, 300_000);
			await simulation.run(130_000);
			const sinceMs = simulation.clock.monotonic();
			// 40 a second of 250 ms are 10 at a time: 15 at 70 %.
			await simulation.run(165_000, ({ desired, panicking }) => {
				assert.ok(desired >= 13 && desired <= 17, `${desired}`);
				assert.ok(!panicking);
			});
			assert.ok(changes(simulation, sinceMs) <= 40, `${changes(simulation, sinceMs)} changes`);
			const late = simulation.revision.waits.filter((ms) => ms > 0).length;
			assert.ok(late / simulation.revision.arrived < 0.1, `${late} of ${simulation.revision.arrived} waited`);
		},
	);

scenario(
	"after the last request: a stable window, the grace, zero, and no timer",
	{ startMs: 200 },
	async (simulation) => {
		const { revision, clock, autoscaler } = simulation;
		simulation.clients(1, 400);
		await simulation.run(windowMs * 2);
		simulation.clients(0, 400);
		await until(simulation, () => revision.concurrency === 0, 400);
		const idleMs = clock.monotonic();
		await until(simulation, () => autoscaler.status("r")?.phase === "inactive", windowMs + recordMs + decisionMs);
		const inactiveMs = clock.monotonic() - idleMs;
		assert.ok(inactiveMs >= windowMs - 500, `${inactiveMs}`);
		assert.equal(revision.count > 0, true);
		await until(simulation, () => revision.count === 0, graceMs + recordMs);
		const zeroMs = clock.monotonic() - idleMs;
		assert.equal(Math.round((zeroMs - inactiveMs) / 1000) * 1000, graceMs);
		await simulation.run(3000);
		assert.equal(clock.pending, 0);
		assert.deepEqual([autoscaler.status("r")?.reason, autoscaler.status("r")?.desired], ["NoTraffic", 0]);
	},
);

scenario(
	"without grace it goes when the window is over; retention keeps it",
	{ scaling: { defaults: { scaleToZeroGraceMs: 0 } } },
	async (simulation) => {
		const kept = simulation.addRevision("kept", {
			annotations: { "scale-to-zero-pod-retention-period": "3m" },
			scaling: { defaults: { scaleToZeroGraceMs: 0 } },
		});
		simulation.revision.request(100);
		kept.request(100);
		await simulation.run(windowMs - 1000);
		assert.deepEqual(
			[simulation.revision.count, kept.count],
			[2, 2].map(() => simulation.revision.count),
		);
		assert.ok(simulation.revision.count > 0);
		await until(simulation, () => simulation.revision.count === 0, 1000 + recordMs + 2 * decisionMs);
		await simulation.run(170_000);
		assert.ok(kept.count > 0);
		await until(simulation, () => kept.count === 0, 20_000);
	},
);

scenario(
	"one request for a revision at zero takes one instance, however short the rest of the second",
	{},
	async (simulation) => {
		for (const offsetMs of [0, 130, 480, 510, 730, 990]) {
			// Another one keeps the timer going.
			if (offsetMs === 0) simulation.addRevision("other", { annotations: { "min-scale": "1" } });
			const { revision } = simulation;
			await simulation.run(150_000 + offsetMs);
			assert.equal(revision.count, 0);
			revision.peak = 0;
			revision.request(20);
			await simulation.run(30_000 - offsetMs);
			assert.equal(revision.peak, 1, `${offsetMs} ms after a tick`);
		}
	},
);

scenario("a spike is followed at once and given up only after panic", { startMs: 300 }, async (simulation) => {
	const { revision } = simulation;
	simulation.clients(5, 200);
	await simulation.run(150_000);
	assert.equal(revision.count, 8);
	simulation.clients(100, 200);
	await simulation.run(10_000);
	assert.ok(revision.ready >= 100);
	const peak = revision.count;
	simulation.clients(5, 200);
	const spikeEndMs = simulation.clock.monotonic();
	await simulation.run(50_000, ({ desired }) => assert.ok(desired >= peak));
	await until(simulation, () => revision.count === 8, 2 * windowMs);
	// Down by half each two seconds at most.
	let before = peak;
	for (const { to, from, ms } of simulation.events.filter(({ ms }) => ms >= spikeEndMs)) {
		if (to < from) assert.ok(to >= Math.floor(before / 2), `${from} to ${to} at ${ms}`);
		before = to;
	}
});

scenario("a ramp is followed with the lag of the panic window at most", { startMs: 300 }, async (simulation) => {
	simulation.clients(1, 200);
	await simulation.run(70_000);
	for (let count = 2; count <= 100; count++) {
		simulation.clients(count, 200);
		await simulation.run(1000);
		const behind = count - simulation.revision.ready;
		assert.ok(behind <= 30, `${behind} behind at ${count}`);
	}
	await simulation.run(panicMs + recordMs);
	assert.ok(simulation.revision.ready >= 100);
});

scenario(
	"on and off: what comes every 20 s finds its instances, nothing is lost",
	{ startMs: 300 },
	async (simulation) => {
		const { revision } = simulation;
		for (let round = 0; round < 12; round++) {
			simulation.clients(20, 200);
			await simulation.run(5000);
			simulation.clients(0, 200);
			await simulation.run(15_000, ({ desired }) => {
				if (round > 0) assert.ok(desired >= 5, `${desired}`);
			});
		}
		await simulation.run(5000);
		assert.equal(revision.waits.length, revision.arrived);
		assert.equal(revision.concurrency, 0);
	},
);

scenario(
	"min-scale and max-scale hold whatever the load",
	{ annotations: { "min-scale": "3", "max-scale": "12" }, initialized: false },
	async (simulation) => {
		const { revision } = simulation;
		assert.equal(revision.count, 3, "min-scale at once");
		const random = new Random(7);
		for (let minute = 0; minute < 20; minute++) {
			simulation.clients(random.pick([0, 0, 1, 5, 60, 300]), 300);
			await simulation.run(30_000 + random.below(60_000), ({ desired }) => assert.ok(desired >= 3 && desired <= 12));
		}
		assert.ok(revision.peak >= 12);
		simulation.clients(0, 300);
		await simulation.run(600_000);
		assert.equal(revision.count, 3);
	},
);

scenario(
	"a scale-down delay holds the scale for as long as it says",
	{ annotations: { "scale-down-delay": "5m", window: "6s", "panic-window-percentage": "50" } },
	async (simulation) => {
		const { revision } = simulation;
		simulation.clients(30, 200);
		await simulation.run(40_000);
		const full = revision.count;
		assert.ok(full >= 43);
		simulation.clients(0, 200);
		// From the last decision for all of them, which was up to four seconds before they left.
		await simulation.run(296_000, ({ desired }) => assert.ok(desired >= 43, `${desired}`));
		await until(simulation, () => revision.count < 43, 20_000);
		// Down by half of what is ready, which is held as well: each halving takes a delay of its own, as in Knative.
		await simulation.run(10_000);
		assert.equal(revision.count, 21);
		await simulation.run(280_000, ({ desired }) => assert.equal(desired, 21));
		await until(simulation, () => revision.count === 10, 20_000);
	},
);

scenario("a rollout: the old revision goes to zero, its last request is not cut", {}, async (simulation) => {
	const options = { annotations: { "min-scale": "2" } };
	const old = simulation.addRevision("old", options);
	await simulation.run(windowMs);
	assert.equal(old.count, 2);
	for (let count = 0; count < 30; count++) old.request(1000);
	old.request(150_000);
	await simulation.run(10_000);
	const next = simulation.addRevision("new", options);
	old.reachable = false;
	simulation.autoscaler.reconcile("old");
	await simulation.run(100_000);
	assert.equal(old.waits.length, 31);
	assert.equal(old.concurrency, 1, "the long one still runs");
	assert.ok(old.count >= 1);
	await simulation.run(200_000);
	assert.deepEqual([old.concurrency, old.count, next.count], [0, 0, 2]);
	// And back again.
	old.reachable = true;
	simulation.autoscaler.reconcile("old");
	assert.equal(old.count, 2);
});

scenario(
	"initial-scale is a minimum until it was reached, activation-scale one for each start from zero",
	{ annotations: { "initial-scale": "5", "activation-scale": "3" }, initialized: false },
	async (simulation) => {
		const { revision, autoscaler } = simulation;
		assert.deepEqual([revision.count, autoscaler.status("r")?.phase], [5, "activating"]);
		await simulation.run(3000);
		assert.deepEqual([autoscaler.status("r")?.phase, autoscaler.status("r")?.initialized], ["active", true]);
		await until(simulation, () => revision.count === 0, windowMs + graceMs + 15_000);
		revision.request(50);
		assert.equal(revision.count, 3);
		await simulation.run(20_000, ({ desired }) => assert.equal(desired, 3));
	},
);

scenario(
	"instances that never get ready are given up after the deadline and 30 s",
	{ startMs: "never", initialized: false },
	async (simulation) => {
		const { revision, autoscaler, clock } = simulation;
		await simulation.run(629_000, ({ desired }) => assert.equal(desired, 1));
		await simulation.run(3000);
		assert.equal(revision.count, 0);
		assert.deepEqual([autoscaler.status("r")?.phase, autoscaler.status("r")?.timedOut], ["inactive", true]);
		await simulation.run(5000);
		assert.equal(clock.pending, 0);
	},
);

scenario(
	"requests per second as the metric",
	{ annotations: { metric: "rps", target: "10" }, scaling: { containerConcurrency: 0 }, startMs: 100 },
	async (simulation) => {
		const { revision } = simulation;
		simulation.arrivals(70, 10, 130_000);
		await simulation.run(75_000);
		// 70 a second over 10 × 0.7.
		await simulation.run(50_000, ({ desired }) => assert.ok(desired >= 9 && desired <= 12, `${desired}`));
		await until(simulation, () => revision.count === 0, 10_000 + windowMs + graceMs + 30_000);
	},
);

scenario(
	"Cloud Run's profile: 60 % of a concurrency of 80, at most 100 instances",
	{ scaling: { profile: "cloudrun", containerConcurrency: 80 } },
	async (simulation) => {
		simulation.clients(480, 500);
		await simulation.run(130_000);
		assert.equal(simulation.revision.count, 10);
		simulation.clients(9000, 500);
		await simulation.run(20_000, ({ desired }) => assert.ok(desired <= 100));
		assert.equal(simulation.revision.count, 100);
	},
);

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decideRollback, percentile95, type RevisionObservation } from "./rollback.ts";
import { advance, type Rollout, retarget } from "./rollout.ts";

const start = (percent = 100): Rollout => ({ percent, revisions: [{ revision: "r1", percent }], step: undefined });
const shares = ({ revisions }: Rollout) => revisions.map(({ revision, percent }) => `${revision}=${percent}`).join(" ");

describe("rollout", () => {
	it("gives everything at once without a duration, a predecessor or a share to step", () => {
		assert.equal(shares(retarget(undefined, "r2", 100, 60_000, 0)), "r2=100");
		assert.equal(shares(retarget(start(), "r2", 100, 0, 0)), "r2=100");
		assert.equal(shares(retarget(start(1), "r2", 1, 60_000, 0)), "r2=1");
		assert.equal(shares(retarget(start(), "r2", 0, 60_000, 0)), "");
	});

	it("steps as Knative computes it: 1 %, then equal steps in equal times", () => {
		let rollout = retarget(start(), "r2", 100, 34_000, 0);
		assert.equal(shares(rollout), "r1=99 r2=1");
		assert.deepEqual(rollout.step, { startedMs: 0, nextMs: 1000, everyMs: 1000, size: 3 });
		rollout = advance(rollout, 2500);
		assert.equal(shares(rollout), "r1=93 r2=7");
		assert.equal(shares(advance(rollout, 33_000)), "r2=100");
		assert.equal(advance(rollout, 33_000).step, undefined);
	});

	it("drains the newest of the older ones first, and takes a change of the whole share from the oldest", () => {
		const two = retarget(advance(retarget(start(), "r2", 100, 100_000, 0), 30_000), "r3", 100, 100_000, 30_000);
		assert.equal(shares(two), "r1=69 r2=30 r3=1");
		assert.equal(shares(advance(two, 41_000)), "r1=69 r2=19 r3=12");
		assert.equal(shares(retarget(two, "r3", 40, 100_000, 31_000)), "r1=9 r2=30 r3=1");
		assert.equal(shares(retarget({ ...two, percent: 50 }, "r3", 100, 100_000, 31_000)), "r1=69 r2=30 r3=1");
	});

	it("always adds up and always ends, for any shares, durations and interruptions", () => {
		let seed = 1;
		const random = (below: number) => {
			seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
			return (seed >>> 8) % below;
		};
		for (let round = 0; round < 500; round++) {
			let rollout = start(1 + random(100));
			let now = 0;
			let newest = 1;
			const durationMs = 1000 * random(500);
			for (let i = 0; i < 30; i++) {
				now += random(20_000);
				if (random(4) === 0) newest++;
				const percent = random(6) === 0 ? 1 + random(100) : rollout.percent;
				rollout = advance(retarget(rollout, `r${newest}`, percent, durationMs, now), now);
				assert.equal(
					rollout.revisions.reduce((sum, one) => sum + one.percent, 0),
					percent,
				);
				assert.ok(
					rollout.revisions.every((one) => one.percent > 0 && Number.isInteger(one.percent)),
					shares(rollout),
				);
				assert.equal(rollout.revisions.at(-1)?.revision, `r${newest}`);
			}
			const end = advance(rollout, now + 1000 * 1000);
			assert.equal(end.revisions.length, 1, JSON.stringify({ rollout, end }));
		}
	});
});

describe("decideRollback", () => {
	const bounds = { errorRate: 0.05, latencyP95Ms: 500, windowMs: 60_000 };
	const seen = (requests: number, failures: number, ms = 10): RevisionObservation => ({
		requests,
		failures,
		latency: [
			{ upToMs: 100, count: ms <= 100 ? requests : 0 },
			{ upToMs: 1000, count: ms > 100 ? requests : 0 },
			{ upToMs: Number.POSITIVE_INFINITY, count: 0 },
		],
	});
	const decide = (current: RevisionObservation, previous?: RevisionObservation, nowMs = 1000) =>
		decideRollback({ bounds, sinceMs: 0, nowMs, current, previous });

	it("waits for enough requests, and for no longer than its window", () => {
		assert.equal(decide(seen(19, 19)).decision, "watch");
		assert.equal(decide(seen(19, 19), undefined, 60_000).decision, "trust");
		assert.equal(decide(seen(100, 5)).decision, "watch");
	});

	it("goes back for errors and for latency, not to what is as bad", () => {
		assert.equal(decide(seen(100, 6)).decision, "rollback");
		assert.equal(decide(seen(100, 6), seen(100, 0)).decision, "rollback");
		assert.equal(decide(seen(100, 6), seen(100, 6)).decision, "watch");
		assert.equal(decide(seen(100, 6), seen(10, 10)).decision, "rollback");
		const slow = decide(seen(100, 0, 900), seen(100, 0));
		assert.deepEqual([slow.decision, "reason" in slow && slow.reason], ["rollback", "LatencyExceeded"]);
		assert.equal(decide(seen(100, 0, 900), seen(100, 0, 900)).decision, "watch");
	});

	it("finds the 95th percentile within its bucket", () => {
		assert.equal(percentile95(seen(0, 0)), 0);
		assert.equal(percentile95(seen(100, 0)), 95);
		assert.ok(Math.abs(percentile95(seen(100, 0, 900)) - 955) < 1e-9);
	});
});

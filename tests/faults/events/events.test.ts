/** Some seconds of `npm run test:faults`, with the faults that cost the least time. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, it } from "node:test";
import { missingForFunctionImages } from "../../e2e/function-image.ts";
import { planFaults } from "./faults.ts";
import { heldOf } from "./report.ts";
import { runFaults } from "./run.ts";

const seed = 20_011;
const skip = missingForFunctionImages() ?? (existsSync("/usr/bin/gcc") ? false : "needs gcc");

describe("events that were accepted", { skip }, () => {
	it(`are delivered or in the dead letters whatever strikes (seed ${seed})`, async (t) => {
		const kills = planFaults(["kill"], 6).faults;
		const { faults: losses } = planFaults(["power-loss"], 2);
		const { faults: full, world } = planFaults(["full-disk"], 1);
		const report = await runFaults({
			events: 1500,
			// The last one has the daemon where nothing was interrupted.
			faults: [...kills.slice(0, 3), ...losses, ...kills.slice(3), ...full],
			seed,
			world: { ...world, hasShim: true, visibilityTimeout: 3, maxReceiveCount: 10 },
		});
		const { total, bySource, strikes, refusals, complaints } = report;
		t.diagnostic(JSON.stringify({ total, strikes, refusals, complaints }));
		const { lost, poisonMissing, poisonTwice, wronglyDead, unknown } = total;
		assert.deepEqual(
			{ lost, poisonMissing, poisonTwice, wronglyDead, unknown },
			{ lost: 0, poisonMissing: 0, poisonTwice: 0, wronglyDead: 0, unknown: 0 },
		);
		// On a busy machine a batch may take longer than its queue's short visibility timeout, and comes again.
		assert.equal(total.unexplained, bySource.queue.unexplained);
		assert.deepEqual(report.finalRefusals, {});
		assert.equal(strikes.length, 9);
		assert.ok(total.accepted >= 1500);
		for (const [source, { accepted }] of Object.entries(bySource)) assert.ok(accepted > 20, `${source} took part`);
		assert.ok(total.poison > 0);
		assert.ok(total.duplicates - total.unexplained <= heldOf(report));
	});
});

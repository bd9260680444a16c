/** What holds of every decision, tried with random settings and loads; a failure names its seed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../../tests/simulation/random.ts";
import { scalingSettings } from "../service/scaling-annotations.ts";
import type { ScalingSettings } from "../service/scaling-settings.ts";
import { type AutoscalerState, decide, initialState } from "./autoscaler.ts";
import { applyBounds, scaleBounds } from "./scale-bounds.ts";

function randomSettings(random: Random): ScalingSettings {
	const minScale = random.below(5);
	return {
		...scalingSettings({}, { containerConcurrency: random.below(20), profile: "knative" }).settings,
		minScale,
		maxScale: random.chance(50) ? 0 : minScale + random.below(50),
		activationScale: 1 + random.below(3),
		maxScaleUpRate: 1.1 + random.below(30) / 10,
		maxScaleDownRate: 1.1 + random.below(30) / 10,
		panicThreshold: 1.1 + random.below(30) / 10,
		scaleDownDelayMs: random.chance(50) ? 0 : random.below(60) * 1000,
	};
}

function randomState(random: Random): AutoscalerState {
	return random.chance(50) ? initialState(0, 0) : { panicSinceMs: 1000, panicPeak: random.below(60), recent: [] };
}

function forSeeds(name: string, check: (random: Random) => void): void {
	test(name, () => {
		for (let seed = 1; seed <= 1000; seed++)
			try {
				check(new Random(seed * 7919));
			} catch (error) {
				throw new Error(`seed ${seed}: ${error}`, { cause: error });
			}
	});
}

const loadOf = (random: Random) => random.below(3000) / 10;

forSeeds("a decision is a whole number within the rates, and within the bounds once these are applied", (random) => {
	const settings = { ...randomSettings(random), scaleDownDelayMs: 0 };
	const ready = random.below(80);
	const reachable = random.chance(80);
	const load = { stable: loadOf(random), panic: loadOf(random) };
	const { desired, panicking } = decide(settings, initialState(0, 0), { ready, reachable, load }, 5000);
	assert.ok(desired !== undefined && Number.isInteger(desired) && desired >= 0);
	const most = Math.max(Math.ceil(settings.maxScaleUpRate * Math.max(1, ready)), settings.activationScale);
	assert.ok(desired <= most, `${desired} of ${most}`);
	if (reachable) assert.ok(desired >= Math.floor(Math.max(1, ready) / settings.maxScaleDownRate));
	const bounds = scaleBounds(settings, { reachable, initialized: true });
	const bounded = applyBounds(bounds, desired);
	assert.ok(bounded >= bounds.min && (bounds.max === 0 || bounded <= bounds.max));
	assert.equal(typeof panicking, "boolean");
});

forSeeds("panic mode never goes down, and ends a stable window after the threshold", (random) => {
	const settings = randomSettings(random);
	let state = initialState(0, 0);
	let ready = 1;
	let before: number | undefined;
	let nowMs = 0;
	for (let step = 0; step < 60; step++) {
		nowMs += 2000;
		const load = { stable: loadOf(random), panic: loadOf(random) / (1 + random.below(5)) };
		const decision = decide(settings, state, { ready, reachable: true, load }, nowMs);
		const wasPanicking = state.panicSinceMs !== undefined;
		if (decision.panicking && wasPanicking && before !== undefined) assert.ok((decision.desired ?? 0) >= before);
		if (!decision.panicking && wasPanicking)
			assert.ok(nowMs - (state.panicSinceMs ?? 0) > settings.stableWindowMs, "left too early");
		state = decision.state;
		before = decision.panicking ? decision.desired : undefined;
		ready = Math.max(0, (decision.desired ?? ready) - random.below(3));
	}
});

forSeeds("more load never means fewer instances", (random) => {
	const settings = randomSettings(random);
	const state = randomState(random);
	const observation = { ready: random.below(80), reachable: random.chance(80) };
	const load = { stable: loadOf(random), panic: loadOf(random) };
	const more = { stable: load.stable + loadOf(random), panic: load.panic + loadOf(random) };
	const less = decide(settings, state, { ...observation, load }, 9000).desired ?? 0;
	const greater = decide(settings, state, { ...observation, load: more }, 9000).desired ?? 0;
	assert.ok(greater >= less, `${less} then ${greater}`);
});

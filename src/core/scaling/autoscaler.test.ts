import assert from "node:assert/strict";
import { test } from "node:test";
import type { ScalingSettings } from "../service/scaling-settings.ts";
import {
	type AutoscalerState,
	decide,
	initialState,
	type LoadObservation,
	type ScaleDecision,
	targetLoad,
} from "./autoscaler.ts";

// The vectors are those of knative/serving v0.51 pkg/autoscaler/scaling/autoscaler_test.go: 75 % utilization, rates of 10.
const utilization = 0.75;
const minute = 60_000;

function settings(target: number, burst: number, other: Partial<ScalingSettings> = {}): ScalingSettings {
	return {
		metric: "concurrency",
		totalTarget: target / utilization,
		targetUtilization: utilization,
		minScale: 0,
		maxScale: 0,
		initialScale: 1,
		activationScale: 1,
		scaleDownDelayMs: 0,
		stableWindowMs: minute,
		panicWindowMs: 6000,
		panicThreshold: 2,
		maxScaleUpRate: 10,
		maxScaleDownRate: 10,
		scaleToZero: true,
		scaleToZeroGraceMs: 30_000,
		podRetentionMs: 0,
		targetBurstCapacity: burst,
		aggregation: "linear",
		...other,
	};
}

/** A revision whose load, ready instances and settings a test sets between decisions. */
class Subject {
	settings: ScalingSettings;
	state: AutoscalerState;
	ready: number;
	reachable = true;
	load: LoadObservation["load"];

	constructor(settings: ScalingSettings, ready = 1) {
		this.settings = settings;
		this.ready = ready;
		this.state = initialState(1, 0);
	}

	at(ms: number, stable = this.load?.stable ?? 0, panic = this.load?.panic ?? stable): ScaleDecision {
		this.load = { stable, panic };
		const decision = decide(this.settings, this.state, this, ms);
		this.state = decision.state;
		return decision;
	}
}

const ebc = (target: number, burst: number, load: number, ready: number) =>
	Math.floor((target / utilization) * ready - burst - load);

interface Vector {
	name: string;
	target: number;
	burst: number;
	ready: number;
	load: [stable: number, panic: number];
	want: number;
	excess: number;
	other?: Partial<ScalingSettings>;
	unreachable?: true;
	/** Panic since 5 s ago with this peak. */
	peak?: number;
}

const vectors: Vector[] = [
	{ name: "nothing at one", target: 10, burst: 100, ready: 1, load: [0, 0], want: 0, excess: ebc(10, 100, 0, 1) },
	{ name: "unlimited burst capacity", target: 181, burst: -1, ready: 1, load: [21, 26], want: 1, excess: -1 },
	{ name: "no burst capacity", target: 10, burst: 0, ready: 1, load: [50, 49], want: 5, excess: 0 },
	{ name: "growth", target: 10, burst: 100, ready: 1, load: [50, 50], want: 5, excess: ebc(10, 100, 50, 1) },
	{
		name: "panic, stable greater",
		target: 1,
		burst: 100,
		ready: 5,
		load: [50, 30],
		peak: 5,
		want: 50,
		excess: ebc(1, 100, 30, 5),
	},
	{
		name: "panic, stable less",
		target: 1,
		burst: 100,
		ready: 5,
		load: [20, 30],
		peak: 5,
		want: 30,
		excess: ebc(1, 100, 30, 5),
	},
	{ name: "there already", target: 10, burst: 100, ready: 5, load: [50, 50], want: 5, excess: ebc(10, 100, 50, 5) },
	{
		name: "a small rate up",
		target: 1,
		burst: 1982,
		ready: 2,
		load: [3, 3.1],
		other: { maxScaleUpRate: 1.1 },
		want: 3,
		excess: ebc(1, 1982, 3.1, 2),
	},
	{
		name: "a small rate down",
		target: 10,
		burst: 1982,
		ready: 100,
		load: [1, 1],
		other: { maxScaleDownRate: 1.1 },
		want: 90,
		excess: ebc(10, 1982, 1, 100),
	},
	{
		name: "no rate down when unreachable",
		target: 10,
		burst: 1982,
		ready: 100,
		load: [1, 1],
		other: { maxScaleDownRate: 1.1 },
		unreachable: true,
		want: 1,
		excess: ebc(10, 1982, 1, 100),
	},
	{
		name: "panic by doubling",
		target: 10,
		burst: 84,
		ready: 1,
		load: [50, 100],
		want: 10,
		excess: ebc(10, 84, 100, 1),
	},
	{
		name: "one at least for the rates",
		target: 10,
		burst: 81,
		ready: 0,
		load: [1000, 888],
		want: 10,
		excess: ebc(10, 81, 888, 0),
	},
	{
		name: "activation scale, no load",
		target: 10,
		burst: 75,
		ready: 1,
		load: [0, 0],
		other: { activationScale: 2 },
		want: 0,
		excess: ebc(10, 75, 0, 1),
	},
	{
		name: "activation scale, load",
		target: 10,
		burst: 75,
		ready: 1,
		load: [1, 0],
		other: { activationScale: 2 },
		want: 2,
		excess: ebc(10, 75, 0, 1),
	},
];
for (const { name, target, burst, ready, load, want, excess, other, unreachable, peak } of vectors)
	test(`decides: ${name}`, () => {
		const subject = new Subject(settings(target, burst, other), ready);
		subject.reachable = !unreachable;
		if (peak !== undefined) subject.state = { panicSinceMs: 5000, panicPeak: peak, recent: [] };
		const decision = subject.at(10_000, ...load);
		assert.equal(decision.desired, want);
		assert.ok(Math.abs((decision.excessBurstCapacity ?? Number.NaN) - excess) <= 1, `${decision.excessBurstCapacity}`);
	});

test("without data nothing is decided and nothing changes", () => {
	const state = initialState(3, 0);
	const decision = decide(settings(10, 100), state, { ready: 3, reachable: true, load: undefined }, minute * 5);
	assert.deepEqual(decision, {
		state,
		desired: undefined,
		excessBurstCapacity: undefined,
		panicking: true,
		reason: "NoData",
	});
});

test("more than one instance at the beginning is panic mode with as many", () => {
	assert.deepEqual(
		[0, 1, 2].map((ready) => initialState(ready, 7)),
		[
			{ panicSinceMs: undefined, panicPeak: 0, recent: [] },
			{ panicSinceMs: undefined, panicPeak: 1, recent: [] },
			{ panicSinceMs: 7, panicPeak: 2, recent: [] },
		],
	);
	const found = new Subject(settings(10, 0), 20);
	found.state = initialState(20, 0);
	assert.equal(found.at(2000, 1).desired, 20, "the first second's load stops nothing");
	assert.equal(found.at(minute, 1).desired, 20);
	assert.equal(found.at(minute + 2000, 1).desired, 2);
});

test("panic is left a stable window after the last decision over the threshold", () => {
	const subject = new Subject(settings(1, 98), 10);
	assert.deepEqual([subject.at(0, 11, 25).desired, subject.state.panicSinceMs], [25, 0]);
	subject.ready = 40;
	assert.deepEqual([subject.at(minute / 2, 30, 41).desired, subject.state.panicSinceMs], [41, 0]);
	subject.ready = 55;
	const left = subject.at(minute + 2000, 50, 56);
	assert.deepEqual([left.desired, left.panicking, left.reason], [50, false, "Stable"]);
});

test("panic is extended by each decision over the threshold", () => {
	const subject = new Subject(settings(1, 98), 10);
	subject.at(0, 11, 25);
	subject.ready = 40;
	assert.equal(subject.at(minute / 2, 30, 80).desired, 80);
	assert.equal(subject.state.panicSinceMs, minute / 2);
});

test("in panic nothing is stopped; afterwards it is", () => {
	const subject = new Subject(settings(10, 93));
	assert.equal(subject.at(0, 100, 100).desired, 10);
	subject.ready = 10;
	assert.equal(subject.at(1, 100, 1000).desired, 100);
	assert.equal(subject.at(30_000, 1, 1).desired, 100);
	assert.equal(subject.at(61_002, 1, 1).desired, 1);
});

test("an exponential rise is followed step by step", () => {
	const subject = new Subject(settings(1, 101));
	for (const [second, load] of [6, 36, 216, 1296, 1296].entries()) {
		assert.equal(subject.at(second * 1000, load).desired, load);
		subject.ready = load;
	}
});

test("rates limit each step up and down", () => {
	const up = new Subject(settings(10, 61));
	assert.equal(up.at(0, 1000, 1001).desired, 10);
	up.ready = 10;
	assert.equal(up.at(0, 1000, 1001).desired, 100);
	const down = new Subject(settings(10, 61), 100);
	assert.equal(down.at(0, 1).desired, 10);
	down.ready = 10;
	assert.equal(down.at(0, 1).desired, 1);
});

test("new settings hold from the next decision on", () => {
	const subject = new Subject(settings(10, 77));
	assert.equal(subject.at(0, 100, 101).desired, 10);
	subject.ready = 10;
	subject.settings = settings(1, 71);
	assert.equal(subject.at(0, 100, 101).desired, 100);
});

test("a scale-down delay holds the greatest of its time", () => {
	const subject = new Subject(settings(10, 0, { scaleDownDelayMs: 5 * minute, panicThreshold: 100 }));
	const wants = (ms: number, load: number, count: number) => {
		const decision = subject.at(ms, load);
		assert.equal(decision.desired, count);
		return decision.reason;
	};
	wants(2000, 40, 4);
	assert.equal(wants(5 * minute, 0, 4), "ScaleDownDelay");
	wants(5 * minute + 2000, 0, 0);
	wants(9 * minute, 40, 4);
	wants(10 * minute, 30, 4);
	wants(11 * minute, 0, 4);
	wants(14 * minute, 0, 3);
	assert.equal(wants(15 * minute, 0, 0), "Stable");
});

test("a delay does not hold for what nothing leads to, and none is none", () => {
	const subject = new Subject(settings(10, 0, { scaleDownDelayMs: 5 * minute, panicThreshold: 100 }));
	subject.at(2000, 40);
	assert.equal(subject.at(minute, 0).desired, 4);
	subject.reachable = false;
	assert.equal(subject.at(minute + 2000, 0).desired, 0);
	const undelayed = new Subject(settings(10, 0, { panicThreshold: 100 }));
	assert.equal(undelayed.at(0, 40).desired, 4);
	assert.equal(undelayed.at(500, 20).desired, 2);
});

test("no instance is asked to carry less than a hundredth", () => {
	assert.equal(targetLoad(settings(0.001, 0)), 0.01);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { scalingSettings } from "../service/scaling-annotations.ts";
import { defaultScaling } from "../service/scaling-defaults.ts";
import type { ScalingSettings } from "../service/scaling-settings.ts";
import { activeFrom, applyBounds, firstScale, scaleBounds } from "./scale-bounds.ts";
import { type ActivationState, decideZero, nextActivation, type ZeroDecision } from "./scale-to-zero.ts";

const base = scalingSettings({}, { containerConcurrency: 0, profile: "knative" }).settings;
const settings = (other: Partial<ScalingSettings> = {}): ScalingSettings => ({ ...base, ...other });
const phase = (name: ActivationState["phase"], initialized = true): ActivationState => ({
	phase: name,
	sinceMs: 1000,
	initialized,
	timedOut: false,
});
const zero = (
	at: ActivationState,
	forMs: number,
	other: Partial<ScalingSettings> = {},
	reachable = true,
): ZeroDecision =>
	decideZero(settings(other), at, { desired: 0, reachable, progressDeadlineMs: 600_000 }, 1000 + forMs);

test("bounds: 0 is none, and the minimum is the stronger one", () => {
	const cases: [min: number, max: number, count: number, bounded: number][] = [
		[0, 0, 7, 7],
		[2, 0, 1, 2],
		[0, 3, 7, 3],
		[2, 3, 0, 2],
		[5, 3, 4, 5],
	];
	for (const [min, max, count, bounded] of cases) assert.equal(applyBounds({ min, max }, count), bounded);
});

test("min-scale is for what a route leads to, initial-scale until it was reached once", () => {
	const both = settings({ minScale: 2, maxScale: 9, initialScale: 5 });
	assert.deepEqual(scaleBounds(both, { reachable: true, initialized: false }), { min: 5, max: 9 });
	assert.deepEqual(scaleBounds(both, { reachable: true, initialized: true }), { min: 2, max: 9 });
	assert.deepEqual(scaleBounds(both, { reachable: false, initialized: false }), { min: 0, max: 9 });
	// An initial-scale of 1 is what a revision is made with, not a bound.
	assert.equal(scaleBounds(settings(), { reachable: true, initialized: false }).min, 0);
	assert.deepEqual([firstScale(both, true), firstScale(both, false), firstScale(settings(), false)], [5, 5, 1]);
	assert.equal(firstScale(settings({ minScale: 7, initialScale: 3 }), true), 7);
	assert.equal(activeFrom(both, { reachable: true, initialized: false }), 5);
	assert.equal(activeFrom(both, { reachable: true, initialized: true }), 2);
	assert.equal(activeFrom(both, { reachable: false, initialized: true }), 1);
	assert.equal(activeFrom(settings({ initialScale: 0 }), { reachable: true, initialized: false }), 0);
});

test("what is not zero stands, whatever the phase", () => {
	const decision = decideZero(
		settings(),
		phase("inactive"),
		{ desired: 3, reachable: true, progressDeadlineMs: 1 },
		9e9,
	);
	assert.deepEqual(decision, { want: 3, apply: true, reason: undefined });
});

test("with scale to zero off one instance stays", () => {
	assert.deepEqual(zero(phase("inactive"), 9e9, { scaleToZero: false }), {
		want: 1,
		apply: true,
		reason: "ScaleToZeroOff",
	});
});

test("activating: nothing changes until the deadline and its buffer are over", () => {
	const { scaleToZeroGraceMs } = defaultScaling.knative;
	assert.equal(scaleToZeroGraceMs, 30_000);
	assert.deepEqual(zero(phase("activating"), 630_000), { want: undefined, apply: false, reason: "Activating" });
	assert.deepEqual(zero(phase("activating"), 630_001), { want: 0, apply: true, reason: "ActivationTimedOut" });
});

test("active: one instance for a stable window, then inactive with its instances", () => {
	assert.deepEqual(zero(phase("active"), 59_999), { want: 1, apply: true, reason: "StableWindow" });
	assert.deepEqual(zero(phase("active"), 60_000), { want: 0, apply: false, reason: "Retention" });
});

test("inactive: the longer of grace and retention, retention only while a route leads to it", () => {
	const retention = { podRetentionMs: 45_000 };
	assert.equal(zero(phase("inactive"), 29_999).apply, false);
	assert.deepEqual(zero(phase("inactive"), 30_000), { want: 0, apply: true, reason: "NoTraffic" });
	assert.equal(zero(phase("inactive"), 44_999, retention).apply, false);
	assert.equal(zero(phase("inactive"), 45_000, retention).apply, true);
	assert.equal(zero(phase("inactive"), 30_000, retention, false).apply, true);
	assert.equal(zero(phase("inactive"), 0, { scaleToZeroGraceMs: 0 }).apply, true);
});

// The table above computeActiveCondition in knative/serving v0.51 pkg/reconciler/autoscaling/kpa/kpa.go; -1 is undefined here.
type Row = [
	want: number | undefined,
	ready: number,
	min: number,
	from: ActivationState["phase"],
	to: ActivationState["phase"],
];
const table: Row[] = [
	...(["activating", "active", "inactive"] as const).flatMap((from): Row[] => [
		[0, 0, 0, from, "inactive"],
		[0, 5, 0, from, "inactive"],
		[2, 1, 2, from, "activating"],
		[2, 2, 2, from, "active"],
		[1, 0, 0, from, "activating"],
		[1, 1, 0, from, "active"],
	]),
	[undefined, 1, 2, "inactive", "inactive"],
	[undefined, 1, 2, "activating", "activating"],
	[undefined, 1, 2, "active", "activating"],
	[undefined, 2, 2, "inactive", "inactive"],
	[undefined, 2, 2, "activating", "active"],
	[undefined, 2, 2, "active", "active"],
];
for (const [want, ready, minScale, from, to] of table)
	test(`phase: ${from}, ${want} wanted, ${ready} ready, min-scale ${minScale}: ${to}`, () => {
		const next = nextActivation(settings({ minScale }), phase(from), { want, ready, reachable: true }, 5000);
		assert.equal(next.phase, to);
		assert.equal(next.sinceMs, to === from ? 1000 : 5000);
		assert.equal(next.timedOut, from === "activating" && to === "inactive");
	});

test("a revision is initialized when initial-scale is ready, for good, and at once when that is 0", () => {
	const five = settings({ initialScale: 5 });
	const at = (from: ActivationState, ready: number, other = five) =>
		nextActivation(other, from, { want: 5, ready, reachable: true }, 2000);
	const four = at(phase("activating", false), 4);
	assert.deepEqual([four.phase, four.initialized], ["activating", false]);
	const all = at(four, 5);
	assert.deepEqual([all.phase, all.initialized], ["active", true]);
	assert.deepEqual([at(all, 1).phase, at(all, 1).initialized], ["active", true]);
	const none = at(phase("activating", false), 0, settings({ initialScale: 0 }));
	assert.deepEqual([none.phase, none.initialized, none.timedOut], ["inactive", true, false]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricWindow, newestWeight } from "./metric-window.ts";

// The vectors are those of knative/serving v0.51 pkg/autoscaler/aggregation/bucketing_test.go.
const now = 1_700_000_000_000;
const at = (seconds: number) => now + seconds * 1000;
const near = (actual: number, expected: number, by = 1e-9) =>
	assert.ok(Math.abs(actual - expected) <= by, `${actual} is not ${expected}`);

test("the newest bucket's weight depends on the number of buckets", () => {
	for (const [buckets, weight] of [
		[100, 0.2],
		[60, 0.2],
		[40, 0.20567],
		[6, 0.78456],
	] as const)
		near(newestWeight(buckets), weight, 1e-4);
});

test("a linear average is over what is known of the window", () => {
	const window = new MetricWindow(5000);
	assert.ok(window.isEmpty(now));
	assert.equal(window.average(now), 0);
	window.record(now, 1);
	assert.equal(window.average(now), 1, "not a fifth");
	for (let i = 1; i < 5; i++) window.record(at(i), i + 1);
	assert.equal(window.average(at(4)), 3);
	assert.equal(window.average(at(3.6)), 3, "asked a little late");
	assert.equal(window.average(at(6)), 4, "a short hole leaves what is there");
	assert.equal(window.average(at(10)), 0, "a long hole leaves nothing");
	assert.ok(!window.isEmpty(at(9)));
	assert.ok(window.isEmpty(at(10)));
	window.record(at(6), 91);
	near(window.average(at(6)), (3 + 4 + 5 + 91) / 5);
});

test("a window without any record begins anew, and records may come late", () => {
	const window = new MetricWindow(5000);
	for (let i = 0; i < 5; i++) window.record(at(i), i + 1);
	window.record(at(60), 1984);
	assert.equal(window.average(at(60)), 1984);
	window.record(at(57), 4);
	assert.equal(window.average(at(60)), (4 + 1984) / 4);
	window.record(at(61), 5);
	assert.equal(window.average(at(61)), (4 + 1984 + 5) / 5);
	window.record(at(58), 10);
	near(window.average(at(61)), (4 + 10 + 1984 + 5) / 5);
	window.record(at(55), 10);
	near(window.average(at(61)), (4 + 10 + 1984 + 5) / 5);
	window.record(at(56), 10);
	near(window.average(at(61)), (4 + 10 + 1984 + 5) / 5, 1e-6);
	window.record(at(66), 10);
	assert.equal(window.average(at(66)), 10, "exactly one window later");
});

test("what is recorded within one second adds up, holes count as zero", () => {
	const window = new MetricWindow(120_000);
	window.record(now, 1);
	window.record(now + 100, 10);
	assert.equal(window.average(now), 11);
	window.record(at(1), 1);
	window.record(at(3), 1);
	near(window.average(at(3)), 13 / 4, 1e-6);

	const holes = new MetricWindow(5000);
	for (let i = 0; i < 5; i++) holes.record(at(i), i + 1);
	assert.equal(holes.average(at(4)), 3);
	holes.record(at(8), 2);
	near(holes.average(at(8)), 7 / 5);
});

test("records in any order give the same average", () => {
	const descending = new MetricWindow(5000);
	for (let second = 8; second >= 0; second--) descending.record(at(second), 5);
	assert.equal(descending.average(at(5)), 5);

	const mixed = new MetricWindow(60_000);
	for (const [order, second] of [0, 3, 2, 1, 4].entries())
		for (let value = 0; value < 5; value++) mixed.record(at(second), order + value);
	assert.equal(mixed.average(at(4)), 100 / 5);
});

test("a weighted average forgets older seconds exponentially", () => {
	const window = new MetricWindow(5000, "weighted-exponential");
	const m = newestWeight(5);
	window.record(now, 2);
	near(window.average(now), 2 * m);
	near(window.average(at(1)), 2 * m * (1 - m));
	window.record(at(1), 2);
	near(window.average(at(1)), 2 * m * (1 - m) + 2 * m);
	for (let i = 0; i < 5; i++) window.record(at(2 + i), i + 2);
	const expected = [6, 5, 4, 3, 2].reduce((sum, value, age) => sum + value * m * (1 - m) ** age, 0);
	near(window.average(at(6)), expected);
	assert.equal(window.average(at(16)), 0);

	const filled = new MetricWindow(5000, "weighted-exponential");
	for (let i = 0; i < 6; i++) filled.record(at(i), i + 1);
	near(filled.average(at(5)), 5.812, 0.0005);
});

test("hours of random loads leave no error in the sum, and silence is exactly zero", () => {
	const window = new MetricWindow(60_000);
	let state = 1;
	for (let second = 0; second < 20_000; second++) {
		state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
		window.record(at(second), state / 1e7);
	}
	for (let second = 20_000; second < 20_060; second++) window.record(at(second), 0);
	assert.equal(window.average(at(20_059)), 0);
});

test("times around zero and below it fall into buckets too", () => {
	const window = new MetricWindow(3000);
	for (const [second, value] of [
		[-2, 3],
		[-1, 6],
		[0, 9],
	] as const)
		window.record(second * 1000, value);
	assert.equal(window.average(0), 6);
	assert.equal(window.average(1000), 7.5);
});

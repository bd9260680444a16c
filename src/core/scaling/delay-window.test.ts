import assert from "node:assert/strict";
import { test } from "node:test";
import { type DelayWindow, delayed } from "./delay-window.ts";

/** Five slots of two seconds, as the five of knative/serving v0.51 pkg/autoscaler/aggregation/max/window_test.go. */
function run(values: readonly number[], slotOf: (index: number) => number = (index) => index): number[] {
	let window: DelayWindow = [];
	return values.map((value, index) => {
		const next = delayed(window, value, 10_000, slotOf(index) * 2000);
		window = next.window;
		return next.greatest;
	});
}

const vectors: { name: string; values: number[]; expect: number[]; slotOf?: (index: number) => number }[] = [
	{ name: "single value", values: [1], expect: [1] },
	{ name: "ascending", values: [1, 2], expect: [1, 2] },
	{ name: "descending", values: [2, 1], expect: [2, 2] },
	{ name: "up, down, up", values: [1, 2, 1], expect: [1, 2, 2] },
	{ name: "windowing out", values: [5, 6, 5, 5, 5, 5, 5], expect: [5, 6, 6, 6, 6, 6, 5] },
	{ name: "with gaps", values: [6, 5, 2, 1], expect: [6, 6, 6, 2], slotOf: (i) => (i >= 3 ? i + 3 : i) },
	{
		name: "windowing out in steps",
		values: [5, 8, 5, 7, 5, 5, 1, 4, 4, 4, 4, 9, 3, 4, 2, 1, 0],
		expect: [5, 8, 8, 8, 8, 8, 7, 7, 5, 5, 4, 9, 9, 9, 9, 9, 4],
	},
	{ name: "same slot, ascending", values: [1, 2, 3, 4], expect: [1, 2, 3, 4], slotOf: () => 1 },
	{ name: "same slot, descending", values: [7, 6, 5, 4], expect: [7, 7, 7, 7], slotOf: () => 1 },
];
for (const { name, values, expect, slotOf } of vectors)
	test(`the greatest of a delay: ${name}`, () => assert.deepEqual(run(values, slotOf), expect));

test("a delay window holds as many counts as it has slots, at most", () => {
	let window: DelayWindow = [];
	for (let slot = 0; slot < 5000; slot++) window = delayed(window, 10_000 - slot, 60_000, slot * 2000).window;
	assert.equal(window.length, 30);
});

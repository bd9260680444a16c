import assert from "node:assert/strict";
import { test } from "node:test";
import { DueHeap } from "./due-heap.ts";

test("takes what is due, the earliest first, as a sorted list would, over thousands of changes", () => {
	const heap = new DueHeap();
	const model = new Map<string, number>();
	let state = 3;
	const random = (below: number) => {
		state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
		return Math.floor((state / 2 ** 32) * below);
	};
	for (let i = 0; i < 20_000; i++) {
		const key = `k${random(200)}`;
		const choice = random(10);
		if (choice < 6) {
			const dueMs = random(1000);
			heap.put(key, dueMs);
			model.set(key, dueMs);
		} else if (choice < 8) {
			heap.remove(key);
			model.delete(key);
		} else {
			const nowMs = random(400);
			const due = [...model].filter(([, dueMs]) => dueMs <= nowMs).sort(([, a], [, b]) => a - b);
			const taken = heap.take(nowMs, 5);
			assert.deepEqual(
				taken.map((one) => model.get(one)),
				due.slice(0, 5).map(([, dueMs]) => dueMs),
			);
			for (const one of taken) model.delete(one);
		}
		assert.equal(heap.size, model.size);
		assert.equal(heap.first(), model.size === 0 ? undefined : Math.min(...model.values()));
	}
});

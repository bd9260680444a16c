import assert from "node:assert/strict";
import { test } from "node:test";
import { Queue } from "./queue.ts";

test("first in, first out, and the last one from the other end", () => {
	const queue = new Queue<number>();
	for (const value of [1, 2, 3, 4]) queue.push(value);
	assert.equal(queue.first, 1);
	assert.deepEqual([queue.shift(), queue.pop(), queue.shift(), queue.size], [1, 4, 2, 1]);
	assert.deepEqual([queue.shift(), queue.shift(), queue.pop(), queue.size], [3, undefined, undefined, 0]);
});

test("any may leave, once", () => {
	const queue = new Queue<string>();
	const [a, b, c] = ["a", "b", "c"].map((value) => queue.push(value)) as [
		ReturnType<typeof queue.push>,
		ReturnType<typeof queue.push>,
		ReturnType<typeof queue.push>,
	];
	assert.deepEqual([queue.remove(b), queue.remove(b), queue.size], [true, false, 2]);
	queue.push("d");
	assert.deepEqual([queue.remove(a), queue.first, queue.remove(c)], [true, "c", true]);
	assert.deepEqual([queue.shift(), queue.remove(a), queue.size, queue.first], ["d", false, 0, undefined]);
	queue.push("e");
	assert.equal(queue.pop(), "e");
});

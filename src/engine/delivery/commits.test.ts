import assert from "node:assert/strict";
import { test } from "node:test";
import type { Append } from "../../core/message-log/message-log.ts";
import { commitsOf, maxCommitBytes, maxCommitChanges } from "./commits.ts";

const append = (bytes: number): Append => ({ change: "append", lane: "a", id: "i", body: new Uint8Array(bytes) });
const sizes = (changes: readonly Append[]) => [...commitsOf(changes)].map(({ length }) => length);

test("commits are full by their number or by their bytes, and none is empty", () => {
	assert.deepEqual(sizes([]), []);
	assert.deepEqual(sizes(Array.from({ length: maxCommitChanges + 1 }, () => append(1))), [maxCommitChanges, 1]);
	const half = append(maxCommitBytes / 2);
	assert.deepEqual(sizes([half, half, append(1), append(maxCommitBytes + 1), append(0)]), [2, 1, 1, 1]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { reconnectDelayMs } from "./reconnect-delay.ts";

test("Waits grow to a bound, and no two consumers wait the same", () => {
	const longest = [1, 2, 3, 4, 5, 6, 7, 8, 1000].map((failures) => reconnectDelayMs(failures, () => 1));
	assert.deepEqual(longest, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
	assert.equal(
		reconnectDelayMs(3, () => 0),
		1000,
	);
	assert.equal(
		reconnectDelayMs(0, () => 0),
		250,
	);
});

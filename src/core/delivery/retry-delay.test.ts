import assert from "node:assert/strict";
import { test } from "node:test";
import { fractionOf, retryDelayMs, storageDelays, targetDelays } from "./retry-delay.ts";

test("A delay doubles with each failure up to the longest, and stays there however many there are", () => {
	const delays = { firstMs: 100, longestMs: 1000 };
	assert.deepEqual(
		[0, 1, 2, 3, 4, 5, 6, 2000].map((failures) => retryDelayMs(delays, failures)),
		[100, 100, 200, 400, 800, 1000, 1000, 1000],
	);
	assert.equal(retryDelayMs(storageDelays, 1, 0.9), 100);
});

test("Chance makes it shorter or longer by no more than its part", () => {
	const delays = { firstMs: 1000, longestMs: 8000, jitter: 0.25 };
	assert.deepEqual(
		[0, 0.5, 1].map((random) => retryDelayMs(delays, 2, random)),
		[1500, 2000, 2500],
	);
	assert.deepEqual([fractionOf("00000000"), fractionOf("80000000")], [0, 0.5]);
	assert.ok(fractionOf("ffffffff") < 1);
});

test("EventBridge's 185 tries fill its day", () => {
	const total = Array.from({ length: 185 }, (_, tries) => retryDelayMs(targetDelays, tries + 1));
	const hours = total.reduce((sum, ms) => sum + ms) / 3_600_000;
	assert.ok(hours > 23 && hours < 25, `${hours} hours`);
});

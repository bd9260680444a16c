import assert from "node:assert/strict";
import { test } from "node:test";
import { TokenBuckets } from "./token-buckets.ts";

test("A burst at once, then the rate, for each key by itself", () => {
	const buckets = new TokenBuckets({ rate: 2, burst: 3 });
	const allowed = (key: string, nowMs: number) => buckets.take(key, nowMs).allowed;
	assert.deepEqual(
		[0, 0, 0, 0].map((now) => allowed("a", now)),
		[true, true, true, false],
	);
	assert.equal(buckets.take("a", 100).retryAfterMs, 400);
	assert.equal(allowed("b", 100), true);
	assert.equal(allowed("a", 499), false);
	assert.equal(allowed("a", 500), true);
	assert.equal(allowed("a", 500), false);
	// No more than the burst is saved up.
	assert.deepEqual(
		[0, 0, 0, 0].map(() => allowed("a", 1_000_000)),
		[true, true, true, false],
	);
});

test("In the long run exactly the rate passes", () => {
	const buckets = new TokenBuckets({ rate: 10, burst: 5 });
	let passed = 0;
	for (let now = 0; now < 60_000; now += 7) if (buckets.take("a", now).allowed) passed++;
	assert(passed >= 600 && passed <= 605, String(passed));
});

test("However many keys there are, memory is bounded, and who comes often stays", () => {
	const buckets = new TokenBuckets({ rate: 0.001, burst: 1 }, 100);
	assert.equal(buckets.take("often", 0).allowed, true);
	for (let at = 0; at < 10_000; at++) {
		buckets.take(`key ${at}`, 1);
		assert.equal(buckets.take("often", 1).allowed, false);
	}
	assert.equal(buckets.size, 100);
});

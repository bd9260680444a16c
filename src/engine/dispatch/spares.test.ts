import assert from "node:assert/strict";
import { test } from "node:test";
import { decideSpares, type SpareDemand } from "./spares.ts";

const limits = { maxTotal: 4, maxPerFunction: 3, keepMs: 1000 };

function decide(demands: Record<string, SpareDemand>, now = 0): Record<string, number> {
	return Object.fromEntries(decideSpares(new Map(Object.entries(demands)), limits, now));
}

test("recent demand gets one spare, old demand none", () => {
	const demands = {
		a: { lastDemandMs: 0, recentStarts: 0 },
		b: { lastDemandMs: -1000, recentStarts: 0 },
		c: { lastDemandMs: -1001, recentStarts: 9 },
	};
	assert.deepEqual(decide(demands), { a: 1, b: 1 });
});

test("cold starts ask for as many, up to the function's bound", () => {
	assert.deepEqual(decide({ a: { lastDemandMs: 0, recentStarts: 2 } }), { a: 2 });
	assert.deepEqual(decide({ a: { lastDemandMs: 0, recentStarts: 50 } }), { a: 3 });
});

test("everybody's first comes before anybody's second, the most recent first", () => {
	const demands = {
		a: { lastDemandMs: 0, recentStarts: 3 },
		b: { lastDemandMs: -1, recentStarts: 3 },
		c: { lastDemandMs: -2, recentStarts: 3 },
	};
	assert.deepEqual(decide(demands), { a: 2, b: 1, c: 1 });
});

test("the total is never passed, for any demand (seeded)", () => {
	let seed = 42;
	const random = (n: number) => {
		seed = (seed * 1103515245 + 12345) % 2147483648;
		return seed % n;
	};
	for (let round = 0; round < 500; round++) {
		const demands = Object.fromEntries(
			Array.from({ length: random(30) }, (_, i) => [
				`f${i}`,
				{ lastDemandMs: -random(2000), recentStarts: random(10) },
			]),
		);
		const decided = Object.values(decide(demands));
		assert.ok(decided.reduce((sum, n) => sum + n, 0) <= limits.maxTotal);
		assert.ok(decided.every((n) => n >= 1 && n <= limits.maxPerFunction));
	}
});

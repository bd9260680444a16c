import assert from "node:assert/strict";
import { test } from "node:test";
import { type EventLoad, nextLimit, nextTotal } from "./event-limits.ts";

const load = (parts: Partial<EventLoad>): EventLoad => ({
	limit: 4,
	max: 100,
	backlog: true,
	throttled: false,
	cpus: 2,
	idleCpus: 2,
	...parts,
});

test("doubles up to four for each CPU, then grows by half while CPUs are idle, halves when throttled, and else stays", () => {
	assert.equal(nextLimit(load({})), 8);
	assert.equal(nextLimit(load({ limit: 8 })), 12);
	assert.equal(nextLimit(load({ limit: 1 })), 2);
	assert.equal(nextLimit(load({ limit: 99 })), 100);
	assert.equal(nextLimit(load({ backlog: false })), 4);
	assert.equal(nextLimit(load({ throttled: true })), 2);
	assert.equal(nextLimit(load({ throttled: true, limit: 1 })), 1);
	assert.equal(nextLimit(load({ max: 3 })), 3);
});

test("on a busy machine it grows no further than four for each CPU; what it has it keeps", () => {
	for (const idleCpus of [0, 0.1, undefined]) {
		assert.equal(nextLimit(load({ idleCpus })), 8);
		assert.equal(nextLimit(load({ idleCpus, limit: 5 })), 8);
		assert.equal(nextLimit(load({ idleCpus, limit: 8 })), 8);
		assert.equal(nextLimit(load({ idleCpus, limit: 50 })), 50);
	}
});

test("whatever happens the limit is from 1 to the function's own", () => {
	for (let round = 0; round < 3000; round++) {
		const max = 1 + (round % 7);
		const limit = 1 + (round % 11);
		const next = nextLimit(
			load({
				limit,
				max,
				backlog: round % 2 === 0,
				throttled: round % 3 === 0,
				idleCpus: round % 5 === 0 ? undefined : round % 3,
			}),
		);
		assert.ok(next >= 1 && next <= max && next <= limit * 2);
	}
});

test("all together grow by a quarter while CPUs are idle, one by one up to eight for each busy CPU, and not while cold starts wait", () => {
	const all = { limit: 8, max: 40, cpus: 2 };
	assert.equal(nextTotal({ ...all, idleCpus: 1 }, 0), 10);
	assert.equal(nextTotal({ ...all, idleCpus: 1 }, 2), 8);
	assert.equal(nextTotal({ ...all, idleCpus: 1, limit: 36 }, 1), 40);
	for (const idleCpus of [0, undefined]) {
		assert.equal(nextTotal({ ...all, idleCpus }, 1), 9);
		assert.equal(nextTotal({ ...all, idleCpus, limit: 15 }, 0), 16);
		assert.equal(nextTotal({ ...all, idleCpus, limit: 16 }, 0), 16);
		assert.equal(nextTotal({ ...all, idleCpus, limit: 30 }, 0), 30);
	}
	assert.equal(nextTotal({ limit: 3, max: 3, cpus: 2, idleCpus: 2 }, 0), 3);
});

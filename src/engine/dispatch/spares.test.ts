import assert from "node:assert/strict";
import { test } from "node:test";
import { automaticSpares } from "../../core/function/spare-setting.ts";
import type { MemoryObservation } from "./memory-pressure.ts";
import { decideSpares, noSpares, type SpareDemand, type SpareLimits, type SpareState } from "./spares.ts";

const MiB = 1024 * 1024;
const minute = 60_000;
const now = 1000 * minute;
const limits: SpareLimits = {
	maxTotal: 4,
	maxPerFunction: 3,
	keepMs: 15 * minute,
	initialized: { maxTotal: 3, maxPerFunction: 2, maxBytes: 1024 * MiB },
};
const ample: MemoryObservation = { availableBytes: 500, totalBytes: 1000, stalledPercent: 0 };

/** Bursts of `sizes`, one every five minutes, the last of them now. */
function every5Minutes(...sizes: number[]): SpareDemand["bursts"] {
	return sizes.map((starts, i) => ({ starts, atMs: now - (sizes.length - 1 - i) * 5 * minute }));
}

function demand(more: Partial<SpareDemand> = {}): SpareDemand {
	return {
		lastDemandMs: now,
		bursts: [],
		lastStart: undefined,
		memoryBytes: 128 * MiB,
		setting: automaticSpares,
		reserved: undefined,
		initAfterMs: Number.NEGATIVE_INFINITY,
		...more,
	};
}

function decide(
	demands: Record<string, SpareDemand>,
	{
		memory = ample,
		state = noSpares<string>(),
		at = now,
		of = limits,
	}: { memory?: MemoryObservation; state?: SpareState<string>; at?: number; of?: SpareLimits } = {},
): Record<string, string> {
	return shown(decideSpares(state, { demands: new Map(Object.entries(demands)), memory, limits: of }, at));
}

/** "created+initialized" by function. */
function shown({ wanted }: SpareState<string>): Record<string, string> {
	return Object.fromEntries([...wanted].map(([key, count]) => [key, `${count.created}+${count.initialized}`]));
}

test("recent demand gets one created spare, old demand none", () => {
	const demands = {
		a: demand(),
		b: demand({ lastDemandMs: now - limits.keepMs }),
		c: demand({ lastDemandMs: now - limits.keepMs - 1, bursts: every5Minutes(9) }),
	};
	assert.deepEqual(decide(demands), { a: "1+0", b: "1+0" });
});

test("the largest burst of the time they are kept for asks for as many, up to the function's bound", () => {
	assert.deepEqual(decide({ a: demand({ bursts: every5Minutes(2, 1) }) }), { a: "2+0" });
	assert.deepEqual(decide({ a: demand({ bursts: every5Minutes(50) }) }), { a: "3+0" });
	const old = [{ atMs: now - limits.keepMs - 1, starts: 3 }];
	assert.deepEqual(decide({ a: demand({ bursts: old }) }), { a: "1+0" });
});

test("everybody's first comes before anybody's second, who needed starts most often first", () => {
	const demands = {
		a: demand({ bursts: every5Minutes(3), lastDemandMs: now - 2 }),
		b: demand({ bursts: every5Minutes(3, 3), lastDemandMs: now - 3 }),
		c: demand({ bursts: every5Minutes(3), lastDemandMs: now - 1 }),
	};
	assert.deepEqual(decide(demands), { b: "2+0", c: "1+0", a: "1+0" });
});

test("who has spares keeps them for a minute, then until another one needs them more often", () => {
	const of = { ...limits, maxTotal: 1 };
	const a = demand({ bursts: every5Minutes(1) });
	const state = decideSpares(noSpares<string>(), { demands: new Map([["a", a]]), memory: ample, limits: of }, now);
	const equal = demand({ bursts: every5Minutes(1), lastDemandMs: now + 1 });
	const keener = demand({ bursts: every5Minutes(1, 1), lastDemandMs: now + 1 });
	assert.deepEqual(decide({ a, keener }, { state, of, at: now + 59_999 }), { a: "1+0" });
	assert.deepEqual(decide({ a, keener }, { state, of, at: now + minute }), { keener: "1+0" });
	assert.deepEqual(decide({ a, equal }, { state, of, at: now + minute }), { a: "1+0" });
});

test("an init runs ahead of events only where demand is regular and the init is long", () => {
	const bursts = every5Minutes(1, 1, 2);
	const lastStart = { sandboxMs: 30, initMs: 400 };
	assert.deepEqual(decide({ a: demand({ bursts, lastStart }) }), { a: "1+1" });
	for (const [why, not] of Object.entries({
		"two bursts may be chance": { bursts: every5Minutes(1, 1), lastStart },
		"nothing is known of its init": { bursts },
		"its init is short": { bursts, lastStart: { sandboxMs: 5, initMs: 99 } },
		"its init is not long beside the making of the sandbox": { bursts, lastStart: { sandboxMs: 200, initMs: 500 } },
		"the last ones failed": { bursts, lastStart, initAfterMs: now + 1 },
		"its owner does not want it": { bursts, lastStart, setting: { created: "auto", initialized: 0 } as const },
	}))
		assert.match(decide({ a: demand(not) }).a ?? "", /\+0$/, why);
	const { initialized: _, ...without } = limits;
	assert.deepEqual(decide({ a: demand({ bursts, lastStart }) }, { of: without }), { a: "2+0" });
});

test("as many as are usual, and so many created ones less", () => {
	const lastStart = { sandboxMs: 1, initMs: 400 };
	assert.deepEqual(decide({ a: demand({ bursts: every5Minutes(1, 2, 2, 4, 2), lastStart }) }), { a: "2+2" });
	assert.deepEqual(decide({ a: demand({ bursts: every5Minutes(9, 9, 9), lastStart }) }), { a: "3+2" });
});

test("who gets no initialized one for want of room has created ones for the whole burst", () => {
	const of = { ...limits, initialized: { maxTotal: 0, maxPerFunction: 2, maxBytes: 1024 * MiB } };
	const lastStart = { sandboxMs: 1, initMs: 400 };
	assert.deepEqual(decide({ a: demand({ bursts: every5Minutes(3, 3, 3), lastStart }) }, { of }), { a: "3+0" });
});

test("what its owner says takes the place of the past, while the function is in use and within the limits of all", () => {
	const setting = { created: 0, initialized: 3 };
	assert.deepEqual(decide({ a: demand({ setting, bursts: every5Minutes(9) }) }), { a: "0+3" });
	assert.deepEqual(decide({ a: demand({ setting: { created: 9, initialized: 9 } }) }), { a: "4+3" });
	assert.deepEqual(decide({ a: demand({ setting, lastDemandMs: now - limits.keepMs - 1 }) }), {});
	assert.deepEqual(decide({ a: demand({ setting: { created: 0, initialized: 0 } }) }), {});
});

test("never for a function that its owner keeps at zero, nor beyond its reserve", () => {
	const setting = { created: 4, initialized: 3 };
	assert.deepEqual(decide({ a: demand({ setting, reserved: 0 }), b: demand({ reserved: 0 }) }), {});
	assert.deepEqual(decide({ a: demand({ setting, reserved: 2 }) }), { a: "2+2" });
});

test("the memory that initialized ones may use is bounded", () => {
	const setting = { created: 0, initialized: 3 };
	assert.deepEqual(decide({ a: demand({ setting, memoryBytes: 600 * MiB }) }), { a: "0+1" });
	assert.deepEqual(decide({ a: demand({ setting, memoryBytes: 2048 * MiB }) }), {});
});

test("under memory pressure initialized ones go first, then all; they come back after a while without", () => {
	const demands = new Map([["a", demand({ setting: { created: 3, initialized: 2 } })]]);
	const at = (availableBytes: number, atMs: number) => {
		state = decideSpares(state, { demands, memory: { ...ample, availableBytes }, limits }, now + atMs);
		return shown(state).a;
	};
	let state = noSpares<string>();
	assert.equal(at(500, 0), "3+2");
	assert.equal(at(99, 1), "1+0");
	assert.equal(at(49, 2), undefined);
	assert.equal(at(500, 3), undefined);
	assert.equal(at(500, 30_002), undefined);
	assert.equal(at(500, 30_003), "3+2");
});

test("no limit is ever passed, for any demand, and the same comes out of the same (seeded)", () => {
	let seed = 42;
	const random = (n: number) => {
		seed = (seed * 1103515245 + 12345) % 2147483648;
		return seed % n;
	};
	let state = noSpares<string>();
	for (let round = 0; round < 1000; round++) {
		const at = now + round * 100;
		const demands = new Map(
			Array.from({ length: random(40) }, (_, i) => {
				const starts = () => ({ starts: 1 + random(8), atMs: at - random(60 * minute) });
				const bursts = Array.from({ length: random(6) }, starts).sort((a, b) => a.atMs - b.atMs);
				const setting = random(4) ? automaticSpares : { created: random(9), initialized: random(9) };
				const reserved = random(5) ? undefined : random(3);
				const lastStart = random(2) ? { sandboxMs: random(50), initMs: random(500) } : undefined;
				const lastDemandMs = at - random(20 * minute);
				const memoryBytes = (1 + random(8)) * 128 * MiB;
				const key: string = `f${i}`;
				return [key, demand({ bursts, setting, reserved, lastStart, lastDemandMs, memoryBytes })] as const;
			}),
		);
		const memory = { availableBytes: random(1000), totalBytes: 1000, stalledPercent: random(30) };
		const observation = { demands, memory: random(3) ? memory : undefined, limits };
		const next = decideSpares(state, observation, at);
		assert.deepEqual(decideSpares(state, observation, at), next);
		let [created, initialized, bytes] = [0, 0, 0];
		for (const [key, count] of next.wanted) {
			const of = demands.get(key)!;
			created += count.created;
			initialized += count.initialized;
			bytes += count.initialized * of.memoryBytes;
			assert.ok(count.created + count.initialized > 0 && at - of.lastDemandMs <= limits.keepMs);
			assert.ok(count.initialized <= (of.reserved ?? 9) && count.created <= (of.reserved ?? 9));
		}
		assert.ok(created <= limits.maxTotal && initialized <= 3 && bytes <= 1024 * MiB);
		if (next.pressure.level === "short") assert.equal(next.wanted.size, 0);
		if (next.pressure.level === "tight") assert.equal(initialized, 0);
		state = next;
	}
});

/** How starts share a machine: the queue of starts on simulated CPUs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { StartQueue } from "../../src/engine/dispatch/start-queue.ts";
import { Random } from "./random.ts";
import { SimulatedMachine } from "./simulated-machine.ts";
import { VirtualClock } from "./virtual-clock.ts";

interface Cost {
	/** Milliseconds of CPU for the sandbox, and of waiting for the kernel. */
	createCpuMs: number;
	createWaitMs: number;
	/** Of CPU for the init, of waiting in it, and the CPUs it may use. */
	initCpuMs: number;
	initWaitMs: number;
	quota: number;
}

interface Started {
	name: string;
	enteredMs: number;
	begunMs: number;
	readyMs: number;
	/** Starts of other functions that began while it waited as the first of its function. */
	overtakenBy: number;
}

/** A static binary; nothing stands ready, so that each start has a sandbox made. */
const small: Cost = { createCpuMs: 8, createWaitMs: 20, initCpuMs: 1.5, initWaitMs: 0, quota: 1 };
const node: Cost = { ...small, initCpuMs: 60 };
/** Its quota is that of 128 MB. */
const throttledNode: Cost = { ...node, quota: 128 / 1769 };
const java: Cost = { ...small, initCpuMs: 2000 };
/** Waits for its data base. */
const sleepy: Cost = { ...small, initWaitMs: 5000 };

const cpus = 2;

function setUp(max = 1000) {
	const clock = new VirtualClock();
	const machine = new SimulatedMachine(clock, cpus);
	const queue = new StartQueue(clock, machine, { cpus, max });
	const started: Started[] = [];
	const beginnings: { name: string; atMs: number }[] = [];
	let creating = 0;
	let mostCreating = 0;
	const start = (name: string, cost: Cost, created = false) => {
		const enteredMs = clock.monotonic();
		const seen = beginnings.length;
		const begin = async (onCreated: () => void) => {
			const begunMs = clock.monotonic();
			const overtakenBy = beginnings.slice(seen).filter((each) => each.name !== name).length;
			beginnings.push({ name, atMs: begunMs });
			if (!created) {
				mostCreating = Math.max(mostCreating, ++creating);
				await machine.compute(cost.createCpuMs);
				await clock.sleep(cost.createWaitMs);
				creating--;
			}
			onCreated();
			await clock.sleep(cost.initWaitMs);
			await machine.compute(cost.initCpuMs, cost.quota);
			started.push({ name, enteredMs, begunMs, readyMs: clock.monotonic(), overtakenBy });
		};
		return queue.enter(name, { created, begin });
	};
	/** Of all starts so far, when the last one was ready; fails when that takes longer than `limitMs`. */
	const allReady = async (count: number, limitMs: number) => {
		for (let ms = 0; ms < limitMs && started.length < count; ms += 10) await clock.advance(10);
		assert.equal(started.length, count, `ready within ${limitMs} ms`);
		await clock.advance(50);
		assert.deepEqual([queue.running, queue.waiting, clock.pending], [0, 0, 0], "nothing is left");
		return Math.max(...started.map(({ readyMs }) => readyMs));
	};
	const longestInit = () => Math.max(...started.map(({ begunMs, readyMs }) => readyMs - begunMs));
	return { clock, machine, queue, start, started, allReady, longestInit, mostCreating: () => mostCreating };
}

function times(count: number, action: (index: number) => unknown): void {
	for (let index = 0; index < count; index++) action(index);
}

test("a hundred starts of one function keep the CPUs busy, and few sandboxes are made at once", async () => {
	const { start, allReady, mostCreating } = setUp();
	times(100, () => start("f", small));
	const bestMs = (100 * (small.createCpuMs + small.initCpuMs)) / cpus;
	const ms = await allReady(100, 5000);
	assert.ok(ms <= 1.5 * bestMs, `${ms} ms, at best ${bestMs}`);
	assert.ok(mostCreating() <= 4 * cpus);
});

test("fifty functions at once take no longer than their work", async () => {
	for (const [name, cost] of [
		["small", small],
		["node", node],
	] as const) {
		const { start, allReady } = setUp();
		times(50, (index) => start(`f${index}`, cost));
		const bestMs = (50 * (cost.createCpuMs + cost.initCpuMs)) / cpus;
		const ms = await allReady(50, 5000);
		assert.ok(ms <= 1.4 * bestMs + 50, `${name}: ${ms} ms, at best ${bestMs}`);
	}
});

test("inits that wait do not hold up each other", async () => {
	const { start, allReady } = setUp();
	times(100, () => start("f", sleepy));
	const ms = await allReady(100, 20_000);
	assert.ok(ms <= 7000, `${ms} ms, 5,000 of them for each`);
});

test("inits that a quota slows down use all CPUs together", async () => {
	const { start, allReady } = setUp();
	times(100, () => start("f", throttledNode));
	const bestMs = (100 * (node.createCpuMs + node.initCpuMs)) / cpus;
	const ms = await allReady(100, 20_000);
	assert.ok(ms <= 1.6 * bestMs, `${ms} ms, at best ${bestMs}`);
});

test("inits that need seconds of CPU run few at a time: none of a hundred is over its limit", async () => {
	const { start, allReady, longestInit } = setUp();
	times(100, () => start("f", java));
	await allReady(100, 120_000);
	assert.ok(longestInit() <= 8000, `${longestInit()} ms`);
});

test("also of twenty different functions", async () => {
	const { start, allReady, longestInit } = setUp();
	times(20, (index) => start(`f${index}`, java));
	await allReady(20, 60_000);
	assert.ok(longestInit() <= 10_000, `${longestInit()} ms`);
});

test("one function's slow starts are not in the way of another's quick ones", async () => {
	const { clock, start, started } = setUp();
	times(100, () => start("slow", java));
	await clock.advance(3000);
	for (let index = 0; index < 20; index++) {
		start("quick", small, index % 2 === 0);
		await clock.advance(200);
	}
	const quick = started.filter(({ name }) => name === "quick");
	assert.equal(quick.length, 20);
	for (const { enteredMs, begunMs, readyMs } of quick) {
		assert.equal(begunMs, enteredMs);
		assert.ok(readyMs - enteredMs <= 60, `${readyMs - enteredMs} ms`);
	}
});

test("whatever the others do, the next function's turn comes within two seconds", async () => {
	const { clock, start, started } = setUp();
	times(6, (index) => start(`endless${index}`, { ...java, initCpuMs: 1e6 }));
	await clock.advance(100);
	times(5, (index) => start(`f${index}`, small));
	await clock.advance(10_500);
	assert.deepEqual(
		started.map(({ name }) => name),
		["f0", "f1", "f2", "f3", "f4"],
	);
});

test("turns go round among functions, and within one by the order of arrival", async () => {
	const { clock, start, started, allReady } = setUp();
	times(300, () => start("many", small));
	await clock.advance(100);
	times(10, (index) => times(3, () => start(`few${index}`, small)));
	await allReady(330, 10_000);
	const few = started.filter(({ name }) => name !== "many");
	// Three rounds of eleven functions, and what had begun.
	const lastOfFew = Math.max(...few.map(({ begunMs }) => begunMs));
	const manyBefore = started.filter(({ name, begunMs }) => name === "many" && begunMs >= 100 && begunMs <= lastOfFew);
	assert.ok(manyBefore.length <= 8, `${manyBefore.length} of the many began before the last of the few`);
	for (const name of new Set(started.map((each) => each.name))) {
		const begun = started.filter((each) => each.name === name).sort((a, b) => a.begunMs - b.begunMs);
		assert.ok(begun.every((each, index) => index === 0 || each.enteredMs >= begun[index - 1]!.enteredMs));
	}
});

test("one that is taken back never begins, and is in nobody's way", async () => {
	const { clock, start, started, queue } = setUp();
	const leaves = Array.from({ length: 1000 }, () => start("f", small));
	start("g", small);
	let left = 0;
	for (const leave of leaves) if (leave()) left++;
	assert.ok(left >= 1000 - cpus);
	assert.equal(queue.waiting, 0);
	await clock.advance(200);
	assert.equal(started.length, 1001 - left);
	assert.ok(
		leaves.every((leave) => !leave()),
		"once",
	);
});

for (const seed of [1, 2, 3, 4, 5, 20261121])
	test(`no start is lost, none begins twice, and each function has its turn (seed ${seed})`, async () => {
		const random = new Random(seed);
		const { clock, start, started, queue, mostCreating } = setUp(40);
		const costs = [small, small, small, node, throttledNode, sleepy, { ...java, initCpuMs: 300 }];
		let entered = 0;
		let left = 0;
		const functions = 12;
		for (let step = 0; step < 120; step++) {
			const kind = random.below(functions);
			const leaves: (() => boolean)[] = [];
			times(random.chance(10) ? 40 : random.below(3), () => {
				entered++;
				leaves.push(start(`f${kind}`, costs[kind % costs.length]!, random.chance(20)));
			});
			await clock.advance(random.below(200));
			for (const leave of leaves) if (random.chance(10) && leave()) left++;
			assert.ok(queue.running <= 40);
		}
		await clock.advance(120_000);
		assert.equal(started.length, entered - left);
		assert.deepEqual([queue.running, queue.waiting, clock.pending], [0, 0, 0]);
		assert.ok(mostCreating() <= 4 * cpus);
	});

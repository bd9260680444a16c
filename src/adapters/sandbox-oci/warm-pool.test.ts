import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import type { Clock } from "../../base/clock.ts";
import { systemClock } from "../../base/clock.ts";
import { type Log, silentLog } from "../../base/log.ts";
import { MEMORY_MS } from "./pool-size.ts";
import { WarmPool } from "./warm-pool.ts";

class FakeClock {
	nowMs = 0;
	#timers: { atMs: number; callback: () => void }[] = [];
	readonly clock: Clock = {
		...systemClock,
		now: () => this.nowMs,
		monotonic: () => this.nowMs,
		after: (ms, callback) => {
			const timer = { atMs: this.nowMs + ms, callback };
			this.#timers.push(timer);
			return () => {
				this.#timers = this.#timers.filter((other) => other !== timer);
			};
		},
	};

	get waiting(): number {
		return this.#timers.length;
	}

	async pass(ms: number): Promise<void> {
		for (const end = this.nowMs + ms; ; ) {
			const next = this.#timers.filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
			this.nowMs = next?.atMs ?? end;
			if (!next) return turn();
			this.#timers = this.#timers.filter((other) => other !== next);
			next.callback();
			await turn();
		}
	}
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

let time: FakeClock;
let memoryIsShort: boolean;
let made: number;
let destroyed: number[];
let warnings: string[];
let make: () => Promise<number>;
let destroy: (item: number) => Promise<void>;
beforeEach(() => {
	time = new FakeClock();
	memoryIsShort = false;
	made = 0;
	destroyed = [];
	warnings = [];
	make = async () => ++made;
	destroy = async (item) => void destroyed.push(item);
});

function poolOf(floor = 2, ceiling = 10): WarmPool<number> {
	const note = (message: string) => void warnings.push(message);
	return new WarmPool<number>({
		name: "a thing",
		bounds: { floor, ceiling },
		make: () => make(),
		destroy: (item) => destroy(item),
		memoryIsShort: () => memoryIsShort,
		clock: time.clock,
		log: { ...silentLog, warn: note, error: note } as Log,
	});
}

test("makes nothing before it is asked to, then as many as the floor, and another for each that is taken", async () => {
	await using pool = poolOf();
	assert.equal(pool.take(), undefined);
	await time.pass(60_000);
	assert.equal(made, 0);
	pool.fill();
	pool.fill();
	await pool.settled();
	assert.equal(made, 2);
	assert.equal(pool.take(), 1);
	await turn();
	assert.equal(made, 2, "the start that took it has the CPUs to itself");
	await time.pass(60);
	assert.equal(made, 3);
	assert.deepEqual([pool.take(), pool.take(), pool.take()], [2, 3, undefined]);
});

test("grows with a burst, never past its ceiling, and lets go of it when it is forgotten", async () => {
	await using pool = poolOf();
	pool.fill();
	await pool.settled();
	for (let taken = 0; taken < 30; taken++) pool.take();
	await time.pass(100);
	assert.equal(made, 2 + 10);
	await time.pass(MEMORY_MS - 5_000);
	assert.deepEqual(destroyed, []);
	await time.pass(10_000);
	assert.equal(destroyed.length, 8);
	await time.pass(MEMORY_MS);
	assert.deepEqual([made, destroyed.length], [12, 8]);
});

test("lets go at once when memory runs short, and keeps the floor", async () => {
	await using pool = poolOf();
	pool.fill();
	for (let taken = 0; taken < 6; taken++) pool.take();
	await time.pass(100);
	assert.equal(made, 6);
	memoryIsShort = true;
	await time.pass(1_000);
	assert.deepEqual(destroyed, [3, 4, 5, 6]);
	pool.take();
	await time.pass(1_000);
	assert.equal(made, 7);
});

test("makes one at a time, and goes on after a failure at the next take", async () => {
	await using pool = poolOf(3);
	let [atOnce, most] = [0, 0];
	make = async () => {
		most = Math.max(most, ++atOnce);
		await turn();
		atOnce--;
		if (made === 1) {
			made++;
			throw new Error("no room");
		}
		return ++made;
	};
	pool.fill();
	await pool.settled();
	assert.deepEqual([made, warnings.length], [2, 1]);
	assert.equal(pool.take(), 1);
	await pool.settled();
	assert.deepEqual([pool.take(), pool.take(), pool.take(), pool.take()], [3, 4, 5, undefined]);
	assert.equal(most, 1);
});

test("its disposal waits for what is being made and for what is being let go of, and destroys all", async () => {
	const pool = poolOf();
	pool.fill();
	for (let taken = 0; taken < 6; taken++) pool.take();
	await time.pass(100);
	const going = Promise.withResolvers<void>();
	destroy = async (item) => {
		await going.promise;
		destroyed.push(item);
	};
	memoryIsShort = true;
	await time.pass(1_000);
	const making = Promise.withResolvers<number>();
	make = () => making.promise;
	pool.take();
	await time.pass(60);
	let over = false;
	const disposal = pool[Symbol.asyncDispose]().then(() => {
		over = true;
	});
	await turn();
	making.resolve(99);
	await turn();
	assert.deepEqual([over, destroyed], [false, []]);
	going.resolve();
	await disposal;
	assert.deepEqual(
		destroyed.sort((a, b) => a - b),
		[2, 3, 4, 5, 6, 99],
	);
	assert.equal(time.waiting, 0);
	pool.fill();
	await time.pass(10_000);
	assert.equal(pool.take(), undefined);
});

test("one that can't be destroyed does not keep the disposal from waiting for the others", async () => {
	const pool = poolOf(3);
	pool.fill();
	await pool.settled();
	destroy = async (item) => {
		if (item === 1) throw new Error("stuck");
		await turn();
		destroyed.push(item);
	};
	await assert.rejects(pool[Symbol.asyncDispose](), /stuck/);
	assert.deepEqual(destroyed, [2, 3]);
});

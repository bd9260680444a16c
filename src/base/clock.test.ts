import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { settledWithin, systemClock } from "./clock.ts";

describe("Waiting for what settles", () => {
	it("is over with it, and leaves no timer behind", async () => {
		let signal: AbortSignal | undefined;
		const clock = {
			...systemClock,
			sleep: (ms: number, given?: AbortSignal) => {
				signal = given;
				return systemClock.sleep(ms, given);
			},
		};
		const startedAt = performance.now();
		await settledWithin(Promise.resolve("soon"), 60_000, clock);
		assert.ok(performance.now() - startedAt < 1000);
		assert.equal(signal?.aborted, true);
	});

	it("is over after the time for it", async () => {
		const startedAt = performance.now();
		await settledWithin(new Promise(() => {}), 20, systemClock);
		assert.ok(performance.now() - startedAt >= 20);
	});
});

describe("Timers of the system's clock", () => {
	/** Node's timers count from the last whole millisecond: the worst moment to set one. */
	function endOfMillisecond() {
		while (process.hrtime.bigint() % 1_000_000n < 900_000n);
	}

	it("are never early in a busy process", async (context) => {
		// An event loop that never waits looks at its timers all the time.
		let busy = true;
		const turn = () => void (busy && setImmediate(turn));
		turn();
		context.after(() => {
			busy = false;
		});
		for (let round = 0; round < 10; round++) {
			endOfMillisecond();
			const startedAt = performance.now();
			const called = new Promise<number>((resolve) => {
				systemClock.after(3, () => resolve(performance.now() - startedAt));
			});
			await systemClock.sleep(3);
			const times = { slept: performance.now() - startedAt, called: await called };
			assert.ok(times.slept >= 3 && times.called >= 3, JSON.stringify(times));
		}
	});

	it("can be cancelled", async () => {
		let called = false;
		const cancel = systemClock.after(20, () => {
			called = true;
		});
		const controller = new AbortController();
		const sleeping = systemClock.sleep(20, controller.signal);
		cancel();
		controller.abort(new Error("enough"));
		await assert.rejects(sleeping, { message: "enough" });
		await systemClock.sleep(30);
		assert.equal(called, false);
	});

	it("wait longer than one of Node's can", async () => {
		let called = false;
		const cancel = systemClock.after(2 ** 40, () => {
			called = true;
		});
		await systemClock.sleep(5);
		cancel();
		assert.equal(called, false);
	});
});

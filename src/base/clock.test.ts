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
		assert.ok(performance.now() - startedAt >= 19);
	});
});

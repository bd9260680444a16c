import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { FakeIdempotencyStore } from "../../core/idempotency/fake-idempotency-store.ts";
import { Idempotency, maxKeyBytes, maxResultBytes } from "./idempotency.ts";

const key = { owner: "function/f", key: "order-1" };
const result = new TextEncoder().encode('{"paid":true}');

/** A clock that only the test moves. */
function world() {
	let now = 1_000_000;
	const timers = new Set<{ at: number; run: () => void }>();
	const clock = {
		now: () => now,
		monotonic: () => now,
		sleep: () => Promise.reject(new Error("nobody sleeps here")),
		after(ms: number, run: () => void) {
			const timer = { at: now + ms, run };
			timers.add(timer);
			return () => void timers.delete(timer);
		},
	};
	const pass = async (ms: number) => {
		now += ms;
		for (const timer of [...timers])
			if (timer.at <= now && timers.delete(timer)) {
				timer.run();
				await new Promise(setImmediate);
			}
	};
	const store = new FakeIdempotencyStore();
	return { store, pass, timers, idempotency: new Idempotency({ store, clock, ids: randomIds, log: silentLog }) };
}

test("Work is done once: claimed, completed, and its result told to everybody else", async () => {
	const { idempotency } = world();
	const first = await idempotency.claim(key);
	assert.ok(first.state === "claimed" && first.attempt === 1);
	assert.equal((await idempotency.claim(key)).state, "in-progress");
	await idempotency.complete(key, { token: first.token, result });
	const second = await idempotency.claim(key);
	assert.ok(second.state === "completed");
	assert.equal(Buffer.from(second.result).toString(), '{"paid":true}');
});

test("Work whose doer was killed is begun again after its lease, and the one that comes back late can't complete it", async () => {
	const { idempotency, pass } = world();
	const killed = await idempotency.claim(key, { leaseSeconds: 10 });
	await pass(9999);
	assert.equal((await idempotency.claim(key)).state, "in-progress");
	await pass(1);
	const second = await idempotency.claim(key);
	assert.ok(killed.state === "claimed" && second.state === "claimed" && second.attempt === 2);
	const lost = (error: unknown) => isSlipwayError(error, "PRECONDITION") && error.reason === "ClaimLost";
	await assert.rejects(idempotency.complete(key, { token: killed.token, result }), lost);
	await assert.rejects(idempotency.release(key, killed.token), lost);
	await idempotency.release(key, second.token);
	const third = await idempotency.claim(key);
	assert.ok(third.state === "claimed" && third.attempt === 1);
});

test("Keys that are over are deleted", async () => {
	const { idempotency, store, pass, timers } = world();
	for (let index = 0; index < 5; index++)
		await idempotency.claim({ ...key, key: `k${index}` }, { leaseSeconds: 1, ttlSeconds: index < 3 ? 5 : 100 });
	await pass(10_000);
	assert.equal((await store.usage(key.owner)).keys, 2);
	await pass(100_000);
	assert.equal((await store.usage(key.owner)).keys, 0);
	await idempotency[Symbol.asyncDispose]();
	assert.equal(timers.size, 0);
});

test("What is out of bounds is refused with the bound", async () => {
	const { idempotency } = world();
	const invalid = (error: unknown) => isSlipwayError(error, "INVALID");
	for (const text of ["", "x".repeat(maxKeyBytes + 1), "é".repeat(maxKeyBytes / 2 + 1)])
		await assert.rejects(idempotency.claim({ ...key, key: text }), invalid);
	for (const leaseSeconds of [0, -1, 1.5, Number.NaN, 3601])
		await assert.rejects(idempotency.claim(key, { leaseSeconds }), invalid);
	await assert.rejects(idempotency.claim(key, { ttlSeconds: 1e9 }), invalid);
	const claim = await idempotency.claim(key);
	assert.ok(claim.state === "claimed");
	const large = { token: claim.token, result: new Uint8Array(maxResultBytes + 1) };
	await assert.rejects(idempotency.complete(key, large), (error) => isSlipwayError(error, "TOO_LARGE"));
});

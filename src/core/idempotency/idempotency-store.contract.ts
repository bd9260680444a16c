/** What every IdempotencyStore has to do; an adapter's test calls this with a way to make an empty one. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import type { Claim, IdempotencyStore } from "./idempotency-store.ts";

export interface IdempotencyStoreFixture extends AsyncDisposable {
	store: IdempotencyStore;
}

const id = { owner: "function/f", key: "k" };
const claim = (token: string, more: Partial<Claim> = {}): Claim => ({
	token,
	nowMs: 1000,
	leaseUntilMs: 2000,
	untilMs: 9000,
	maxKeys: 3,
	...more,
});
const bytes = (text: string) => new TextEncoder().encode(text);
const completion = (token: string, text = "{}", untilMs = 9000, maxBytes = 100) => ({
	token,
	result: bytes(text),
	untilMs,
	maxBytes,
});

export function idempotencyStoreContract(name: string, make: () => Promise<IdempotencyStoreFixture>): void {
	const test = (title: string, body: (store: IdempotencyStore) => Promise<void>) =>
		it(title, async () => {
			await using fixture = await make();
			await body(fixture.store);
		});
	describe(`IdempotencyStore contract: ${name}`, () => {
		test("one claims, others see it in progress, then its result", async (store) => {
			assert.deepEqual(await store.claim(id, claim("a")), { state: "claimed", attempt: 1 });
			assert.deepEqual(await store.claim(id, claim("b")), { state: "in-progress", leaseUntilMs: 2000 });
			assert.equal(await store.complete(id, completion("b")), false);
			assert.equal(await store.complete(id, completion("a", '{"n":1}', 20_000)), true);
			assert.equal(await store.complete(id, completion("a", '{"n":2}')), true, "said twice");
			const found = await store.claim(id, claim("c", { nowMs: 19_999 }));
			assert.equal(found.state, "completed");
			assert.deepEqual(found.state === "completed" && [new TextDecoder().decode(found.result), found.untilMs], [
				'{"n":1}',
				20_000,
			]);
		});

		test("of many at once, one claims", async (store) => {
			const all = await Promise.all(Array.from({ length: 50 }, (_, index) => store.claim(id, claim(`t${index}`))));
			assert.equal(all.filter(({ state }) => state === "claimed").length, 1);
			assert.equal((await store.usage(id.owner)).keys, 1);
		});

		test("a claim that lapsed is another's, and the late one is fenced off", async (store) => {
			await store.claim(id, claim("a"));
			assert.deepEqual(await store.claim(id, claim("b", { nowMs: 2000, leaseUntilMs: 3000 })), {
				state: "claimed",
				attempt: 2,
			});
			assert.equal(await store.complete(id, completion("a")), false);
			assert.equal(await store.release(id, "a"), false);
			assert.equal(await store.complete(id, completion("b")), true);
		});

		test("a released key is new; a completed one is not released", async (store) => {
			await store.claim(id, claim("a"));
			assert.equal(await store.release(id, "a"), true);
			assert.equal(await store.release(id, "a"), false);
			assert.deepEqual(await store.claim(id, claim("b")), { state: "claimed", attempt: 1 });
			await store.complete(id, completion("b"));
			assert.equal(await store.release(id, "b"), false);
			assert.equal((await store.claim(id, claim("c"))).state, "completed");
		});

		test("a key whose time is over is new, swept or not", async (store) => {
			await store.claim(id, claim("a"));
			await store.complete(id, completion("a", "1", 5000));
			assert.deepEqual(await store.claim(id, claim("b", { nowMs: 5000, leaseUntilMs: 6000 })), {
				state: "claimed",
				attempt: 1,
			});
			assert.deepEqual(await store.usage(id.owner), { keys: 1, bytes: 0 });
		});

		test("sweeps what is over, the oldest first, and counts what is left", async (store) => {
			for (const [index, untilMs] of [7000, 5000, 6000].entries()) {
				await store.claim({ ...id, key: `k${index}` }, claim(`t${index}`, { untilMs }));
				await store.complete({ ...id, key: `k${index}` }, completion(`t${index}`, "1234", untilMs));
			}
			assert.deepEqual(await store.usage(id.owner), { keys: 3, bytes: 12 });
			assert.equal(await store.sweep(6500, 1), 1);
			assert.equal((await store.claim({ ...id, key: "k2" }, claim("x"))).state, "completed");
			assert.equal(await store.sweep(6500, 10), 1);
			assert.equal(await store.sweep(6500, 10), 0);
			assert.deepEqual(await store.usage(id.owner), { keys: 1, bytes: 4 });
		});

		test("owners are apart, in keys and in bounds", async (store) => {
			const other = { ...id, owner: "function/g" };
			for (const key of ["1", "2", "3"]) await store.claim({ ...id, key }, claim(`t${key}`));
			const full = (error: unknown) => isSlipwayError(error, "EXHAUSTED") && error.reason === "TooManyKeys";
			await assert.rejects(store.claim({ ...id, key: "4" }, claim("t4")), full);
			assert.equal(
				(await store.claim({ ...id, key: "1" }, claim("t5", { nowMs: 2500, leaseUntilMs: 4000 }))).state,
				"claimed",
			);
			assert.equal((await store.claim(other, claim("t6"))).state, "claimed");
			assert.deepEqual(await store.usage(id.owner), { keys: 3, bytes: 0 });
			assert.deepEqual(await store.usage(other.owner), { keys: 1, bytes: 0 });
		});

		test("results past the bound are refused, and the claim goes on", async (store) => {
			await store.claim(id, claim("a"));
			const full = (error: unknown) => isSlipwayError(error, "EXHAUSTED") && error.reason === "TooManyBytes";
			await assert.rejects(store.complete(id, completion("a", "x".repeat(101))), full);
			assert.equal((await store.claim(id, claim("b"))).state, "in-progress");
			assert.equal(await store.complete(id, completion("a", "x".repeat(100))), true);
		});

		test("keys and results are kept as they are", async (store) => {
			const odd = { owner: "/slipway/services/a/b", key: "ключ \u0000 ' 🔑" };
			await store.claim(odd, claim("a"));
			const result = Uint8Array.from({ length: 256 }, (_, index) => index);
			await store.complete(odd, { token: "a", result, untilMs: 9000, maxBytes: 1000 });
			const found = await store.claim(odd, claim("b"));
			assert.ok(found.state === "completed");
			assert.deepEqual(Buffer.from(found.result), Buffer.from(result));
		});
	});
}

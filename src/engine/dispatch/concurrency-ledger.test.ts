import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import {
	ConcurrencyLedger,
	type ConcurrencyLimits,
	cloudLimits,
	FunctionUse,
	type Slot,
	VersionUse,
} from "./concurrency-ledger.ts";
import { RateBucket } from "./rate-bucket.ts";

function ledger(limits: Partial<ConcurrencyLimits> = {}) {
	return new ConcurrencyLedger({ ...cloudLimits, ...limits });
}

function refusal(call: () => unknown): { reason: string | undefined; retryAfterMs: number | undefined } | undefined {
	try {
		call();
	} catch (error) {
		assert.ok(isSlipwayError(error, "THROTTLED"), String(error));
		assert.equal(error.message, "Rate Exceeded.");
		return { reason: error.reason, retryAfterMs: error.retryAfterMs };
	}
	return undefined;
}

test("a bucket gives what it holds, then what its rate brings, and saves nothing up", () => {
	const bucket = new RateBucket();
	for (let n = 0; n < 5; n++) assert.equal(bucket.take(0, 5, 0.01), 0);
	assert.equal(bucket.take(0, 5, 0.01), 100);
	assert.equal(bucket.take(60, 5, 0.01), 40);
	assert.equal(bucket.take(100, 5, 0.01), 0);
	for (let n = 0; n < 5; n++) assert.equal(bucket.take(1e9, 5, 0.01), 0);
	assert.equal(bucket.take(1e9, 5, 0.01), 100);
});

test("a function without a reserve shares what is unreserved, and is told so", () => {
	const book = ledger();
	const [a, b] = [new FunctionUse(), new FunctionUse()];
	const version = new VersionUse();
	assert.equal(book.admit(a, version, undefined, 2, 0), "unreserved");
	assert.equal(book.admit(b, version, undefined, 2, 0), "unreserved");
	assert.deepEqual(
		refusal(() => book.admit(a, version, undefined, 2, 0)),
		{ reason: "ConcurrentInvocationLimitExceeded", retryAfterMs: 1000 },
	);
	book.release(b, version, "unreserved");
	assert.equal(book.admit(a, version, undefined, 2, 0), "unreserved");
});

test("a reserve is its function's own, and its bound", () => {
	const book = ledger();
	const [mine, other] = [new FunctionUse(), new FunctionUse()];
	const version = new VersionUse();
	assert.equal(book.admit(other, version, undefined, 1, 0), "unreserved");
	assert.equal(book.admit(mine, version, 1, 1, 0), "reserved");
	assert.equal(
		refusal(() => book.admit(mine, version, 1, 1, 0))?.reason,
		"ReservedFunctionConcurrentInvocationLimitExceeded",
	);
	assert.equal(
		refusal(() => book.admit(other, version, 0, 1, 0))?.reason,
		"ReservedFunctionConcurrentInvocationLimitExceeded",
	);
});

test("provisioned slots come first, the rest spills over; of a reserve they are a part", () => {
	const book = ledger();
	const fn = new FunctionUse();
	const [latest, one] = [new VersionUse(), new VersionUse()];
	book.setProvisioned(fn, one, 2);
	const slots = () => [1, 2, 3].map(() => book.admit(fn, one, 3, 100, 0));
	assert.deepEqual(slots(), ["provisioned", "provisioned", "reserved"]);
	assert.equal(
		refusal(() => book.admit(fn, one, 3, 100, 0))?.reason,
		"ReservedFunctionConcurrentInvocationLimitExceeded",
	);
	for (const slot of ["provisioned", "provisioned", "reserved"] as const) book.release(fn, one, slot);
	book.setProvisioned(fn, one, 3);
	assert.equal(
		refusal(() => book.admit(fn, latest, 3, 100, 0))?.reason,
		"ReservedFunctionConcurrentInvocationLimitExceeded",
		"$LATEST of a function whose reserve is all provisioned is throttled",
	);
	assert.equal(book.admit(fn, one, undefined, 0, 0), "provisioned");
	assert.equal(refusal(() => book.admit(fn, latest, undefined, 0, 0))?.reason, "ConcurrentInvocationLimitExceeded");
});

test("ten requests a second for each unit of concurrency, however short they are", () => {
	const book = ledger();
	const fn = new FunctionUse();
	const version = new VersionUse();
	const once = (reserved: number | undefined, atMs: number) =>
		book.release(fn, version, book.admit(fn, version, reserved, 1000, atMs));
	for (let n = 0; n < 10; n++) once(1, 0);
	assert.deepEqual(
		refusal(() => once(1, 0)),
		{ reason: "ReservedFunctionInvocationRateLimitExceeded", retryAfterMs: 100 },
	);
	once(1, 100);
	for (let n = 0; n < 10_000; n++) once(undefined, 200);
	assert.deepEqual(
		refusal(() => once(undefined, 200)),
		{ reason: "FunctionInvocationRateLimitExceeded", retryAfterMs: 1 },
	);
});

test("environments: a thousand at once, then a hundred a second, each function for itself", () => {
	const book = ledger();
	const [a, b] = [new FunctionUse(), new FunctionUse()];
	for (let n = 0; n < 1000; n++) assert.equal(book.takeEnvironment(a, 0), 0);
	assert.equal(book.takeEnvironment(a, 0), 10);
	assert.equal(book.takeEnvironment(b, 0), 0);
	assert.equal(book.takeEnvironment(a, 10), 0);
});

test("no order of events and changes passes a limit or loses a slot (seeded)", () => {
	for (const seed of [1, 2, 3, 20261121]) {
		let state = seed;
		const below = (n: number) => {
			state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
			return Math.floor((state / 0x80000000) * n);
		};
		const book = ledger({ account: 50, requestsPerConcurrency: 1e6 });
		const functions = Array.from({ length: 4 }, () => ({
			use: new FunctionUse(),
			versions: [new VersionUse(), new VersionUse()],
			reserved: undefined as number | undefined,
		}));
		const running: { of: number; version: number; slot: Slot }[] = [];
		for (let step = 0; step < 20_000; step++) {
			const of = below(4);
			const fn = functions[of]!;
			const version = below(2);
			const dice = below(100);
			if (dice < 3) fn.reserved = below(2) ? below(20) : undefined;
			else if (dice < 6) book.setProvisioned(fn.use, fn.versions[version]!, below(6));
			else if (dice < 50 && running.length > 0) {
				const [done] = running.splice(below(running.length), 1);
				const { use, versions } = functions[done!.of]!;
				book.release(use, versions[done!.version]!, done!.slot);
			} else {
				const before = running.filter((each) => each.of === of).length;
				const refused = refusal(() => {
					running.push({ of, version, slot: book.admit(fn.use, fn.versions[version]!, fn.reserved, 30, step) });
				});
				if (!refused) assert.ok(before < (fn.reserved ?? 50), `seed ${seed}, step ${step}: past the reserve`);
			}
			assert.ok(running.length <= 50);
			assert.equal(book.inFlight, running.length);
			assert.ok(running.filter((each) => each.slot === "unreserved").length <= 30);
			assert.equal(fn.use.provisioned, fn.versions[0]!.provisioned + fn.versions[1]!.provisioned);
		}
		for (const { of, version, slot } of running.splice(0))
			book.release(functions[of]!.use, functions[of]!.versions[version]!, slot);
		for (const { use, versions } of functions)
			assert.deepEqual([use.inFlight, use.onDemand, ...versions.map(({ inUse }) => inUse)], [0, 0, 0, 0]);
	}
});

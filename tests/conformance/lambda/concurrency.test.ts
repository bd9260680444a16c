/** Who may have one more event, and which environment gets it: in virtual time, over simulated sandboxes. */
import assert from "node:assert/strict";
import { describe, type TestContext } from "node:test";
import { isSlipwayError } from "../../../src/base/error.ts";
import { revisionOf, simulate, tally, type World } from "../../simulation/world.ts";
import { clause } from "./clause.ts";

const area = "Concurrency";
const guide = (page: string) => `https://docs.aws.amazon.com/lambda/latest/dg/${page}.html`;
const provisioned = "provisioned-concurrency";

/** Events of 30 s: they are still there when the next ones come. */
const slow = (t: TestContext, options: Parameters<typeof simulate>[2] = {}): World => {
	const world = simulate(t, { event: () => ({ ms: 30_000, ends: "well" }) }, options);
	for (const name of ["f", "g"])
		for (const [key, version] of [
			[name, "$LATEST"],
			[`${name}:1`, "1"],
		] as const)
			world.revisions.set(key, revisionOf(name, version, 900));
	return world;
};

describe("Concurrency", () => {
	clause(
		{
			area,
			says: "An environment works on one event at a time: events that come together each get an environment of their own",
			source: guide("lambda-concurrency"),
		},
		async (t) => {
			const { burst, sandboxes } = slow(t);
			await burst(10, "f", 1000);
			assert.deepEqual(
				(await sandboxes()).map(({ state, invocations }) => [state, invocations]),
				Array.from({ length: 10 }, () => ["busy", 1]),
			);
		},
	);

	clause(
		{
			area,
			says: "Past the account's concurrency Invoke is throttled: 429, Rate Exceeded., reason ConcurrentInvocationLimitExceeded, with a time to come again",
			source: "https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html",
		},
		async (t) => {
			const { burst, invoke, clock } = slow(t);
			assert.deepEqual(await burst(1001, "f", 1000), { ok: 0, throttled: { ConcurrentInvocationLimitExceeded: 1 } });
			const one = invoke("g");
			await clock.advance(1);
			assert.ok(one.answer && "error" in one.answer);
			const { error } = one.answer;
			assert.ok(isSlipwayError(error, "THROTTLED"));
			assert.deepEqual([error.message, error.retryAfterMs], ["Rate Exceeded.", 1000]);
		},
	);

	clause(
		{
			area,
			says: "Reserved concurrency is a function's own: others can't take it, and it gets no more (ReservedFunctionConcurrentInvocationLimitExceeded)",
			source: guide("configuration-concurrency"),
		},
		async (t) => {
			const { burst, reserved } = slow(t, { accountConcurrency: 200 });
			reserved.set("f", 50);
			assert.deepEqual(await burst(200, "g", 1000), { ok: 0, throttled: { ConcurrentInvocationLimitExceeded: 50 } });
			assert.deepEqual(await burst(60, "f", 1000), {
				ok: 0,
				throttled: { ReservedFunctionConcurrentInvocationLimitExceeded: 10 },
			});
		},
	);

	clause(
		{
			area,
			says: "A function with reserved concurrency 0 is always throttled",
			source: guide("configuration-concurrency"),
		},
		async (t) => {
			const { burst, reserved, platform } = slow(t);
			reserved.set("f", 0);
			assert.deepEqual(await burst(5, "f", 1000), {
				ok: 0,
				throttled: { ReservedFunctionConcurrentInvocationLimitExceeded: 5 },
			});
			assert.equal(platform.created, 0);
		},
	);

	clause(
		{
			area,
			says: "A function gets at most 1,000 environments at once and 1,000 more every 10 seconds, refilled all the time; what is not used is not saved up",
			source: guide("scaling-behavior"),
		},
		async (t) => {
			const { burst, clock } = slow(t, { accountConcurrency: 10_000 });
			await clock.advance(3_600_000);
			const throttled = async (count: number) =>
				Object.values((await burst(count, "f", 1)).throttled).reduce((sum, n) => sum + n, 0);
			assert.equal(await throttled(1200), 200);
			await clock.advance(999);
			assert.equal(await throttled(200), 100);
		},
	);

	clause(
		{
			area,
			says: "The scaling rate is each function's own",
			source: guide("scaling-behavior"),
		},
		async (t) => {
			const { burst } = slow(t, { accountConcurrency: 10_000 });
			await burst(1500, "f", 1);
			assert.deepEqual((await burst(1000, "g", 1)).throttled, {});
		},
	);

	clause(
		{
			area,
			says: "Events that need environments faster than the scaling rate are throttled",
			source: guide("scaling-behavior"),
			differs:
				"The reason is FunctionInvocationRateLimitExceeded: no page and no recording says which one of the six AWS sends here",
		},
		async (t) => {
			const { burst } = slow(t, { accountConcurrency: 10_000 });
			assert.deepEqual((await burst(1001, "f", 1)).throttled, { FunctionInvocationRateLimitExceeded: 1 });
		},
	);

	clause(
		{
			area,
			says: "An account gets ten requests a second for each unit of its concurrency, however short they are",
			source: guide("lambda-concurrency"),
		},
		async (t) => {
			const { invoke, clock } = simulate(t, { event: () => ({ ms: 1, ends: "well" }) }, { accountConcurrency: 10 });
			const sent = [];
			for (let ms = 0; ms < 2000; ms++) {
				sent.push(invoke("f"));
				await clock.advance(1);
			}
			await clock.advance(1000);
			const { ok, throttled } = tally(sent);
			// A second's worth at once, and then a hundred in each second.
			assert.ok(ok >= 280 && ok <= 320, `${ok} events in two seconds`);
			assert.ok((throttled.FunctionInvocationRateLimitExceeded ?? 0) > 1500);
		},
	);

	clause(
		{
			area,
			says: "Environments are recycled every few hours, even if they are busy",
			source: guide("lambda-runtime-environment"),
		},
		async (t) => {
			// Four hours unless it is said otherwise: ten minutes here.
			const { invoke, clock, sandboxes } = simulate(
				t,
				{ event: () => ({ ms: 2400, ends: "well" }) },
				{ maxAgeMs: 600_000 },
			);
			const before = new Set<string>();
			const sent = [];
			for (let event = 0; event < 480; event++) {
				sent.push(invoke("f"));
				await clock.advance(2600);
				if (event < 200) for (const { id } of await sandboxes()) before.add(id);
			}
			await clock.advance(5000);
			assert.deepEqual(tally(sent), { ok: 480, throttled: {} });
			assert.equal(before.size, 1);
			assert.ok((await sandboxes()).every(({ id }) => !before.has(id)));
		},
	);
});

describe("Provisioned concurrency", () => {
	clause(
		{
			area,
			says: "Provisioned environments are initialised before any event comes: IN_PROGRESS, then READY",
			source: guide("provisioned-concurrency"),
		},
		async (t) => {
			const { dispatcher, clock, invoke, sandboxes } = simulate(t);
			dispatcher.provision(revisionOf("f", "1"), 5);
			assert.equal(dispatcher.provisionedState("f", "1")?.status, "IN_PROGRESS");
			await clock.advance(2000);
			assert.deepEqual(dispatcher.provisionedState("f", "1"), {
				allocated: 5,
				available: 5,
				status: "READY",
				reason: undefined,
			});
			assert.deepEqual(
				(await sandboxes()).map(({ initializationType, state }) => [initializationType, state]),
				Array.from({ length: 5 }, () => [provisioned, "frozen"]),
			);
			const sent = invoke("f", "1");
			const at = clock.monotonic();
			while (!sent.answer) await clock.advance(1);
			assert.ok(clock.monotonic() - at <= 51, "no init on the event's time");
		},
	);

	clause(
		{
			area,
			says: "Events beyond what is provisioned spill over and run on demand",
			source: guide("provisioned-concurrency"),
		},
		async (t) => {
			const { dispatcher, clock, burst, sandboxes } = slow(t);
			dispatcher.provision(revisionOf("f", "1", 900), 2);
			await clock.advance(1000);
			assert.deepEqual((await burst(5, "f", 1000, "1")).throttled, {});
			const busy = (await sandboxes()).filter(({ state }) => state === "busy");
			assert.equal(busy.filter(({ initializationType }) => initializationType === provisioned).length, 2);
			assert.equal(busy.filter(({ initializationType }) => initializationType === "on-demand").length, 3);
		},
	);

	clause(
		{
			area,
			says: "Provisioned concurrency of 10 spills over after 10 at once or 100 requests a second, whichever comes first",
			source: guide("lambda-concurrency"),
			differs:
				"Past the rate an event counts as on demand, against the account's or the function's limits, and still gets a provisioned environment when one is free",
		},
		async (t) => {
			const { dispatcher, clock, invoke, reserved } = simulate(t, { event: () => ({ ms: 1, ends: "well" }) });
			dispatcher.provision(revisionOf("f", "1"), 2);
			await clock.advance(1000);
			// All of its reserve is provisioned: there is nothing on demand that the excess could run on.
			reserved.set("f", 2);
			const sent = [];
			for (let ms = 0; ms < 1000; ms += 2) {
				sent.push(invoke("f", "1"));
				await clock.advance(2);
			}
			const { ok } = tally(sent);
			assert.ok(ok >= 35 && ok <= 45, `${ok} events in a second`);
		},
	);

	clause(
		{
			area,
			says: "When all of a function's reserved concurrency is provisioned, its $LATEST is throttled",
			source: guide("provisioned-concurrency"),
		},
		async (t) => {
			const { dispatcher, clock, burst, reserved } = slow(t);
			reserved.set("f", 3);
			dispatcher.provision(revisionOf("f", "1", 900), 3);
			await clock.advance(1000);
			assert.deepEqual(await burst(2, "f", 100), {
				ok: 0,
				throttled: { ReservedFunctionConcurrentInvocationLimitExceeded: 2 },
			});
			assert.deepEqual((await burst(3, "f", 100, "1")).throttled, {});
		},
	);

	clause(
		{
			area,
			says: "Provisioned concurrency whose init fails is FAILED, with the reason FUNCTION_ERROR_INIT_FAILURE",
			source: guide("provisioned-concurrency"),
		},
		async (t) => {
			const { dispatcher, clock } = simulate(t, { init: () => ({ ms: 10, ends: "error" }) });
			dispatcher.provision(revisionOf("f", "1"), 2);
			await clock.advance(10_000);
			const state = dispatcher.provisionedState("f", "1");
			assert.deepEqual([state?.status, state?.available, state?.reason], ["FAILED", 0, "FUNCTION_ERROR_INIT_FAILURE"]);
		},
	);

	clause(
		{
			area,
			says: "The init of a provisioned environment may take 130 seconds, or the function's timeout if that is more",
			source: guide("lambda-runtime-environment"),
		},
		async (t) => {
			const { dispatcher, clock } = simulate(t, { init: () => ({ ms: 129_000, ends: "well" }) });
			dispatcher.provision(revisionOf("f", "1"), 1);
			await clock.advance(131_000);
			assert.equal(dispatcher.provisionedState("f", "1")?.status, "READY");
			const longer = simulate(t, { init: () => ({ ms: 290_000, ends: "well" }) });
			longer.dispatcher.provision(revisionOf("f", "1", 300), 1);
			await longer.clock.advance(292_000);
			assert.equal(longer.dispatcher.provisionedState("f", "1")?.status, "READY");
		},
	);

	clause(
		{
			area,
			says: "Provisioned environments stay when nobody calls, and what ends of them is replaced",
			source: guide("provisioned-concurrency"),
		},
		async (t) => {
			const { dispatcher, clock, platform } = simulate(t);
			dispatcher.provision(revisionOf("f", "1"), 2);
			await clock.advance(20 * 60_000);
			assert.equal(platform.created, 2);
			for (const sandbox of platform.sandboxes) sandbox.exit({ signal: "SIGKILL", oomKilled: true });
			await clock.advance(20_000);
			assert.equal(dispatcher.provisionedState("f", "1")?.status, "READY");
			assert.equal(platform.created, 4);
		},
	);
});

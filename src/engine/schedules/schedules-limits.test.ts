/** What could lose a tick, fire it twice, or keep others from firing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { silentLog } from "../../base/log.ts";
import { parseScheduleExpression } from "../../core/schedule-expression/schedule-expression.ts";
import { scheduleKind } from "./schedule-record.ts";
import { Schedules } from "./schedules.ts";
import { functionArn, queueArn, ScheduleWorld, spec } from "./testing.ts";
import { TickTimer } from "./tick-timer.ts";
import type { SchedulesDeps } from "./types.ts";

const minuteMs = 60_000;
const hourMs = 3_600_000;

async function started(world: ScheduleWorld, options: Partial<SchedulesDeps> = {}) {
	const process = world.process(options);
	const schedules = await Schedules.open(process.deps);
	schedules.start();
	return { schedules, kill: process.kill };
}

const inThePast = { code: "INVALID", reason: "ScheduleExpression" };

test("a one-time schedule in the past is refused, one of this minute fires at once", async () => {
	using world = new ScheduleWorld();
	const { schedules } = await started(world);
	await world.clock.advance(hourMs);
	await assert.rejects(schedules.create("default", "a", spec("at(2026-01-01T00:58:00)"), "1"), inThePast);
	await assert.rejects(
		schedules.create("default", "a", spec("at(2027-03-28T02:30:00)", { timeZone: "Europe/Berlin" }), "1"),
		inThePast,
	);
	await schedules.create("default", "b", spec("at(2026-01-01T00:59:30)"), "2");
	await world.clock.advance(1000);
	assert.equal(world.targets.calls.length, 1);
	// It has fired: whoever changes the rest of it later is not told that its time is over, and it fires no more.
	await world.clock.advance(hourMs);
	await schedules.update("default", "b", spec("at(2026-01-01T00:59:30)", { description: "old" }));
	await world.clock.advance(hourMs);
	assert.equal(world.targets.calls.length, 1);
});

test("dates that no calendar has are refused, and a start of long ago", async () => {
	using world = new ScheduleWorld();
	const { schedules } = await started(world);
	const create = (times: object) => schedules.create("default", "s", spec("rate(1 day)", times), "t");
	for (const ms of [Number.NaN, 8.64e15, -1])
		await assert.rejects(create({ startMs: ms }), /StartDate you specify must be before the year 2200/);
	await assert.rejects(create({ endMs: 8.64e15 }), /EndDate you specify must be before/);
	const now = world.clock.now();
	await assert.rejects(create({ startMs: now - 6 * minuteMs }), /cannot be earlier than 5 minutes ago/);
	const recent = { startMs: now - 4 * minuteMs };
	await create(recent);
	await world.clock.advance(hourMs);
	await schedules.update("default", "s", spec("rate(1 day)", { ...recent, description: "as it was" }));
});

test("one that another version has stored and this one can't read keeps no other from firing", async () => {
	using world = new ScheduleWorld();
	const { schedules, kill } = await started(world);
	const bad = await schedules.create("default", "bad", spec("rate(1 hour)"), "1");
	await schedules.create("default", "good", spec("cron(0 1 * * ? *)"), "2");
	kill();
	const document = { ...bad, spec: { ...bad.spec, expression: "moon(full)" } };
	await world.store.commit([{ change: "put", kind: scheduleKind, namespace: "default", name: "bad", document }]);
	world.targets.calls.length = 0;
	const after = await started(world);
	await world.clock.advance(2 * hourMs);
	const arns = world.targets.calls.map(({ delivery }) => delivery.sourceArn.split("/").at(-1));
	assert.deepEqual(arns, ["good"]);
	assert.equal(after.schedules.get("default", "bad").spec.expression, "moon(full)");
});

test("a deletion that is sent again is answered as the first was; another is not", async () => {
	using world = new ScheduleWorld();
	const { schedules } = await started(world);
	await schedules.groups.create("g", {}, "1");
	await schedules.create("g", "s", spec("rate(1 day)"), "2");
	await schedules.delete("g", "s", "token");
	await schedules.delete("g", "s", "token");
	const isGone = (error: unknown) => isSlipwayError(error, "NOT_FOUND");
	await assert.rejects(schedules.delete("g", "s", "another"), isGone);
	await assert.rejects(schedules.delete("g", "s"), isGone);
	await schedules.groups.delete("g", "token");
	await schedules.groups.delete("g", "token");
	await assert.rejects(schedules.groups.delete("g", "another"), isGone);
});

test("nothing can be made in a group while it is deleted", async () => {
	using world = new ScheduleWorld();
	const { schedules } = await started(world);
	await schedules.groups.create("g", {}, "1");
	await schedules.create("g", "one", spec("rate(1 day)"), "2");
	const deleted = schedules.groups.delete("g");
	const made = schedules.create("g", "two", spec("rate(1 day)"), "3").catch((error: unknown) => error);
	await deleted;
	assert(isSlipwayError(await made, "NOT_FOUND"));
	assert.deepEqual(schedules.list(), []);
});

test("lanes of schedules that deleted themselves go when they are empty", async () => {
	using world = new ScheduleWorld();
	const { schedules } = await started(world);
	const once = { deleteAfterCompletion: true };
	for (let i = 0; i < 5; i++) await schedules.create("default", `s${i}`, spec("at(2026-01-01T01:00:00)", once), `${i}`);
	world.targets.answer = (_arn, { sourceArn }) =>
		sourceArn.endsWith("/s3")
			? { ok: false, permanent: false, code: "500", message: "not yet" }
			: { ok: true, status: 200, headers: {}, body: new Uint8Array() };
	await schedules.create("default", "later", spec("cron(0/10 * * * ? *)", { to: { arn: queueArn } }), "x");
	await world.clock.advance(hourMs + 11 * minuteMs);
	const lanes = (await world.log.lanes("schedules/")).map(({ lane }) => lane);
	assert.deepEqual(lanes, ["schedules/default/later", "schedules/default/s3"]);
});

test("many ticks that were missed, all to be caught up, are fired in parts that the log takes", async () => {
	using world = new ScheduleWorld();
	const fired: number[] = [];
	const { clock } = world;
	const timer = new TickTimer({
		clock,
		logger: silentLog,
		fire: async (firings) => void fired.push(firings.reduce((sum, { fire }) => sum + fire.length, 0)),
	});
	const schedule = parseScheduleExpression("cron(* * * * ? *)");
	const afterMs = clock.now() - 20 * hourMs;
	for (let i = 0; i < 8; i++)
		timer.set(`s${i}`, { schedule, afterMs, windowMs: 0, seed: "", missed: "all", maxLateMs: 24 * hourMs });
	timer.start();
	await clock.advance(1000);
	assert.deepEqual([fired.length, fired.reduce((sum, ticks) => sum + ticks, 0)], [4, 8 * 20 * 60]);
	await timer[Symbol.asyncDispose]();
});

test("a tick whose dead-letter queue is gone waits in its schedule's dead letters", async () => {
	using world = new ScheduleWorld();
	const { schedules } = await started(world);
	world.targets.gone.add(queueArn);
	world.targets.gone.add(functionArn);
	const to = { deadLetterArn: queueArn, input: "precious" };
	await schedules.create("default", "s", spec("at(2026-01-01T01:00:00)", { to }), "1");
	await world.clock.advance(2 * hourMs);
	const [letter] = await world.log.scan("dead-letters/schedules/default/s", { limit: 10 });
	assert.equal(Buffer.from(letter?.body ?? []).toString(), "precious");
});

test("a target whose lane is full is tried by the schedule's policy, then given up", async () => {
	using world = new ScheduleWorld();
	const { schedules } = await started(world);
	const full = { ordered: false, retentionMs: 1e9, maxInFlight: 10, maxMessages: 0 };
	await world.log.defineLane("sqs/letters", full);
	const to = { arn: queueArn, maxRetries: 1 };
	await schedules.create("default", "s", spec("at(2026-01-01T01:00:00)", { to }), "1");
	await world.clock.advance(2 * hourMs);
	assert.equal((await world.log.counts("schedules/default/s")).visible, 0);
	const [message] = await world.log.scan("schedules/default/s", { limit: 1 });
	assert.equal(message, undefined);
});

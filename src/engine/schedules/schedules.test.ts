import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { type RuleTick, RuleTicks } from "./rule-ticks.ts";
import { Schedules } from "./schedules.ts";
import { accountId, functionArn, queueArn, region, ScheduleWorld, spec } from "./testing.ts";
import type { SchedulesDeps } from "./types.ts";

const minuteMs = 60_000;
const hourMs = 3_600_000;

async function started(world: ScheduleWorld, options: Partial<SchedulesDeps> = {}) {
	const process = world.process(options);
	const schedules = await Schedules.open(process.deps);
	schedules.start();
	return { schedules, kill: process.kill };
}

const timesOf = (world: ScheduleWorld) =>
	world.targets.calls.map(({ delivery }) => Buffer.from(delivery.body).toString());
const withTime = { input: "<aws.scheduler.scheduled-time>" };

async function refused(work: Promise<unknown>, code: Parameters<typeof isSlipwayError>[1]): Promise<string> {
	const error: unknown = await work.then(
		() => assert.fail("it was taken"),
		(reason: unknown) => reason,
	);
	assert(isSlipwayError(error, code), String(error));
	return error.message;
}

describe("schedules", () => {
	test("a rate fires at once and then by its period, a cron by its own time, in the time zone", async () => {
		using world = new ScheduleWorld();
		const { schedules } = await started(world);
		await schedules.create("default", "r", spec("rate(2 hours)", { to: withTime }), "a");
		await world.clock.advance(4 * hourMs);
		assert.deepEqual(timesOf(world), ["2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T04:00:00Z"]);
		await schedules.delete("default", "r");
		world.targets.calls.length = 0;
		const daily = spec("cron(0 9 * * ? *)", { timeZone: "America/New_York", to: withTime });
		await schedules.create("default", "c", daily, "b");
		await world.clock.advance(48 * hourMs);
		assert.deepEqual(timesOf(world), ["2026-01-01T14:00:00Z", "2026-01-02T14:00:00Z"]);
	});

	test("start, end, state, and one that deletes itself after its last tick", async () => {
		using world = new ScheduleWorld();
		const { schedules } = await started(world);
		const now = world.clock.now();
		const bounded = spec("rate(1 hour)", {
			startMs: now + 90 * minuteMs,
			endMs: now + 200 * minuteMs,
			deleteAfterCompletion: true,
			to: withTime,
		});
		await schedules.create("default", "b", bounded, "a");
		await schedules.create("default", "off", spec("rate(1 minute)", { enabled: false }), "b");
		await schedules.create("default", "at", spec("at(2026-01-01T10:00:00)", { to: withTime }), "c");
		await world.clock.advance(12 * hourMs);
		assert.deepEqual(timesOf(world), ["2026-01-01T01:30:00Z", "2026-01-01T02:30:00Z", "2026-01-01T10:00:00Z"]);
		assert.deepEqual(
			schedules.list().map(({ name }) => name),
			["at", "off"],
		);
		await schedules.update("default", "off", spec("rate(1 minute)"));
		await world.clock.advance(90_000);
		assert.equal(world.targets.calls.length, 5);
	});

	test("a flexible window moves a tick within it, the same way in every process", async () => {
		using world = new ScheduleWorld();
		const { schedules, kill } = await started(world);
		await schedules.create("default", "f", spec("at(2026-01-01T10:00:00)", { windowMinutes: 30, to: withTime }), "a");
		const dueMs = schedules.nextTick("default", "f");
		const tenMs = world.clock.now() + 10 * hourMs;
		assert(dueMs !== undefined && dueMs > tenMs && dueMs < tenMs + 30 * minuteMs, String(dueMs));
		kill();
		const next = await started(world);
		assert.equal(next.schedules.nextTick("default", "f"), dueMs);
		await world.clock.advance(dueMs - world.clock.now() - 1);
		assert.equal(world.targets.calls.length, 0);
		await world.clock.advance(1);
		assert.deepEqual(timesOf(world), ["2026-01-01T10:00:00Z"]);
	});

	for (const [missed, expected] of [
		["one", ["03:00"]],
		["all", ["01:00", "02:00", "03:00"]],
		["skip", []],
	] as const)
		test(`missed while down, policy ${missed}: ${expected.join(" ") || "none"} late, and a one-time tick always`, async () => {
			using world = new ScheduleWorld();
			const { schedules, kill } = await started(world);
			if (missed !== "one") await schedules.groups.tag("default", { "slipway:missed-ticks": missed });
			await schedules.create("default", "c", spec("cron(0 * * * ? *)", { to: withTime }), "a");
			await schedules.create("default", "at", spec("at(2026-01-01T00:30:00)", { to: withTime }), "b");
			await world.clock.advance(10 * minuteMs);
			world.targets.calls.length = 0;
			kill();
			await world.clock.advance(3 * hourMs);
			await started(world);
			await world.clock.advance(minuteMs);
			const times = expected.map((time) => `2026-01-01T${time}:00Z`);
			assert.deepEqual(timesOf(world).toSorted(), ["2026-01-01T00:30:00Z", ...times]);
		});

	test("a recurring tick that is a day late is left out, a one-time one is not", async () => {
		using world = new ScheduleWorld();
		const { schedules, kill } = await started(world);
		await schedules.create("default", "y", spec("cron(0 5 1 1 ? *)", { to: withTime }), "a");
		await schedules.create("default", "at", spec("at(2026-01-01T05:00:00)", { to: withTime }), "b");
		kill();
		await world.clock.advance(40 * hourMs);
		await started(world);
		await world.clock.advance(minuteMs);
		assert.deepEqual(timesOf(world), ["2026-01-01T05:00:00Z"]);
	});

	for (const [what, port] of [
		["the log has the tick and nothing else is written", "log"],
		["all is written and nobody was told", "store"],
	] as const)
		test(`a kill when ${what}: the tick fires once`, async () => {
			using world = new ScheduleWorld();
			const { schedules, kill } = await started(world);
			await schedules.create("default", "at", spec("at(2026-01-01T05:00:00)", { to: withTime }), "b");
			world[port].onCommit = (when: "before" | "after") => {
				if (when === "after") kill();
			};
			await world.clock.advance(5 * hourMs + minuteMs);
			world[port].onCommit = undefined;
			await started(world);
			await world.clock.advance(3 * hourMs);
			// A call that the kill cut off is made again, as the same message.
			assert.equal(new Set(world.targets.calls.map(({ delivery }) => delivery.id)).size, 1);
			assert.deepEqual(new Set(timesOf(world)), new Set(["2026-01-01T05:00:00Z"]));
		});

	test("the clock set back fires nothing again; set forward, the last of what it passed over", async () => {
		using world = new ScheduleWorld();
		const { schedules } = await started(world);
		await schedules.create("default", "c", spec("cron(0/20 * * * ? *)", { to: withTime }), "a");
		await world.clock.advance(65 * minuteMs);
		world.clock.step(-hourMs);
		await world.clock.advance(55 * minuteMs);
		const before = timesOf(world).map((time) => time.slice(11, 16));
		assert.deepEqual(before, ["00:00", "00:20", "00:40", "01:00"]);
		world.clock.step(hourMs + 10 * minuteMs);
		await world.clock.advance(minuteMs);
		assert.deepEqual(timesOf(world).slice(4), ["2026-01-01T02:00:00Z"]);
	});

	test("ten thousand at once, each once, and storage that fails is tried again", async () => {
		using world = new ScheduleWorld();
		const { schedules } = await started(world);
		world.targets.answer = () => ({ ok: true, status: 200, headers: {}, body: new Uint8Array() });
		for (let i = 0; i < 2000; i++) await schedules.create("default", `s${i}`, spec("cron(0 1 * * ? *)"), "t");
		let failures = 3;
		world.store.onCommit = (when) => {
			if (when === "before" && failures-- > 0) throw new Error("the disk is busy");
		};
		await world.clock.advance(2 * hourMs);
		assert.equal(world.targets.calls.length, 2000);
		assert.equal(new Set(world.targets.calls.map(({ delivery }) => delivery.sourceArn)).size, 2000);
	});
});

describe("delivery of ticks", () => {
	test("retries by the policy, with the attempt's number, then the dead-letter queue with why", async () => {
		using world = new ScheduleWorld();
		const { schedules } = await started(world);
		world.targets.answer = () => ({ ok: false, permanent: false, code: "Http500", message: "no" });
		const to = {
			deadLetterArn: queueArn,
			maxRetries: 2,
			input: "try <aws.scheduler.attempt-number> of <aws.scheduler.nope>",
		};
		await schedules.create("default", "at", spec("at(2026-01-01T00:01:00)", { to }), "b");
		await world.clock.advance(hourMs);
		assert.deepEqual(timesOf(world), [
			"try 1 of <aws.scheduler.nope>",
			"try 2 of <aws.scheduler.nope>",
			"try 3 of <aws.scheduler.nope>",
		]);
		const [letter, ...others] = await world.log.scan("sqs/letters", { limit: 10 });
		assert.equal(others.length, 0);
		const headers = letter?.headers as Record<string, { value: string }>;
		const values = Object.fromEntries(Object.entries(headers).map(([name, { value }]) => [name, value]));
		assert.deepEqual(
			{ ...values, EXECUTION_ID: undefined },
			{
				ERROR_CODE: "Http500",
				ERROR_MESSAGE: "no",
				EXECUTION_ID: undefined,
				EXHAUSTED_RETRY_CONDITION: "MaximumRetryAttempts",
				IS_PAYLOAD_TRUNCATED: "false",
				RETRY_ATTEMPTS: "2",
				SCHEDULED_TIME: "2026-01-01T00:01:00Z",
				SCHEDULE_ARN: `arn:aws:scheduler:${region}:${accountId}:schedule/default/at`,
				TARGET_ARN: functionArn,
			},
		);
	});

	test("185 retries fill a day; a target that is gone is given up at once", async () => {
		using world = new ScheduleWorld();
		const { schedules } = await started(world, { lookMs: hourMs });
		world.targets.answer = () => ({ ok: false, permanent: false, code: "Http500", message: "no" });
		const to = { deadLetterArn: queueArn };
		await schedules.create("default", "at", spec("at(2026-01-01T00:01:00)", { to }), "b");
		await world.clock.advance(23 * hourMs);
		assert((await world.log.scan("sqs/letters", { limit: 10 })).length === 0 || world.targets.calls.length === 186);
		await world.clock.advance(2 * hourMs);
		assert(world.targets.calls.length > 180 && world.targets.calls.length <= 186, String(world.targets.calls.length));
		const gone = `${functionArn}-gone`;
		world.targets.gone.add(gone);
		await schedules.create("default", "gone", spec("at(2026-01-03T00:01:00)", { to: { ...to, arn: gone } }), "b");
		await world.clock.advance(30 * hourMs);
		const letters = await world.log.scan("sqs/letters", { limit: 10 });
		assert.deepEqual(
			letters.map(({ headers }) => (headers.ERROR_CODE as { value: string }).value),
			["Http500", "NOT_FOUND"],
		);
	});

	test("universal targets become deliveries; others are refused by name", async () => {
		using world = new ScheduleWorld();
		const { schedules } = await started(world);
		const universal = (operation: string, input: unknown) =>
			spec("at(2026-01-01T00:01:00)", {
				to: { arn: `arn:aws:scheduler:::aws-sdk:${operation}`, input: JSON.stringify(input) },
			});
		const entries = ["a", "b"].map((Source) => ({
			Source,
			DetailType: "t",
			Detail: '{"x":1}',
			EventBusName: "orders",
		}));
		await schedules.create(
			"default",
			"1",
			universal("lambda:invoke", { FunctionName: "f", Qualifier: "live", Payload: "[1]" }),
			"",
		);
		await schedules.create("default", "2", universal("eventbridge:putEvents", { Entries: entries }), "");
		await schedules.create(
			"default",
			"3",
			universal("sqs:sendMessage", { QueueUrl: "http://x/1/letters", MessageBody: "hi" }),
			"",
		);
		await world.clock.advance(2 * minuteMs);
		const seen = world.targets.calls.map(({ arn, delivery }) => [
			arn.split(":").slice(5).join(":"),
			Buffer.from(delivery.body).toString(),
			delivery.event?.source,
		]);
		assert.deepEqual(seen.toSorted(), [
			["event-bus/orders", '{"x":1}', "a"],
			["event-bus/orders", '{"x":1}', "b"],
			["function:f:live", "[1]", undefined],
		]);
		assert.equal(new Set(world.targets.calls.map(({ delivery }) => delivery.id)).size, 3);
		const [sent] = await world.log.scan("sqs/letters", { limit: 10 });
		assert.equal(Buffer.from(sent?.body ?? []).toString(), "hi");
		assert.match(
			await refused(schedules.create("default", "4", universal("ec2:stopInstances", {}), ""), "INVALID"),
			/ec2:stopInstances is not supported/,
		);
		await refused(
			schedules.create(
				"default",
				"5",
				universal("sqs:sendMessage", { QueueUrl: "q", MessageBody: "x", DelaySeconds: 1 }),
				"",
			),
			"INVALID",
		);
	});
});

describe("what schedules refuse", () => {
	test("names that are taken, unless the same call comes again; groups that are not there; bad times and targets", async () => {
		using world = new ScheduleWorld();
		const { schedules } = await started(world);
		const one = spec("rate(1 day)");
		const made = await schedules.create("default", "s", one, "token");
		assert.deepEqual(await schedules.create("default", "s", one, "token"), made);
		await refused(schedules.create("default", "s", one, "another"), "ALREADY_EXISTS");
		await refused(schedules.create("default", "s", spec("rate(2 days)"), "token"), "ALREADY_EXISTS");
		await refused(schedules.create("nowhere", "s", one, "token"), "NOT_FOUND");
		await refused(schedules.create("default", "t", spec("rate(0 days)"), "x"), "INVALID");
		await refused(schedules.create("default", "t", spec("rate(1 day)", { endMs: world.clock.now() }), "x"), "INVALID");
		const s3 = { arn: "arn:aws:s3:::bucket" };
		await refused(schedules.create("default", "t", spec("rate(1 day)", { to: s3 }), "x"), "INVALID");
		const bus = { arn: `arn:aws:events:${region}:${accountId}:event-bus/default` };
		await refused(schedules.create("default", "t", spec("rate(1 day)", { to: bus }), "x"), "INVALID");
		await schedules.groups.create("g", {}, "token");
		await schedules.create("g", "s", one, "token");
		await schedules.groups.delete("g");
		assert.deepEqual(
			schedules.list().map(({ group }) => group),
			["default"],
		);
		await refused(schedules.groups.delete("default"), "INVALID");
	});
});

describe("rules with a schedule", () => {
	test("each tick is one event for all targets, once, over kills and changes", async () => {
		using world = new ScheduleWorld();
		const arn = `arn:aws:events:${region}:${accountId}:rule/tick`;
		const sinceMs = world.clock.now();
		const changes = ({ scheduledMs, id, event }: RuleTick) => {
			assert.deepEqual([event.source, event["detail-type"], event.id], ["aws.events", "Scheduled Event", id]);
			return ["a", "b"].map((target) => ({
				change: "append" as const,
				lane: `events/default/tick/${target}`,
				id: `${id}-${target}`,
				body: Buffer.from(String(scheduledMs)),
			}));
		};
		for (let run = 0; run < 5; run++) {
			const { deps, kill } = world.process();
			const ticks = await RuleTicks.open(deps);
			ticks.define(arn, { expression: "rate(1 hour)", sinceMs }, changes);
			ticks.start();
			if (run === 2) world.log.onCommit = (when) => (when === "after" ? kill() : undefined);
			await world.clock.advance(90 * minuteMs);
			world.log.onCommit = undefined;
			kill();
		}
		const hours = async (target: string) =>
			(await world.log.scan(`events/default/tick/${target}`, { limit: 100 })).map(
				({ body }) => (Number(Buffer.from(body).toString()) - sinceMs) / hourMs,
			);
		assert.deepEqual(await hours("a"), [1, 2, 3, 4, 5, 6, 7]);
		assert.deepEqual(await hours("b"), [1, 2, 3, 4, 5, 6, 7]);
	});
});

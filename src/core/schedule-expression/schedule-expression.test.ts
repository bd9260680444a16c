import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { longTests } from "../../base/testing/long-tests.ts";
import { cronInstants } from "./brute-force.ts";
import { parseScheduleExpression } from "./schedule-expression.ts";

const utc = (text: string) => Date.parse(`${text}Z`);
const shown = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString().slice(0, 16));

/** mulberry32 */
function seeded(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

function refusal(expression: string, options = {}): string {
	try {
		parseScheduleExpression(expression, options);
	} catch (error) {
		assert(isSlipwayError(error, "INVALID"), `${expression}: ${error}`);
		return error.message;
	}
	return assert.fail(`${expression} was taken`);
}

describe("parseScheduleExpression", () => {
	const next: [string, string, string | undefined, string?][] = [
		["rate(1 minute)", "2026-01-01T00:00:00", "2026-01-01T00:01"],
		["rate(5 days)", "1970-01-03T00:00:00", "1970-01-06T00:00"],
		["cron(0 10 * * ? *)", "2026-01-01T10:00:00", "2026-01-02T10:00"],
		["cron(15 12 ? * MON-FRI *)", "2026-11-20T12:15:00", "2026-11-23T12:15"],
		["cron(0/15 8-17 ? * 2-6 *)", "2026-11-20T17:45:00", "2026-11-23T08:00"],
		["cron(0 0 L * ? *)", "2028-02-01T00:00:00", "2028-02-29T00:00"],
		["cron(0 0 LW * ? *)", "2026-05-01T00:00:00", "2026-05-29T00:00"],
		["cron(0 0 1W * ? *)", "2026-07-31T12:00:00", "2026-08-03T00:00"],
		["cron(30 9 ? * 6L 2026-2027)", "2026-12-26T00:00:00", "2027-01-29T09:30"],
		["cron(30 9 ? * friL *)", "2026-11-01T00:00:00", "2026-11-27T09:30"],
		["cron(0 9 ? * 2#1 *)", "2026-11-02T09:00:00", "2026-12-07T09:00"],
		["cron(0 0 ? * 2#5 *)", "2026-12-01T00:00:00", "2027-03-29T00:00"],
		["cron(0 0 29 2 ? *)", "2096-03-01T00:00:00", "2104-02-29T00:00"],
		["cron(0 0 30 2 ? *)", "2026-01-01T00:00:00", undefined],
		["cron(0 0 1 1 ? 2020)", "2026-01-01T00:00:00", undefined],
		["cron(0 22-2 * * ? *)", "2026-01-01T02:00:00", "2026-01-01T22:00"],
		["cron(0 0 ? * FRI-MON *)", "2026-11-23T00:00:00", "2026-11-27T00:00"],
		["cron(0-15/1 8-8 ? * 2,3,4,5,6,7 *)", "2026-11-21T08:15:00", "2026-11-23T08:00"],
		["cron(1-31/30 1-1 ? * 1,7 *)", "2026-11-21T01:01:00", "2026-11-21T01:31"],
		["at(2030-06-01T08:30:00)", "2026-01-01T00:00:00", "2030-06-01T06:30", "Europe/Berlin"],
		["at(2030-06-01T08:30:00)", "2030-06-01T06:30:00", undefined, "Europe/Berlin"],
		// Clocks go from 02:00 to 03:00 on 29 March 2026 and from 03:00 to 02:00 on 25 October in Berlin.
		["cron(30 2 * * ? *)", "2026-03-28T12:00:00", "2026-03-30T00:30", "Europe/Berlin"],
		["cron(30 2 * * ? *)", "2026-10-24T12:00:00", "2026-10-25T00:30", "Europe/Berlin"],
		["cron(30 2 * * ? *)", "2026-10-25T00:30:00", "2026-10-26T01:30", "Europe/Berlin"],
		["at(2026-03-29T02:30:00)", "2026-01-01T00:00:00", undefined, "Europe/Berlin"],
		// Samoa had no 30 December 2011.
		["cron(0 12 30 12 ? 2011)", "2011-01-01T00:00:00", undefined, "Pacific/Apia"],
		["cron(0 12 * 12 ? 2011)", "2011-12-29T22:00:00", "2011-12-30T22:00", "Pacific/Apia"],
	];
	for (const [expression, after, expected, timeZone] of next)
		test(`${expression} after ${after} is ${expected}`, () => {
			assert.equal(shown(parseScheduleExpression(expression, { timeZone }).next(utc(after))), expected);
		});

	test("a rate begins with its anchor", () => {
		const schedule = parseScheduleExpression("rate(7 minutes)", { anchorMs: 1000 });
		assert.deepEqual(
			[
				schedule.next(-5000),
				schedule.next(999),
				schedule.next(1000),
				schedule.previous(999),
				schedule.previous(421_000),
			],
			[1000, 1000, 421_000, undefined, 421_000],
		);
	});

	const invalid = [
		..."|rate|rate()|rate(0 minutes)|rate(-1 minutes)|rate(99999999 days)|rate(5 seconds)|rate(1.5 hours)|rate(5minutes)|rate(1 weeks)".split(
			"|",
		),
		..."cron()|cron(* * * * *)|cron(* * * * * *)|cron(* * ? * ? *)|cron(60 * * * ? *)|cron(* 24 * * ? *)|cron(* * 0 * ? *)|cron(* * 32 * ? *)".split(
			"|",
		),
		..."cron(* * * 13 ? *)|cron(* * ? * 8 *)|cron(* * ? * 0 *)|cron(* * * * ? 1969)|cron(* * * * ? 2200)|cron(*/0 * * * ? *)|cron(1/ * * * ? *)|cron(, * * * ? *)".split(
			"|",
		),
		..."cron(0 0 L,1 * ? *)|cron(0 0 32W * ? *)|cron(0 0 W * ? *)|cron(0 0 ? * 2#6 *)|cron(0 0 ? * 3#1,6#3 *)|cron(0 0 ? * FOO *)|cron(0 0 1 * ? 2030-2020)".split(
			"|",
		),
		..."at(2026-02-30T00:00:00)|at(2026-01-01T24:00:00)|at(2026-01-01)|at(2026-01-01T00:00:00Z)|CRON(0 0 * * ? *)|cron(0 0 * * ? * *)|cron(0 0 ? * 1 *".split(
			"|",
		),
	];
	test("what is not an expression is refused in AWS's words", () => {
		for (const expression of invalid)
			assert.equal(refusal(expression), `Invalid Schedule Expression ${expression}.`, expression);
		// The Scheduler takes minute and minutes of any number, rules do not.
		for (const rate of ["rate(1 minutes)", "rate(2 minute)"]) {
			assert.equal(refusal(rate, { dialect: "rule" }), "Parameter ScheduleExpression is not valid.");
			assert.equal(parseScheduleExpression(rate).kind, "rate");
		}
		assert.equal(refusal("at(2030-01-01T00:00:00)", { dialect: "rule" }), "Parameter ScheduleExpression is not valid.");
		for (const timeZone of ["Mars/Phobos", "+01:00", "", "Europe/Berlin\n"])
			assert.match(refusal("rate(1 minute)", { timeZone }), /^Invalid ScheduleExpressionTimezone /);
	});

	test("times that no calendar has end at once", () => {
		for (const timeZone of ["UTC", "Africa/Casablanca"]) {
			const schedule = parseScheduleExpression("cron(* * * * ? *)", { timeZone });
			for (const ms of [Number.NaN, 8.64e15, -8.64e15, Number.POSITIVE_INFINITY])
				assert.deepEqual([schedule.next(ms), schedule.previous(ms)], [undefined, undefined]);
		}
	});

	test("thousands of made-up expressions: an answer or AWS's words, never more than a look at each month", () => {
		const random = seeded(61);
		const pick = (all: string) => all[Math.floor(random() * all.length)] ?? "";
		for (let i = 0; i < 5000; i++) {
			const length = Math.floor(random() * 40);
			const body = Array.from({ length }, () => pick("0123456789*?/,-LW# MONSAJ\u0000é")).join("");
			const expression = random() < 0.7 ? `cron(${cronOf(random, 0.3)})` : `${pick("cra")}ron(${body})`;
			try {
				parseScheduleExpression(expression, { timeZone: "America/New_York" }).next(utc("2026-01-01T00:00:00"));
			} catch (error) {
				assert(isSlipwayError(error, "INVALID"), `${expression}: ${error}`);
			}
		}
		const never = parseScheduleExpression("cron(* * 31 2,4,6,9,11 ? *)", { timeZone: "Asia/Kathmandu" });
		assert.deepEqual([never.next(0), never.previous(utc("2199-12-31T00:00:00"))], [undefined, undefined]);
	});
});

const zones = [
	"UTC",
	"America/New_York",
	"Europe/Berlin",
	"Australia/Lord_Howe",
	"Africa/Casablanca",
	"America/Sao_Paulo",
	"Pacific/Apia",
	"Asia/Tehran",
];

/** Six fields; each is broken with that chance. */
function cronOf(random: () => number, broken: number): string {
	const within = (min: number, max: number) => min + Math.floor(random() * (max - min + 1));
	const field = (min: number, max: number): string => {
		if (random() < broken / 6) return `${within(min, max + 20)}/${within(0, 99)}-${within(min, max)}`;
		const choice = random();
		if (choice < 0.4) return "*";
		if (choice < 0.6) return String(within(min, max));
		if (choice < 0.7) return `${within(min, max)}/${within(1, 9)}`;
		if (choice < 0.85) return `${within(min, max)}-${within(min, max)}`;
		return `${within(min, max)},${within(min, max)}-${within(min, max)}/${within(1, 5)}`;
	};
	const one = (all: readonly string[]) => all[within(0, all.length - 1)] ?? "";
	const byWeekday = random() < 0.5;
	const dayOfMonth = byWeekday ? "?" : one([field(1, 31), "L", "LW", `${within(1, 31)}W`]);
	const dayOfWeek = byWeekday
		? one([field(1, 7), "L", `${within(1, 7)}L`, `${within(1, 7)}#${within(1, 5)}`, "MON-FRI", "SAT-SUN"])
		: "?";
	return `${field(0, 59)} ${field(0, 23)} ${dayOfMonth} ${field(1, 12)} ${dayOfWeek} ${one(["*", "*", "2000-2030", "1990/2"])}`;
}

describe("next and previous are what a look at every minute finds", () => {
	const changes: Record<string, string[]> = {
		"America/New_York": ["2024-03-10T07:00:00", "2024-11-03T06:00:00", "1999-10-31T06:00:00"],
		"Europe/Berlin": ["2026-03-29T01:00:00", "2026-10-25T01:00:00"],
		"Australia/Lord_Howe": ["2025-04-05T15:00:00", "2025-10-04T15:30:00"],
		"Africa/Casablanca": ["2024-03-10T02:00:00", "2024-04-14T02:00:00"],
		"America/Sao_Paulo": ["2018-11-04T03:00:00", "2018-02-18T02:00:00"],
		"Pacific/Apia": ["2011-12-30T10:00:00"],
		"Asia/Tehran": ["2022-09-21T19:30:00", "2022-03-21T20:30:00"],
	};
	for (const timeZone of zones)
		test(timeZone, () => {
			const random = seeded(timeZone.length * 7919 + (timeZone.codePointAt(0) ?? 0));
			for (let i = 0; i < (longTests ? 40 : 6); i++) {
				const near = changes[timeZone];
				const change = near?.[i % near.length];
				const centre =
					change && random() < 0.7 ? utc(change) : utc("1990-01-01T00:00:00") + random() * 40 * 31_556_952_000;
				const from = Math.floor(centre - random() * 86_400_000);
				const to = from + 2 * 86_400_000;
				const expression = `cron(${cronOf(random, 0)})`;
				compare(expression, timeZone, from, to);
			}
		});
});

function compare(expression: string, timeZone: string, from: number, to: number): void {
	const schedule = parseScheduleExpression(expression, { timeZone });
	const expected = cronInstants(expression, timeZone, from, to);
	const what = `${expression} in ${timeZone} from ${shown(from)}`;
	const forward: number[] = [];
	for (let at = schedule.next(from); at !== undefined && at <= to; at = schedule.next(at)) forward.push(at);
	assert.deepEqual(forward.map(shown), expected.map(shown), what);
	const back: number[] = [];
	for (let at = schedule.previous(to); at !== undefined && at > from; at = schedule.previous(at - 1)) back.push(at);
	assert.deepEqual(back.reverse().map(shown), expected.map(shown), `${what}, backwards`);
}

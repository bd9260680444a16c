import { SlipwayError } from "../../base/error.ts";
import { readCron } from "./cron.ts";
import { isTimeZone, type ZonedTime, zonedTime } from "./zoned-time.ts";

/**
 * When something happens again, or once. Pure, and bounded whatever the expression: dates that never are (30 February) end.
 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
 */
export interface Schedule {
	kind: "rate" | "cron" | "at";
	/** The first time after this one, epoch milliseconds. */
	next(afterMs: number): number | undefined;
	/** The last time that is not after this one. */
	previous(atMs: number): number | undefined;
}

export interface ScheduleOptions {
	/**
	 * IANA name: what cron and at are read in; "UTC" where it is left out. Times that the clocks skip in spring are skipped,
	 * those that they show twice in autumn count the first time.
	 */
	timeZone?: string | undefined;
	/** Of a rate: its first time, epoch milliseconds; all others are whole periods from there. 0 where it is left out. */
	anchorMs?: number | undefined;
	/** EventBridge rules have no `at`, and other words for what is wrong. */
	dialect?: "scheduler" | "rule" | undefined;
}

/** ScheduleExpression: "Length Constraints: Minimum length of 1. Maximum length of 256." */
export const maxExpressionLength = 256;

/** A hundred years: its ticks are still dates. */
const longestPeriodMs = 36_525 * 86_400_000;
const unitMs = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
type Unit = keyof typeof unitMs;

/** INVALID with AWS's words, reason "ScheduleExpression" or "ScheduleExpressionTimezone"; what is wrong with it is the hint. */
export function parseScheduleExpression(text: string, options: ScheduleOptions = {}): Schedule {
	const { timeZone = "UTC", anchorMs = 0, dialect = "scheduler" } = options;
	if (!isTimeZone(timeZone))
		throw new SlipwayError("INVALID", `Invalid ScheduleExpressionTimezone ${timeZone.slice(0, 50)}.`, {
			reason: "ScheduleExpressionTimezone",
			hint: "Name a time zone of the IANA database, such as Europe/Berlin",
		});
	try {
		return read(text, zonedTime(timeZone), anchorMs, dialect);
	} catch (error) {
		if (!(error instanceof RangeError)) throw error;
		const message =
			dialect === "rule"
				? "Parameter ScheduleExpression is not valid."
				: `Invalid Schedule Expression ${text.slice(0, maxExpressionLength)}.`;
		throw new SlipwayError("INVALID", message, { reason: "ScheduleExpression", hint: error.message });
	}
}

function read(text: string, zone: ZonedTime, anchorMs: number, dialect: "scheduler" | "rule"): Schedule {
	if (text.length > maxExpressionLength) throw new RangeError(`it is longer than ${maxExpressionLength} characters`);
	const [, kind, inner = ""] = /^([a-z]+)\((.*)\)$/.exec(text) ?? [];
	if (kind === "rate") return readRate(inner, anchorMs, dialect);
	if (kind === "cron") return { kind, ...readCron(inner, zone) };
	if (kind === "at" && dialect === "scheduler") return readAt(inner, zone);
	throw new RangeError(
		dialect === "scheduler"
			? "it is none of rate(value unit), cron(fields) and at(yyyy-mm-ddThh:mm:ss)"
			: "it is neither rate(value unit) nor cron(fields)",
	);
}

function readRate(text: string, anchorMs: number, dialect: "scheduler" | "rule"): Schedule {
	const [, digits = "", unit = "", plural = ""] = /^\s*(\d{1,9})\s+(minute|hour|day)(s?)\s*$/.exec(text) ?? [];
	const value = Number(digits);
	if (!isUnit(unit) || value < 1)
		throw new RangeError("a rate is a positive whole number and minutes, hours or days, such as rate(5 minutes)");
	// The Scheduler takes either: "minute | minutes | hour | hours | day | days".
	if (dialect === "rule" && (value === 1) !== (plural === ""))
		throw new RangeError(`it is written rate(1 ${unit}) and rate(2 ${unit}s)`);
	const period = value * unitMs[unit];
	if (period > longestPeriodMs) throw new RangeError("a rate is a hundred years at most");
	const time = (count: number) => anchorMs + count * period;
	return {
		kind: "rate",
		next: (afterMs) => time(Math.max(0, Math.floor((afterMs - anchorMs) / period) + 1)),
		previous: (atMs) => (atMs < anchorMs ? undefined : time(Math.floor((atMs - anchorMs) / period))),
	};
}

function isUnit(text: string): text is Unit {
	return Object.hasOwn(unitMs, text);
}

function readAt(text: string, zone: ZonedTime): Schedule {
	const local = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$/.test(text) ? Date.parse(`${text}Z`) : Number.NaN;
	// The parser takes 30 February and 24:00:00 as days after it.
	if (Number.isNaN(local) || new Date(local).toISOString() !== `${text}.000Z`)
		throw new RangeError("there is no such date and time; it is written at(2030-12-31T23:59:59)");
	const instant = zone.instant(local);
	return {
		kind: "at",
		next: (afterMs) => (instant !== undefined && instant > afterMs ? instant : undefined),
		previous: (atMs) => (instant !== undefined && instant <= atMs ? instant : undefined),
	};
}

import { type DaysOf, readDays } from "./cron-days.ts";
import { ranges, readValues } from "./cron-field.ts";
import type { ZonedTime } from "./zoned-time.ts";

const minuteMs = 60_000;
const dayMs = 86_400_000;

export interface Cron {
	next(afterMs: number): number | undefined;
	previous(atMs: number): number | undefined;
}

interface Fields {
	/** Milliseconds since the day's beginning, ascending. */
	times: number[];
	days: DaysOf;
	months: number[];
	years: number[];
}

/** `text`: what stands between the brackets. Throws a RangeError that says what is wrong. */
export function readCron(text: string, zone: ZonedTime): Cron {
	const fields = readFields(text);
	return {
		next(afterMs) {
			if (!isInReach(afterMs)) return undefined;
			// The earliest local that an instant after this one can have: the clocks may be set back meanwhile.
			const from = Math.min(zone.local(afterMs), zone.local(afterMs + dayMs) - dayMs);
			for (const local of ascending(fields, from)) {
				const instant = zone.instant(local);
				if (instant !== undefined && instant > afterMs) return instant;
			}
			return undefined;
		},
		previous(atMs) {
			if (!isInReach(atMs)) return undefined;
			const until = Math.max(zone.local(atMs), zone.local(atMs - dayMs) + dayMs);
			for (const local of descending(fields, until)) {
				const instant = zone.instant(local);
				if (instant !== undefined && instant <= atMs) return instant;
			}
			return undefined;
		},
	};
}

/** Milliseconds of the year 275760, where dates end, and a day that time zones are looked at around: NaN is neither. */
const endOfDatesMs = 8.64e15 - 2 * dayMs;

function isInReach(ms: number): boolean {
	return Math.abs(ms) <= endOfDatesMs;
}

function readFields(text: string): Fields {
	const parts = text.trim().split(/\s+/);
	const [minutes, hours, dayOfMonth, month, dayOfWeek, year, ...rest] = parts;
	if (
		minutes === undefined ||
		hours === undefined ||
		dayOfMonth === undefined ||
		month === undefined ||
		dayOfWeek === undefined ||
		year === undefined ||
		rest.length > 0
	)
		throw new RangeError("it does not have the six fields: minutes, hours, day-of-month, month, day-of-week, year");
	const minuteValues = readValues(minutes, ranges.minutes);
	const hourValues = readValues(hours, ranges.hours);
	return {
		times: hourValues.flatMap((hour) => minuteValues.map((minute) => (hour * 60 + minute) * minuteMs)),
		days: readDays(dayOfMonth, dayOfWeek),
		months: readValues(month, ranges.month),
		years: readValues(year, ranges.year),
	};
}

/** Locals from that one on. Ends with the year 2199: there are at most 230 * 12 months to look at. */
function* ascending({ times, days, months, years }: Fields, fromLocal: number): Generator<number> {
	const from = new Date(fromLocal);
	for (const year of years) {
		if (year < from.getUTCFullYear()) continue;
		for (const month of months) {
			if (Date.UTC(year, month, 1) <= fromLocal) continue;
			for (const day of days(year, month)) {
				const midnight = Date.UTC(year, month - 1, day);
				if (midnight + dayMs <= fromLocal) continue;
				for (const time of times) if (midnight + time >= fromLocal) yield midnight + time;
			}
		}
	}
}

function* descending({ times, days, months, years }: Fields, untilLocal: number): Generator<number> {
	for (const year of years.toReversed()) {
		if (Date.UTC(year, 0, 1) > untilLocal) continue;
		for (const month of months.toReversed()) {
			if (Date.UTC(year, month - 1, 1) > untilLocal) continue;
			for (const day of days(year, month).toReversed()) {
				const midnight = Date.UTC(year, month - 1, day);
				if (midnight > untilLocal) continue;
				for (const time of times.toReversed()) if (midnight + time <= untilLocal) yield midnight + time;
			}
		}
	}
}

import { ranges, readValue, readValues } from "./cron-field.ts";

/** Days of a month, ascending, that a cron expression's day fields mean. `month` from 1. */
export type DaysOf = (year: number, month: number) => number[];

const saturday = 7;

/** One of the two is "?" (https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based). Throws RangeError. */
export function readDays(dayOfMonth: string, dayOfWeek: string): DaysOf {
	if ((dayOfMonth === "?") === (dayOfWeek === "?"))
		throw new RangeError("exactly one of the day-of-month and day-of-week fields must be '?'");
	return dayOfWeek === "?" ? readDaysOfMonth(dayOfMonth) : readDaysOfWeek(dayOfWeek);
}

/** L, LW and nW stand alone. */
function readDaysOfMonth(text: string): DaysOf {
	const upper = text.toUpperCase();
	if (upper === "L") return (year, month) => [lengthOf(year, month)];
	if (upper === "LW") return (year, month) => [nearestWeekday(year, month, lengthOf(year, month))];
	if (upper.endsWith("W")) {
		const day = readValue(upper.slice(0, -1), ranges.dayOfMonth);
		return (year, month) => (day > lengthOf(year, month) ? [] : [nearestWeekday(year, month, day)]);
	}
	const days = readValues(text, ranges.dayOfMonth);
	return (year, month) => days.filter((day) => day <= lengthOf(year, month));
}

/** L (the week's last day), nL (the month's last such day) and n#k (its k-th) stand alone. */
function readDaysOfWeek(text: string): DaysOf {
	const upper = text.toUpperCase();
	if (upper === "L") return (year, month) => every(year, month, [saturday]);
	if (upper.endsWith("L") && upper.length > 1) {
		const weekday = readValue(upper.slice(0, -1), ranges.dayOfWeek);
		return (year, month) => every(year, month, [weekday]).slice(-1);
	}
	if (upper.includes("#")) {
		const [day = "", count = "", ...rest] = upper.split("#");
		const weekday = readValue(day, ranges.dayOfWeek);
		if (rest.length > 0 || !/^[1-5]$/.test(count))
			throw new RangeError(`'${text.slice(0, 40)}' is not a weekday, '#' and a number from 1 to 5`);
		const index = Number(count) - 1;
		return (year, month) => every(year, month, [weekday]).slice(index, index + 1);
	}
	const weekdays = readValues(text, ranges.dayOfWeek);
	return (year, month) => every(year, month, weekdays);
}

function every(year: number, month: number, weekdays: readonly number[]): number[] {
	const days: number[] = [];
	for (let day = 1; day <= lengthOf(year, month); day++)
		if (weekdays.includes(weekdayOf(year, month, day))) days.push(day);
	return days;
}

/** Monday to Friday nearest to the day, in its month. */
function nearestWeekday(year: number, month: number, day: number): number {
	const weekday = weekdayOf(year, month, day);
	if (weekday === saturday) return day === 1 ? 3 : day - 1;
	if (weekday === 1) return day === lengthOf(year, month) ? day - 2 : day + 1;
	return day;
}

function lengthOf(year: number, month: number): number {
	return new Date(Date.UTC(year, month, 0)).getUTCDate();
}

/** 1 for Sunday. */
function weekdayOf(year: number, month: number, day: number): number {
	return new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 1;
}

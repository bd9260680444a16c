/** Fields of cron(minutes hours day-of-month month day-of-week year): https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based */
export interface FieldRange {
	/** As messages name it. */
	name: string;
	min: number;
	max: number;
	/** Three letters each, the first for `min`. */
	words?: readonly string[];
	/** Whether a range may go past the end and on from the beginning, such as FRI-MON. */
	wraps: boolean;
}

const months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const weekdays = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

export const ranges = {
	minutes: { name: "minutes", min: 0, max: 59, wraps: true },
	hours: { name: "hours", min: 0, max: 23, wraps: true },
	dayOfMonth: { name: "day-of-month", min: 1, max: 31, wraps: true },
	month: { name: "month", min: 1, max: 12, words: months, wraps: true },
	dayOfWeek: { name: "day-of-week", min: 1, max: 7, words: weekdays, wraps: true },
	year: { name: "year", min: 1970, max: 2199, wraps: false },
} as const satisfies Record<string, FieldRange>;

/** Items of a list: a field has no more values than this that differ. */
const maxItems = 230;

/** The values of `*`, `a`, `a-b`, `a/n`, `a-b/n`, or a list of them, ascending. Throws a RangeError that says what is wrong. */
export function readValues(text: string, range: FieldRange): number[] {
	const items = text.split(",", maxItems + 1);
	if (items.length > maxItems) throw new RangeError(`the ${range.name} field has more than ${maxItems} items`);
	const values = new Set<number>();
	for (const item of items) for (const value of readItem(item, range)) values.add(value);
	return [...values].sort((a, b) => a - b);
}

function readItem(item: string, range: FieldRange): number[] {
	const [span = "", stepText, ...rest] = item.split("/");
	if (rest.length > 0) throw refused(item, range);
	const step = stepText === undefined ? 1 : readStep(stepText, item, range);
	if (span === "*") return walk(range.min, range.max, step, range);
	const [fromText = "", toText, ...more] = span.split("-");
	if (more.length > 0) throw refused(item, range);
	const from = readValue(fromText, range);
	const to = toText === undefined ? (stepText === undefined ? from : range.max) : readValue(toText, range);
	if (to < from && !range.wraps) throw refused(item, range);
	return walk(from, to, step, range);
}

function walk(from: number, to: number, step: number, { min, max }: FieldRange): number[] {
	const size = max - min + 1;
	const last = to < from ? to + size : to;
	const values: number[] = [];
	for (let value = from; value <= last; value += step) values.push(value > max ? value - size : value);
	return values;
}

function readStep(text: string, item: string, range: FieldRange): number {
	const step = /^\d{1,4}$/.test(text) ? Number(text) : 0;
	if (step < 1 || step > range.max) throw refused(item, range);
	return step;
}

/** One number or word of the field. */
export function readValue(text: string, range: FieldRange): number {
	const word = range.words?.indexOf(text.toUpperCase()) ?? -1;
	const value = word >= 0 ? range.min + word : /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
	if (!(value >= range.min && value <= range.max)) throw refused(text, range);
	return value;
}

function refused(item: string, { name, min, max }: FieldRange): RangeError {
	return new RangeError(`'${item.slice(0, 40)}' is not a value of the ${name} field (${min}-${max})`);
}

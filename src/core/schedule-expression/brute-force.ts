/** For tests: the meaning of cron expressions in the slowest way, minute by minute, by the language's own calendar. */
const minuteMs = 60_000;

const words: Record<string, number> = { SUN: 1, MON: 2, TUE: 3, WED: 4, THU: 5, FRI: 6, SAT: 7 };
for (const [index, month] of "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(" ").entries())
	words[month] = index + 1;

const numberOf = (text: string) => words[text.toUpperCase()] ?? Number(text);

/** Instants in (fromMs, toMs] at which a cron schedule of the time zone fires: each local time once, the first time that it is shown. */
export function cronInstants(expression: string, timeZone: string, fromMs: number, toMs: number): number[] {
	const fields = expression.slice("cron(".length, -1).trim().split(/\s+/);
	const seen = new Set<string>();
	const found: number[] = [];
	const start = Math.ceil((fromMs - 26 * 60 * minuteMs) / minuteMs) * minuteMs;
	for (let ms = start; ms <= toMs; ms += minuteMs) {
		const local = Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timeZone).toPlainDateTime();
		const shown = local.toString();
		const isFirst = !seen.has(shown);
		seen.add(shown);
		if (isFirst && ms > fromMs && matches(fields, local)) found.push(ms);
	}
	return found;
}

function matches(fields: readonly string[], local: Temporal.PlainDateTime): boolean {
	const [minutes = "", hours = "", dayOfMonth = "", month = "", dayOfWeek = "", year = ""] = fields;
	return (
		has(minutes, local.minute, 0, 59) &&
		has(hours, local.hour, 0, 23) &&
		has(month, local.month, 1, 12) &&
		has(year, local.year, 1970, 2199) &&
		isDayOfMonth(dayOfMonth, local.toPlainDate()) &&
		isDayOfWeek(dayOfWeek, local.toPlainDate())
	);
}

function has(field: string, value: number, min: number, max: number): boolean {
	return field.split(",").some((item) => {
		const [span = "", step = "1"] = item.split("/");
		const [from = "", to] = span === "*" ? [String(min), String(max)] : span.split("-");
		const first = numberOf(from);
		const last = to === undefined ? (item.includes("/") ? max : first) : numberOf(to);
		const distance = (value - first + (max - min + 1)) % (max - min + 1);
		const length = (last - first + (max - min + 1)) % (max - min + 1);
		return distance <= length && distance % Number(step) === 0;
	});
}

function isDayOfMonth(field: string, date: Temporal.PlainDate): boolean {
	if (field === "?") return true;
	const last = date.daysInMonth;
	if (field === "L") return date.day === last;
	if (!field.endsWith("W")) return has(field, date.day, 1, 31);
	const wanted = field === "LW" ? last : Number(field.slice(0, -1));
	if (wanted > last || date.dayOfWeek > 5) return false;
	const distance = (day: number) => Math.abs(day - wanted);
	for (let day = 1; day <= last; day++)
		if (date.with({ day }).dayOfWeek <= 5 && distance(day) < distance(date.day)) return false;
	return true;
}

function isDayOfWeek(field: string, date: Temporal.PlainDate): boolean {
	if (field === "?") return true;
	const weekday = (date.dayOfWeek % 7) + 1;
	if (field === "L") return weekday === 7;
	if (field.endsWith("L")) return weekday === numberOf(field.slice(0, -1)) && date.day + 7 > date.daysInMonth;
	if (!field.includes("#")) return has(field, weekday, 1, 7);
	const [day = "", count] = field.split("#");
	return weekday === numberOf(day) && Math.ceil(date.day / 7) === Number(count);
}

/** Local times of IANA time zones, by the engine's own time zone data. A "local" is the wall clock's reading as if it were UTC, in milliseconds. */
export interface ZonedTime {
	/** What the wall clock shows at an instant. */
	local(instantMs: number): number;
	/** The first instant at which the wall clock shows this; undefined for one that a change of the clocks leaves out. */
	instant(localMs: number): number | undefined;
}

const dayMs = 86_400_000;
/** Formatters kept, each some 30 KB: more time zones than one installation's schedules are likely to name. */
const maxFormatters = 32;
const formatters = new Map<string, Intl.DateTimeFormat>();

/** IANA names only: the engine also takes offsets such as "+01:00", AWS does not. */
export function isTimeZone(name: string): boolean {
	if (!/^[A-Za-z][A-Za-z0-9_+/-]{0,49}$/.test(name)) return false;
	try {
		formatter(name);
		return true;
	} catch (error) {
		if (error instanceof RangeError) return false;
		throw error;
	}
}

export function zonedTime(timeZone: string): ZonedTime {
	if (timeZone === "UTC") return { local: (instantMs) => instantMs, instant: (localMs) => localMs };
	const local = (instantMs: number) => localOf(timeZone, instantMs);
	const instant = (localMs: number) => {
		// No offset is more than a day, so that these two are the offsets before and after a change that is near.
		const before = localMs - dayMs;
		const after = localMs + dayMs;
		const instants = [localMs - (local(before) - before), localMs - (local(after) - after)];
		return instants.sort((a, b) => a - b).find((candidate) => local(candidate) === localMs);
	};
	return { local, instant };
}

function formatter(timeZone: string): Intl.DateTimeFormat {
	const known = formatters.get(timeZone);
	if (known) return known;
	const made = new Intl.DateTimeFormat("en-US", {
		timeZone,
		calendar: "iso8601",
		hourCycle: "h23",
		era: "short",
		year: "numeric",
		month: "numeric",
		day: "numeric",
		hour: "numeric",
		minute: "numeric",
		second: "numeric",
	});
	const [oldest] = formatters.keys();
	if (formatters.size >= maxFormatters && oldest !== undefined) formatters.delete(oldest);
	formatters.set(timeZone, made);
	return made;
}

function localOf(timeZone: string, instantMs: number): number {
	const parts: Record<string, number> = {};
	for (const { type, value } of formatter(timeZone).formatToParts(instantMs)) parts[type] = Number(value);
	const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
	const millisecond = ((instantMs % 1000) + 1000) % 1000;
	return Date.UTC(year, month - 1, day, hour, minute, second, millisecond);
}

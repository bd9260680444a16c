/** Milliseconds of a duration as Go's time.ParseDuration reads it ("1m30s", "0", "-1.5h"); undefined for anything else. */
export function parseGoDuration(text: string): number | undefined {
	if (text.length > maxDurationLength) return undefined;
	if (/^[+-]?0$/.test(text)) return 0;
	const match = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.exec(text);
	if (!match) return undefined;
	let ms = 0;
	for (const [, number, unit] of (match[2] ?? "").matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g))
		ms += Number(number) * (units[unit ?? ""] ?? Number.NaN);
	return match[1] === "-" ? -ms : ms;
}

const maxDurationLength = 60;

const units: Record<string, number> = {
	ns: 1e-6,
	us: 1e-3,
	µs: 1e-3,
	μs: 1e-3,
	ms: 1,
	s: 1000,
	m: 60_000,
	h: 3_600_000,
};

import { quantile } from "../tools/table.ts";

export interface Summary {
	p50: number;
	p95: number;
	p99: number;
	/** Samples. */
	n: number;
}

/** Measured in the same run as the figure and in turns with it, or not at all, with the reason. */
export type Baseline =
	| (Summary & {
			/** The figure's p50 by this one's; none to speak of when one of them is not above zero. */ ratio?: number;
	  })
	| { missing: string };

export interface PromiseKept {
	text: string;
	kept: boolean;
}

/** One figure with what it was measured beside. */
export interface Figure extends Summary {
	name: string;
	unit: "ms" | "s" | "invocations/s" | "requests/s" | "messages/s" | "events/s" | "sandboxes/s" | "MB" | "kB" | "MB/s";
	baseline: Record<string, Baseline>;
	promises: PromiseKept[];
	/** What has to be known to read the number: how it was measured, and parts of it that were measured too. */
	how: string;
}

export interface Report {
	/** ISO 8601 */
	when: string;
	machine: string;
	/** The one-minute load before the first figure: more than 1 on a small machine, and the numbers are not the program's own. */
	load: number;
	/** A tenth of the samples. */
	quick: boolean;
	figures: Record<string, Figure>;
}

export function summarize(values: readonly number[]): Summary {
	return {
		p50: quantile([...values], 0.5),
		p95: quantile([...values], 0.95),
		p99: quantile([...values], 0.99),
		n: values.length,
	};
}

/** Series by name; a name without a value is one that could not be measured, with the reason. */
export type Series = Record<string, readonly number[] | string>;

/** What the promises are judged by. */
export interface Measured extends Summary {
	/** p50 of a baseline; NaN, which keeps no promise, when it is missing. */
	of: (baseline: string) => number;
}

export function figure(options: {
	name: string;
	unit: Figure["unit"];
	values: readonly number[];
	baselines?: Series;
	how: string;
	promises?: Record<string, (measured: Measured) => boolean>;
}): Figure {
	const { name, unit, how } = options;
	const summary = summarize(options.values);
	const baseline: Record<string, Baseline> = {};
	for (const [title, values] of Object.entries(options.baselines ?? {})) {
		if (typeof values === "string") baseline[title] = { missing: values };
		else {
			const other = summarize(values);
			const ratio = summary.p50 > 0 && other.p50 > 0 ? { ratio: summary.p50 / other.p50 } : {};
			baseline[title] = { ...other, ...ratio };
		}
	}
	const of = (title: string) => {
		const found = baseline[title];
		return found && "p50" in found ? found.p50 : Number.NaN;
	};
	const promises = Object.entries(options.promises ?? {}).map(([text, isKept]) => ({
		text,
		kept: isKept({ ...summary, of }),
	}));
	return { name, unit, ...summary, baseline, promises, how };
}

export const steadyTail: Record<string, (measured: Measured) => boolean> = {
	"p99 at most 3 times p50": ({ p50, p99 }) => p99 <= 3 * p50,
};

export function digits(value: number): string {
	if (value >= 100) return Math.round(value).toLocaleString("en-US");
	return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function formatBaseline(title: string, baseline: Baseline): string {
	if ("missing" in baseline) return `${title}: not measured, ${baseline.missing}`;
	const ratio = baseline.ratio === undefined ? "" : ` (${digits(baseline.ratio)} ×)`;
	return `${title}: ${digits(baseline.p50)}${ratio}`;
}

export const columns = [
	"key",
	"what",
	"p50",
	"p95",
	"p99",
	"n",
	"beside it, in the same run (ours by theirs)",
	"promises",
];

/** Rows of `columns`. Used on the terminal and in docs/performance.md. */
export function rowsOf(figures: Record<string, Figure>): string[][] {
	return Object.entries(figures).map(([key, each]) => [
		key,
		each.name,
		`${digits(each.p50)} ${each.unit}`,
		each.n === 1 ? "" : digits(each.p95),
		each.n === 1 ? "" : digits(each.p99),
		String(each.n),
		Object.entries(each.baseline)
			.map(([title, baseline]) => formatBaseline(title, baseline))
			.join("; "),
		each.promises.map(({ text, kept }) => `${text}: ${kept ? "kept" : "MISSED"}`).join("; "),
	]);
}

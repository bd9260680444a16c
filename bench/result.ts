import { quantile } from "../tools/table.ts";

export interface Summary {
	p50: number;
	p95: number;
	p99: number;
	samples: number;
}

export interface Baseline {
	name: string;
	/** Undefined when it could not be measured here; `missing` says why. */
	summary?: Summary;
	missing?: string;
}

/** One figure with what it was measured beside, in the same run. */
export interface Figure {
	key: string;
	name: string;
	unit: "ms" | "invocations/s" | "MB" | "MB/s";
	summary: Summary;
	baselines: Baseline[];
	/** What the project promises, and whether this run kept it. */
	promise?: { text: string; kept: boolean };
}

export interface Report {
	/** ISO 8601 */
	when: string;
	machine: string;
	figures: Figure[];
}

export function summarize(values: number[]): Summary {
	return {
		p50: quantile(values, 0.5),
		p95: quantile(values, 0.95),
		p99: quantile(values, 0.99),
		samples: values.length,
	};
}

/** A figure that was measured once. */
export function single(value: number): Summary {
	return { p50: value, p95: value, p99: value, samples: 1 };
}

export function formatSummary({ p50, p95, p99, samples }: Summary): string {
	return samples === 1 ? digits(p50) : `${digits(p50)} (p95 ${digits(p95)}, p99 ${digits(p99)})`;
}

function digits(value: number): string {
	if (value >= 100) return Math.round(value).toLocaleString("en-US");
	return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** Rows of: what, Slipway, baseline, promise. Used on the terminal and in the README. */
export function rowsOf(figures: Figure[]): string[][] {
	return figures.flatMap((figure) => {
		const baselines = figure.baselines.map(({ name, summary, missing }) =>
			summary ? `${name}: ${formatSummary(summary)}` : `${name}: not measured, ${missing}`,
		);
		const { promise } = figure;
		const [first = "–", ...others] = baselines;
		return [
			[
				figure.name,
				`${formatSummary(figure.summary)} ${figure.unit}`,
				first,
				promise ? `${promise.text}: ${promise.kept ? "kept" : "MISSED"}` : "",
			],
			...others.map((baseline) => ["", "", baseline, ""]),
		];
	});
}

export const columns = ["what", "Slipway", "beside it, in the same run", "promise"];

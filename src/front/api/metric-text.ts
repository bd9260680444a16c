/**
 * Metrics as text: Prometheus's format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/) and OpenMetrics
 * 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/), which differ in a counter's name in its TYPE and in the end.
 */
export type MetricFormat = "prometheus" | "openmetrics";

export const contentTypes: Readonly<Record<MetricFormat, string>> = {
	prometheus: "text/plain; version=0.0.4; charset=utf-8",
	openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** Who does not ask for OpenMetrics gets the format that everything reads. */
export function formatFor(accept: string | undefined): MetricFormat {
	return accept?.includes("application/openmetrics-text") ? "openmetrics" : "prometheus";
}

export type Labels = Readonly<Record<string, string>>;

export interface BucketCounts {
	/** Upper bounds in milliseconds, ascending. */
	bounds: readonly number[];
	/** One more: what is above the last. */
	counts: ArrayLike<number>;
	sumMs: number;
}

/** Writes families one after the other, all samples of one together. */
export class MetricText {
	readonly #format: MetricFormat;
	#lines: string[] = [];
	#name = "";

	constructor(format: MetricFormat) {
		this.#format = format;
	}

	/** `name` without `_total`. */
	family(name: string, type: "counter" | "gauge" | "histogram", help: string): this {
		this.#name = type === "counter" ? `${name}_total` : name;
		const declared = this.#format === "openmetrics" ? name : this.#name;
		this.#lines.push(`# HELP ${declared} ${help}`, `# TYPE ${declared} ${type}`);
		return this;
	}

	sample(value: number, labels: Labels = {}): this {
		this.#lines.push(`${this.#name}${labelText(labels)} ${value}`);
		return this;
	}

	/** Seconds, as every duration in Prometheus. */
	histogram({ bounds, counts, sumMs }: BucketCounts, labels: Labels): void {
		let count = 0;
		bounds.forEach((bound, index) => {
			count += counts[index] ?? 0;
			this.#lines.push(`${this.#name}_bucket${labelText({ ...labels, le: float(bound / 1000) })} ${count}`);
		});
		count += counts[bounds.length] ?? 0;
		this.#lines.push(`${this.#name}_bucket${labelText({ ...labels, le: "+Inf" })} ${count}`);
		this.#lines.push(`${this.#name}_sum${labelText(labels)} ${sumMs / 1000}`);
		this.#lines.push(`${this.#name}_count${labelText(labels)} ${count}`);
	}

	/** Lines written since the last call. */
	take(): string {
		const text = this.#lines.length === 0 ? "" : `${this.#lines.join("\n")}\n`;
		this.#lines = [];
		return text;
	}

	end(): string {
		return this.#format === "openmetrics" ? "# EOF\n" : "";
	}
}

function labelText(labels: Labels): string {
	const parts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
	return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

function escaped(value: string): string {
	return value.replace(/[\\"\n]/g, (char) => (char === "\n" ? "\\n" : `\\${char}`));
}

/** Bounds are labels, compared as text: OpenMetrics asks for a fraction, always. */
function float(value: number): string {
	return Number.isInteger(value) ? `${value}.0` : String(value);
}

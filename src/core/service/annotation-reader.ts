import { shown } from "./field-problems.ts";
import { parseGoDuration } from "./go-duration.ts";

/** Why an annotation is refused. */
export interface AnnotationProblem {
	/** The annotations it is about, as they are written; the caller knows the path to them ("spec.template.metadata.annotations"). */
	fields: string[];
	/** Names the value, not the field: "expected 0 <= -1 <= 100", "invalid value: foo". */
	message: string;
	/** What is allowed, when the message does not say it. */
	details: string | undefined;
}

interface Range {
	least: number;
	most?: number;
}

const anyDecimal = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/;

/** Reads annotations one by one and collects what is wrong with them; what is refused reads as absent. */
export class AnnotationReader {
	readonly problems: AnnotationProblem[] = [];
	readonly #annotations: Readonly<Record<string, string>>;

	constructor(annotations: Readonly<Record<string, string>>) {
		this.#annotations = annotations;
	}

	/** The first of the names that is there: Knative prefers kebab-case and takes camelCase. */
	get(...names: string[]): { name: string; value: string } | undefined {
		for (const name of names) {
			const value = Object.hasOwn(this.#annotations, name) ? this.#annotations[name] : undefined;
			if (value !== undefined) return { name, value };
		}
		return undefined;
	}

	refuse(fields: string | string[], message: string, details?: string): void {
		this.problems.push({ fields: [fields].flat(), message, details });
	}

	integer(range: Required<Range>, ...names: string[]): number | undefined {
		const given = this.get(...names);
		if (!given) return undefined;
		if (!/^[-+]?\d+$/.test(given.value))
			return this.#invalid(given, `a whole number from ${range.least} to ${range.most}`);
		return this.#within(given, Number(given.value), range);
	}

	decimal(range: Range, ...names: string[]): number | undefined {
		const given = this.get(...names);
		if (!given) return undefined;
		const number = anyDecimal.test(given.value) ? Number(given.value) : Number.NaN;
		if (!Number.isFinite(number)) return this.#invalid(given, `a number${inWords(range)}`);
		return this.#within(given, number, range);
	}

	/** Milliseconds. */
	duration(range: Required<Range>, wholeSeconds: boolean, ...names: string[]): number | undefined {
		const given = this.get(...names);
		if (!given) return undefined;
		const ms = parseGoDuration(given.value);
		const [least, most] = [formatGoDuration(range.least), formatGoDuration(range.most)];
		if (ms === undefined) return this.#invalid(given, `a duration such as "90s" or "1m30s", from ${least} to ${most}`);
		if (ms < range.least || ms > range.most) {
			this.refuse(given.name, `expected ${least} <= ${shown(given.value)} <= ${most}`);
			return undefined;
		}
		if (wholeSeconds && ms % 1000 !== 0) {
			this.refuse(given.name, `must be specified with at most second precision, not ${shown(given.value)}`);
			return undefined;
		}
		return ms;
	}

	oneOf<Value extends string>(allowed: Readonly<Record<string, Value>>, ...names: string[]): Value | undefined {
		const given = this.get(...names);
		if (!given) return undefined;
		if (Object.hasOwn(allowed, given.value)) return allowed[given.value];
		return this.#invalid(
			given,
			Object.keys(allowed)
				.map((value) => JSON.stringify(value))
				.join(" or "),
		);
	}

	#within(
		{ name, value }: { name: string; value: string },
		number: number,
		{ least, most }: Range,
	): number | undefined {
		if (number >= least && (most === undefined || number <= most)) return number;
		this.refuse(
			name,
			most === undefined
				? `${shown(value)} should be at least ${least}`
				: `expected ${least} <= ${shown(value)} <= ${most}`,
		);
		return undefined;
	}

	#invalid({ name, value }: { name: string; value: string }, allowed: string): undefined {
		this.refuse(name, `invalid value: ${shown(value)}`, `must be ${allowed}`);
		return undefined;
	}
}

function inWords({ least, most }: Range): string {
	if (least === Number.NEGATIVE_INFINITY) return "";
	return most === undefined ? ` of at least ${least}` : ` from ${least} to ${most}`;
}

/** As Go prints it, to the second: 3,600,000 is "1h0m0s". */
function formatGoDuration(ms: number): string {
	const seconds = Math.round(ms / 1000);
	const hours = Math.floor(seconds / 3600);
	const minutes = Math.floor((seconds % 3600) / 60);
	if (hours > 0) return `${hours}h${minutes}m${seconds % 60}s`;
	return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}

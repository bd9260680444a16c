/** Smithy constraint traits (length, range, pattern, enum), which the SDK's published schemas leave out, as small tables. */
import { validationError } from "./errors.ts";

export interface Constraint {
	/** As AWS prints it; matched against the whole text. */
	pattern?: string;
	/** Of strings: characters. Of lists: items. */
	minLength?: number;
	maxLength?: number;
	min?: number;
	max?: number;
	/** Of strings, or of every item of a list. */
	values?: readonly string[];
	/** Of every item of a list, or of every key or value of a map. */
	items?: ElementConstraint;
	keys?: ElementConstraint;
	mapValues?: ElementConstraint;
	/** smithy.api#sensitive: the value is not shown. */
	sensitive?: boolean;
}

/** AWS prints the whole rule of a list's items or a map's parts, not only what is broken. */
export interface ElementConstraint {
	rule: Constraint;
	/** "Map keys must satisfy constraint: […]". */
	says: string;
}

/** By member path, "EphemeralStorage.Size". */
export type Constraints = Readonly<Record<string, Constraint>>;

/** Throws AwsError ValidationException that lists every broken constraint in AWS's words. */
export function checkConstraints(constraints: Constraints, input: Readonly<Record<string, unknown>>): void {
	const broken = Object.entries(constraints).flatMap(([path, constraint]) => {
		const value = valueAt(input, path);
		if (value === undefined) return [];
		return failures(constraint, value).map(
			(why) =>
				`Value ${constraint.sensitive ? "" : `'${shown(value)}' `}at '${memberPath(path)}' failed to satisfy constraint: ${why}`,
		);
	});
	if (broken.length > 0) throw validationError(broken);
}

function failures(constraint: Constraint, value: unknown): string[] {
	const { pattern, minLength, maxLength, min, max, values } = constraint;
	const length = typeof value === "string" || Array.isArray(value) ? value.length : 0;
	const result: string[] = [];
	if (pattern !== undefined && typeof value === "string" && !compiled(pattern).test(value))
		result.push(`Member must satisfy regular expression pattern: ${pattern}`);
	if (maxLength !== undefined && length > maxLength)
		result.push(`Member must have length less than or equal to ${maxLength}`);
	if (minLength !== undefined && length < minLength)
		result.push(`Member must have length greater than or equal to ${minLength}`);
	if (max !== undefined && (value as number) > max) result.push(`Member must have value less than or equal to ${max}`);
	if (min !== undefined && (value as number) < min)
		result.push(`Member must have value greater than or equal to ${min}`);
	if (values !== undefined) {
		const set = `Member must satisfy enum value set: [${values.join(", ")}]`;
		if (typeof value === "string" && !values.includes(value)) result.push(set);
		if (Array.isArray(value) && value.some((item) => !values.includes(item)))
			result.push(`Member must satisfy constraint: [${set}, Member must not be null]`);
	}
	return [...result, ...elementFailures(constraint, value)];
}

function elementFailures({ items, keys, mapValues }: Constraint, value: unknown): string[] {
	const map = typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
	const parts: [ElementConstraint | undefined, readonly unknown[]][] = [
		[items, Array.isArray(value) ? value : []],
		[keys, Object.keys(map)],
		[mapValues, Object.values(map)],
	];
	return parts.flatMap(([element, all]) =>
		element && all.some((one) => failures(element.rule, one).length > 0) ? [element.says] : [],
	);
}

const patterns = new Map<string, RegExp>();

function compiled(pattern: string): RegExp {
	let regExp = patterns.get(pattern);
	if (!regExp) {
		regExp = new RegExp(`^(?:${pattern})$`);
		patterns.set(pattern, regExp);
	}
	return regExp;
}

function valueAt(input: Readonly<Record<string, unknown>>, path: string): unknown {
	let value: unknown = input;
	for (const name of path.split(".")) value = (value as Record<string, unknown> | undefined)?.[name];
	return value;
}

/** Long values would make the error larger than the request. */
const maxShown = 512;

function shown(value: unknown): string {
	const text = Array.isArray(value) ? `[${value.join(", ")}]` : isMap(value) ? shownMap(value) : String(value);
	return text.length > maxShown ? `${text.slice(0, maxShown)}…` : text;
}

function isMap(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null;
}

/** As Java prints a map, with its numbers as doubles: "{2=0.5}". */
function shownMap(map: Record<string, unknown>): string {
	const double = (value: unknown) =>
		typeof value === "number" && Number.isInteger(value) ? value.toFixed(1) : String(value);
	const entries = Object.entries(map).map(([key, value]) => `${key}=${double(value)}`);
	return `{${entries.join(", ")}}`;
}

function memberPath(path: string): string {
	return path
		.split(".")
		.map((name) => name[0]!.toLowerCase() + name.slice(1))
		.join(".");
}

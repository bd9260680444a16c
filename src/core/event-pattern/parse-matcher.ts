/** Match expressions, checked in the order and refused in the words of ruler's JsonRuleCompiler. Everything here throws Error. */
import { parseCidr } from "./ip-range.ts";
import { foldCase, type Leaf, type NumericRange, type ValueMatcher } from "./value-matcher.ts";
import { parseWildcard } from "./wildcard.ts";

export function parseEntry(entry: unknown): ValueMatcher {
	if (isLeaf(entry)) return { kind: "exact", value: entry };
	if (Array.isArray(entry)) throw new Error("Match value must be String, number, true, false, or null");
	return parseExpression(entry as Record<string, unknown>);
}

function isLeaf(value: unknown): value is Leaf {
	return value === null || ["string", "number", "boolean"].includes(typeof value);
}

function parseExpression(expression: Record<string, unknown>): ValueMatcher {
	const [name, value] = onlyKey(expression, "Match expression name not found", () =>
		"numeric" in expression || "anything-but" in expression
			? "Too many elements in numeric expression"
			: "Only one key allowed in match expression",
	);
	switch (name) {
		case "exactly":
			return { kind: "exact", value: text(value, "exact match pattern must be a string") };
		case "prefix":
		case "suffix":
			return parseAffix(name, value);
		case "equals-ignore-case":
			return {
				kind: name,
				text: foldCase(text(value, "equals-ignore-case match pattern must be a string")),
			};
		case "wildcard":
			return { kind: name, wildcard: parseWildcard(text(value, "wildcard match pattern must be a string")) };
		case "numeric":
			if (!Array.isArray(value)) throw new Error("Value of numeric must be an array.");
			return { kind: name, ...parseNumeric(value) };
		case "anything-but":
			return { kind: name, none: parseAnythingBut(value) };
		case "exists":
			if (typeof value !== "boolean") throw new Error("exists match pattern must be either true or false.");
			return { kind: value ? "exists" : "absent" };
		case "cidr":
			return { kind: name, range: parseCidr(text(value, "prefix match pattern must be a string")) };
		default:
			throw new Error(`Unrecognized match type ${name}`);
	}
}

function onlyKey(object: Record<string, unknown>, none: string, several: () => string): [string, unknown] {
	const [first, ...more] = Object.entries(object);
	if (!first) throw new Error(none);
	if (more.length > 0) throw new Error(several());
	return first;
}

function text(value: unknown, refusal: string): string {
	if (typeof value !== "string") throw new Error(refusal);
	return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseAffix(kind: "prefix" | "suffix", value: unknown): ValueMatcher {
	if (!isObject(value)) return { kind, text: text(value, `${kind} match pattern must be a string`), ignoreCase: false };
	const [name, inner] = onlyKey(
		value,
		`${kind === "prefix" ? "Prefix" : "Suffix"} expression name not found`,
		() => "Only one key allowed in match expression",
	);
	if (name !== "equals-ignore-case") throw new Error(`Unsupported ${kind} pattern: ${name}`);
	return { kind, text: foldCase(text(inner, "equals-ignore-case match pattern must be a string")), ignoreCase: true };
}

function parseAnythingBut(value: unknown): ValueMatcher[] {
	if (isObject(value)) return parseAnythingButMatcher(value);
	const isValue = typeof value === "string" || typeof value === "number" || Array.isArray(value);
	if (!isValue) throw new Error("Value of anything-but must be an array or single string/number value.");
	const values: unknown[] = Array.isArray(value) ? value : [value];
	for (const one of values)
		if (typeof one !== "string" && typeof one !== "number")
			throw new Error("Inside anything but list, start|null|boolean is not supported.");
	if (values.length === 0 || values.some((one) => typeof one !== typeof values[0]))
		throw new Error("Inside anything but list, either all values are number or string, mixed type is not supported");
	return values.map((one) => ({ kind: "exact", value: one as Leaf }));
}

const anythingButNames = ["equals-ignore-case", "prefix", "suffix", "wildcard"];

function parseAnythingButMatcher(expression: Record<string, unknown>): ValueMatcher[] {
	const [name, value] = onlyKey(
		expression,
		"Anything-But expression name not found",
		() => "Too many elements in numeric expression",
	);
	if (!anythingButNames.includes(name)) throw new Error(`Unsupported anything-but pattern: ${name}`);
	if (typeof value !== "string" && typeof value !== "number" && !Array.isArray(value))
		throw new Error("Value of anything-but must be an array or single string/number value.");
	const values: unknown[] = Array.isArray(value) ? value : [value];
	if (values.length === 0)
		throw new Error("Inside anything but list, either all values are number or string, mixed type is not supported");
	return values.map((one) => {
		if (typeof one !== "string") throw new Error(anythingButRefusal(name));
		if (one === "" && (name === "prefix" || name === "suffix")) throw new Error("Null prefix/suffix not allowed");
		return parseExpression({ [name]: one });
	});
}

function anythingButRefusal(name: string): string {
	if (name === "equals-ignore-case")
		return "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.";
	return `${name === "wildcard" ? "wildcard" : "prefix/suffix"} match pattern must be a string`;
}

function parseNumeric(terms: readonly unknown[]): NumericRange {
	const [operator, value, upper, top, ...more] = terms;
	if (typeof operator !== "string") throw new Error(`Invalid member in numeric match: ${shown(operator)}`);
	if (!["=", ">", ">=", "<", "<="].includes(operator))
		throw new Error(`Unrecognized numeric range operator: ${operator}`);
	if (typeof value !== "number") throw new Error(`Value of ${operator === "=" ? "equals" : operator} must be numeric`);
	if (operator.startsWith(">") && terms.length > 2) {
		if (typeof upper !== "string") throw new Error(`Bad value in numeric range: ${shown(upper)}`);
		if (upper !== "<" && upper !== "<=") throw new Error(`Bad numeric range operator: ${upper}`);
		if (typeof top !== "number") throw new Error(`Value of ${upper} must be numeric`);
		if (more.length > 0) throw new Error("Too many terms in numeric range expression");
		if (value >= top) throw new Error("Bottom must be less than top");
		return { low: value, lowOpen: operator === ">", high: top, highOpen: upper === "<" };
	}
	if (terms.length > 2) throw new Error("Too many elements in numeric expression");
	const isLow = operator.startsWith(">") || operator === "=";
	const isHigh = operator.startsWith("<") || operator === "=";
	return {
		low: isLow ? value : Number.NEGATIVE_INFINITY,
		lowOpen: operator === ">",
		high: isHigh ? value : Number.POSITIVE_INFINITY,
		highOpen: operator === "<",
	};
}

function shown(value: unknown): string {
	return typeof value === "object" && value !== null ? (Array.isArray(value) ? "[" : "{") : String(value);
}

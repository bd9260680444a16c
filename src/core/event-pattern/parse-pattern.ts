/** The grammar's outer half: objects, arrays, `$or`. https://github.com/aws/event-ruler, JsonRuleCompiler.java. */
import { SlipwayError } from "../../base/error.ts";
import { parseEntry } from "./parse-matcher.ts";
import type { ValueMatcher } from "./value-matcher.ts";

/** One way to match: all of the fields, by dotted path. A pattern with `$or` has several, of which one is enough. */
export type PatternBranch = ReadonlyMap<string, readonly ValueMatcher[]>;

/** Characters of a pattern's text: EventBridge and Lambda take 4,096; the rest is room for those who build theirs. */
export const maxPatternCharacters = 65_536;
/** What `$or`s multiply to: each is a pattern of its own in memory. SNS and Pipes draw their line at 150 to 1,000. */
export const maxPatternBranches = 1_000;
/** Fields of all branches: the bound of a pattern's memory, some 2 MB. */
export const maxPatternFields = 20_000;
/** Objects in objects. */
export const maxPatternDepth = 100;

export function invalidPattern(reason: string): SlipwayError {
	return new SlipwayError("INVALID", `Event pattern is not valid. Reason: ${reason}`, {
		reason: "InvalidEventPattern",
	});
}

/** Throws INVALID, reason "InvalidEventPattern", in AWS's words. */
export function parsePattern(pattern: string | object): PatternBranch[] {
	const root = readPattern(pattern);
	if (!isObject(root)) throw invalidPattern("Filter is not an object");
	const fields: Fields = { count: 0 };
	try {
		return parseObject([new Map()], "", root, false, 0, fields);
	} catch (error) {
		if (error instanceof SlipwayError || !(error instanceof Error)) throw error;
		throw invalidPattern(error.message);
	}
}

interface Fields {
	count: number;
}

function readPattern(pattern: string | object): unknown {
	if (typeof pattern !== "string") return pattern;
	if (pattern.length > maxPatternCharacters)
		throw invalidPattern(
			`Rule is too large: ${pattern.length} characters, at most ${maxPatternCharacters} are allowed`,
		);
	try {
		return JSON.parse(pattern);
	} catch (error) {
		throw invalidPattern(error instanceof Error ? error.message : String(error));
	}
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseObject(
	branches: PatternBranch[],
	path: string,
	object: Record<string, unknown>,
	insideOr: boolean,
	depth: number,
	fields: Fields,
): PatternBranch[] {
	if (depth > maxPatternDepth) throw new Error(`Rule is nested deeper than ${maxPatternDepth} objects`);
	const entries = Object.entries(object);
	if (entries.length === 0) throw new Error("Empty objects are not allowed");
	let result = branches;
	for (const [key, value] of entries) {
		const name = path === "" ? key : `${path}.${key}`;
		if (key === "$or" && isOrRelationship(value)) result = parseOr(result, path, value, depth, fields);
		else if (insideOr && reservedInOr.has(key))
			throw new Error(`${key} is Ruler reserved fieldName which cannot be used inside $or.`);
		else if (isObject(value)) result = parseObject(result, name, value, insideOr, depth + 1, fields);
		else if (Array.isArray(value)) result = addField(result, name, value, fields);
		else throw new Error(`"${key}" must be an object or an array`);
	}
	return result;
}

function addField(branches: PatternBranch[], name: string, entries: unknown[], fields: Fields): PatternBranch[] {
	if (entries.length === 0) throw new Error("Empty arrays are not allowed");
	const matchers = entries.map(parseEntry);
	fields.count += branches.length * matchers.length;
	if (fields.count > maxPatternFields) throw tooComplex();
	return branches.map((branch) => {
		if (branch.has(name)) throw new Error(`Path \`${name}\` cannot be allowed multiple times`);
		return new Map([...branch, [name, matchers]]);
	});
}

function parseOr(
	branches: PatternBranch[],
	path: string,
	alternatives: readonly Record<string, unknown>[],
	depth: number,
	fields: Fields,
): PatternBranch[] {
	if (branches.length * alternatives.length > maxPatternBranches) throw tooComplex();
	const result = alternatives.flatMap((one) => parseObject(branches, path, one, true, depth + 1, fields));
	if (result.length > maxPatternBranches) throw tooComplex();
	return result;
}

function tooComplex(): Error {
	return new Error(
		`Rule is too complex - try using fewer $or relationships and values: at most ${maxPatternBranches} combinations and ${maxPatternFields} values are allowed`,
	);
}

/** Anything else that is called `$or` is an ordinary field, so that events may have one (ruler's README). */
function isOrRelationship(value: unknown): value is Record<string, unknown>[] {
	return (
		Array.isArray(value) &&
		value.length >= 2 &&
		value.every(
			(one) => isObject(one) && Object.keys(one).length > 0 && !Object.keys(one).some((key) => reservedInOr.has(key)),
		)
	);
}

/** Constants.java, RESERVED_FIELD_NAMES_IN_OR_RELATIONSHIP. */
const reservedInOr: ReadonlySet<string> = new Set(
	`exactly equals-ignore-case prefix suffix anything-but exists wildcard numeric cidr = < <= > >= regex not-wildcard
	not-equals-ignore-case date-after date-on-or-after date-before date-on-or-before in-date-range ip-address-in-range
	ip-address-not-in-range`.split(/\s+/),
);

/** Comparisons of JSON and space-delimited patterns: an operator and a value with wildcards, a number or a regular expression. */
import type { Scanner } from "./scanner.ts";

/** Told a number, text or boolean of the event. */
export type Test = (value: unknown) => boolean;

const operators = ["!=", ">=", "<=", "=", ">", "<"] as const;
type Operator = (typeof operators)[number];

const numberPattern = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
/** Up to whatever ends a value in either kind of pattern. */
const barePattern = /[^\s"%(){}[\],&|=<>!]+/y;

/** `numberOf` says what of an event is a number. Undefined when no operator stands there. */
export function readComparison(scanner: Scanner, numberOf: (value: unknown) => number | undefined): Test | undefined {
	const operator = operators.find((candidate) => scanner.take(candidate));
	if (!operator) return undefined;
	scanner.skipSpace();
	const found = scanner.regex();
	if (found) {
		if (operator !== "=" && operator !== "!=")
			throw scanner.error("a regular expression can only be compared with = or !=");
		return (value) => isScalar(value) && found(String(value)) === (operator === "=");
	}
	const quoted = scanner.quoted();
	const text = quoted ?? scanner.match(barePattern);
	if (text === undefined) throw scanner.error("a value is missing");
	const number = quoted === undefined && numberPattern.test(text) ? Number(text) : undefined;
	if (operator === "=" || operator === "!=") return equality(text, number, numberOf, operator === "=");
	if (number === undefined) throw scanner.error(`'${operator}' needs a number`);
	return (value) => {
		const own = numberOf(value);
		return own !== undefined && isOrdered(own, operator, number);
	};
}

function equality(
	text: string,
	number: number | undefined,
	numberOf: (value: unknown) => number | undefined,
	expected: boolean,
): Test {
	const matches = wildcard(text);
	return (value) => {
		if (!isScalar(value)) return false;
		const own = number === undefined ? undefined : numberOf(value);
		return (own === undefined ? matches(String(value)) : own === number) === expected;
	};
}

function isOrdered(own: number, operator: Exclude<Operator, "=" | "!=">, number: number): boolean {
	if (operator === ">") return own > number;
	if (operator === ">=") return own >= number;
	return operator === "<" ? own < number : own <= number;
}

function isScalar(value: unknown): value is string | number | boolean {
	return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

/** A star stands for any characters. Each part is looked for once, from left to right. */
function wildcard(pattern: string): (text: string) => boolean {
	const parts = pattern.split("*");
	const first = parts.shift()!;
	const last = parts.pop();
	if (last === undefined) return (text) => text === first;
	return (text) => {
		if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
		let at = first.length;
		for (const part of parts) {
			const found = text.indexOf(part, at);
			if (found === -1) return false;
			at = found + part.length;
		}
		return at <= text.length - last.length;
	};
}

/** A condition in `||`, `&&` and brackets over what `readLeaf` reads. */
export function readCondition<Subject>(
	scanner: Scanner,
	readLeaf: () => (subject: Subject) => boolean,
): (subject: Subject) => boolean {
	const readAll = (separator: string, readOne: () => (subject: Subject) => boolean) => {
		const parts = [readOne()];
		for (scanner.skipSpace(); scanner.take(separator); scanner.skipSpace()) parts.push(readOne());
		return parts;
	};
	const readPrimary = () => {
		scanner.skipSpace();
		if (!scanner.take("(")) return readLeaf();
		const inner = readCondition(scanner, readLeaf);
		scanner.skipSpace();
		scanner.expect(")");
		return inner;
	};
	const readAnd = () => {
		const parts = readAll("&&", readPrimary);
		return parts.length === 1 ? parts[0]! : (subject: Subject) => parts.every((part) => part(subject));
	};
	const parts = readAll("||", readAnd);
	return parts.length === 1 ? parts[0]! : (subject) => parts.some((part) => part(subject));
}

export function asNumber(text: string): number | undefined {
	return numberPattern.test(text) ? Number(text) : undefined;
}

/** `{ $.a.b = "x" && ($.n > 3 || $.list[*].name NOT EXISTS) }` */
import { readComparison, readCondition } from "./comparison.ts";
import type { FilterPattern } from "./pattern.ts";
import type { Scanner } from "./scanner.ts";

/** A name, an index, or all the elements. */
type Step = string | number | typeof all;
const all = Symbol("*");

type Leaf = (event: unknown) => boolean;

export function readJsonPattern(scanner: Scanner): FilterPattern {
	const selectors = new Map<string, readonly Step[]>();
	scanner.expect("{");
	const condition = readCondition(scanner, () => readLeaf(scanner, selectors));
	scanner.skipSpace();
	scanner.expect("}");
	scanner.skipSpace();
	if (!scanner.isAtEnd) throw scanner.error("something stands behind '}'");
	return {
		matches: (message) => {
			const event = parseObject(message);
			return event !== undefined && condition(event);
		},
		extract: (message) => {
			const event = parseObject(message);
			return Object.fromEntries(
				[...selectors].flatMap(([text, steps]) => {
					const [value] = select(event, steps);
					return value === undefined ? [] : [[text, typeof value === "string" ? value : JSON.stringify(value)]];
				}),
			);
		},
	};
}

function readLeaf(scanner: Scanner, selectors: Map<string, readonly Step[]>): Leaf {
	scanner.skipSpace();
	const { text, steps } = readSelector(scanner);
	selectors.set(text, steps);
	scanner.skipSpace();
	const test = readComparison(scanner, (value) => (typeof value === "number" ? value : undefined));
	if (test) return (event) => select(event, steps).some(test);
	const word = scanner.match(/NOT\s+EXISTS\b|IS\s+(?:NULL|TRUE|FALSE)\b/iy);
	if (word === undefined) throw scanner.error(`'${text}' needs an operator`);
	if (/^NOT/i.test(word)) return (event) => select(event, steps).length === 0;
	const expected = /NULL$/i.test(word) ? null : /TRUE$/i.test(word);
	return (event) => select(event, steps).includes(expected);
}

function readSelector(scanner: Scanner): { text: string; steps: Step[] } {
	const steps: Step[] = [];
	let text = "$";
	scanner.expect("$");
	for (;;) {
		if (scanner.take(".")) {
			if (scanner.peek("[")) continue;
			const name = scanner.quoted() ?? scanner.match(/[^\s"%(){}[\],&|=<>!.'$]+/y);
			if (name === undefined) throw scanner.error("a property's name is missing");
			steps.push(name === "*" ? all : name);
			text += `.${name}`;
		} else if (scanner.take("[")) {
			const step = readIndex(scanner);
			steps.push(step);
			text += typeof step === "string" ? `['${step}']` : `[${step === all ? "*" : step}]`;
			scanner.expect("]");
		} else break;
	}
	if (steps.length === 0) throw scanner.error("a selector is '$' and a property");
	return { text, steps };
}

function readIndex(scanner: Scanner): Step {
	if (scanner.take("*")) return all;
	const index = scanner.match(/\d{1,9}/y);
	if (index !== undefined) return Number(index);
	const name = scanner.quoted() ?? scanner.match(/'[^']*'/y)?.slice(1, -1);
	if (name === undefined) throw scanner.error("an index is a number, '*' or a quoted name");
	return name;
}

/** What is there, in order. */
function select(event: unknown, steps: readonly Step[]): unknown[] {
	let values = [event];
	for (const step of steps) {
		values = values.flatMap((value) => {
			if (typeof value !== "object" || value === null) return [];
			if (step === all) return Object.values(value);
			if (Array.isArray(value)) return typeof step === "number" && step < value.length ? [value[step]] : [];
			return Object.hasOwn(value, step) ? [(value as Record<string | number, unknown>)[step]] : [];
		});
	}
	return values;
}

function parseObject(message: string): object | undefined {
	// Most lines are text, and an exception costs 10 µs.
	if (!/^\s*[{[]/.test(message)) return undefined;
	try {
		return JSON.parse(message) as object;
	} catch {
		return undefined; // Text that begins like JSON.
	}
}

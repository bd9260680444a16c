import { anyMethod } from "./gateway-route.ts";
import type { PatternSegment, RoutePattern } from "./route-pattern.ts";

export interface FoundRule<T> {
	value: T;
	/** By variable, decoded; a greedy one's segments are joined by slashes. */
	parameters: Readonly<Record<string, string>>;
}

interface Entry<T> {
	value: T;
	names: readonly string[];
}

interface Node<T> {
	literals: Map<string, Node<T>>;
	variable: Node<T> | undefined;
	/** By method, for what ends here, and for all that is below. */
	here: Map<string, Entry<T>>;
	greedy: Map<string, Entry<T>>;
}

/**
 * Rules of one host by path and method. The most specific one wins as in an HTTP API: a full match, in which text goes
 * before a variable, from left to right; then the greedy variable with the most segments before it; then $default. A rule for the method goes
 * before ANY of the same path (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html).
 */
export class RouteTree<T> {
	readonly #root = node<T>();
	#default: T | undefined;

	/** What is already there for the method and the same paths. */
	add(method: string, pattern: RoutePattern, value: T): T | undefined {
		let at = this.#root;
		const names: string[] = [];
		for (const segment of pattern.segments) {
			if (segment.kind !== "literal") names.push(segment.name);
			if (segment.kind === "greedy") return put(at.greedy, method, { value, names });
			at = child(at, segment);
		}
		return put(at.here, method, { value, names });
	}

	setDefault(value: T): T | undefined {
		const before = this.#default;
		this.#default ??= value;
		return before;
	}

	find(method: string, segments: readonly string[]): FoundRule<T> | undefined {
		const full = fullMatch(this.#root, method, segments, 0, []);
		if (full) return full;
		const greedy = greedyMatch(this.#root, method, segments, 0, []);
		if (greedy) return greedy;
		return this.#default === undefined ? undefined : { value: this.#default, parameters: {} };
	}
}

function node<T>(): Node<T> {
	return { literals: new Map(), variable: undefined, here: new Map(), greedy: new Map() };
}

function child<T>(at: Node<T>, segment: PatternSegment): Node<T> {
	if (segment.kind !== "literal") {
		at.variable ??= node();
		return at.variable;
	}
	const found = at.literals.get(segment.text) ?? node<T>();
	at.literals.set(segment.text, found);
	return found;
}

function put<T>(entries: Map<string, Entry<T>>, method: string, entry: Entry<T>): T | undefined {
	const before = entries.get(method);
	if (!before) entries.set(method, entry);
	return before?.value;
}

/** Never more visits than the tree has nodes, and one a segment where text and variables are not mixed. */
function fullMatch<T>(
	at: Node<T>,
	method: string,
	segments: readonly string[],
	depth: number,
	values: readonly string[],
): FoundRule<T> | undefined {
	const segment = segments[depth];
	if (segment === undefined) return found(at.here, method, values);
	const literal = at.literals.get(segment);
	return (
		(literal && fullMatch(literal, method, segments, depth + 1, values)) ??
		(at.variable && fullMatch(at.variable, method, segments, depth + 1, [...values, segment]))
	);
}

/** The deepest first. */
function greedyMatch<T>(
	at: Node<T>,
	method: string,
	segments: readonly string[],
	depth: number,
	values: readonly string[],
): FoundRule<T> | undefined {
	const segment = segments[depth];
	if (segment === undefined) return undefined;
	const literal = at.literals.get(segment);
	return (
		(literal && greedyMatch(literal, method, segments, depth + 1, values)) ??
		(at.variable && greedyMatch(at.variable, method, segments, depth + 1, [...values, segment])) ??
		found(at.greedy, method, [...values, segments.slice(depth).join("/")])
	);
}

function found<T>(entries: Map<string, Entry<T>>, method: string, values: readonly string[]): FoundRule<T> | undefined {
	const entry = entries.get(method) ?? entries.get(anyMethod);
	if (!entry) return undefined;
	return {
		value: entry.value,
		parameters: Object.fromEntries(entry.names.map((name, at) => [name, values[at] ?? ""])),
	};
}

/** How patterns see an event: a key with dots is the same path as objects in objects; an array is each of its elements. */
import type { Leaf } from "./value-matcher.ts";

/** Objects and arrays in one another that are looked into; what is deeper is not matched. A stack has room for some 8,000. */
const maxEventDepth = 500;

export function isJsonObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isLeaf(value: unknown): value is Leaf {
	return value === null || (typeof value !== "object" && value !== undefined);
}

/** The event with its dotted keys taken apart; itself when it has none. */
export function withoutDottedKeys(event: unknown): unknown {
	return hasDottedKey(event, 0) ? expand(event, 0) : event;
}

function hasDottedKey(value: unknown, depth: number): boolean {
	if (typeof value !== "object" || value === null || depth > maxEventDepth) return false;
	if (Array.isArray(value)) return value.some((one) => hasDottedKey(one, depth + 1));
	for (const key of Object.keys(value))
		if (key.includes(".") || hasDottedKey((value as Record<string, unknown>)[key], depth + 1)) return true;
	return false;
}

type Dictionary = Record<string, unknown>;

function dictionary(): Dictionary {
	return Object.create(null) as Dictionary;
}

function expand(value: unknown, depth: number): unknown {
	if (typeof value !== "object" || value === null || depth > maxEventDepth) return value;
	if (Array.isArray(value)) return value.map((one) => expand(one, depth + 1));
	const result = dictionary();
	for (const [key, one] of Object.entries(value)) {
		const expanded = expand(one, depth + 1);
		const names = key.split(".").slice(0, maxEventDepth);
		const nested = names.reduceRight<unknown>(
			(inner, name) => Object.assign(dictionary(), { [name]: inner }),
			expanded,
		);
		mergeInto(result, nested as Dictionary);
	}
	return result;
}

/** Two values of one path: both objects become one; of anything else either may match. What is too deep to be matched stays out. */
function mergeInto(target: Dictionary, added: Dictionary, depth = 0): void {
	if (depth > maxEventDepth) return;
	for (const [key, value] of Object.entries(added)) {
		const known = target[key];
		if (!(key in target)) target[key] = value;
		else if (isJsonObject(known) && isJsonObject(value)) mergeInto(known, value, depth + 1);
		else if (Array.isArray(known)) known.push(value);
		else target[key] = [known, value];
	}
}

/** Own properties only: an event may have a key called `constructor`. */
export function property(object: Record<string, unknown>, key: string): unknown {
	return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Names that are looked for, by their places; `end` where a path ends. */
export interface PathTree<T> {
	readonly children: Map<string, PathTree<T>>;
	end: T | undefined;
}

export function pathTree<T>(): PathTree<T> {
	return { children: new Map(), end: undefined };
}

/** Calls back for each value at a path of the tree. */
export function walkFields<T>(
	tree: PathTree<T>,
	value: unknown,
	visit: (end: T, value: Leaf) => void,
	depth = 0,
): void {
	if (depth > maxEventDepth) return;
	if (Array.isArray(value)) for (const one of value) walkFields(tree, one, visit, depth + 1);
	else if (isJsonObject(value)) {
		if (tree.children.size === 0) return;
		for (const key of Object.keys(value)) {
			const child = tree.children.get(key);
			if (child) walkFields(child, value[key], visit, depth + 1);
		}
	} else if (tree.end !== undefined && isLeaf(value)) visit(tree.end, value);
}

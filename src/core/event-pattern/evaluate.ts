import { isJsonObject, isLeaf, type PathTree, pathTree, property, walkFields } from "./event-fields.ts";
import type { PatternBranch } from "./parse-pattern.ts";
import { type Leaf, matchesValue, type ValueMatcher } from "./value-matcher.ts";

/** A field of a branch. */
export interface PatternField {
	readonly matchers: readonly ValueMatcher[];
	/** Has `{"exists": false}` among them. */
	readonly mayBeAbsent: boolean;
}

/** A branch as a tree of names, with the fields that must be looked for in the whole event. */
export interface BranchTree {
	readonly fields: PathTree<PatternField>;
	/** Only the fields that may be absent. */
	readonly absent: PathTree<PatternField>;
}

export function branchTree(branch: PatternBranch): BranchTree {
	const fields = pathTree<PatternField>();
	const absent = pathTree<PatternField>();
	for (const [path, matchers] of branch) {
		const field = { matchers, mayBeAbsent: matchers.some((one) => one.kind === "absent") };
		addPath(fields, path, field);
		if (field.mayBeAbsent) addPath(absent, path, field);
	}
	return { fields, absent };
}

export function addPath<T>(tree: PathTree<T>, path: string, end: T): void {
	nodeOf(tree, path).end = end;
}

/** The place of a path, made where it is not there. */
export function nodeOf<T>(tree: PathTree<T>, path: string): PathTree<T> {
	let node = tree;
	for (const name of path.split(".")) {
		const child = node.children.get(name) ?? pathTree<T>();
		node.children.set(name, child);
		node = child;
	}
	return node;
}

/** Objects and arrays in one another; as event-fields.ts. */
const maxDepth = 500;

/** `event`: without dotted keys. Fields of one array must be matched by the same element of it. Time: event times pattern. */
export function matchesBranch(branch: BranchTree, event: unknown): boolean {
	if (branch.absent.children.size === 0) return matchesNode(branch.fields, event, none, 0);
	const present = new Set<PatternField>();
	walkFields(branch.absent, event, (field) => present.add(field));
	return matchesNode(branch.fields, event, present, 0);
}

const none: Present = new Set();

type Node = PathTree<PatternField>;
type Present = ReadonlySet<PatternField>;

function matchesNode(node: Node, value: unknown, present: Present, depth: number): boolean {
	if (depth > maxDepth) return false;
	if (Array.isArray(value)) {
		// An empty array has no values: what must be absent is.
		if (value.length === 0) return matchesNode(node, undefined, present, depth + 1);
		return value.some((one) => matchesNode(node, one, present, depth + 1));
	}
	if (node.end && !matchesField(node.end, isLeaf(value) ? value : undefined, present)) return false;
	const object = isJsonObject(value) ? value : undefined;
	for (const [name, child] of node.children)
		if (!matchesNode(child, object && property(object, name), present, depth + 1)) return false;
	return true;
}

function matchesField(field: PatternField, value: Leaf | undefined, present: Present): boolean {
	if (value === undefined) return field.mayBeAbsent && !present.has(field);
	return field.matchers.some((one) => matchesValue(one, value));
}

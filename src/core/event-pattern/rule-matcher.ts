/**
 * Which of many rules match an event, without asking each. Every branch of a rule is found by one of its fields, the one whose value
 * the fewest other branches share; only those that an event's values lead to are evaluated.
 */
import { type BranchTree, branchTree, matchesBranch, nodeOf } from "./evaluate.ts";
import { type PathTree, pathTree, walkFields, withoutDottedKeys } from "./event-fields.ts";
import { FieldIndex, type Posting } from "./field-index.ts";
import { type PatternBranch, parsePattern } from "./parse-pattern.ts";
import type { Leaf } from "./value-matcher.ts";

export class RuleMatcher {
	readonly #rules = new Map<string, readonly Entry[]>();
	readonly #fields: PathTree<FieldIndex<Entry>> = pathTree();
	/** Indexes that have branches for events without their field. */
	readonly #withAbsent = new Set<FieldIndex<Entry>>();

	/** Branches that the last match evaluated: what it cost. */
	lastCandidates = 0;

	get size(): number {
		return this.#rules.size;
	}

	/** Replaces a rule of the same name. Throws INVALID, as `compilePattern`, and has changed nothing then. */
	set(rule: string, pattern: string | object): void {
		const branches = parsePattern(pattern);
		this.delete(rule);
		this.#rules.set(
			rule,
			branches.map((branch) => this.#add(rule, branch)),
		);
	}

	delete(rule: string): void {
		for (const entry of this.#rules.get(rule) ?? []) this.#remove(entry);
		this.#rules.delete(rule);
	}

	/** Names of the rules that match, each once. `event`: parsed JSON. Never throws. */
	match(event: unknown): string[] {
		const fields = withoutDottedKeys(event);
		const candidates = new Set<Entry>();
		// Each value once: an array may have a hundred thousand of the same.
		const present = new Map<FieldIndex<Entry>, Set<Leaf>>();
		walkFields(this.#fields, fields, (index, value) => {
			const values = present.get(index);
			if (values?.has(value)) return;
			if (values) values.add(value);
			else {
				present.set(index, new Set([value]));
				index.collectAny(candidates);
			}
			index.collect(value, candidates);
		});
		for (const index of this.#withAbsent)
			if (!present.has(index)) for (const entry of index.absent) candidates.add(entry);
		this.lastCandidates = candidates.size;
		const matched = new Set<string>();
		for (const { rule, tree } of candidates) if (!matched.has(rule) && matchesBranch(tree, fields)) matched.add(rule);
		return [...matched];
	}

	#add(rule: string, branch: PatternBranch): Entry {
		let best: { path: string; postings: Posting[]; cost: number } | undefined;
		for (const [path, matchers] of branch) {
			const plan = (indexAt(this.#fields, path) ?? new FieldIndex<Entry>()).plan(matchers);
			if (!best || plan.cost < best.cost) best = { path, ...plan };
		}
		if (!best) throw new Error("A pattern has a field");
		const entry = { rule, tree: branchTree(branch), path: best.path, postings: best.postings };
		const node = nodeOf(this.#fields, best.path);
		node.end ??= new FieldIndex<Entry>();
		const index = node.end;
		for (const posting of best.postings) index.add(posting, entry);
		if (index.absent.size > 0) this.#withAbsent.add(index);
		return entry;
	}

	#remove(entry: Entry): void {
		const index = indexAt(this.#fields, entry.path);
		if (!index) return;
		for (const posting of entry.postings) index.delete(posting, entry);
		if (index.absent.size === 0) this.#withAbsent.delete(index);
		if (index.size === 0) prune(this.#fields, entry.path.split("."));
	}
}

interface Entry {
	readonly rule: string;
	readonly tree: BranchTree;
	readonly path: string;
	readonly postings: readonly Posting[];
}

function indexAt(tree: PathTree<FieldIndex<Entry>>, path: string): FieldIndex<Entry> | undefined {
	let node: PathTree<FieldIndex<Entry>> | undefined = tree;
	for (const name of path.split(".")) node = node?.children.get(name);
	return node?.end;
}

/** Takes the end of a path out, and the names that lead nowhere then. */
function prune<T>(node: PathTree<T>, names: readonly string[]): void {
	const [name, ...rest] = names;
	if (name === undefined) {
		node.end = undefined;
		return;
	}
	const child = node.children.get(name);
	if (!child) return;
	prune(child, rest);
	if (child.children.size === 0 && child.end === undefined) node.children.delete(name);
}

/**
 * Finds the operation for a method and a path among `smithy.api#http` URI patterns: a tree by path segment, so that the
 * cost is the path's length, not the number of operations. Literal segments go before labels, labels before greedy ones,
 * and among the operations of one path the one with the most matching query literals wins
 * (https://smithy.io/2.0/spec/http-bindings.html, "Pattern specificity").
 */
export interface Route<T> {
	target: T;
	/** Decoded labels by member name. */
	labels: Record<string, string>;
}

interface Leaf<T> {
	target: T;
	labelNames: string[];
	/** `?list-type=2` as [["list-type", "2"]]; a key alone has "" for its value. */
	queryLiterals: [string, string][];
}

interface Node<T> {
	literals: Map<string, Node<T>>;
	label: Node<T> | undefined;
	/** Takes the rest of the path, one segment at least. */
	greedy: Node<T> | undefined;
	/** By method, most query literals first. */
	leaves: Map<string, Leaf<T>[]>;
}

/** More segments than any operation has, so that a path of slashes costs nothing. */
const maxSegments = 64;

export class Router<T> {
	readonly #root: Node<T> = node();

	add(method: string, uri: string, target: T): void {
		const [path = "", query = ""] = uri.split("?", 2);
		const labelNames: string[] = [];
		let at = this.#root;
		for (const segment of path.split("/").slice(1)) {
			const label = /^\{(\w+)(\+?)\}$/.exec(segment);
			if (label) labelNames.push(label[1]!);
			at = label ? (label[2] ? child(at, "greedy") : child(at, "label")) : literalChild(at, segment);
		}
		const queryLiterals = [...new URLSearchParams(query)];
		const leaves = at.leaves.get(method) ?? [];
		leaves.push({ target, labelNames, queryLiterals });
		leaves.sort((a, b) => b.queryLiterals.length - a.queryLiterals.length);
		at.leaves.set(method, leaves);
	}

	/** `path` and `query` as they stand in the request line. Undefined when nothing fits or a label is not valid percent-encoding. */
	match(method: string, path: string, query: string): Route<T> | undefined {
		const segments = path.split("/", maxSegments + 2).slice(1);
		if (segments.length > maxSegments) return undefined;
		// Some SDKs end a path with a slash that the pattern does not have (InvokeAsync).
		if (segments.length > 1 && segments.at(-1) === "") segments.pop();
		const values: string[] = [];
		const leaf = find(this.#root, segments, 0, method, query, values);
		if (!leaf) return undefined;
		const labels: Record<string, string> = {};
		for (const [i, name] of leaf.labelNames.entries()) {
			const value = decode(values[i]!);
			if (value === undefined) return undefined;
			labels[name] = value;
		}
		return { target: leaf.target, labels };
	}
}

function find<T>(
	at: Node<T>,
	segments: string[],
	index: number,
	method: string,
	query: string,
	values: string[],
): Leaf<T> | undefined {
	const segment = segments[index];
	if (segment === undefined) return at.leaves.get(method)?.find((leaf) => queryFits(leaf.queryLiterals, query));
	const literal = at.literals.get(segment);
	const byLiteral = literal && find(literal, segments, index + 1, method, query, values);
	if (byLiteral) return byLiteral;
	if (at.label && segment !== "") {
		values.push(segment);
		const byLabel = find(at.label, segments, index + 1, method, query, values);
		if (byLabel) return byLabel;
		values.pop();
	}
	if (!at.greedy) return undefined;
	for (let end = segments.length; end > index; end--) {
		values.push(segments.slice(index, end).join("/"));
		const byGreedy = find(at.greedy, segments, end, method, query, values);
		if (byGreedy) return byGreedy;
		values.pop();
	}
	return undefined;
}

function queryFits(literals: [string, string][], query: string): boolean {
	if (literals.length === 0) return true;
	const params = new URLSearchParams(query);
	return literals.every(([key, value]) => params.getAll(key).includes(value));
}

function decode(text: string): string | undefined {
	if (!text.includes("%")) return text;
	try {
		return decodeURIComponent(text);
	} catch {
		return undefined;
	}
}

function node<T>(): Node<T> {
	return { literals: new Map(), label: undefined, greedy: undefined, leaves: new Map() };
}

function child<T>(parent: Node<T>, kind: "label" | "greedy"): Node<T> {
	parent[kind] ??= node();
	return parent[kind];
}

function literalChild<T>(parent: Node<T>, segment: string): Node<T> {
	const existing = parent.literals.get(segment);
	if (existing) return existing;
	const made = node<T>();
	parent.literals.set(segment, made);
	return made;
}

/** `/orders/{id}` and `/files/{proxy+}`, as API Gateway's HTTP APIs write them. */
export interface RoutePattern {
	segments: readonly PatternSegment[];
}

export type PatternSegment =
	| { kind: "literal"; text: string }
	/** Exactly one segment. */
	| { kind: "variable"; name: string }
	/** One or more, at the end. */
	| { kind: "greedy"; name: string };

/** More than anybody writes; a look-up visits each at least once. */
export const maxPatternSegments = 32;

const variable = /^\{([A-Za-z0-9._-]{1,64})(\+?)\}$/;
/** What a request's segment can be after it was decoded; braces are for variables alone. */
const literal = /^[^{}/\\%?#\0-\x20\x7f]{1,256}$/;

/** The reason, for a person, when it is none. */
export function parseRoutePattern(path: string): RoutePattern | { problem: string } {
	if (!path.startsWith("/")) return { problem: "a path that begins with a slash, or $default" };
	if (path === "/") return { segments: [] };
	const parts = path.slice(1).split("/");
	if (parts.length > maxPatternSegments) return { problem: `at most ${maxPatternSegments} segments` };
	const segments: PatternSegment[] = [];
	const names = new Set<string>();
	for (const [at, part] of parts.entries()) {
		const [, name, plus] = variable.exec(part) ?? [];
		if (name === undefined) {
			if (part === "." || part === ".." || !literal.test(part))
				return { problem: `segments of plain text, {name}, or {name+} at the end; '${part}' is none of them` };
			segments.push({ kind: "literal", text: part });
			continue;
		}
		if (names.has(name)) return { problem: `each variable once; {${name}} comes twice` };
		names.add(name);
		if (plus === "+" && at < parts.length - 1) return { problem: `{${name}+} only as the last segment` };
		segments.push(plus === "+" ? { kind: "greedy", name } : { kind: "variable", name });
	}
	return { segments };
}

/** The part of JSONPath that EventBridge takes: names and indexes. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html */
import { SlipwayError } from "../../base/error.ts";

export type JsonPath = readonly (string | number)[];

/** Characters: TargetInputPath. */
export const maxPathLength = 256;

/** `$`, `.name`, `['name']`, `[0]`. INVALID for anything else. */
export function parseJsonPath(text: string): JsonPath {
	if (text.length > maxPathLength || !text.startsWith("$")) throw invalidPath(text);
	const path: (string | number)[] = [];
	const step = /\.([^.[\]'"*\s]+)|\[(\d{1,9})\]|\[(?:'([^']*)'|"([^"]*)")\]/y;
	step.lastIndex = 1;
	while (step.lastIndex < text.length) {
		const match = step.exec(text);
		if (!match) throw invalidPath(text);
		const [, name, index, single, double] = match;
		path.push(index === undefined ? (name ?? single ?? double ?? "") : Number(index));
	}
	return path;
}

function invalidPath(text: string): SlipwayError {
	return new SlipwayError(
		"INVALID",
		`Invalid JSONPath '${text.slice(0, maxPathLength)}': only names ($.detail.name, $['a name']) and indexes ($.resources[0]) are supported`,
		{ reason: "InvalidJsonPath" },
	);
}

/** Undefined where the path leads nowhere. */
export function valueAt(path: JsonPath, root: unknown): unknown {
	let value = root;
	for (const step of path) {
		if (typeof value !== "object" || value === null) return undefined;
		if (typeof step === "number" && !Array.isArray(value)) return undefined;
		if (!Object.hasOwn(value, step)) return undefined;
		value = (value as Record<string | number, unknown>)[step];
	}
	return value;
}

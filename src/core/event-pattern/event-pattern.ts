/**
 * EventBridge's event patterns, as the open ruler library has them (https://github.com/aws/event-ruler): rules of a bus, filters of
 * event source mappings and archives.
 */
import { branchTree, matchesBranch } from "./evaluate.ts";
import { withoutDottedKeys } from "./event-fields.ts";
import { parsePattern } from "./parse-pattern.ts";

export interface CompiledPattern {
	/** `event`: parsed JSON. Never throws. */
	matches(event: unknown): boolean;
}

/** Throws INVALID, reason "InvalidEventPattern": "Event pattern is not valid. Reason: …". */
export function compilePattern(pattern: string | object): CompiledPattern {
	const branches = parsePattern(pattern).map(branchTree);
	return {
		matches(event) {
			const fields = withoutDottedKeys(event);
			return branches.some((branch) => matchesBranch(branch, fields));
		},
	};
}

import type { FunctionRecord } from "../../core/function/function.ts";
import { own } from "./records.ts";

/**
 * Which versions a provisioned concurrency configuration stands for, and how many sandboxes of each. A weighted alias
 * divides them as it divides the events: 10 at a weight of 0.25 are 8 and 2 (2.5 rounded down, so that the alias's own
 * version never gets less than its share). $LATEST has none.
 */
export function provisionedVersions(record: FunctionRecord, qualifier: string): Map<string, number> {
	const requested = own(record.provisionedConcurrency, qualifier)?.requested ?? 0;
	const alias = own(record.aliases, qualifier);
	const { version, routing } = alias ?? { version: qualifier, routing: undefined };
	const other = routing ? Math.floor(requested * routing.weight) : 0;
	const counts = new Map<string, number>();
	if (requested > other) counts.set(version, requested - other);
	if (routing && other > 0) counts.set(routing.version, other);
	counts.delete("$LATEST");
	return counts;
}

/** Of all configurations of a function. */
export function provisionedTotal({ provisionedConcurrency }: Pick<FunctionRecord, "provisionedConcurrency">): number {
	return Object.values(provisionedConcurrency).reduce((sum, { requested }) => sum + requested, 0);
}

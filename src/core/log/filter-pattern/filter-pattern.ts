/**
 * The filter patterns of CloudWatch Logs, as FilterLogEvents, StartLiveTail and TestMetricFilter take them:
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html. Matching takes time in proportion
 * to the message, whatever the pattern is.
 */
import { SlipwayError } from "../../../base/error.ts";
import { readJsonPattern } from "./json-pattern.ts";
import type { FilterPattern } from "./pattern.ts";
import { Scanner } from "./scanner.ts";
import { readSpacePattern } from "./space-pattern.ts";
import { readTermPattern } from "./term-pattern.ts";

export type { FilterPattern } from "./pattern.ts";

/** Characters (FilterLogEvents, filterPattern). */
export const maxPatternLength = 1024;

/** Throws SlipwayError INVALID. */
export function parseFilterPattern(text: string): FilterPattern {
	if (text.length > maxPatternLength)
		throw new SlipwayError("INVALID", `A filter pattern has at most ${maxPatternLength} characters`);
	const scanner = new Scanner(text);
	scanner.skipSpace();
	if (scanner.peek("{")) return readJsonPattern(scanner);
	if (scanner.peek("[")) return readSpacePattern(scanner);
	return readTermPattern(scanner);
}

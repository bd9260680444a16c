import type { FunctionRevision } from "../../core/invocation/function-contract.ts";

/** docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html, from the most detailed on. */
const levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const usual = levels.indexOf("INFO");

/**
 * A function that logs JSON has its lines filtered by level: an object's own, INFO for one that names none that is known
 * and for plain text. Text-format functions keep every line.
 */
export function applicationLine(line: string, { configuration }: FunctionRevision): string | undefined {
	if (configuration.logFormat !== "JSON") return line;
	const least = levels.indexOf(configuration.applicationLogLevel ?? "INFO");
	return least > 0 && levelOf(line) < least ? undefined : line;
}

function levelOf(line: string): number {
	if (!line.startsWith("{") || !line.includes('"level"')) return usual;
	try {
		const { level } = JSON.parse(line) as { level?: unknown };
		const known = typeof level === "string" ? levels.indexOf(level.toUpperCase()) : -1;
		return known < 0 ? usual : known;
	} catch {
		return usual;
	}
}

import type { FunctionRevision } from "../../core/invocation/function-contract.ts";
import type { LogEvent } from "../../core/log/log-store.ts";

/** docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html, from the most detailed on. */
const levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const usual = levels.indexOf("INFO");
/** How far from now an event may lie, milliseconds (API_PutLogEvents): one further away keeps the time of its arrival. */
const maxPastMs = 14 * 86_400_000;
const maxFutureMs = 2 * 3_600_000;

/**
 * A function that logs JSON has its lines filtered by level: an object's own, INFO for one that names none that is known
 * and for plain text; and an object's own `timestamp` is its event's. Text-format functions keep every line as it came.
 */
export function applicationLine(
	line: string,
	{ configuration }: FunctionRevision,
	nowMs: number,
): LogEvent | undefined {
	if (configuration.logFormat !== "JSON") return { timestamp: nowMs, message: line };
	const least = levels.indexOf(configuration.applicationLogLevel ?? "INFO");
	const { level, timestamp } = ownFields(line);
	if (levelOf(level) < least) return undefined;
	return { timestamp: timeOf(timestamp, nowMs), message: line };
}

function ownFields(line: string): { level?: unknown; timestamp?: unknown } {
	if (!line.startsWith("{") || !(line.includes('"level"') || line.includes('"timestamp"'))) return {};
	try {
		return JSON.parse(line) as { level?: unknown; timestamp?: unknown };
	} catch {
		return {};
	}
}

function levelOf(level: unknown): number {
	const known = typeof level === "string" ? levels.indexOf(level.toUpperCase()) : -1;
	return known < 0 ? usual : known;
}

/** RFC 3339, section 5.6. */
const dateTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

function timeOf(timestamp: unknown, nowMs: number): number {
	if (typeof timestamp !== "string" || !dateTime.test(timestamp)) return nowMs;
	const ms = Date.parse(timestamp.toUpperCase());
	return ms >= nowMs - maxPastMs && ms <= nowMs + maxFutureMs ? ms : nowMs;
}

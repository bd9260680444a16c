/** What the daemons of a run complained of. */
import { readFile } from "node:fs/promises";

/** Warnings and errors of a log, by message: how often. */
export async function complaintsOf(path: string): Promise<Record<string, number>> {
	const counts: Record<string, number> = {};
	for (const line of (await readFile(path, "utf8")).split("\n")) {
		const message = complaintOf(line);
		if (message !== undefined) counts[message] = (counts[message] ?? 0) + 1;
	}
	return counts;
}

/** A line may be half written when its daemon is killed; one that is no JSON is a crash of the daemon's own. */
function complaintOf(line: string): string | undefined {
	if (line === "" || line.startsWith(" ")) return undefined;
	try {
		const { level, message, msg } = JSON.parse(line) as { level?: string; message?: string; msg?: string };
		return level === "warn" || level === "error" ? `${level}: ${message ?? msg}` : undefined;
	} catch {
		return /^\w*(Error|Assertion|FATAL)/.test(line) ? `not a log line: ${line.slice(0, 120)}` : undefined;
	}
}

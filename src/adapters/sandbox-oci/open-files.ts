import { readFileSync } from "node:fs";

let own: number | undefined;

/** What a sandbox gets of the open files that it is to have: a process without capabilities can't have more than the daemon. */
export function openFilesFor(wanted: number): number {
	own ??= hardLimit(readFileSync("/proc/self/limits", "utf8"));
	return Math.min(wanted, own);
}

/** Of "Max open files" in proc_pid_limits(5). */
function hardLimit(limits: string): number {
	const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1] ?? "unlimited";
	return hard === "unlimited" ? Number.POSITIVE_INFINITY : Number(hard);
}

import { readdirSync, readFileSync } from "node:fs";

/** USER_HZ: on every Linux architecture that Node runs on. */
const ticksPerSecond = 100;

/** Microseconds of CPU that the threads of a process have used, by their name: "MainThread" and those of its workers. */
export function threadCpuUs(pid: number): Map<string, number> {
	const used = new Map<string, number>();
	for (const task of readdirSync(`/proc/${pid}/task`)) {
		const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, "utf8");
		const [, name = "", rest = ""] = /^\d+ \((.*)\) (.*)$/s.exec(stat) ?? [];
		const fields = rest.split(" ");
		const ticks = Number(fields[11]) + Number(fields[12]);
		used.set(name, (used.get(name) ?? 0) + (ticks * 1_000_000) / ticksPerSecond);
	}
	return used;
}

/** What they used between two looks. */
export function usedBetween(
	before: ReadonlyMap<string, number>,
	after: ReadonlyMap<string, number>,
): [string, number][] {
	return [...after].map(([name, us]): [string, number] => [name, us - (before.get(name) ?? 0)]);
}

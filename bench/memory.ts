/** What the kernel says of a process's memory. */
import { readFile, writeFile } from "node:fs/promises";

/** Of a file like /proc/meminfo. */
export async function kiloBytes(file: string, field: string): Promise<number> {
	return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(await readFile(file, "utf8"))?.[1] ?? Number.NaN);
}

export async function residentMegabytes(pid: number): Promise<number> {
	return ((await kiloBytes(`/proc/${pid}/status`, "VmRSS")) * 1024) / 1e6;
}

/** By how much `task` lets the process grow, in megabytes, at its greatest moment (proc_pid_clear_refs(5): 5 sets the greatest to the present). */
export async function peakGrowth(pid: number, task: () => Promise<unknown>): Promise<number> {
	const before = await residentMegabytes(pid);
	await writeFile(`/proc/${pid}/clear_refs`, "5");
	await task();
	return ((await kiloBytes(`/proc/${pid}/status`, "VmHWM")) * 1024) / 1e6 - before;
}

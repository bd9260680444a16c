import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { MemoryObservation } from "../engine/dispatch/memory-pressure.ts";

/** Where the kernel tells it; tests have folders of their own. */
export interface MachineMemoryPaths {
	proc: string;
	cgroup: string;
}

/** A control group without a limit says so with a number near 2^63 (cgroup v1), or "max" (v2). */
const noLimitBytes = 2 ** 60;

/**
 * The memory of the machine, or of the control group that the daemon was put into when that leaves less. Reads files of
 * /proc and /sys, some ten microseconds each and never the disk, so that it need not wait for a thread.
 */
export class MachineMemory {
	readonly #paths: MachineMemoryPaths;
	readonly #group: ControlGroup | undefined;

	constructor(paths: MachineMemoryPaths = { proc: "/proc", cgroup: "/sys/fs/cgroup" }) {
		this.#paths = paths;
		this.#group = findGroup(paths);
	}

	/** Undefined where there is no /proc/meminfo to read. */
	observe(): MemoryObservation | undefined {
		const { proc } = this.#paths;
		const info = read(join(proc, "meminfo"));
		const totalBytes = kibibytes(info, "MemTotal");
		const availableBytes = kibibytes(info, "MemAvailable");
		if (totalBytes === undefined || availableBytes === undefined) return undefined;
		const stalledPercent = somePercent(read(join(proc, "pressure/memory")));
		const group = this.#group && observeGroup(this.#group);
		if (!group || group.availableBytes / group.totalBytes > availableBytes / totalBytes)
			return { availableBytes, totalBytes, stalledPercent };
		return { ...group, stalledPercent };
	}
}

/** Files of the control group's memory controller: v2's names or v1's. */
interface ControlGroup {
	limit: string;
	usage: string;
	stat: string;
}

function observeGroup({ limit, usage, stat }: ControlGroup): Omit<MemoryObservation, "stalledPercent"> | undefined {
	const totalBytes = Number(read(limit)?.trim());
	const used = Number(read(usage)?.trim());
	if (!(totalBytes > 0 && totalBytes < noLimitBytes) || !Number.isFinite(used)) return undefined;
	// The page cache that nothing has used of late is given back before anything else.
	const cache = Number(/^(?:total_)?inactive_file (\d+)$/m.exec(read(stat) ?? "")?.[1] ?? 0);
	return { totalBytes, availableBytes: Math.max(0, Math.min(totalBytes, totalBytes - used + cache)) };
}

/** /proc/self/cgroup: "0::/path" is v2, "5:memory:/path" v1 (cgroups(7)). In a container the path is above what is mounted. */
function findGroup({ proc, cgroup }: MachineMemoryPaths): ControlGroup | undefined {
	const lines = (read(join(proc, "self/cgroup")) ?? "").split("\n").map((line) => /^\d+:([^:]*):(.*)$/.exec(line));
	for (const [, controllers = "", path = "/"] of lines.filter((line) => line !== null)) {
		const v1 = controllers.split(",").includes("memory");
		if (!v1 && controllers !== "") continue;
		const names = v1
			? { limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes", stat: "memory.stat" }
			: { limit: "memory.max", usage: "memory.current", stat: "memory.stat" };
		const mount = v1 ? join(cgroup, "memory") : cgroup;
		for (const folder of [join(mount, path), mount])
			if (read(join(folder, names.limit)) !== undefined)
				return {
					limit: join(folder, names.limit),
					usage: join(folder, names.usage),
					stat: join(folder, names.stat),
				};
	}
	return undefined;
}

function kibibytes(info: string | undefined, name: string): number | undefined {
	const match = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(info ?? "");
	return match ? Number(match[1]) * 1024 : undefined;
}

/** "some avg10=0.00 avg60=…" (Documentation/accounting/psi.rst); undefined where the kernel has no PSI. */
function somePercent(pressure: string | undefined): number | undefined {
	const match = /^some avg10=([\d.]+)/m.exec(pressure ?? "");
	return match ? Number(match[1]) : undefined;
}

/** Undefined for a file that is not there or, as without PSI, says that it is not supported. */
function read(path: string): string | undefined {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return undefined;
	}
}

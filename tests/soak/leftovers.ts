import { readdirSync, readFileSync } from "node:fs";
import { attempt } from "../../tools/run.ts";

/** What a daemon holds or has put on the machine, counted. */
export interface Inventory {
	/** Entries of the container runtimes' own lists. */
	containers: number;
	/** Child processes of the daemon, all generations. */
	processes: number;
	/** Mounts in the daemon's mount namespace. */
	mounts: number;
	/** Named network namespaces of the machine. */
	namespaces: number;
	/** Network interfaces of the machine that are veth ends. */
	veths: number;
	/** Folders below every cgroup hierarchy. */
	cgroups: number;
	fileDescriptors: number;
	residentMB: number;
}

export async function takeInventory(pid: number): Promise<Inventory> {
	const status = readFileSync(`/proc/${pid}/status`, "utf8");
	const lines = async (program: string, words: string[]) => {
		const { stdout } = await attempt(program, words);
		return stdout.split("\n").filter((line) => line !== "").length;
	};
	return {
		containers: (await lines("crun", ["list", "--quiet"])) + (await lines("runc", ["list", "--quiet"])),
		processes: descendants(pid),
		mounts: readFileSync(`/proc/${pid}/mounts`, "utf8").trimEnd().split("\n").length,
		namespaces: await lines("ip", ["netns", "list"]),
		veths: await lines("ip", ["-o", "link", "show", "type", "veth"]),
		cgroups: await lines("find", ["/sys/fs/cgroup", "-mindepth", "1", "-type", "d"]),
		fileDescriptors: readdirSync(`/proc/${pid}/fd`).length,
		residentMB: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1000,
	};
}

function descendants(pid: number): number {
	const children = new Map<number, number[]>();
	for (const name of readdirSync("/proc")) {
		if (!/^\d+$/.test(name)) continue;
		try {
			const stat = readFileSync(`/proc/${name}/stat`, "utf8");
			const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
			children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
		} catch {
			// It ended between the listing and the look.
		}
	}
	const count = (of: number): number => (children.get(of) ?? []).reduce((sum, child) => sum + 1 + count(child), 0);
	return count(pid);
}

/** How much each may have grown: pools fill up to their size, and a heap breathes. */
const allowances: Inventory = {
	containers: 0,
	processes: 0,
	mounts: 0,
	namespaces: 0,
	veths: 0,
	cgroups: 0,
	fileDescriptors: 4,
	residentMB: 40,
};

/** One line for each kind that grew beyond its allowance. */
export function leftovers(before: Inventory, after: Inventory): string[] {
	const kinds = Object.keys(allowances) as (keyof Inventory)[];
	return kinds
		.filter((kind) => after[kind] - before[kind] > allowances[kind])
		.map((kind) => `${kind}: ${before[kind].toFixed(0)} before, ${after[kind].toFixed(0)} after`);
}

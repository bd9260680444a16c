/** What one daemon holds and has put on the machine, and nothing of any other's: names, files and processes that bear its mark. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { interfacePrefix } from "../../src/adapters/sandbox-oci/egress.ts";
import { inPrivateMounts } from "../../tools/private-mounts.ts";
import { attempt, run } from "../../tools/run.ts";

/** Where to look for one daemon's belongings. */
export interface Marks {
	pid: number;
	/** Its sandboxes' state folder, without symbolic links. */
	stateFolder: string;
	/** Its temporary folder, which it shares with nobody. */
	tmpFolder: string;
	/** Name of its control group and of its nft table. */
	mark: string;
	interfacePrefix: string;
	/** Its mount namespace, as `mnt:[4026531841]`. */
	mountNamespace: string;
}

/** Counts while the daemon lives. */
export interface Inventory {
	/** Entries of the container runtime's own list. */
	containers: number;
	bundles: number;
	/** All generations of its children, zombies apart. */
	processes: number;
	zombies: number;
	/** In its mount namespace. */
	mounts: number;
	/** Network namespaces that it gave a name. */
	namespaces: number;
	/** Host ends of its sandboxes' links. */
	veths: number;
	cgroups: number;
	loopDevices: number;
	/** Lines of its packet filter, and its rules in iptables. */
	firewallRules: number;
	/** Files of disks and in its temporary folder. */
	files: number;
	threads: number;
	fileDescriptors: number;
	residentMB: number;
}

export function marksOf(pid: number, home: string, tmpFolder: string): Marks {
	const stateFolder = realpathSync(join(home, "sandboxes"));
	const hash = createHash("sha256").update(stateFolder).digest("hex").slice(0, 8);
	const mountNamespace = readlinkSync(`/proc/${pid}/ns/mnt`);
	return {
		pid,
		stateFolder,
		tmpFolder,
		mark: `slipway-${hash}`,
		interfacePrefix: interfacePrefix(hash),
		mountNamespace,
	};
}

export async function takeInventory(marks: Marks): Promise<Inventory> {
	const { pid, stateFolder } = marks;
	const status = readFileSync(`/proc/${pid}/status`, "utf8");
	const mounts = lines(readFileSync(`/proc/${pid}/mountinfo`, "utf8"));
	// What the daemon sees at a path, in its own mount namespace.
	const inside = (path: string) => join(`/proc/${pid}/root`, path);
	const children = descendants(pid);
	return {
		containers: entries(inside(join(stateFolder, "run/state"))).length,
		bundles: entries(inside(join(stateFolder, "run/bundles"))).length,
		processes: children.filter(({ state }) => state !== "Z").length,
		zombies: children.filter(({ state }) => state === "Z").length,
		mounts: mounts.length,
		namespaces: mounts.filter((line) => line.includes(" - nsfs ")).length,
		veths: links(marks).length,
		cgroups: cgroups(inside("/sys/fs/cgroup"), marks.mark),
		loopDevices: loopDevices(marks).length,
		firewallRules: (await firewall(marks)).length,
		files: entries(join(stateFolder, "disks")).length + entries(marks.tmpFolder).length,
		threads: Number(/^Threads:\s+(\d+)/m.exec(status)?.[1]),
		fileDescriptors: entries(`/proc/${pid}/fd`).length,
		residentMB: residentMB(pid),
	};
}

export function residentMB(pid: number): number {
	return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

/** Resident memory may breathe by this share; what leaks a kilobyte an invocation grows by more in 10,000. */
const memoryShare = 0.05;

/** One line for each kind of which there is more than before. */
export function leftovers(before: Inventory, after: Inventory, compareMemory = true): string[] {
	const allowed = (kind: keyof Inventory) => {
		if (kind !== "residentMB") return before[kind];
		return compareMemory ? before[kind] * (1 + memoryShare) : Number.POSITIVE_INFINITY;
	};
	return (Object.keys(before) as (keyof Inventory)[])
		.filter((kind) => after[kind] > allowed(kind))
		.map((kind) => `${kind}: ${round(before[kind])} before, ${round(after[kind])} after`);
}

/** What file descriptors are open on, with how many of each: for whoever looks for the one too many. */
export function descriptorKinds(pid: number): Record<string, number> {
	const kinds: Record<string, number> = {};
	for (const fd of entries(`/proc/${pid}/fd`)) {
		const kind = tryTo(() => readlinkSync(`/proc/${pid}/fd/${fd}`))?.replace(/\[\d+\]$/, "");
		if (kind !== undefined) kinds[kind] = (kinds[kind] ?? 0) + 1;
	}
	return kinds;
}

/** One line for each thing that is still on the machine although the daemon has ended. */
export async function remains(marks: Marks): Promise<string[]> {
	const { stateFolder, mark } = marks;
	// Right below a hierarchy: what is deeper may be another daemon's and go while it is looked at.
	const groups = inPrivateMounts(["find", "/sys/fs/cgroup", "-maxdepth", "2", "-type", "d", "-name", mark]);
	// A disk's template is kept for the next start.
	const disks = entries(join(stateFolder, "disks")).filter((name) => !/^template-\d+\.img$/.test(name));
	const found: Record<string, string[]> = {
		process: processesOf(marks),
		"control group": lines(await run(groups[0]!, groups.slice(1))),
		interface: links(marks),
		"firewall rule": await firewall(marks),
		"loop device": loopDevices(marks),
		mount: lines(readFileSync("/proc/self/mountinfo", "utf8")).filter((line) => line.includes(stateFolder)),
		"file below run": entries(join(stateFolder, "run")),
		disk: disks,
		"temporary file": entries(marks.tmpFolder),
	};
	return Object.entries(found).flatMap(([kind, names]) => names.map((name) => `${kind} ${name}`));
}

function links({ interfacePrefix }: Marks): string[] {
	return entries("/sys/class/net").filter((name) => name.startsWith(interfacePrefix));
}

/** A backing file whose name is gone reads as "/path (deleted)". */
function loopDevices({ stateFolder }: Marks): string[] {
	const backing = (name: string) => tryTo(() => readFileSync(`/sys/block/${name}/loop/backing_file`, "utf8")) ?? "";
	return entries("/sys/block").filter((name) => name.startsWith("loop") && backing(name).includes(stateFolder));
}

async function firewall({ mark, interfacePrefix }: Marks): Promise<string[]> {
	const table = await attempt("nft", ["list", "table", "inet", mark]);
	const rules = await attempt("iptables", ["-w", "-S"]);
	return [...lines(table.stdout), ...lines(rules.stdout).filter((line) => line.includes(` ${interfacePrefix}`))];
}

/** The daemon's group in each hierarchy, and every one below. */
function cgroups(root: string, mark: string): number {
	const tops = [root, ...folders(root).map((name) => join(root, name))].map((folder) => join(folder, mark));
	const count = (folder: string): number =>
		1 + folders(folder).reduce((sum, name) => sum + count(join(folder, name)), 0);
	return tops.filter((folder) => existsSync(folder)).reduce((sum, folder) => sum + count(folder), 0);
}

/** Whatever the parent: processes in a sandbox's control group or in the daemon's mount namespace. */
function processesOf({ mark, mountNamespace }: Marks): string[] {
	return processIds()
		.filter((pid) => {
			if (tryTo(() => readlinkSync(`/proc/${pid}/ns/mnt`)) === mountNamespace) return true;
			return tryTo(() => readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.includes(mark) ?? false;
		})
		.map((pid) => `${pid} ${tryTo(() => readFileSync(`/proc/${pid}/comm`, "utf8"))?.trim() ?? ""}`);
}

function descendants(pid: number): { pid: number; state: string }[] {
	const children = new Map<number, { pid: number; state: string }[]>();
	for (const child of processIds()) {
		// proc_pid_stat(5): the name in parentheses may hold anything, state and parent come after it.
		const stat = tryTo(() => readFileSync(`/proc/${child}/stat`, "utf8"));
		if (stat === undefined) continue;
		const [state = "", parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		children.set(Number(parent), [...(children.get(Number(parent)) ?? []), { pid: child, state }]);
	}
	const below = (of: number): { pid: number; state: string }[] =>
		(children.get(of) ?? []).flatMap((child) => [child, ...below(child.pid)]);
	return below(pid);
}

function processIds(): number[] {
	return entries("/proc")
		.filter((name) => /^\d+$/.test(name))
		.map(Number);
}

function entries(folder: string): string[] {
	return tryTo(() => readdirSync(folder)) ?? [];
}

function folders(folder: string): string[] {
	const found = tryTo(() => readdirSync(folder, { withFileTypes: true })) ?? [];
	return found.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/** Undefined when what is looked at has gone between the listing and the look, or is none of ours: even root may not look at all of them. */
function tryTo<T>(look: () => T): T | undefined {
	try {
		return look();
	} catch (error) {
		const code = (error as NodeJS.ErrnoException).code;
		if (code !== undefined && ["ENOENT", "ESRCH", "EINVAL", "ENODEV", "EACCES"].includes(code)) return undefined;
		throw error;
	}
}

function lines(text: string): string[] {
	return text.split("\n").filter((line) => line !== "");
}

export function round(value: number): string {
	return Number.isInteger(value) ? String(value) : value.toFixed(1);
}

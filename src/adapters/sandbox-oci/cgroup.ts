import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SlipwayError, systemCode } from "../../base/error.ts";
import type { SandboxLimits } from "../../core/sandbox/sandbox-runtime.ts";
import { KeptNumber } from "./kept-file.ts";

/**
 * The files of one sandbox's control group, the same words over version 1 (one hierarchy a controller), version 2 (one
 * for all) and hosts that mix them. Reads and writes are synchronous: the files live in the kernel and take microseconds.
 * (kernel: Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst)
 */
export interface Cgroup {
	/** From now on; the peak of memory starts anew where the kernel can do that. */
	limit(limits: CgroupLimits): void;
	/** In place of the limit of CPU that it has. */
	limitCpus(cpus: number): void;
	/** Gives up quietly once `isUnwanted`: a thaw or a kill that came meanwhile must not be undone. */
	freeze(isUnwanted?: () => boolean): Promise<void>;
	thaw(): void;
	processes(): number[];
	/** All zero once the group is gone, or while this process may open no more files. */
	stats(): CgroupStats;
	/** The kernel's own peak of memory, page cache and all: one small read that tells whether `stats` has news. */
	rawPeak(): number;
	/** Times the kernel killed a process for the memory limit. 0 once the group is gone. */
	oomKills(): number;
	/** SIGKILL to every process, over and over until none is left; returns whether any was there. */
	killAll(): Promise<boolean>;
	/** Removes the group and those a program made below it. Idempotent. */
	remove(): Promise<void>;
}

/** What a group may use. */
export type CgroupLimits = Pick<SandboxLimits, "memoryMiB" | "cpus" | "startCpus" | "cpuRequest" | "pids">;

export interface CgroupStats {
	/** In use without the page cache that the kernel would give up at once. */
	memoryBytes: number;
	memoryPeakBytes: number;
	cpuUs: number;
	pids: number;
}

export interface CgroupHost {
	version: 1 | 2;
	/** The group `name`, a path of one or two names from the top of each hierarchy. */
	group(name: string): Cgroup;
	/** The names of the groups right below `name`. */
	children(name: string): string[];
	/** Removes the empty group `name` itself. Idempotent. */
	removeParent(name: string): void;
}

/**
 * The kernel gives CPU time out by period. A sandbox with 7 % of a CPU and the usual 100 ms would run 7 ms and then stand
 * still for 93; with 20 ms (which is also what has been measured of Lambda) it never stands still for longer than 19.
 */
const CPU_PERIOD_US = 20_000;
/** The kernel's own minimum for a quota (kernel: sched-bwc.rst). */
const CPU_MIN_QUOTA_US = 1_000;
const MIB = 1 << 20;
/** Of one CPU, which is also what a group has by itself, and the kernel's bounds (kernel: sched-design-CFS.rst, cgroup-v2.rst). */
const CPU_SHARES = { ofOne: 1_024, least: 2, most: 262_144 };
const CPU_WEIGHT = { ofOne: 100, least: 1, most: 10_000 };

/** The state files answer within microseconds; a task stuck in the kernel (a slow disk) may take long. */
const FREEZE_ATTEMPTS = 2_000;
const LOOKS_BEFORE_THAW = 50;
const YIELDS = 50;
const REMOVE_ATTEMPTS = 400;
const RETRY_MS = 5;

/** Finds out what is mounted below `root` (normally /sys/fs/cgroup). UNAVAILABLE when controllers are missing. */
export function openCgroupHost(root = "/sys/fs/cgroup"): CgroupHost {
	if (existsSync(join(root, "cgroup.controllers"))) return version2Host(root);
	const needed = ["memory", "pids", "freezer", "cpu", "cpuacct"];
	const missing = needed.filter((controller) => !existsSync(join(root, controller)));
	if (missing.length > 0)
		throw new SlipwayError(
			"UNAVAILABLE",
			`The kernel's cgroup controllers ${missing.join(", ")} are not mounted under ${root}`,
			{
				hint: "Mount them (on Debian: apt install cgroupfs-mount), or boot with systemd, which does",
			},
		);
	return version1Host(root);
}

function version1Host(root: string): CgroupHost {
	// Where the version 2 view was unmounted, crun takes the bare mount point for it and makes ordinary folders there.
	const unmounted = join(root, "unified");
	const leavings = existsSync(unmounted) && !existsSync(join(unmounted, "cgroup.controllers")) ? unmounted : undefined;
	const controllers = readdirSync(root).filter((name) => existsSync(join(root, name, "cgroup.procs")));
	return {
		version: 1,
		group: (name) => new CgroupV1(root, controllers, name, leavings && join(leavings, name)),
		children: (name) => [...new Set(controllers.flatMap((controller) => folders(join(root, controller, name))))],
		removeParent: (name) => {
			for (const controller of controllers) removeGroup(join(root, controller, name));
			if (leavings) rmSync(join(leavings, name), { recursive: true, force: true });
		},
	};
}

function version2Host(root: string): CgroupHost {
	return {
		version: 2,
		group: (name) => new CgroupV2(join(root, name)),
		children: (name) => folders(join(root, name)),
		removeParent: (name) => void removeGroup(join(root, name)),
	};
}

class CgroupV1 implements Cgroup {
	readonly #paths: string[];
	readonly #memory: string;
	readonly #peakFile: string;
	readonly #peak: KeptNumber;
	readonly #freezer: string;
	readonly #cpuacct: string;
	readonly #pids: string;
	readonly #leavings: string | undefined;
	readonly #cpu: string;

	constructor(root: string, controllers: readonly string[], name: string, leavings: string | undefined) {
		this.#cpu = join(root, "cpu", name);
		this.#leavings = leavings;
		this.#paths = [...new Set(controllers)].map((controller) => join(root, controller, name));
		this.#memory = join(root, "memory", name);
		this.#peakFile = join(this.#memory, "memory.max_usage_in_bytes");
		this.#peak = new KeptNumber(this.#peakFile);
		this.#freezer = join(root, "freezer", name);
		this.#cpuacct = join(root, "cpuacct", name);
		this.#pids = join(root, "pids", name);
	}

	limit(limits: CgroupLimits): void {
		const bytes = `${limits.memoryMiB * MIB}`;
		writeFileSync(join(this.#memory, "memory.limit_in_bytes"), bytes);
		// Memory and swap together: no swap at all.
		const swap = join(this.#memory, "memory.memsw.limit_in_bytes");
		if (existsSync(swap)) writeFileSync(swap, bytes);
		writeFileSync(this.#peakFile, "0");
		writeFileSync(join(this.#cpu, "cpu.cfs_period_us"), `${CPU_PERIOD_US}`);
		this.limitCpus(limits.startCpus ?? limits.cpus);
		if (limits.cpuRequest !== undefined)
			writeFileSync(join(this.#cpu, "cpu.shares"), `${weight(limits.cpuRequest, CPU_SHARES)}`);
		writeFileSync(join(this.#pids, "pids.max"), `${limits.pids}`);
	}

	limitCpus(cpus: number): void {
		writeFileSync(join(this.#cpu, "cpu.cfs_quota_us"), `${cpuQuotaUs(cpus)}`);
	}

	async freeze(isUnwanted: () => boolean = () => false): Promise<void> {
		const file = join(this.#freezer, "freezer.state");
		writeFileSync(file, "FROZEN");
		// A group stays FREEZING while a task has not noticed yet; writing again makes the kernel look again.
		let looks = 0;
		await until(() => {
			if (isUnwanted() || read(file).trim() === "FROZEN") return true;
			// A parent that waits in vfork for a child which froze first never gets there: both have to move on a little.
			if (++looks % LOOKS_BEFORE_THAW === 0) writeFileSync(file, "THAWED");
			writeFileSync(file, "FROZEN");
			return false;
		}, "freeze");
	}

	thaw(): void {
		writeFileSync(join(this.#freezer, "freezer.state"), "THAWED");
	}

	processes(): number[] {
		return processesOf(this.#paths);
	}

	stats(): CgroupStats {
		const reclaimable = field(readFigures(join(this.#memory, "memory.stat")), "total_inactive_file");
		return {
			memoryBytes: Math.max(0, Number(readFigures(join(this.#memory, "memory.usage_in_bytes"))) - reclaimable),
			memoryPeakBytes: Math.max(0, Number(readFigures(join(this.#memory, "memory.max_usage_in_bytes"))) - reclaimable),
			cpuUs: Math.round(Number(readFigures(join(this.#cpuacct, "cpuacct.usage"))) / 1_000),
			pids: Number(readFigures(join(this.#pids, "pids.current"))),
		};
	}

	rawPeak(): number {
		return this.#peak.read();
	}

	oomKills(): number {
		return field(readFigures(join(this.#memory, "memory.oom_control")), "oom_kill");
	}

	killAll(): Promise<boolean> {
		return killAll(this, this.#freezer);
	}

	async remove(): Promise<void> {
		this.#peak.close();
		for (const path of this.#paths) await removeTree(path);
		if (this.#leavings) rmSync(this.#leavings, { recursive: true, force: true });
	}
}

class CgroupV2 implements Cgroup {
	readonly #path: string;
	readonly #peak: KeptNumber;

	constructor(path: string) {
		this.#path = path;
		this.#peak = new KeptNumber(join(path, "memory.peak"));
	}

	limit(limits: CgroupLimits): void {
		const write = (file: string, text: string) => writeFileSync(join(this.#path, file), text);
		write("memory.max", `${limits.memoryMiB * MIB}`);
		// Not there in a kernel without swap.
		if (existsSync(join(this.#path, "memory.swap.max"))) write("memory.swap.max", "0");
		this.limitCpus(limits.startCpus ?? limits.cpus);
		if (limits.cpuRequest !== undefined) write("cpu.weight", `${weight(limits.cpuRequest, CPU_WEIGHT)}`);
		write("pids.max", `${limits.pids}`);
	}

	limitCpus(cpus: number): void {
		writeFileSync(join(this.#path, "cpu.max"), `${cpuQuotaUs(cpus)} ${CPU_PERIOD_US}`);
	}

	async freeze(isUnwanted: () => boolean = () => false): Promise<void> {
		writeFileSync(join(this.#path, "cgroup.freeze"), "1");
		await until(() => isUnwanted() || field(read(join(this.#path, "cgroup.events")), "frozen") === 1, "freeze");
	}

	thaw(): void {
		writeFileSync(join(this.#path, "cgroup.freeze"), "0");
	}

	processes(): number[] {
		return processesOf([this.#path]);
	}

	stats(): CgroupStats {
		const reclaimable = field(readFigures(join(this.#path, "memory.stat")), "inactive_file");
		const current = Number(readFigures(join(this.#path, "memory.current")));
		// memory.peak came with Linux 5.19; before, what is in use now is the best that is known.
		const peak = Number(readFigures(join(this.#path, "memory.peak"))) || current;
		return {
			memoryBytes: Math.max(0, current - reclaimable),
			memoryPeakBytes: Math.max(0, peak - reclaimable),
			cpuUs: field(readFigures(join(this.#path, "cpu.stat")), "usage_usec"),
			pids: Number(readFigures(join(this.#path, "pids.current"))),
		};
	}

	rawPeak(): number {
		return this.#peak.read();
	}

	oomKills(): number {
		return field(readFigures(join(this.#path, "memory.events")), "oom_kill");
	}

	killAll(): Promise<boolean> {
		return killAll(this, this.#path);
	}

	remove(): Promise<void> {
		this.#peak.close();
		return removeTree(this.#path);
	}
}

function cpuQuotaUs(cpus: number): number {
	return Math.max(CPU_MIN_QUOTA_US, Math.round(cpus * CPU_PERIOD_US));
}

function weight(cpus: number, { ofOne, least, most }: typeof CPU_SHARES): number {
	return Math.min(most, Math.max(least, Math.round(cpus * ofOne)));
}

async function until(done: () => boolean, doing: string): Promise<void> {
	for (let attempt = 0; !done(); attempt++) {
		if (attempt === FREEZE_ATTEMPTS)
			throw new SlipwayError("SANDBOX_FAILED", `The kernel did not ${doing} the sandbox in time`);
		// The kernel mostly needs microseconds, and the task a turn on its CPU.
		await (attempt < YIELDS ? new Promise((resolve) => setImmediate(resolve)) : sleep(1));
	}
}

async function killAll(group: Cgroup, thawable: string): Promise<boolean> {
	let found = false;
	for (let attempt = 0; attempt < REMOVE_ATTEMPTS; attempt++) {
		const processes = group.processes();
		if (processes.length === 0) return found;
		found = true;
		for (const pid of processes) killIfThere(pid);
		// Version 1 does not deliver SIGKILL to a frozen process; version 2 does.
		if (existsSync(join(thawable, "freezer.state"))) group.thaw();
		await sleep(attempt < 5 ? 1 : RETRY_MS);
	}
	throw new SlipwayError("SANDBOX_FAILED", "Processes of a sandbox survive SIGKILL: they are stuck in the kernel");
}

function killIfThere(pid: number): void {
	try {
		process.kill(pid, "SIGKILL");
	} catch (error) {
		if (systemCode(error) !== "ESRCH") throw error;
	}
}

function processesOf(paths: readonly string[]): number[] {
	const found = new Set<number>();
	for (const path of paths) {
		for (const line of readIfThere(join(path, "cgroup.procs")).split("\n")) {
			// 0 is a process that our process namespace can't name; in kill(2) it would be we ourselves.
			if (Number(line) > 0) found.add(Number(line));
		}
		for (const child of folders(path)) for (const pid of processesOf([join(path, child)])) found.add(pid);
	}
	return [...found];
}

async function removeTree(path: string): Promise<void> {
	for (const child of folders(path)) await removeTree(join(path, child));
	for (let attempt = 0; !removeGroup(path); attempt++) {
		if (attempt === REMOVE_ATTEMPTS) throw new SlipwayError("SANDBOX_FAILED", `The control group ${path} stays busy`);
		await sleep(attempt < 5 ? 1 : RETRY_MS);
	}
}

/** False while the kernel still counts a dying process in it. */
function removeGroup(path: string): boolean {
	try {
		rmdirSync(path);
		return true;
	} catch (error) {
		const code = systemCode(error);
		if (code === "ENOENT") return true;
		if (code === "EBUSY" || code === "ENOTEMPTY") return false;
		throw error;
	}
}

function folders(path: string): string[] {
	try {
		return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
	} catch (error) {
		if (systemCode(error) === "ENOENT") return [];
		throw error;
	}
}

function read(path: string): string {
	return readFileSync(path, "utf8");
}

function readIfThere(path: string): string {
	return readUnless(path, gone);
}

/** For figures: their reader has to tell the end of a process also when this one may open no more files. */
function readFigures(path: string): string {
	return readUnless(path, unknowable);
}

const gone = ["ENOENT", "ENODEV"];
const unknowable = [...gone, "EMFILE", "ENFILE"];

function readUnless(path: string, codes: readonly string[]): string {
	try {
		return read(path);
	} catch (error) {
		if (codes.includes(systemCode(error) ?? "")) return "";
		throw error;
	}
}

/** The number after `name` in the kernel's flat keyed format; 0 when it is not there. */
function field(text: string, name: string): number {
	const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
	return line === undefined ? 0 : Number(line.slice(name.length + 1));
}

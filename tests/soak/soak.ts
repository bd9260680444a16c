import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { DaemonGroup } from "../faults/daemon-group.ts";
import { ColdStarts, type ColdTally } from "./cold-starts.ts";
import {
	descriptorKinds,
	type Inventory,
	leftovers,
	type Marks,
	marksOf,
	remains,
	residentMB,
	round,
	takeInventory,
} from "./leftovers.ts";
import { type Tally, Workload } from "./workload.ts";

export interface SoakOptions {
	/** That count, after those of the warm-up. */
	invocations: number;
	/** Of these a tenth fail; a tenth as many warm up. */
	coldStarts: number;
	/** They fill pools and caches and have code compiled; the comparison starts after them. */
	warmUp: number;
	/** Whether sandboxes have a way out: not where every range that they could use is taken. */
	egress: boolean;
	/** How memory may grow says nothing before it has levelled out, which short runs don't see. */
	compareMemory: boolean;
	onProgress: (line: string) => void;
}

export interface SoakReport {
	invocations: number;
	seconds: number;
	tally: Tally;
	coldSeconds: number;
	cold: ColdTally;
	before: Inventory;
	/** At the end of the load, with the sandboxes that are idle then: shows that the look sees them. */
	loaded: Inventory;
	after: Inventory;
	/** One line each. Empty: the daemon passes. */
	problems: string[];
}

/** A hanging invocation holds its client for the function's timeout: more clients, so that the rest goes on. */
const clients = 16;
const idleTimeoutS = 2;
const progressMs = 5_000;
/** Ends and removals that are under way at the last answer are done well before. */
const settleMs = 30_000;
/** A collection of garbage that is due comes within this time. */
const memorySettleMs = 10_000;
const pollMs = 250;
/** Blank sandboxes, and disks, that the daemon keeps however short memory is. */
const standingReady = 2;
/** The holder of its process namespace and the launcher. */
const processesOfBlank = 2;
/** Kept of the daemon's log. */
const maxComplaints = 50;

/**
 * A daemon of its own, invocations of which an eighth fail, and a look at what they left: first while the daemon lives,
 * against what it held after its warm-up, both times without any function; then after its end.
 */
export async function soak(options: SoakOptions): Promise<SoakReport> {
	const base = await mkdtemp(join(tmpdir(), "slipway-soak-"));
	try {
		return await soakIn(base, options);
	} finally {
		await rm(base, { recursive: true, force: true });
	}
}

async function soakIn(base: string, options: SoakOptions): Promise<SoakReport> {
	const { invocations, warmUp, coldStarts, onProgress } = options;
	const tmpFolder = join(base, "tmp");
	await mkdir(tmpFolder);
	using group = new DaemonGroup();
	await using daemon = await startDaemon({
		home: join(base, "home"),
		prefix: group.prefix,
		env: { SLIPWAY_IDLE_TIMEOUT: String(idleTimeoutS), SLIPWAY_EGRESS: options.egress ? "1" : "0", TMPDIR: tmpFolder },
	});
	const complaints = complaintsOf(daemon);
	const marks = marksOf(daemon.pid, daemon.home, tmpFolder);
	const workload = await Workload.prepare(daemon);
	const cold = await ColdStarts.prepare(daemon);
	await workload.createFunctions();
	const warm = await workload.run(warmUp, clients, progress(`warm-up of ${warmUp}`, marks.pid, onProgress));
	await workload.deleteFunctions();
	const warmCold = await cold.run(Math.ceil(coldStarts / 10), onProgress);
	await emptied(marks, group);
	await sleep(options.compareMemory ? memorySettleMs : 0);
	const before = await takeInventory(marks);
	const descriptorsBefore = descriptorKinds(marks.pid);

	await workload.createFunctions();
	const started = performance.now();
	const tally = await workload.run(invocations, clients, progress(`${invocations}`, marks.pid, onProgress));
	const seconds = (performance.now() - started) / 1000;
	const loaded = await takeInventory(marks);
	await workload.deleteFunctions();
	const coldTally = await cold.run(coldStarts, onProgress);
	await emptied(marks, group);
	const after = await settled(marks, before, options.compareMemory);
	const descriptorsAfter = descriptorKinds(marks.pid);

	const all = [warm, tally, warmCold, coldTally];
	const problems = all.flatMap(({ examples }) => examples).map((line) => `wrong answer to ${line}`);
	// Networks stand ready for sandboxes to come: there may be as many at rest as under load, but never none.
	for (const kind of ["containers", "processes", "veths", "cgroups", "mounts"] as const)
		if (kind === "veths" ? options.egress && loaded.veths === 0 : loaded[kind] <= before[kind])
			problems.push(`the look at ${kind} is blind: ${loaded[kind]} under load`);
	for (const line of leftovers(before, after, options.compareMemory))
		problems.push(`left behind while it runs: ${line}`);
	if (after.fileDescriptors > before.fileDescriptors)
		for (const [kind, count] of Object.entries(descriptorsAfter))
			if (count > (descriptorsBefore[kind] ?? 0)) problems.push(`${count} descriptors on ${kind}`);
	problems.push(...(await stop(daemon)));
	for (const line of await remains(marks)) problems.push(`left behind after its end: ${line}`);
	problems.push(...complaints.map((line) => `said by the daemon: ${line}`));
	return {
		invocations,
		seconds,
		tally,
		coldSeconds: coldTally.seconds,
		cold: coldTally,
		before,
		loaded,
		after,
		problems,
	};
}

/** Warnings and errors of the daemon's log from now on. */
function complaintsOf({ process: child }: LocalDaemon): string[] {
	const complaints: string[] = [];
	if (!child?.stderr) throw new Error("The daemon's log is not piped to this process");
	createInterface({ input: child.stderr }).on("line", (line) => {
		if (/"level":"(warn|error)"/.test(line) && complaints.length < maxComplaints) complaints.push(line);
	});
	return complaints;
}

async function stop(daemon: LocalDaemon): Promise<string[]> {
	await daemon[Symbol.asyncDispose]();
	const { exitCode, signalCode } = daemon.process ?? {};
	return exitCode === 0 ? [] : [`the daemon ended with ${exitCode ?? signalCode}`];
}

/** A line every few seconds: how far, how many of what, and the daemon's memory. */
function progress(goal: string, pid: number, onProgress: (line: string) => void): (tally: Tally) => void {
	let said = performance.now();
	return (tally) => {
		if (performance.now() - said < progressMs) return;
		said = performance.now();
		const { examples: _, ...counts } = tally;
		const done = Object.values(counts).reduce((sum, count) => sum + count, 0);
		const shown = Object.entries(counts).map(([ending, count]) => `${count} ${ending}`);
		onProgress(`${done} of ${goal}: ${shown.join(", ")}; ${round(residentMB(pid))} MB resident`);
	};
}

/**
 * Without functions there are no sandboxes but blank ones, and where memory is short no more of these than always stand
 * ready. What stays beyond that is left for the comparison to find.
 */
async function emptied(marks: Marks, group: DaemonGroup): Promise<void> {
	try {
		for (const until = performance.now() + settleMs; performance.now() < until; await sleep(pollMs)) {
			group.makeMemoryShort();
			const { containers, processes, zombies, loopDevices } = await takeInventory(marks);
			const atRest = containers <= standingReady && loopDevices <= standingReady;
			if (atRest && zombies === 0 && processes === containers * processesOfBlank) return;
		}
	} finally {
		group.limitMemory();
	}
}

/** Looks until nothing is left over, or the time is up. */
async function settled(marks: Marks, before: Inventory, compareMemory: boolean): Promise<Inventory> {
	await sleep(compareMemory ? memorySettleMs : 0);
	const until = performance.now() + settleMs;
	for (;;) {
		const after = await takeInventory(marks);
		if (leftovers(before, after, compareMemory).length === 0 || performance.now() > until) return after;
		await sleep(pollMs);
	}
}

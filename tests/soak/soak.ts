import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
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
	/** They fill pools and caches and have code compiled; the comparison starts after them. */
	warmUp: number;
	/** How memory may grow says nothing before it has levelled out, which short runs don't see. */
	compareMemory: boolean;
	onProgress: (line: string) => void;
}

export interface SoakReport {
	invocations: number;
	seconds: number;
	tally: Tally;
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
	const { invocations, warmUp, onProgress } = options;
	const tmpFolder = join(base, "tmp");
	await mkdir(tmpFolder);
	await using daemon = await startDaemon({
		home: join(base, "home"),
		env: { SLIPWAY_IDLE_TIMEOUT: String(idleTimeoutS), SLIPWAY_EGRESS: "1", TMPDIR: tmpFolder },
	});
	const complaints = complaintsOf(daemon);
	const marks = marksOf(daemon.pid, daemon.home, tmpFolder);
	const workload = await Workload.prepare(daemon);
	await workload.createFunctions();
	const warm = await workload.run(warmUp, clients, progress(`warm-up of ${warmUp}`, marks.pid, onProgress));
	await workload.deleteFunctions();
	await emptied(marks);
	await sleep(options.compareMemory ? memorySettleMs : 0);
	const before = await takeInventory(marks);
	const descriptorsBefore = descriptorKinds(marks.pid);

	await workload.createFunctions();
	const started = performance.now();
	const tally = await workload.run(invocations, clients, progress(`${invocations}`, marks.pid, onProgress));
	const seconds = (performance.now() - started) / 1000;
	const loaded = await takeInventory(marks);
	await workload.deleteFunctions();
	await emptied(marks);
	const after = await settled(marks, before, options.compareMemory);
	const descriptorsAfter = descriptorKinds(marks.pid);

	const problems = [...warm.examples, ...tally.examples].map((line) => `wrong answer to ${line}`);
	for (const kind of ["containers", "processes", "veths", "cgroups", "mounts"] as const)
		if (loaded[kind] <= before[kind]) problems.push(`the look at ${kind} is blind: ${loaded[kind]} under load`);
	for (const line of leftovers(before, after, options.compareMemory))
		problems.push(`left behind while it runs: ${line}`);
	if (after.fileDescriptors > before.fileDescriptors)
		for (const [kind, count] of Object.entries(descriptorsAfter))
			if (count > (descriptorsBefore[kind] ?? 0)) problems.push(`${count} descriptors on ${kind}`);
	problems.push(...(await stop(daemon)));
	for (const line of await remains(marks)) problems.push(`left behind after its end: ${line}`);
	problems.push(...complaints.map((line) => `said by the daemon: ${line}`));
	return { invocations, seconds, tally, before, loaded, after, problems };
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

/** Without functions there are no sandboxes; one that stays is left for the comparison to find. */
async function emptied(marks: Marks): Promise<void> {
	for (const until = performance.now() + settleMs; performance.now() < until; await sleep(pollMs)) {
		const { containers, processes, namespaces, zombies } = await takeInventory(marks);
		// A network that stands ready has a process that holds its process namespace.
		if (containers + zombies === 0 && processes === namespaces) return;
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

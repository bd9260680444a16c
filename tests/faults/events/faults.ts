/** What can happen to a daemon. */
import { statfs, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { DiskShim } from "./disk/shim.ts";
import type { World } from "./world.ts";

/** Where a fault strikes. */
export interface Site {
	world: World;
	random: () => number;
	/** The daemon has ended, or is stopped: what it has in hand then may be delivered once more. */
	atRest(): Promise<void>;
	/** What is delivered while `work` goes on may be delivered once more: the daemon lives, and may not be able to write it down. */
	during(work: () => Promise<void>): Promise<void>;
}

/** One blow to a running daemon. When `strike` resolves the daemon serves again, or will by itself. */
export interface Fault {
	name: string;
	/** Resolves with how many pages were not synced, where that counts. */
	strike(site: Site): Promise<number | undefined>;
}

/** What a fault needs of its world. */
interface Kind {
	needsShim?: boolean;
	diskMiB?: number;
	/** The faults of one turn. */
	make(): Fault[];
}

/** Seconds. */
const stopSeconds = 30;
const fullDiskSeconds = 5;
const hour = 3600;
/** Milliseconds. */
const slowSyncMs = 100;
/** Beside the image, the databases and a write-ahead log it is soon full. */
const fullDiskMiB = 256;

// The clock ends ahead: schedules for times that it has gone back from are due again, and the run need not wait an hour for them.
export const kinds = {
	kill: { make: () => [killFault] },
	stop: { make: () => [stopFault(stopSeconds)] },
	"full-disk": { diskMiB: fullDiskMiB, make: () => [fullDiskFault(fullDiskSeconds)] },
	eio: { needsShim: true, make: () => [diskErrorFault(3, 3), diskErrorThenPowerLossFault] },
	"power-loss": { needsShim: true, make: () => [powerLossFault] },
	clock: { needsShim: true, make: () => [clockFault(-hour), clockFault(0), clockFault(hour)] },
	torn: { needsShim: true, make: () => [tornWriteFault] },
} satisfies Record<string, Kind>;

export type FaultKind = keyof typeof kinds;

/** At least `count` of them, the kinds in turn, each turn whole; and what their world needs. */
export function planFaults(names: readonly FaultKind[], count: number) {
	const used: Kind[] = names.map((name) => kinds[name]);
	const faults: Fault[] = [];
	for (let i = 0; faults.length < count; i++) faults.push(...(used[i % used.length]?.make() ?? []));
	const diskMiB = used.find((kind) => kind.diskMiB !== undefined)?.diskMiB;
	return { faults, world: { hasShim: used.some(({ needsShim }) => needsShim === true), diskMiB } };
}

/** kill -9, and the next daemon on what is left. */
async function killAnd(
	{ world, atRest }: Site,
	happen: () => Promise<number | undefined>,
): Promise<number | undefined> {
	await world.kill();
	const pages = await happen();
	await atRest();
	await world.start();
	return pages;
}

const killFault: Fault = { name: "kill -9", strike: (site) => killAnd(site, async () => undefined) };

/**
 * On a disk that has become slow: else the kill hardly ever comes between a write and its sync. What was written and not synced
 * is changed as `happen` says.
 */
async function killWithUnsynced(site: Site, happen: (shim: DiskShim) => Promise<number>): Promise<number | undefined> {
	const { shim } = site.world;
	await shim.delaySyncs(slowSyncMs);
	await sleep(slowSyncMs * (2 + 2 * site.random()));
	return killAnd(site, async () => {
		await shim.delaySyncs(0);
		return happen(shim);
	});
}

/** What was not synced is gone, but for some pages of it and some sectors of others. */
const powerLossFault: Fault = {
	name: "loss of power",
	strike: (site) => killWithUnsynced(site, (shim) => shim.loseUnsynced(site.random)),
};

/** All is there, but the last write ends at a random byte behind what was synced. */
const tornWriteFault: Fault = {
	name: "torn last write",
	strike: (site) => killWithUnsynced(site, (shim) => shim.tear(site.random)),
};

/** A sync fails, and the power goes away soon after it: what the failed sync left behind must not have been promised. */
const diskErrorThenPowerLossFault: Fault = {
	name: "EIO of a sync, then loss of power",
	async strike(site) {
		await site.during(async () => {
			await site.world.shim.failSyncs(1);
			await sleep(500 * site.random());
		});
		await site.world.shim.failSyncs(0);
		return powerLossFault.strike(site);
	},
};

/** Nothing of the process runs for a while. */
function stopFault(seconds: number): Fault {
	return {
		name: `SIGSTOP for ${seconds} s`,
		async strike({ world, atRest }) {
			process.kill(world.pid, "SIGSTOP");
			try {
				await sleep(seconds * 1000);
				await atRest();
			} finally {
				process.kill(world.pid, "SIGCONT");
			}
			return undefined;
		},
	};
}

/** The state's file system is full for a while. */
function fullDiskFault(seconds: number): Fault {
	return {
		name: `full disk for ${seconds} s`,
		async strike({ world, during }) {
			const ballast = join(world.home, "ballast");
			await during(async () => {
				for (const until = performance.now() + seconds * 1000; performance.now() < until; await sleep(50))
					await fill(world.home, ballast);
			});
			await unlink(ballast);
			return undefined;
		},
	};
}

/** What the daemon gave back meanwhile is taken again. */
async function fill(folder: string, ballast: string): Promise<void> {
	const { bavail, bsize } = await statfs(folder);
	if (bavail === 0) return;
	await writeFile(ballast, Buffer.alloc(bavail * bsize), { flag: "a" }).catch((error: NodeJS.ErrnoException) => {
		if (error.code !== "ENOSPC") throw error;
	});
}

/** The next syncs and writes of the databases fail, and the daemon goes on. */
function diskErrorFault(syncs: number, writes: number): Fault {
	return {
		name: `EIO of ${syncs} syncs and ${writes} writes`,
		async strike({ world, during }) {
			await during(async () => {
				await world.shim.failSyncs(syncs);
				await sleep(500);
				await world.shim.failWrites(writes);
				await sleep(500);
			});
			return undefined;
		},
	};
}

/** The wall clock jumps, and stays there. */
function clockFault(seconds: number): Fault {
	return {
		name: seconds === 0 ? "clock set right" : `clock ${seconds > 0 ? "+" : "−"}${Math.abs(seconds) / hour} h`,
		async strike({ world, during }) {
			await during(async () => {
				// Schedules for a time in the past are refused: of the two clocks the run's is ahead, if any.
				world.clockAheadMs = Math.max(world.clockAheadMs, seconds * 1000);
				await world.shim.setClock(seconds);
				world.clockAheadMs = seconds * 1000;
				await sleep(1000);
			});
			return undefined;
		},
	};
}

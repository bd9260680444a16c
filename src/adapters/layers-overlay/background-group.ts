/**
 * A control group for work that nobody's event waits for: unpacking layers and removing them. It gets the CPU that sandboxes
 * and the daemon leave, and a small share when they leave none, so that a deployment slows no start and still ends.
 * (kernel: Documentation/admin-guide/cgroup-v2.rst, "CPU"; scheduler/sched-design-CFS.rst for version 1)
 */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import { systemCode } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";

/**
 * All sandboxes together, or one process outside of any group, have 1024 (version 1) or 100 (version 2): a fifth of that
 * where all of them are busy, so that a deployment ends. Less (a sixteenth) made starts no faster; cpu.idle would starve it.
 */
const cpuShares = 200;
const cpuWeight = 20;
/** nice(2), where there is no group: about 15 where an ordinary process has 1024. */
const lowestPriority = 19;
/** The kernel counts a process that has just died for some microseconds more. */
const removeAttempts = 100;

export class BackgroundGroup implements Disposable {
	readonly #folder: string | undefined;
	readonly #log: Log;

	/** `name` is made anew or taken over: an earlier process that was killed may have left it. */
	static open(name: string, log: Log, root = "/sys/fs/cgroup"): BackgroundGroup {
		try {
			return new BackgroundGroup(makeGroup(root, name), log);
		} catch (error) {
			log.info("No control group for work in the background; it runs with the lowest priority", { error });
			return new BackgroundGroup(undefined, log);
		}
	}

	private constructor(folder: string | undefined, log: Log) {
		this.#folder = folder;
		this.#log = log;
	}

	/** All threads of a process that has just been spawned. One that is gone is none of the caller's concern. */
	add(pid: number): void {
		try {
			if (this.#folder === undefined) setPriority(pid, lowestPriority);
			else writeFileSync(join(this.#folder, "cgroup.procs"), `${pid}`);
		} catch (error) {
			if (systemCode(error) === "ESRCH") return;
			this.#log.warn("A process in the background runs with the priority of any other", { pid, error });
		}
	}

	/** After the last process has ended. */
	[Symbol.dispose](): void {
		if (this.#folder === undefined) return;
		for (let attempt = 1; ; attempt++) {
			try {
				return rmdirSync(this.#folder);
			} catch (error) {
				const code = systemCode(error);
				if (code === "ENOENT") return;
				if (code === "EBUSY" && attempt < removeAttempts) continue;
				this.#log.warn("Could not remove a control group", { folder: this.#folder, error });
				return;
			}
		}
	}
}

/** The group's folder, with its weight set. Throws where the machine has no such controller, or keeps it from us. */
function makeGroup(root: string, name: string): string {
	const isVersion2 = existsSync(join(root, "cgroup.controllers"));
	if (isVersion2) writeFileSync(join(root, "cgroup.subtree_control"), "+cpu");
	const folder = isVersion2 ? join(root, name) : join(root, "cpu", name);
	// Not recursive: a folder that is no hierarchy must not become one that only looks like it.
	if (!existsSync(folder)) mkdirSync(folder);
	try {
		writeFileSync(join(folder, isVersion2 ? "cpu.weight" : "cpu.shares"), `${isVersion2 ? cpuWeight : cpuShares}`);
	} catch (error) {
		rmdirSync(folder);
		throw error;
	}
	return folder;
}

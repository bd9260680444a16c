import { spawnSync } from "node:child_process";
import { existsSync, readlinkSync } from "node:fs";
import { MNT_DETACH, umount } from "../../../base/syscall.ts";

const UNIFIED = "/sys/fs/cgroup/unified";

/**
 * Runs `body` the way the daemon lives: in a mount namespace of its own, without the version 2 view of a host that mixes
 * cgroup versions (crun refuses those). The first call starts this program once more inside of such a namespace and takes
 * over its exit code; `body` runs in the second.
 */
export async function inOwnMountNamespace(file: string, body: () => void | Promise<void>): Promise<void> {
	if (process.getuid?.() !== 0) return void (await body());
	if (readlinkSync("/proc/self/ns/mnt") === readlinkSync(`/proc/${process.ppid}/ns/mnt`)) {
		const again = [
			process.execPath,
			"--disable-warning=ExperimentalWarning",
			...process.execArgv,
			file,
			...process.argv.slice(2),
		];
		const { status } = spawnSync("unshare", ["--mount", "--propagation", "private", ...again], { stdio: "inherit" });
		process.exitCode = status ?? 1;
		return;
	}
	if (existsSync(`${UNIFIED}/cgroup.procs`)) umount(UNIFIED, MNT_DETACH);
	await body();
}

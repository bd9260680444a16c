/**
 * The daemon lives in a mount namespace of its own: every mount it makes disappears with it, whatever ended it, and the
 * cgroup v2 view of a hybrid host, which crun 1.8 refuses to work beside, can be taken away without touching the host.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { SlipwayError, systemCode } from "../base/error.ts";
import { MNT_DETACH, MS_PRIVATE, MS_REC, mount, umount, unshare } from "../base/syscall.ts";

const CLONE_NEWNS = 0x20000;
const optionName = "--mount-namespace=";

/** True when this process was already started by `enterMountNamespace`. The name of the namespace proves it; a flag alone could be inherited. */
export function inOwnMountNamespace(args: readonly string[]): boolean {
	return args.includes(`${optionName}${readlinkSync("/proc/self/ns/mnt")}`);
}

/**
 * Starts this program again, as the same process, in a new mount namespace; returns only by throwing. unshare(2) moves
 * the calling thread alone, but execve(2) ends all others and the new program's threads start where the caller was.
 * FORBIDDEN without the privilege.
 */
export function enterMountNamespace(args: readonly string[], env: Readonly<Record<string, string | undefined>>): never {
	try {
		unshare(CLONE_NEWNS);
		mount("none", "/", "none", MS_REC | MS_PRIVATE);
		const unified = hybridCgroup2(readFileSync("/proc/self/mountinfo", "utf8"));
		if (unified !== undefined) umount(unified, MNT_DETACH);
	} catch (error) {
		if (systemCode(error) !== "EPERM") throw error;
		throw new SlipwayError("FORBIDDEN", "The daemon may not make a mount namespace", {
			hint: "Run it as root, outside of a container that takes CAP_SYS_ADMIN away",
			cause: error,
		});
	}
	const own = `${optionName}${readlinkSync("/proc/self/ns/mnt")}`;
	const script = process.argv[1] ?? "";
	if (!process.execve) throw new SlipwayError("UNSUPPORTED", "This Node has no process.execve");
	process.execve(process.execPath, [process.execPath, ...process.execArgv, script, ...args, own], { ...env });
	throw new Error("execve returned");
}

/** The cgroup2 mount point of a host that has v1 controllers as well, or undefined (proc_pid_mountinfo(5)). */
export function hybridCgroup2(mountinfo: string): string | undefined {
	const mounts = mountinfo.split("\n").map((line) => {
		const [before = "", after = ""] = line.split(" - ");
		return { point: before.split(" ")[4], type: after.split(" ")[0] };
	});
	if (!mounts.some(({ type }) => type === "cgroup")) return undefined;
	return mounts.find(({ type, point }) => type === "cgroup2" && point?.startsWith("/sys/fs/cgroup/"))?.point;
}

import { MNT_DETACH, MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT } from "../../base/syscall.ts";
import { containerCapabilities } from "../../core/sandbox/capabilities.ts";
import type { SandboxSpec } from "../../core/sandbox/sandbox-runtime.ts";
import { CHANNEL, LAUNCHER_FILE } from "./launcher-program.ts";
import { LauncherScript } from "./launcher-script.ts";
import { openFilesFor } from "./open-files.ts";
import { INSTRUCTION_BYTES } from "./seccomp-filter.ts";

/** Where a blank sandbox finds what the daemon gives it later: mounts made there on our side appear on its side. */
export const STAGE = "/stage";
/** In the stage. */
export const stageEntries = { root: "root", tmp: "tmp", passwd: "passwd" } as const;
/** What the runtime program has mounted in a blank sandbox and an image's root gets. */
const carriedOver = ["proc", "dev", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf"];
/**
 * linux/capability.h. What the launcher has until the image's program runs, which has none or what its user 0 may have. It
 * uses CHOWN for its output, DAC_OVERRIDE for folders of the image that are closed to all but their owner, SETGID, SETUID,
 * SETPCAP, and SYS_ADMIN for mounts.
 */
const capabilities = { ...containerCapabilities, CAP_SYS_ADMIN: 21 } as const;

export type LauncherCapability = keyof typeof capabilities;
/**
 * Also of one that has no mounts to make: SYS_ADMIN is one that no program of a sandbox has. User 0 with all of
 * `containerCapabilities` could otherwise write to its memory until it is no longer dumpable (ptrace(2), "Ptrace access mode
 * checking"), and run there what it likes without a filter of system calls.
 */
export const launcherCapabilities = Object.keys(capabilities) as LauncherCapability[];
const MS_MOVE = 8192;
const AT_FDCWD = -100;
const O_RDWR = 2;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const RLIMIT_NOFILE = 7;
const PR_SET_DUMPABLE = 4;
const PR_CAPBSET_DROP = 24;
const SECCOMP_SET_MODE_FILTER = 1;
const LINUX_CAPABILITY_VERSION_3 = 0x20080522;

export interface AttachOptions {
	spec: Pick<SandboxSpec, "readonlyRoot" | "user" | "capabilities" | "cwd" | "limits">;
	/** Whether the stage holds a file to mount over the image's /etc/passwd. */
	passwd: boolean;
	/** Whether the stage holds a file system to be the sandbox's /tmp. */
	tmp: boolean;
	/** struct sock_filter[] */
	seccomp: Buffer;
}

export interface Confinement {
	user: SandboxSpec["user"];
	capabilities?: SandboxSpec["capabilities"];
	cwd: string;
	openFiles: number;
	/** struct sock_filter[] */
	seccomp: Buffer;
}

/** Makes the launcher's process what the image's program expects of its own: the image is its root, with the sandbox's file systems in it. */
export function attachScript({ spec, passwd, tmp, seccomp }: AttachOptions): LauncherScript {
	const script = new LauncherScript();
	enterRoot(script, passwd, tmp);
	if (spec.readonlyRoot) remountReadOnly(script, "/", MS_NOSUID | MS_NODEV);
	if (spec.user.uid === 0) hideFromRoot(script);
	return confine(script, [CHANNEL], { ...spec, openFiles: spec.limits.openFiles, seccomp });
}

/** The same for a launcher that was started in a sandbox that has its image already, from a file that it holds open. */
export function confineScript(options: Confinement): LauncherScript {
	return confine(new LauncherScript(), [CHANNEL, LAUNCHER_FILE], options);
}

/** The image's program in the launcher's place. `path` is where the program was found, its arguments are as the image has them. */
export function executeScript(path: string, args: readonly string[], env: readonly string[]): LauncherScript {
	return new LauncherScript().call("execve", path, args, env);
}

/** The sandbox's user without a capability that is not its own, in the working directory, under the system call filter, with nothing of ours once it executes a program. */
function confine(
	script: LauncherScript,
	ours: readonly number[],
	{ user, capabilities: own = [], cwd, openFiles, seccomp }: Confinement,
): LauncherScript {
	// Without capabilities it is as good as any process of the same user, who must not get at its memory, its files and its
	// channel (ptrace(2), "Ptrace access mode checking"). The program it executes is dumpable again.
	script.call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0);
	// What it was started with is the host's /dev/null, whose mode and times the host's user 0 could change.
	script.call("close", 0).call("openat", AT_FDCWD, "/dev/null", O_RDWR, 0);
	for (const fd of ours) script.call("fcntl", fd, F_SETFD, FD_CLOEXEC);
	// So that it can open /dev/stdout and /dev/stderr anew.
	for (const output of [1, 2]) script.call("fchown", output, user.uid, user.gid);
	script.call("prlimit64", 0, RLIMIT_NOFILE, limit(openFilesFor(openFiles)), 0);
	becomeUser(script, user, user.uid === 0 ? own : []);
	script.call("chdir", cwd);
	const fields = Buffer.alloc(8);
	fields.writeUInt16LE(seccomp.length / INSTRUCTION_BYTES);
	return script.call("seccomp", SECCOMP_SET_MODE_FILTER, 0, { fields, pointer: seccomp });
}

function enterRoot(script: LauncherScript, passwd: boolean, tmp: boolean): void {
	const root = `${STAGE}/${stageEntries.root}`;
	const move = (from: string, to: string) => script.call("mount", from, `${root}/${to}`, 0, MS_MOVE, 0);
	for (const path of carriedOver) move(`/${path}`, path);
	if (tmp) move(`${STAGE}/${stageEntries.tmp}`, "tmp");
	if (passwd) {
		script.call("mount", `${STAGE}/${stageEntries.passwd}`, `${root}/etc/passwd`, 0, MS_BIND, 0);
		remountReadOnly(script, `${root}/etc/passwd`, MS_NOSUID | MS_NODEV | MS_NOEXEC);
	}
	// The old root ends up on top of the new one, where it is let go of (pivot_root(2), "pivot_root(".", ".")").
	script.call("chdir", root).call("pivot_root", ".", ".").call("umount2", ".", MNT_DETACH).call("chdir", "/");
}

/**
 * What the kernel lets user 0 read of the whole machine (physical pages, the kernel's own memory) or write to, whatever its
 * capabilities: dynamic_debug/control has no check but its mode. What masks it for everybody is in bundle.ts.
 */
const rootsOwn = ["kpagecount", "kpageflags", "kpagecgroup", "slabinfo", "vmallocinfo", "pagetypeinfo", "allocinfo"];
const rootsFolder = "/proc/dynamic_debug";

/** Kernels have some of them. */
function hideFromRoot(script: LauncherScript): void {
	for (const name of rootsOwn) script.try("mount", "/dev/null", `/proc/${name}`, 0, MS_BIND, 0);
	script.try(
		"mount",
		"tmpfs",
		rootsFolder,
		"tmpfs",
		MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		"size=4k,nr_inodes=1",
	);
}

function remountReadOnly(script: LauncherScript, path: string, flags: bigint): void {
	script.call("mount", 0, path, 0, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, 0);
}

function becomeUser(
	script: LauncherScript,
	{ uid, gid }: SandboxSpec["user"],
	own: readonly LauncherCapability[],
): void {
	const kept = new Set<number>(own.map((name) => capabilities[name]));
	for (const capability of Object.values(capabilities))
		if (!kept.has(capability)) script.call("prctl", PR_CAPBSET_DROP, capability);
	script.call("setgroups", 0, 0).call("setresgid", gid, gid, gid).call("setresuid", uid, uid, uid);
	const header = Buffer.alloc(8);
	header.writeUInt32LE(LINUX_CAPABILITY_VERSION_3);
	// Two sets of 32 bits, each { effective, permitted, inheritable }. What user 0 executes has what the bounding set has left.
	const sets = Buffer.alloc(24);
	const bits = [...kept].reduce((sum, capability) => sum | (1 << capability), 0);
	for (const offset of [0, 4]) sets.writeUInt32LE(bits, offset);
	script.call("capset", header, sets);
}

/** struct rlimit64 */
function limit(value: number): Buffer {
	const buffer = Buffer.alloc(16);
	buffer.writeBigUInt64LE(BigInt(value), 0);
	buffer.writeBigUInt64LE(BigInt(value), 8);
	return buffer;
}

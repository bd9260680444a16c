import type { SandboxLimits, SandboxSpec } from "../../core/sandbox/sandbox-runtime.ts";
import { seccompProfile } from "./seccomp-profile.ts";

/** What the host side of one sandbox is made of. */
export interface BundleParts {
	networkPath: string;
	/** Of the process namespace, whose first process is ours. */
	processesPath: string;
	tmpPath: string;
	/** Files that appear read-only in the sandbox's /etc. */
	etc: { hosts: string; hostname: string; resolvConf: string; passwd: string | undefined };
	/** Absolute, from the top of the cgroup hierarchies. */
	cgroupsPath: string;
	/** Added to the image's environment. */
	environment: Readonly<Record<string, string>>;
	swapLimit: boolean;
	cgroupNamespace: boolean;
}

/** The mount points that a root file system must hold as real directories and files, never as links: `checkRootfs`. */
export const mountPoints = {
	directories: ["proc", "sys", "dev", "tmp", "etc"],
	files: ["etc/hosts", "etc/hostname", "etc/resolv.conf"],
} as const;

/**
 * The kernel gives CPU time out by period. A sandbox with 7 % of a CPU and the usual 100 ms would run 7 ms and then stand
 * still for 93; with 20 ms (which is also what has been measured of Lambda) it never stands still for longer than 19.
 */
const CPU_PERIOD_US = 20_000;
/** The kernel's own minimum for a quota (kernel: sched-bwc.rst). */
const CPU_MIN_QUOTA_US = 1_000;
/** Between the default 0 and the 1000 of "kill me first": when the machine runs out of memory, a sandbox dies before the daemon. */
export const OOM_SCORE_ADJUST = 500;
/** As Docker's. Pages in it count against the memory limit. */
const SHM_BYTES = 64 << 20;
const MIB = 1 << 20;

/** As Docker's default (moby: oci/defaults.go). */
const maskedPaths = [
	"/proc/acpi",
	"/proc/asound",
	"/proc/interrupts",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/sys/devices/virtual/powercap",
	"/sys/firmware",
];
const readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const seccomp = seccompProfile(process.arch);

/** The container's configuration (runtime-spec 1.0.2, config.md). */
export function bundleConfig(spec: SandboxSpec, parts: BundleParts): unknown {
	return {
		ociVersion: "1.0.2",
		hostname: "sandbox",
		root: { path: spec.rootfs, readonly: spec.readonlyRoot },
		process: processConfig(spec, spec.limits, parts.environment),
		mounts: mounts(parts),
		linux: {
			namespaces: [
				{ type: "pid", path: parts.processesPath },
				{ type: "mount" },
				{ type: "ipc" },
				{ type: "uts" },
				{ type: "network", path: parts.networkPath },
				...(parts.cgroupNamespace ? [{ type: "cgroup" }] : []),
			],
			cgroupsPath: parts.cgroupsPath,
			resources: resources(spec.limits, parts.swapLimit),
			maskedPaths,
			readonlyPaths,
			seccomp,
		},
	};
}

/** A process of the container, the first or a further one (runtime-spec 1.0.2, config.md, "Process"). */
export function processConfig(
	program: Pick<SandboxSpec, "args" | "env" | "cwd" | "user">,
	limits: SandboxLimits,
	environment: Readonly<Record<string, string>>,
) {
	return {
		terminal: false,
		user: { uid: program.user.uid, gid: program.user.gid },
		args: program.args,
		env: Object.entries({ ...program.env, ...environment }).map(([name, value]) => `${name}=${value}`),
		cwd: program.cwd,
		capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
		noNewPrivileges: true,
		oomScoreAdj: OOM_SCORE_ADJUST,
		// RLIMIT_NPROC would count every process of that user on the machine; the pids controller counts the sandbox's.
		rlimits: [
			{ type: "RLIMIT_NOFILE", soft: limits.openFiles, hard: limits.openFiles },
			{ type: "RLIMIT_CORE", soft: 0, hard: 0 },
			{ type: "RLIMIT_MEMLOCK", soft: 64 * 1024, hard: 64 * 1024 },
		],
	};
}

function mounts(parts: BundleParts): unknown[] {
	const bindReadOnly = (source: string, destination: string) => ({
		destination,
		source,
		type: "bind",
		options: ["bind", "ro", "nosuid", "nodev", "noexec"],
	});
	return [
		{ destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
		{
			destination: "/dev",
			type: "tmpfs",
			source: "tmpfs",
			options: ["nosuid", "noexec", "strictatime", "mode=755", "size=64k"],
		},
		{
			destination: "/dev/shm",
			type: "tmpfs",
			source: "shm",
			options: ["nosuid", "noexec", "nodev", "mode=1777", `size=${SHM_BYTES}`],
		},
		{ destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
		// Language runtimes read their memory and CPU limits here (the JVM, Node, Go).
		{
			destination: "/sys/fs/cgroup",
			type: "cgroup",
			source: "cgroup",
			options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
		},
		{ destination: "/tmp", type: "bind", source: parts.tmpPath, options: ["bind", "nosuid", "nodev"] },
		bindReadOnly(parts.etc.hosts, "/etc/hosts"),
		bindReadOnly(parts.etc.hostname, "/etc/hostname"),
		bindReadOnly(parts.etc.resolvConf, "/etc/resolv.conf"),
		...(parts.etc.passwd === undefined ? [] : [bindReadOnly(parts.etc.passwd, "/etc/passwd")]),
	];
}

function resources(limits: SandboxLimits, swapLimit: boolean): unknown {
	const memory = limits.memoryMiB * MIB;
	return {
		devices: [{ allow: false, access: "rwm" }],
		// Swap as large as memory means, in the specification's words, memory and swap together: no swap at all.
		memory: swapLimit ? { limit: memory, swap: memory } : { limit: memory },
		cpu: { period: CPU_PERIOD_US, quota: Math.max(CPU_MIN_QUOTA_US, Math.round(limits.cpus * CPU_PERIOD_US)) },
		pids: { limit: limits.pids },
	};
}

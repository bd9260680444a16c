import { launcherCapabilities, STAGE } from "./attach-script.ts";

/** What the host side of one blank sandbox is made of. */
export interface BlankParts {
	networkPath: string;
	/** Of the process namespace, whose first process is ours. */
	processesPath: string;
	/** The root of every blank sandbox: the launcher and mount points, nothing else. */
	rootPath: string;
	/** What is mounted in here later appears in the sandbox. */
	stagePath: string;
	/** Files that appear read-only in the sandbox's /etc. */
	etc: { hosts: string; hostname: string; resolvConf: string };
	/** Absolute, from the top of the cgroup hierarchies. */
	cgroupsPath: string;
	cgroupNamespace: boolean;
}

/** The launcher's place in the blank root. */
export const LAUNCHER = "/launcher";

/** The mount points that a root file system must hold as real directories and files, never as links: `checkRootfs`. */
export const mountPoints = {
	directories: ["proc", "sys", "dev", "tmp", "etc"],
	files: ["etc/hosts", "etc/hostname", "etc/resolv.conf"],
} as const;

/** Between the default 0 and the 1000 of "kill me first": when the machine runs out of memory, a sandbox dies before the daemon. */
export const OOM_SCORE_ADJUST = 500;
/** As Docker's. Pages in it count against the memory limit. */
const SHM_BYTES = 64 << 20;

/** Pseudo-terminals: the kernel has 3,072 for all sandboxes together (kernel.pty.max less kernel.pty.reserve). */
const MAX_TERMINALS = 64;

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

const BLANK_PIDS = 16;
/** Queued signals and timers (timer_create) of all sandboxes that have a user in common; a machine of 1 GiB has 3,800. */
const SIGNALS_OF_A_USER = 2048;
/** POSIX message queues; half of the kernel's default (MQ_BYTES_MAX). */
const MESSAGE_BYTES_OF_A_USER = 400 * 1024;

/** The configuration (runtime-spec 1.0.2, config.md) of a container that could become any function's sandbox. */
export function blankConfig(parts: BlankParts): unknown {
	return {
		ociVersion: "1.0.2",
		hostname: "sandbox",
		root: { path: parts.rootPath, readonly: true },
		process: launcherProcess(LAUNCHER, launcherCapabilities),
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
			// The limits of memory, CPU and processes are written when they are known.
			resources: { devices: [{ allow: false, access: "rwm" }], pids: { limit: BLANK_PIDS } },
			// So that mounts in the stage arrive; nothing goes the other way.
			rootfsPropagation: "rslave",
			maskedPaths,
			readonlyPaths,
		},
	};
}

/** The launcher as a process of the container (runtime-spec 1.0.2, config.md, "Process"). What it executes has no capability. */
export function launcherProcess(path: string, capabilities: readonly string[]) {
	return {
		terminal: false,
		user: { uid: 0, gid: 0 },
		args: [path],
		// Without it the runtime program looks for one in /etc/passwd, which by the time of an exec is the sandbox's own.
		env: ["HOME=/"],
		cwd: "/",
		capabilities: {
			bounding: capabilities,
			effective: capabilities,
			permitted: capabilities,
			inheritable: [],
			ambient: [],
		},
		noNewPrivileges: true,
		oomScoreAdj: OOM_SCORE_ADJUST,
		// RLIMIT_NPROC would count every process of that user on the machine; the pids controller counts the sandbox's.
		rlimits: [
			{ type: "RLIMIT_CORE", soft: 0, hard: 0 },
			{ type: "RLIMIT_MEMLOCK", soft: 64 * 1024, hard: 64 * 1024 },
			// The kernel counts these by user, over all sandboxes and the host: the host's own keep what is above.
			{ type: "RLIMIT_SIGPENDING", soft: SIGNALS_OF_A_USER, hard: SIGNALS_OF_A_USER },
			{ type: "RLIMIT_MSGQUEUE", soft: MESSAGE_BYTES_OF_A_USER, hard: MESSAGE_BYTES_OF_A_USER },
		],
	};
}

function mounts(parts: BlankParts): unknown[] {
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
		// With its /dev/ptmx, which the runtime program links to (Knative runtime contract, "File Descriptors and Filesystems").
		{
			destination: "/dev/pts",
			type: "devpts",
			source: "devpts",
			options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", `max=${MAX_TERMINALS}`],
		},
		{ destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
		// Language runtimes read their memory and CPU limits here (the JVM, Node, Go).
		{
			destination: "/sys/fs/cgroup",
			type: "cgroup",
			source: "cgroup",
			options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
		},
		{ destination: STAGE, type: "bind", source: parts.stagePath, options: ["rbind", "rslave"] },
		bindReadOnly(parts.etc.hosts, "/etc/hosts"),
		bindReadOnly(parts.etc.hostname, "/etc/hostname"),
		bindReadOnly(parts.etc.resolvConf, "/etc/resolv.conf"),
	];
}

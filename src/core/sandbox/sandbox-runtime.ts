import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { ContainerCapability } from "./capabilities.ts";

/**
 * Makes sandboxes: isolated process groups on an image's root, each in its own network, under limits that hold.
 *
 * Lifecycle: `create` makes everything ready but runs nothing of the image; `exec` runs further programs beside the main
 * process, before or after its start; `start` releases the main process; it ends by itself, by a signal or by `kill`, and
 * `exited` resolves once, with the reason. The others go on without it until `kill`, `reset` or `dispose`. `dispose` frees
 * everything the sandbox held (network, mounts, cgroup, /tmp) and kills what runs first. Every method is idempotent where
 * that makes sense, and a sandbox that was not disposed when its daemon died is removed by the next daemon's `reap`.
 */
export interface SandboxRuntime extends AsyncDisposable {
	/** "crun", "runc", "fake". */
	readonly name: string;
	readonly version: string;
	/**
	 * INVALID_IMAGE when the entrypoint is missing or can't be executed (reason "InvalidEntrypoint") or the working
	 * directory is (reason "InvalidWorkingDir"): found here or by `start`, never silently. EXHAUSTED when the machine has
	 * no room, SANDBOX_FAILED otherwise. An abort leaves nothing behind.
	 */
	create(spec: SandboxSpec, signal?: AbortSignal): Promise<Sandbox>;
	/** Removes every container, mount, namespace, interface and cgroup that an earlier process left under this state folder. Returns how many. */
	reap(): Promise<number>;
	/**
	 * Gets pools ready for sandboxes of this shape, in the background; costs nothing where it does not help. No `tmpMiB` for
	 * those with a writable root.
	 */
	prepare(shape: { tmpMiB?: number; egress: boolean }): void;
	/**
	 * Names and their IPv4 addresses, for /etc/hosts of every sandbox, those that run included; in place of the last ones.
	 * INVALID for what is no host name or no address.
	 */
	publishNames(names: Readonly<Record<string, string>>): void;
}

export interface SandboxSpec {
	/** Unique on the machine, `[a-z0-9-]{1,40}`. */
	id: string;
	/** Whose code runs in it: `function/NAME`, `/slipway/services/NAMESPACE/NAME`. The runtime takes no notice; what answers inside by names does. */
	owner?: string;
	/** The stacked root of the image (RootfsStore.acquire). */
	rootfs: string;
	/** Program and arguments; the program is looked up in env's PATH when it has no slash. */
	args: readonly string[];
	env: Readonly<Record<string, string>>;
	cwd: string;
	user: SandboxUser;
	/** What user 0 may do beyond other users; nothing when left out, and for every other user. */
	capabilities?: readonly ContainerCapability[];
	/**
	 * False: the image's files can be changed and /tmp is among them, all of it in memory, which counts against the sandbox's
	 * limit, and gone with the sandbox or its reset. `limits.tmpMiB` means nothing then. And programs may listen on every
	 * port, those below 1024 included, as in a container of Docker's.
	 */
	readonlyRoot: boolean;
	/**
	 * Folders and files of the host. What they are mounted on is made where the image has it not, if its root is not
	 * read-only; INVALID otherwise, and for what the platform has its own mounts on. One inside of another finds its target in the
	 * other's source. Programs in them are run by path, not found by name.
	 */
	mounts?: readonly SandboxMount[];
	/**
	 * Shares this sandbox's network, for good: one loopback, one set of ports, one way out, whatever its own `egress` says. Its
	 * `endpoint` and `listeners` are the other's, its own have to be left out. The other must be disposed after this one, and
	 * is INVALID when it was already.
	 */
	beside?: Sandbox;
	/**
	 * Addresses of 169.254.0.0/16 that are the daemon's for this sandbox: what connects to them arrives here, to others of them
	 * nothing. Programs may listen on the same port of all addresses, 0.0.0.0, where the kernel has BPF.
	 */
	listeners?: readonly SandboxListener[];
	limits: SandboxLimits;
	/** Whether the sandbox may reach the outside by NAT and resolve names. Never its neighbours or the host's loopback. */
	egress: boolean;
	/**
	 * The contract's endpoint: TCP connections that the sandbox makes to it arrive at `onConnection`, from this sandbox
	 * alone. The container finds its address, `host:port`, in the environment variable `envName`.
	 */
	endpoint?: { envName: string; onConnection: (socket: Socket) => void };
}

export interface SandboxListener {
	host: string;
	port: number;
	onConnection: (socket: Socket) => void;
}

export interface SandboxMount {
	/** An absolute path on the host, there for as long as the sandbox is. INVALID when it is not there. */
	source: string;
	/**
	 * A folder or file below `source`, which is then its root: no link that a program has made in there leads out of it, also
	 * not while it is looked up. INVALID when it is not there.
	 */
	subPath?: string;
	/** Absolute, without "..", inside the sandbox; never below /proc, /dev or /sys. */
	target: string;
	readOnly: boolean;
}

export interface SandboxUser {
	uid: number;
	gid: number;
	/** Programs of an image with an /etc/passwd find these there; without a name it stays as it is. */
	name?: string;
	home?: string;
}

export interface SandboxLimits {
	memoryMiB: number;
	/** In CPUs; 0.5 is half of one. */
	cpus: number;
	/** In CPUs, at least `cpus`: what it may use until `Sandbox.endStart`, after its making and after each reset. `cpus` when left out. */
	startCpus?: number;
	/** In CPUs: its weight against other sandboxes where all want more than there is. 1 when left out. */
	cpuRequest?: number;
	/** Processes and threads. */
	pids: number;
	/** Less where the daemon's own limit (`ulimit -Hn`) is lower: that is what a sandbox can have at most. */
	openFiles: number;
	/** Size of /tmp. */
	tmpMiB: number;
}

/** One program that was started in a sandbox. */
export interface SandboxProcess {
	/** What it writes; ends after it has exited and everything was read. Not reading them holds the process up. */
	readonly stdout: Readable;
	readonly stderr: Readable;
	/** Resolves once, after the process itself is gone. Never rejects. */
	readonly exited: Promise<SandboxExit>;
	/** To this process and those of its process group; nothing when it has not started or has ended. A frozen sandbox takes it when it thaws. */
	signal(name: "SIGTERM" | "SIGKILL"): void;
}

/** The sandbox, and as a `SandboxProcess` its main process. */
export interface Sandbox extends SandboxProcess, AsyncDisposable {
	readonly id: string;
	/** Releases the created process. Same errors as create. */
	start(): Promise<void>;
	/**
	 * Runs another program of the image, as the image has it, beside the main process, under the sandbox's limits, with the
	 * endpoint in its environment too and, if its user is 0, the sandbox's capabilities. Also before `start`. Same errors as create.
	 */
	exec(program: Pick<SandboxSpec, "args" | "env" | "cwd" | "user">): Promise<SandboxProcess>;
	/**
	 * A TCP connection to 127.0.0.1:`port` inside the sandbox's network, as a process of the sandbox would make it: how the
	 * contract delivers to servers that run in there. Rejects with the system's own error (ECONNREFUSED when nobody listens).
	 */
	connect(port: number): Promise<Socket>;
	/** Stops every process in place, at no CPU cost; under a millisecond. Idempotent. */
	freeze(): Promise<void>;
	thaw(): Promise<void>;
	/** SIGKILL to every process. Resolves when the main process has exited. */
	kill(): Promise<SandboxExit>;
	/**
	 * Kills every process and makes the sandbox anew from its spec: what comes back stands as after `create`, with the
	 * same id and limits and with /tmp as it was, if its root is read-only; everything else is fresh. This object is disposed.
	 * Same errors as create.
	 */
	reset(): Promise<Sandbox>;
	/**
	 * The start is over: from now on `limits.cpus` holds in place of `limits.startCpus`. Idempotent, without effect on a
	 * sandbox that was disposed. A runtime without it keeps to `limits.cpus` from the beginning.
	 */
	endStart(): Promise<void>;
	stats(): Promise<SandboxStats>;
	/** `stats().memoryPeakBytes` alone, cheap enough to ask after each event. */
	memoryPeak(): Promise<number>;
}

export interface SandboxExit {
	/** Exit code, when the process ended by itself. */
	code?: number;
	/** Signal name ("SIGKILL") when one ended it. */
	signal?: string;
	/** The kernel killed in this sandbox for its memory limit. */
	oomKilled: boolean;
}

export interface SandboxStats {
	memoryBytes: number;
	/** Highest since creation, or since the last reset where the kernel has one. */
	memoryPeakBytes: number;
	/** CPU time used, microseconds. */
	cpuUs: number;
	pids: number;
}

import type { Socket } from "node:net";
import type { Readable } from "node:stream";

/**
 * Makes sandboxes: isolated process groups on a read-only root, each in its own network, under limits that hold.
 *
 * Lifecycle: `create` makes everything ready but runs nothing of the image; `start` releases the process; it ends by
 * itself, by `stop` or by `kill`, and `exited` resolves once, with the reason; `dispose` frees everything the sandbox
 * held (network, mounts, cgroup, /tmp) and kills it first if need be. Every method is idempotent where that makes sense,
 * and a sandbox that was not disposed when its daemon died is removed by the next daemon's `reap`.
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
	/** Gets pools ready for sandboxes of this shape, in the background; costs nothing where it does not help. */
	prepare(shape: { tmpMiB: number; egress: boolean }): void;
}

export interface SandboxSpec {
	/** Unique on the machine, `[a-z0-9-]{1,40}`. */
	id: string;
	/** The stacked root of the image (RootfsStore.acquire). */
	rootfs: string;
	/** Program and arguments; the program is looked up in env's PATH when it has no slash. */
	args: readonly string[];
	env: Readonly<Record<string, string>>;
	cwd: string;
	user: { uid: number; gid: number };
	readonlyRoot: boolean;
	limits: SandboxLimits;
	/** Whether the sandbox may reach the outside by NAT and resolve names. Never its neighbours or the host's loopback. */
	egress: boolean;
	/**
	 * The contract's endpoint: TCP connections that the sandbox makes to it arrive at `onConnection`, from this sandbox
	 * alone. The container finds its address, `host:port`, in the environment variable `envName`.
	 */
	endpoint?: { envName: string; onConnection: (socket: Socket) => void };
}

export interface SandboxLimits {
	memoryMiB: number;
	/** In CPUs; 0.5 is half of one. */
	cpus: number;
	/** Processes and threads. */
	pids: number;
	openFiles: number;
	/** Size of /tmp. */
	tmpMiB: number;
}

export interface Sandbox extends AsyncDisposable {
	readonly id: string;
	/** What the process writes; ends after it has exited and everything was read. Not reading them holds the process up. */
	readonly stdout: Readable;
	readonly stderr: Readable;
	/** Resolves once, after the last process of the sandbox is gone. Never rejects. */
	readonly exited: Promise<SandboxExit>;
	/** Releases the created process. Same errors as create. */
	start(): Promise<void>;
	/** Stops every process in place, at no CPU cost; under a millisecond. Idempotent. */
	freeze(): Promise<void>;
	thaw(): Promise<void>;
	/** SIGTERM to the first process, then SIGKILL to all after `graceMs`. Thaws first. Resolves when exited. */
	stop(graceMs: number): Promise<SandboxExit>;
	/** SIGKILL to every process. Resolves when exited. */
	kill(): Promise<SandboxExit>;
	stats(): Promise<SandboxStats>;
	/** `stats().memoryPeakBytes` alone, cheap enough to ask after each event. */
	memoryPeak(): Promise<number>;
}

export interface SandboxExit {
	/** Exit code, when the process ended by itself. */
	code?: number;
	/** Signal name ("SIGKILL") when one ended it. */
	signal?: string;
	/** The kernel killed for the memory limit. */
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

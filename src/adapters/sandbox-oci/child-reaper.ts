import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Clock } from "../../base/clock.ts";
import { systemCode } from "../../base/error.ts";
import {
	becomeSubreaper,
	close,
	epollAdd,
	epollCreate,
	epollReady,
	peekEndedChild,
	pidfdOpen,
	type WaitStatus,
	waitpid,
} from "../../base/syscall.ts";

/** Zombies that nobody claimed for a whole period are strays; longer than libuv ever needs to collect its own children. */
const SWEEP_MS = 5_000;

const VIGIL_MS = 1_000;
/** How many ended processes one system call tells of; there may be more calls. */
const READY_AT_ONCE = 64;

interface Watch {
	onExit: (status: WaitStatus) => void;
	/** A descriptor of the process; undefined when this process may have no more of them. */
	pidfd: number | undefined;
}

/**
 * Collects the exit status of processes that are our children without having been spawned by Node: a container's first
 * process, orphaned by the runtime program that made it and handed to us as the nearest subreaper (prctl(2)). It waits
 * for known process ids only: `waitpid(-1)` would steal the children of libuv. A process descriptor each (pidfd_open(2)),
 * all in one epoll(7), tells which of them have ended, so that the work grows with those and not with all that run.
 */
export class ChildReaper implements Disposable {
	readonly #clock: Clock;
	readonly #epoll = epollCreate();
	readonly #watched = new Map<number, Watch>();
	/** Of those without a descriptor of their own: to be asked for one by one. */
	readonly #unpolled = new Set<number>();
	readonly #onSigchld = () => this.#collect();
	#suspects = new Set<number>();
	/** Valid for one turn of the event loop: many ask for it at once when many sandboxes end. */
	#zombies: readonly number[] | undefined;
	#cancelSweep: () => void = () => {};
	#disposed = false;
	/** While somebody waits for a process, this one has something to live for; a signal handler alone would not keep it. */
	#vigil: NodeJS.Timeout | undefined;

	constructor(clock: Clock) {
		this.#clock = clock;
		becomeSubreaper();
		process.on("SIGCHLD", this.#onSigchld);
		this.#scheduleSweep();
	}

	/** Calls back once, when the process has ended; its id stays taken until then. Throws ECHILD when it is not our child. */
	watch(pid: number, onExit: (status: WaitStatus) => void): void {
		const status = waitpid(pid);
		if (status) {
			queueMicrotask(() => onExit(status));
			return;
		}
		const pidfd = this.#poll(pid);
		if (pidfd === undefined) this.#unpolled.add(pid);
		this.#watched.set(pid, { onExit, pidfd });
		this.#vigil ??= setInterval(() => this.#collect(), VIGIL_MS);
	}

	#poll(pid: number): number | undefined {
		let pidfd: number;
		try {
			pidfd = pidfdOpen(pid);
		} catch (error) {
			if (systemCode(error) === "EMFILE" || systemCode(error) === "ENFILE") return undefined;
			throw error;
		}
		try {
			epollAdd(this.#epoll, pidfd, pid);
			return pidfd;
		} catch (error) {
			close(pidfd);
			// Past the bound on what one user may watch (/proc/sys/fs/epoll/max_user_watches), or out of memory for it.
			if (systemCode(error) === "ENOSPC" || systemCode(error) === "ENOMEM") return undefined;
			throw error;
		}
	}

	#collect(): void {
		for (const pid of this.#unpolled) this.#collectOne(pid);
		for (let ended = READY_AT_ONCE; ended === READY_AT_ONCE && !this.#disposed; ) {
			const ready = epollReady(this.#epoll, READY_AT_ONCE);
			// A thread group whose first thread alone has ended is not over, though some kernels call it ready: no busy loop.
			ended = ready.filter((pid) => this.#collectOne(pid)).length;
		}
		if (this.#watched.size > 0) return;
		clearInterval(this.#vigil);
		this.#vigil = undefined;
	}

	/** False while it runs. */
	#collectOne(pid: number): boolean {
		const status = waitOrLost(pid);
		if (!status) return false;
		const watch = this.#watched.get(pid);
		this.#watched.delete(pid);
		this.#unpolled.delete(pid);
		if (watch?.pidfd !== undefined) close(watch.pidfd);
		watch?.onExit(status);
		return true;
	}

	#scheduleSweep(): void {
		this.#cancelSweep = this.#clock.after(SWEEP_MS, () => {
			this.sweep();
			this.#scheduleSweep();
		});
	}

	/** Collects children that were already dead at the last sweep: what a killed runtime program left behind. Returns how many. */
	sweep(): number {
		const zombies = this.#zombieChildren().filter((pid) => !this.#watched.has(pid));
		const strays = zombies.filter((pid) => this.#suspects.has(pid));
		this.#suspects = new Set(zombies);
		return strays.filter(collectStray).length;
	}

	/**
	 * Collects at once the dead children that nobody watches in another process namespace, by its name as /proc/PID/ns/pid
	 * has it: to be called when no more are expected from there. libuv's own children are all in ours.
	 */
	collectStraysOf(namespace: string): void {
		for (const pid of this.#zombieChildren())
			if (!this.#watched.has(pid) && namespaceOf(pid) === namespace) collectStray(pid);
	}

	#zombieChildren(): readonly number[] {
		if (!this.#zombies) {
			this.#zombies = zombieChildren();
			setImmediate(() => {
				this.#zombies = undefined;
			}).unref();
		}
		return this.#zombies;
	}

	[Symbol.dispose](): void {
		if (this.#disposed) return;
		this.#disposed = true;
		this.#cancelSweep();
		clearInterval(this.#vigil);
		process.off("SIGCHLD", this.#onSigchld);
		for (const { pidfd } of this.#watched.values()) if (pidfd !== undefined) close(pidfd);
		this.#watched.clear();
		close(this.#epoll);
	}
}

/** A child that somebody else has waited for is gone as well, with a status that nobody will ever know. */
function waitOrLost(pid: number): WaitStatus | undefined {
	try {
		return waitpid(pid);
	} catch (error) {
		if (systemCode(error) === "ECHILD") return { code: undefined, signal: undefined };
		throw error;
	}
}

function collectStray(pid: number): boolean {
	try {
		return waitpid(pid) !== undefined;
	} catch (error) {
		// libuv came first after all.
		if (systemCode(error) === "ECHILD") return false;
		throw error;
	}
}

/** Of processes; "" for one that is gone. */
export function namespaceOf(pid: number): string {
	try {
		return readlinkSync(`/proc/${pid}/ns/pid`);
	} catch (error) {
		if (systemCode(error) === "ENOENT" || systemCode(error) === "ESRCH") return "";
		throw error;
	}
}

function zombieChildren(): number[] {
	// Mostly there is none, and then nobody needs to look at every child.
	if (peekEndedChild() === undefined) return [];
	try {
		return lookForZombies();
	} catch (error) {
		// Whoever asks will ask again, when there are descriptors to look with.
		if (systemCode(error) === "EMFILE" || systemCode(error) === "ENFILE") return [];
		throw error;
	}
}

function lookForZombies(): number[] {
	const children = readdirSync("/proc/self/task").flatMap((task) =>
		readIfThere(`/proc/self/task/${task}/children`).split(" "),
	);
	return children.filter((pid) => pid !== "" && /^\d+ \(.*\) Z /s.test(readIfThere(`/proc/${pid}/stat`))).map(Number);
}

function readIfThere(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch (error) {
		if (systemCode(error) === "ENOENT" || systemCode(error) === "ESRCH") return "";
		throw error;
	}
}

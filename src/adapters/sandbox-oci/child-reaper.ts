import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Clock } from "../../base/clock.ts";
import { systemCode } from "../../base/error.ts";
import { becomeSubreaper, type WaitStatus, waitpid } from "../../base/syscall.ts";

/** Zombies that nobody claimed for a whole period are strays; longer than libuv ever needs to collect its own children. */
const SWEEP_MS = 5_000;

const VIGIL_MS = 1_000;

/**
 * Collects the exit status of processes that are our children without having been spawned by Node: a container's first
 * process, orphaned by the runtime program that made it and handed to us as the nearest subreaper (prctl(2)). It waits
 * for known process ids only: `waitpid(-1)` would steal the children of libuv.
 */
export class ChildReaper implements Disposable {
	readonly #clock: Clock;
	readonly #watched = new Map<number, (status: WaitStatus) => void>();
	readonly #onSigchld = () => this.#collect();
	#suspects = new Set<number>();
	#cancelSweep: () => void = () => {};
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
		if (status) queueMicrotask(() => onExit(status));
		else {
			this.#watched.set(pid, onExit);
			this.#vigil ??= setInterval(() => this.#collect(), VIGIL_MS);
		}
	}

	#collect(): void {
		for (const [pid, onExit] of this.#watched) {
			const status = waitOrLost(pid);
			if (!status) continue;
			this.#watched.delete(pid);
			onExit(status);
		}
		if (this.#watched.size > 0) return;
		clearInterval(this.#vigil);
		this.#vigil = undefined;
	}

	#scheduleSweep(): void {
		this.#cancelSweep = this.#clock.after(SWEEP_MS, () => {
			this.sweep();
			this.#scheduleSweep();
		});
	}

	/** Collects children that were already dead at the last sweep: what a killed runtime program left behind. Returns how many. */
	sweep(): number {
		const zombies = zombieChildren().filter((pid) => !this.#watched.has(pid));
		const strays = zombies.filter((pid) => this.#suspects.has(pid));
		this.#suspects = new Set(zombies);
		return strays.filter(collectStray).length;
	}

	/**
	 * Collects at once the dead children that nobody watches in another process namespace, by its name as /proc/PID/ns/pid
	 * has it: to be called when no more are expected from there. libuv's own children are all in ours.
	 */
	collectStraysOf(namespace: string): void {
		for (const pid of zombieChildren())
			if (!this.#watched.has(pid) && namespaceOf(pid) === namespace) collectStray(pid);
	}

	[Symbol.dispose](): void {
		this.#cancelSweep();
		clearInterval(this.#vigil);
		process.off("SIGCHLD", this.#onSigchld);
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

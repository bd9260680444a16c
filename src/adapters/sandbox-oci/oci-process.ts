import { readFileSync } from "node:fs";
import { constants } from "node:os";
import type { Readable } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import { assert, systemCode } from "../../base/error.ts";
import type { WaitStatus } from "../../base/syscall.ts";
import type { SandboxExit, SandboxProcess } from "../../core/sandbox/sandbox-runtime.ts";
import type { Cgroup } from "./cgroup.ts";
import type { OutputPipe } from "./output-pipe.ts";

/**
 * Turns of the event loop from the news of an exit to the reading of what was sent before it: one to hear of the connection
 * (another process's end may have brought this news ahead of that), one to accept it, one to read.
 */
const LAST_WORDS_TURNS = 3;
const SIGKILL_BIT = 1n << 8n;
/** By number; of two names for one the first, and better known, counts (SIGABRT, not SIGIOT). */
const signalNames = new Map(
	Object.entries(constants.signals)
		.reverse()
		.map(([name, number]) => [number, name]),
);

export function signalName(number: number | undefined): string | undefined {
	return number === undefined ? undefined : (signalNames.get(number) ?? `SIG${number}`);
}

/** A program that the runtime program started in a sandbox and that is our child now. */
export class OciProcess implements SandboxProcess {
	readonly exited: Promise<SandboxExit>;
	/** In our own process namespace. */
	readonly pid: number;
	readonly #stdout: OutputPipe;
	readonly #stderr: OutputPipe;
	readonly #cgroup: Cgroup;
	readonly #settleExit: (exit: SandboxExit) => void;
	/** Kills for memory in the sandbox that are known to have been others'. */
	#othersOomKills: number;
	#killedByUs = false;
	#exit: SandboxExit | undefined;

	constructor(pid: number, output: { stdout: OutputPipe; stderr: OutputPipe }, cgroup: Cgroup) {
		this.pid = pid;
		this.#stdout = output.stdout;
		this.#stderr = output.stderr;
		this.#cgroup = cgroup;
		this.#othersOomKills = cgroup.oomKills();
		const { promise, resolve } = Promise.withResolvers<SandboxExit>();
		this.exited = promise;
		this.#settleExit = resolve;
	}

	get stdout(): Readable {
		return this.#stdout.stream;
	}

	get stderr(): Readable {
		return this.#stderr.stream;
	}

	get hasEnded(): boolean {
		return this.#exit !== undefined;
	}

	/** The process is gone. */
	onExit(status: WaitStatus): void {
		const signal = signalName(status.signal);
		const oomKilled = signal === "SIGKILL" && !this.#killedByUs && this.#cgroup.oomKills() > this.#othersOomKills;
		this.#exit = {
			...(status.code === undefined ? {} : { code: status.code }),
			...(signal === undefined ? {} : { signal }),
			oomKilled,
		};
		const exit = this.#exit;
		afterTurns(LAST_WORDS_TURNS, () => this.#settleExit(exit));
	}

	signal(name: "SIGTERM" | "SIGKILL"): void {
		if (this.#exit) return;
		if (name === "SIGKILL") this.willKill();
		process.kill(-processGroup(this.pid), name);
	}

	/** To be called before we kill it, so that its end is not taken for the kernel's doing. */
	willKill(): void {
		if (!this.#exit && !this.#diesOfMemory()) this.#killedByUs = true;
	}

	/** To be called now and then: kills for memory that this process has survived were others'. */
	noteOomKills(): void {
		if (!this.#exit) this.#diesOfMemory();
	}

	/** The kernel counts a kill just before it sends the signal, and a process under SIGKILL runs no more of its own code. */
	#diesOfMemory(): boolean {
		const kills = this.#cgroup.oomKills();
		if (kills <= this.#othersOomKills) return false;
		if (isDying(this.pid)) return true;
		this.#othersOomKills = kills;
		return false;
	}

	/** Lets a reader have the last lines; a stream that nobody reads is dropped. */
	async drain(clock: Clock): Promise<void> {
		await Promise.all([this.#stdout.drain(clock), this.#stderr.drain(clock)]);
	}
}

function afterTurns(turns: number, callback: () => void): void {
	setImmediate(() => (turns > 1 ? afterTurns(turns - 1, callback) : callback()));
}

/** Whether SIGKILL waits for the process, or has made it give its memory back already (proc_pid_status(5)). */
function isDying(pid: number): boolean {
	let status: string;
	try {
		status = readFileSync(`/proc/${pid}/status`, "utf8");
	} catch (error) {
		if (systemCode(error) === "ENOENT" || systemCode(error) === "ESRCH") return true;
		throw error;
	}
	if (!/^VmSize:/m.test(status)) return true;
	const pending = [...status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)];
	return pending.some(([, mask]) => (BigInt(`0x${mask}`) & SIGKILL_BIT) !== 0n);
}

/**
 * Both runtimes start each program in a session of its own, whose processes share its group (proc_pid_stat(5), field 5).
 * crun's exec leaves the group without its leader, so it is asked for.
 */
function processGroup(pid: number): number {
	const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
	const [, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	// What 0 and -1 stand for in kill(2) is not the sandbox.
	assert(Number(group) > 1, `process ${pid} has no process group`);
	return Number(group);
}

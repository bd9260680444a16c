import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import { SlipwayError, systemCode } from "../../base/error.ts";
import type { Lifetime } from "../../base/lifetime.ts";
import type { WaitStatus } from "../../base/syscall.ts";
import type {
	Sandbox,
	SandboxExit,
	SandboxProcess,
	SandboxSpec,
	SandboxStats,
} from "../../core/sandbox/sandbox-runtime.ts";
import type { Cgroup } from "./cgroup.ts";
import type { OciProcess } from "./oci-process.ts";
import type { SandboxNetwork } from "./sandbox-network.ts";

export type ProgramSpec = Pick<SandboxSpec, "args" | "env" | "cwd" | "user">;

export interface OciSandboxParts {
	id: string;
	main: OciProcess;
	/** Its holder is the first process of the sandbox's process namespace. */
	network: SandboxNetwork;
	cgroup: Cgroup;
	/** Limit of the group. */
	memoryBytes: number;
	/** What holds from `endStart` on; undefined where it has held from the beginning. */
	cpusAfterStart: number | undefined;
	clock: Clock;
	release: () => Promise<void>;
	exec: (program: ProgramSpec) => Promise<OciProcess>;
	/** Disposes this sandbox and makes the next one. */
	anew: () => Promise<Sandbox>;
	/** Frees whatever was made for the sandbox, when its processes are gone. */
	lifetime: Lifetime;
}

/** The kernel kills when it can reclaim nothing more, at the limit or a few pages below it. */
const NEAR_LIMIT = 0.9;
const DESCRIPTOR_RETRY_MS = 100;

export class OciSandbox implements Sandbox {
	readonly id: string;
	readonly stdout: Readable;
	readonly stderr: Readable;
	readonly exited: Promise<SandboxExit>;
	readonly #parts: OciSandboxParts;
	readonly #main: OciProcess;
	readonly #others: OciProcess[] = [];
	readonly #execs = new Set<Promise<unknown>>();
	#started: Promise<void> | undefined;
	#killed = false;
	#rawPeak = -1;
	#lastStats: SandboxStats = { memoryBytes: 0, memoryPeakBytes: 0, cpuUs: 0, pids: 0 };
	/** Counts freezes and thaws, so that a freeze under way knows whether it is still wanted. */
	#wishes = 0;
	#reset: Promise<Sandbox> | undefined;
	#disposed: Promise<void> | undefined;

	constructor(parts: OciSandboxParts) {
		this.#parts = parts;
		this.#main = parts.main;
		this.id = parts.id;
		this.stdout = parts.main.stdout;
		this.stderr = parts.main.stderr;
		this.exited = parts.main.exited;
	}

	/** For a sandbox that is to be beside this one. */
	get network(): SandboxNetwork {
		return this.#parts.network;
	}

	/** The main process is gone; the others go on. */
	onMainExit(status: WaitStatus): void {
		this.#readStats();
		this.#main.onExit(status);
	}

	start(): Promise<void> {
		this.#started ??= this.#start();
		return this.#started;
	}

	async #start(): Promise<void> {
		this.#mustBeThere("start");
		await this.#parts.release();
	}

	async exec(program: ProgramSpec): Promise<SandboxProcess> {
		this.#mustBeThere("exec");
		const running = this.#parts.exec(program);
		this.#execs.add(running);
		try {
			const process = await running;
			this.#others.push(process);
			void process.exited.then(() => this.#forget(process));
			return process;
		} finally {
			this.#execs.delete(running);
		}
	}

	#forget(process: OciProcess): void {
		// Its streams may still be read: they are closed by whoever reads them, or with the sandbox.
		if (this.#disposed) return;
		this.#others.splice(this.#others.indexOf(process), 1);
	}

	#mustBeThere(what: string): void {
		if (this.#killed || this.#main.hasEnded)
			throw new SlipwayError("SANDBOX_FAILED", `Sandbox ${this.id} has ended before its ${what}`);
	}

	signal(name: "SIGTERM" | "SIGKILL"): void {
		// Before its start the main process is the runtime program's, which is to be left alone.
		if (this.#started) this.#main.signal(name);
	}

	connect(port: number): Promise<Socket> {
		return this.#parts.network.connectTo(port);
	}

	async freeze(): Promise<void> {
		if (this.#killed) return;
		const wish = ++this.#wishes;
		await this.#parts.cgroup.freeze(() => this.#wishes !== wish);
	}

	async thaw(): Promise<void> {
		if (!this.#killed) this.#thaw();
	}

	#thaw(): void {
		const wish = ++this.#wishes;
		this.#withDescriptor(() => {
			if (this.#wishes === wish) this.#parts.cgroup.thaw();
		});
	}

	async kill(): Promise<SandboxExit> {
		if (!this.#killed) {
			this.#killed = true;
			try {
				this.#readStats();
			} finally {
				for (const process of [this.#main, ...this.#others]) process.willKill();
				this.#parts.network.holder.kill();
				// Only when they thaw does version 1 of the freezer let go of processes that were killed.
				this.#thaw();
			}
		}
		return this.exited;
	}

	/** Now, or as soon as this process may open a file again, while anything of the sandbox runs. */
	#withDescriptor(write: () => void): void {
		const { clock, network } = this.#parts;
		if (network.holder.isGone) return;
		try {
			write();
		} catch (error) {
			if (systemCode(error) !== "EMFILE" && systemCode(error) !== "ENFILE") throw error;
			clock.after(DESCRIPTOR_RETRY_MS, () => this.#withDescriptor(write));
		}
	}

	async reset(): Promise<Sandbox> {
		if (this.#disposed && !this.#reset)
			throw new SlipwayError("SANDBOX_FAILED", `Sandbox ${this.id} has been disposed before its reset`);
		this.#reset ??= this.#parts.anew();
		return this.#reset;
	}

	async endStart(): Promise<void> {
		const { cgroup, cpusAfterStart } = this.#parts;
		if (!this.#disposed && cpusAfterStart !== undefined) this.#withDescriptor(() => cgroup.limitCpus(cpusAfterStart));
	}

	async stats(): Promise<SandboxStats> {
		if (!this.#disposed) this.#readStats();
		return this.#lastStats;
	}

	async memoryPeak(): Promise<number> {
		if (this.#disposed) return this.#lastStats.memoryPeakBytes;
		const { cgroup, memoryBytes } = this.#parts;
		const peak = cgroup.rawPeak();
		// Each read costs the warm path some microseconds. Nothing was killed for a limit that was never near (an unknown peak is 0).
		if (peak === 0 || peak > memoryBytes * NEAR_LIMIT)
			for (const process of [this.#main, ...this.#others]) process.noteOomKills();
		// Most events use no more than those before them, and then nothing else need be read.
		if (peak !== this.#rawPeak) this.#readStats();
		return this.#lastStats.memoryPeakBytes;
	}

	#readStats(): void {
		this.#rawPeak = this.#parts.cgroup.rawPeak();
		const stats = this.#parts.cgroup.stats();
		this.#lastStats = {
			...stats,
			cpuUs: Math.max(stats.cpuUs, this.#lastStats.cpuUs),
			memoryPeakBytes: Math.max(stats.memoryPeakBytes, stats.memoryBytes, this.#lastStats.memoryPeakBytes),
		};
	}

	[Symbol.asyncDispose](): Promise<void> {
		this.#disposed ??= this.#dispose();
		return this.#disposed;
	}

	async #dispose(): Promise<void> {
		try {
			await this.kill();
			// An exec under way fails now, or has its process killed by the holder's end.
			await Promise.allSettled(this.#execs);
			await this.#parts.network.holder.end();
			await Promise.all([this.#main, ...this.#others].map((process) => process.drain(this.#parts.clock)));
		} finally {
			await this.#parts.lifetime[Symbol.asyncDispose]();
		}
	}
}

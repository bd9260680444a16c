import type { Socket } from "node:net";
import { constants } from "node:os";
import type { Readable } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import type { Lifetime } from "../../base/lifetime.ts";
import type { WaitStatus } from "../../base/syscall.ts";
import type { Sandbox, SandboxExit, SandboxStats } from "../../core/sandbox/sandbox-runtime.ts";
import type { Cgroup } from "./cgroup.ts";

export interface OciSandboxParts {
	id: string;
	/** Of the container's first process, in our own process namespace. */
	pid: number;
	stdout: Socket;
	stderr: Socket;
	cgroup: Cgroup;
	clock: Clock;
	release: () => Promise<void>;
	/** Frees whatever was made for the sandbox, when its processes are gone. */
	lifetime: Lifetime;
}

/** What a pipe holds is read within this time by whoever reads at all. */
const DRAIN_MS = 200;
const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

export class OciSandbox implements Sandbox {
	readonly id: string;
	readonly stdout: Readable;
	readonly stderr: Readable;
	readonly exited: Promise<SandboxExit>;
	readonly #parts: OciSandboxParts;
	#settleExit: (exit: SandboxExit) => void = () => {};
	#ended: SandboxExit | undefined;
	#started: Promise<void> | undefined;
	#rawPeak = -1;
	#lastStats: SandboxStats = { memoryBytes: 0, memoryPeakBytes: 0, cpuUs: 0, pids: 0 };
	/** Counts freezes and thaws, so that a freeze under way knows whether it is still wanted. */
	#wishes = 0;
	#disposed: Promise<void> | undefined;

	constructor(parts: OciSandboxParts) {
		this.#parts = parts;
		this.id = parts.id;
		this.stdout = parts.stdout;
		this.stderr = parts.stderr;
		this.exited = new Promise((resolve) => {
			this.#settleExit = resolve;
		});
	}

	/** The first process has ended, and with it, by the kernel's hand, every other of its process namespace. */
	onProcessExit(status: WaitStatus): void {
		this.#readStats();
		const oomKilled = this.#parts.cgroup.oomKills() > 0;
		this.#ended = {
			...(status.code === undefined ? {} : { code: status.code }),
			...(status.signal === undefined ? {} : { signal: signalNames.get(status.signal) ?? `SIG${status.signal}` }),
			oomKilled,
		};
		this.#settleExit(this.#ended);
	}

	start(): Promise<void> {
		this.#started ??= this.#start();
		return this.#started;
	}

	async #start(): Promise<void> {
		if (this.#ended || this.#disposed)
			throw new SlipwayError("SANDBOX_FAILED", `Sandbox ${this.id} has ended before its start`);
		await this.#parts.release();
	}

	async freeze(): Promise<void> {
		if (this.#ended || this.#disposed) return;
		const wish = ++this.#wishes;
		await this.#parts.cgroup.freeze(() => this.#wishes !== wish || this.#ended !== undefined);
	}

	async thaw(): Promise<void> {
		if (this.#ended || this.#disposed) return;
		this.#thaw();
	}

	#thaw(): void {
		this.#wishes++;
		this.#parts.cgroup.thaw();
	}

	async stop(graceMs: number): Promise<SandboxExit> {
		// Before its start there is no program that could make use of the grace.
		if (this.#ended || this.#disposed || !this.#started) return this.kill();
		process.kill(this.#parts.pid, "SIGTERM");
		this.#thaw();
		const cancel = this.#parts.clock.after(graceMs, () => void this.kill());
		return this.exited.finally(cancel);
	}

	async kill(): Promise<SandboxExit> {
		if (!this.#ended) {
			// The first process takes every other of its process namespace with it (pid_namespaces(7)), which no fork outruns.
			process.kill(this.#parts.pid, "SIGKILL");
			this.#thaw();
		}
		return this.exited;
	}

	async stats(): Promise<SandboxStats> {
		if (!this.#ended) this.#readStats();
		return this.#lastStats;
	}

	async memoryPeak(): Promise<number> {
		// Most events use no more than those before them, and then nothing else need be read.
		if (!this.#ended && this.#parts.cgroup.rawPeak() !== this.#rawPeak) this.#readStats();
		return this.#lastStats.memoryPeakBytes;
	}

	#readStats(): void {
		this.#rawPeak = this.#parts.cgroup.rawPeak();
		const stats = this.#parts.cgroup.stats();
		this.#lastStats = {
			...stats,
			memoryPeakBytes: Math.max(stats.memoryPeakBytes, stats.memoryBytes, this.#lastStats.memoryPeakBytes),
		};
	}

	[Symbol.asyncDispose](): Promise<void> {
		this.#disposed ??= this.#dispose();
		return this.#disposed;
	}

	async #dispose(): Promise<void> {
		await this.kill();
		await Promise.all([this.#drain(this.#parts.stdout), this.#drain(this.#parts.stderr)]);
		await this.#parts.lifetime[Symbol.asyncDispose]();
	}

	/** Lets a reader have the last lines; a stream that nobody reads is dropped. */
	async #drain(stream: Socket): Promise<void> {
		if (stream.readableFlowing && !stream.readableEnded && !stream.destroyed)
			await new Promise<void>((resolve) => {
				const cancel = this.#parts.clock.after(DRAIN_MS, resolve);
				stream.once("close", () => {
					cancel();
					resolve();
				});
			});
		stream.destroy();
	}
}

/** CPUs that programs share evenly, in virtual time. */
import type { CpuMeter } from "../../src/base/cpu-meter.ts";
import type { VirtualClock } from "./virtual-clock.ts";

interface Job {
	leftMs: number;
	/** CPUs that it may use. */
	quota: number;
	done: () => void;
}

/** Below that, milliseconds, a job is done: what the additions of fractions leave over. */
const epsilonMs = 1e-6;

export class SimulatedMachine implements CpuMeter {
	readonly #clock: VirtualClock;
	readonly #cpus: number;
	readonly #jobs = new Set<Job>();
	#atMs = 0;
	#idleMs = 0;
	#cancel: () => void = () => {};
	/** Most jobs at a time. */
	mostJobs = 0;

	constructor(clock: VirtualClock, cpus: number) {
		this.#clock = clock;
		this.#cpus = cpus;
	}

	/** In the steps of 10 ms in which the kernel tells it. */
	idleMs(): number {
		this.#pass();
		return Math.floor(this.#idleMs / 10) * 10;
	}

	/** Resolves after so many milliseconds of CPU time. */
	compute(cpuMs: number, quota = 1): Promise<void> {
		return new Promise((resolve) => {
			this.#pass();
			this.#jobs.add({ leftMs: cpuMs, quota, done: resolve });
			this.mostJobs = Math.max(this.mostJobs, this.#jobs.size);
			this.#plan();
		});
	}

	/** CPUs that each has now. Nobody gets more than its quota; what that leaves goes to nobody, which is a little pessimistic. */
	#share({ quota }: Job): number {
		return Math.min(quota, this.#cpus / this.#jobs.size);
	}

	#pass(): void {
		const tookMs = this.#clock.monotonic() - this.#atMs;
		this.#atMs += tookMs;
		let used = 0;
		for (const job of this.#jobs) {
			used += this.#share(job);
			job.leftMs -= this.#share(job) * tookMs;
		}
		this.#idleMs += (this.#cpus - used) * tookMs;
	}

	#plan(): void {
		this.#cancel();
		let next = Number.POSITIVE_INFINITY;
		for (const job of this.#jobs) next = Math.min(next, Math.max(0, job.leftMs) / this.#share(job));
		if (next < Number.POSITIVE_INFINITY) this.#cancel = this.#clock.after(next, () => this.#finish());
	}

	#finish(): void {
		this.#pass();
		for (const job of [...this.#jobs]) {
			if (job.leftMs > epsilonMs) continue;
			this.#jobs.delete(job);
			job.done();
		}
		this.#plan();
	}
}

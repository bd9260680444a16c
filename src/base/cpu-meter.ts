import { closeSync, openSync, readSync } from "node:fs";

/** How much CPU time the whole machine has left over. */
export interface CpuMeter {
	/**
	 * Milliseconds that its CPUs have stood idle since some time, all of them together: the difference of two readings over
	 * the time between them is the number of CPUs that had nothing to do. Undefined where nobody knows.
	 */
	idleMs(): number | undefined;
}

/** A machine that is always busy, as far as anybody knows. */
export const unknownCpu: CpuMeter = { idleMs: () => undefined };

/** Enough for two numbers. */
const maxBytes = 128;

/**
 * By /proc/uptime (proc(5)): seconds since the boot and seconds spent idle, the CPUs added up, in steps of 10 ms. Some 2 µs a
 * reading; /proc/stat and os.cpus() cost up to milliseconds where there are many CPUs.
 */
export class ProcCpuMeter implements CpuMeter, Disposable {
	readonly #file: number;
	readonly #buffer = Buffer.alloc(maxBytes);
	#closed = false;

	constructor(path = "/proc/uptime") {
		this.#file = openSync(path, "r");
	}

	idleMs(): number | undefined {
		if (this.#closed) return undefined;
		const bytes = readSync(this.#file, this.#buffer, 0, maxBytes, 0);
		const seconds = Number(this.#buffer.toString("latin1", 0, bytes).split(" ")[1]);
		return Number.isFinite(seconds) ? seconds * 1000 : undefined;
	}

	[Symbol.dispose](): void {
		if (!this.#closed) closeSync(this.#file);
		this.#closed = true;
	}
}

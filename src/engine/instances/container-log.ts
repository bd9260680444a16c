import type { Readable } from "node:stream";
import { type Clock, settledWithin } from "../../base/clock.ts";
import type { LogStore } from "../../core/log/log-store.ts";
import { LogPump } from "../sandbox/log-pump.ts";

/** What a failure quotes of a container's last words. */
const tailLines = 10;
const tailLineCharacters = 500;
/** Milliseconds for output that is on its way when a process has ended; its children may hold the pipe open for ever. */
const lastOutputMs = 100;

/** One container's output, line by line into its stream, with the end of it kept for the reason of a failure. */
export class ContainerLog {
	readonly #store: LogStore;
	readonly #clock: Clock;
	readonly #group: string;
	readonly #stream: string;
	readonly #tail: string[] = [];
	#pumps: LogPump[] = [];

	constructor(store: LogStore, clock: Clock, group: string, stream: string) {
		this.#store = store;
		this.#clock = clock;
		this.#group = group;
		this.#stream = stream;
	}

	get lastLines(): readonly string[] {
		return this.#tail;
	}

	/** Reads both until they end. */
	follow(output: { stdout: Readable; stderr: Readable }): void {
		this.#pumps = [output.stdout, output.stderr].map((stream) => new LogPump(stream, (lines) => this.#append(lines)));
	}

	/** After the process has ended: resolves when what it wrote is in the log. */
	async lastOutput(): Promise<void> {
		await settledWithin(Promise.all(this.#pumps.map(({ ended }) => ended)), lastOutputMs, this.#clock);
		for (const pump of this.#pumps) pump.flush();
	}

	#append(lines: readonly string[]): void {
		const timestamp = this.#clock.now();
		this.#store.append(
			this.#group,
			this.#stream,
			lines.map((message) => ({ timestamp, message })),
		);
		for (const line of lines.slice(-tailLines)) this.#tail.push(line.slice(0, tailLineCharacters));
		this.#tail.splice(0, this.#tail.length - tailLines);
	}
}

import type { Clock } from "../../base/clock.ts";
import { Queue } from "../../base/queue.ts";

/** What ends give way to. */
export interface EndPressure {
	/** Starts are under way or wait: their callers wait too. */
	starting: boolean;
	/** Events wait for the room that an end makes. */
	roomWanted: boolean;
}

interface QueuedEnd {
	end: () => Promise<void>;
	sinceAt: number;
	resolve: (ended: Promise<void>) => void;
}

/** Sandboxes being ended at once, for each CPU: as with their making, half of it is waiting for the kernel. */
const endsPerCpu = 2;
/** The same while starts are under way. */
const endsBesideStarts = 1;
/** Milliseconds that an end waits for starts: memory, addresses and control groups have to come back. */
const patienceMs = 1000;
/** Milliseconds for which one counts: processes that were promised seconds for their end sleep most of them. */
const countedMs = 100;
/** Milliseconds between two looks whether the starts are over. */
const lookMs = 50;

/** How many ends may run at once. Pure. */
export function decideEndLimit(cpus: number, waitedMs: number, { starting, roomWanted }: EndPressure): number {
	return starting && !roomWanted && waitedMs < patienceMs ? endsBesideStarts : endsPerCpu * cpus;
}

/** Ends of sandboxes that nobody waits for, in the background: few at once, and after the starts that callers wait for. */
export class EndQueue {
	readonly #clock: Clock;
	readonly #cpus: number;
	readonly #pressure: () => EndPressure;
	readonly #waiting = new Queue<QueuedEnd>();
	#running = 0;
	#looking = false;

	constructor(clock: Clock, cpus: number, pressure: () => EndPressure) {
		this.#clock = clock;
		this.#cpus = cpus;
		this.#pressure = pressure;
	}

	/** Settles as the end does. */
	run(end: () => Promise<void>): Promise<void> {
		return new Promise((resolve) => {
			this.#waiting.push({ end, sinceAt: this.#clock.monotonic(), resolve });
			this.serve();
		});
	}

	/** Begins what may begin by now. Called when room is wanted; for the rest it looks by itself. */
	serve(): void {
		while (this.#mayBegin()) this.#begin();
		if (this.#waiting.size === 0 || this.#looking) return;
		this.#looking = true;
		this.#clock.after(lookMs, () => {
			this.#looking = false;
			this.serve();
		});
	}

	#mayBegin(): boolean {
		const { first } = this.#waiting;
		if (!first) return false;
		return this.#running < decideEndLimit(this.#cpus, this.#clock.monotonic() - first.sinceAt, this.#pressure());
	}

	#begin(): void {
		const next = this.#waiting.shift();
		if (!next) return;
		this.#running++;
		let counted = true;
		const uncount = () => {
			if (!counted) return;
			counted = false;
			this.#running--;
			this.serve();
		};
		const cancel = this.#clock.after(countedMs, uncount);
		const ended = next.end();
		next.resolve(ended);
		const over = () => {
			cancel();
			uncount();
		};
		ended.then(over, over);
	}
}

import type { Clock } from "../../base/clock.ts";
import type { CpuMeter } from "../../base/cpu-meter.ts";
import { Queue, type QueueEntry } from "../../base/queue.ts";
import { decideStartLimit, type StartCapacity } from "./start-limit.ts";

/** A sandbox that is to be started. */
export interface QueuedStart {
	/** It stands created already: only its processes have to be started. */
	created: boolean;
	/** Its turn has come. `onCreated` is called as soon as its sandbox is made; the promise settles when the start is over. */
	begin: (onCreated: () => void) => Promise<unknown>;
}

/** The starts of one function. */
interface Line {
	key: string;
	waiting: Queue<QueuedStart>;
	running: number;
	/** Its place among the functions that wait, while it does. */
	turn: QueueEntry<Line> | undefined;
}

/** Sandboxes being made at once, for each CPU: as many as make most on busy CPUs; part of the making is waiting for the kernel. */
const creatingPerCpu = 2;
/** The same while CPUs stand idle beside that. More would wait for the same few locks of the kernel, and have others wait. */
const mostCreatingPerCpu = 4;
/**
 * Functions, for each CPU, that may have a start under way however busy the CPUs are: a function's slow starts are to
 * hold up its own further ones, not the first ones of others.
 */
const functionsPerCpu = 3;
/** Milliseconds between two looks at the CPUs while starts wait: twice the step in which the kernel tells their idle time. */
const lookMs = 20;
/** Milliseconds after which the start whose turn it is begins, if its function has none under way, however busy the CPUs are. */
const patienceMs = 2000;

/**
 * The starts that are to begin, and whose turn it is: of the function with the fewest under way, of several the one that
 * had its last turn the longest ago, and within a function first come, first served. How many run at once, `start-limit.ts` says.
 */
export class StartQueue {
	readonly #clock: Clock;
	readonly #cpu: CpuMeter;
	readonly #capacity: StartCapacity;
	readonly #lines = new Map<string, Line>();
	/** Those with waiting starts, in the order of their turns. */
	readonly #turns = new Queue<Line>();
	#waiting = 0;
	#running = 0;
	/** Functions with starts under way. */
	#functions = 0;
	#creating = 0;
	#limit: number;
	#lastBeginAt = 0;
	#looking = false;

	constructor(clock: Clock, cpu: CpuMeter, capacity: StartCapacity) {
		this.#clock = clock;
		this.#cpu = cpu;
		this.#capacity = capacity;
		this.#limit = capacity.cpus;
	}

	/** Starts that have not begun. */
	get waiting(): number {
		return this.#waiting;
	}

	/** Starts that have begun and are not over. */
	get running(): number {
		return this.#running;
	}

	/** Begins the start when its turn has come, maybe now. What is returned takes it back: false when it has begun. */
	enter(key: string, start: QueuedStart): () => boolean {
		const line = this.#line(key);
		const entry = line.waiting.push(start);
		this.#waiting++;
		line.turn ??= this.#turns.push(line);
		this.#serve();
		return () => this.#leave(line, entry);
	}

	/** Runs the start when its turn has come. */
	run(key: string, start: (onCreated: () => void) => Promise<void>): Promise<void> {
		return new Promise((resolve, reject) => {
			this.enter(key, { created: false, begin: (onCreated) => start(onCreated).then(resolve, reject) });
		});
	}

	#line(key: string): Line {
		const existing = this.#lines.get(key);
		if (existing) return existing;
		const line = { key, waiting: new Queue<QueuedStart>(), running: 0, turn: undefined };
		this.#lines.set(key, line);
		return line;
	}

	#leave(line: Line, entry: QueueEntry<QueuedStart>): boolean {
		if (!line.waiting.remove(entry)) return false;
		this.#waiting--;
		this.#tidy(line);
		return true;
	}

	/** Drops what holds nothing any more. */
	#tidy(line: Line): void {
		if (line.waiting.size > 0) return;
		if (line.turn) this.#turns.remove(line.turn);
		line.turn = undefined;
		if (line.running === 0) this.#lines.delete(line.key);
	}

	#serve(): void {
		for (let line = this.#next(); line && this.#mayBegin(line); line = this.#next()) this.#begin(line);
		if (this.#waiting > 0) this.#lookLater();
	}

	/** The functions ahead of the one that is found have starts under way, so that no more of them are looked at than these. */
	#next(): Line | undefined {
		let next: Line | undefined;
		for (const line of this.#turns) {
			if (!next || line.running < next.running) next = line;
			if (next.running === 0) break;
		}
		return next;
	}

	#mayBegin(line: Line): boolean {
		const { cpus, max } = this.#capacity;
		if (this.#running >= max) return false;
		const withinLimit = this.#running < this.#limit;
		const creatingMax = (withinLimit ? mostCreatingPerCpu : creatingPerCpu) * cpus;
		if (!line.waiting.first?.created && this.#creating >= creatingMax) return false;
		if (withinLimit) return true;
		if (line.running > 0) return false;
		return this.#functions < functionsPerCpu * cpus || this.#clock.monotonic() - this.#lastBeginAt >= patienceMs;
	}

	#begin(line: Line): void {
		const start = line.waiting.shift();
		if (!start) return;
		this.#waiting--;
		this.#running++;
		if (line.running++ === 0) this.#functions++;
		// Behind all others that wait.
		if (line.turn) this.#turns.remove(line.turn);
		line.turn = line.waiting.size > 0 ? this.#turns.push(line) : undefined;
		this.#lastBeginAt = this.#clock.monotonic();
		let creating = !start.created;
		if (creating) this.#creating++;
		const onCreated = () => {
			if (!creating) return;
			creating = false;
			this.#creating--;
			this.#serve();
		};
		const onOver = () => {
			this.#running--;
			if (--line.running === 0) this.#functions--;
			this.#tidy(line);
			if (creating) onCreated();
			else this.#serve();
		};
		start.begin(onCreated).then(onOver, onOver);
	}

	#lookLater(): void {
		if (this.#looking) return;
		this.#looking = true;
		const idleMs = this.#cpu.idleMs();
		const at = this.#clock.monotonic();
		this.#clock.after(lookMs, () => {
			this.#looking = false;
			// A burst that is over tells nothing about the next one.
			if (this.#waiting === 0) this.#limit = this.#capacity.cpus;
			else this.#look(this.#clock.monotonic() - at, idleMs, this.#cpu.idleMs());
		});
	}

	#look(tookMs: number, idleBeforeMs: number | undefined, idleNowMs: number | undefined): void {
		const known = idleBeforeMs !== undefined && idleNowMs !== undefined;
		const idleCpus = known ? (idleNowMs - idleBeforeMs) / Math.max(1, tookMs) : undefined;
		const observation = { running: this.#running, idleCpus, lateMs: tookMs - lookMs };
		this.#limit = decideStartLimit(this.#limit, observation, this.#capacity);
		this.#serve();
	}
}

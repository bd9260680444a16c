import type { Clock } from "../../src/base/clock.ts";

interface Timer {
	atMs: number;
	callback: () => void;
}

/** Turns of the event loop after which what a timer set off has come to rest: no step of the engine takes more of them. */
const turnsToRest = 12;
/** The wall clock when a simulation begins. */
const epochMs = Date.UTC(2026, 0, 1);

/** Time that passes only when a simulation says so: hours take milliseconds, and every run is the same. */
export class VirtualClock implements Clock {
	#nowMs = 0;
	#timers: Timer[] = [];
	#steppedMs = 0;

	now = (): number => epochMs + this.#nowMs + this.#steppedMs;
	monotonic = (): number => this.#nowMs;

	after = (ms: number, callback: () => void): (() => void) => {
		const timer = { atMs: this.#nowMs + Math.max(0, ms), callback };
		// Behind those of the same time, so that they come in the order in which they were set.
		let at = this.#timers.length;
		while (at > 0 && this.#timers[at - 1]!.atMs > timer.atMs) at--;
		this.#timers.splice(at, 0, timer);
		return () => {
			const index = this.#timers.indexOf(timer);
			if (index >= 0) this.#timers.splice(index, 1);
		};
	};

	sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
		new Promise((resolve, reject) => {
			const cancel = this.after(ms, resolve);
			signal?.addEventListener("abort", () => {
				cancel();
				reject(signal.reason);
			});
		});

	/** Somebody sets the wall clock, by so many milliseconds; no time passes. */
	step(ms: number): void {
		this.#steppedMs += ms;
	}

	/** Timers that wait. */
	get pending(): number {
		return this.#timers.length;
	}

	/** Lets `ms` pass, with everything that falls due in them. */
	async advance(ms: number): Promise<void> {
		const untilMs = this.#nowMs + ms;
		await rest();
		for (let next = this.#timers[0]; next && next.atMs <= untilMs; next = this.#timers[0]) {
			this.#nowMs = Math.max(this.#nowMs, next.atMs);
			for (let due = this.#timers[0]; due && due.atMs <= this.#nowMs; due = this.#timers[0]) {
				this.#timers.shift();
				due.callback();
			}
			await rest();
		}
		this.#nowMs = untilMs;
	}
}

async function rest(): Promise<void> {
	for (let turn = 0; turn < turnsToRest; turn++) await new Promise(setImmediate);
}

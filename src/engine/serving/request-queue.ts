import type { Clock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { Queue, type QueueEntry } from "../../base/queue.ts";

/** A request that waits for room. */
interface Waiter<Room> {
	since: number;
	preferred: string | undefined;
	resolve: (room: Room) => void;
	reject: (error: unknown) => void;
}

export interface WaitOptions {
	signal: AbortSignal;
	preferred: string | undefined;
}

/** The requests of one revision that wait, in their order, each for the same time at most. One timer, while any waits. */
export class RequestQueue<Room> {
	readonly #clock: Clock;
	readonly #limitMs: number;
	readonly #max: number;
	readonly #queue = new Queue<Waiter<Room>>();
	/** Why one has waited in vain. */
	readonly #late: () => SlipwayError;
	/** One has left without room. */
	readonly #onLeave: () => void;
	#cancelTimer: (() => void) | undefined;

	constructor(
		clock: Clock,
		bounds: { limitMs: number; max: number },
		listener: { late: () => SlipwayError; onLeave: () => void },
	) {
		this.#clock = clock;
		this.#limitMs = bounds.limitMs;
		this.#max = bounds.max;
		this.#late = listener.late;
		this.#onLeave = listener.onLeave;
	}

	get size(): number {
		return this.#queue.size;
	}

	/** Of the one whose turn is next. */
	get firstPreferred(): string | undefined {
		return this.#queue.first?.preferred;
	}

	/** THROTTLED (reason "QueueFull"); rejects as `late` says, with the signal's reason, or with that of `rejectAll`. */
	wait({ signal, preferred }: WaitOptions): Promise<Room> {
		if (this.#queue.size >= this.#max) {
			const message = `More than ${this.#max} requests are waiting for this revision already`;
			return Promise.reject(new SlipwayError("THROTTLED", message, { reason: "QueueFull" }));
		}
		return new Promise((resolve, reject) => {
			const settled = () => signal.removeEventListener("abort", onAbort);
			const entry: QueueEntry<Waiter<Room>> = this.#queue.push({
				since: this.#clock.monotonic(),
				preferred,
				resolve: (room) => {
					settled();
					resolve(room);
				},
				reject: (error) => {
					settled();
					reject(error);
				},
			});
			const onAbort = () => {
				if (!this.#queue.remove(entry)) return;
				reject(signal.reason);
				this.#left();
			};
			signal.addEventListener("abort", onAbort, { once: true });
			this.#arm();
		});
	}

	/** Gives room to the one whose turn it is. False when none waits. */
	serve(room: Room): boolean {
		const next = this.#queue.shift();
		if (!next) return false;
		this.#disarmIfEmpty();
		next.resolve(room);
		return true;
	}

	rejectAll(error: SlipwayError): number {
		const { size } = this.#queue;
		for (let next = this.#queue.shift(); next; next = this.#queue.shift()) next.reject(error);
		if (size > 0) this.#left();
		return size;
	}

	#left(): void {
		this.#disarmIfEmpty();
		this.#onLeave();
	}

	#disarmIfEmpty(): void {
		if (this.#queue.size > 0) return;
		this.#cancelTimer?.();
		this.#cancelTimer = undefined;
	}

	#arm(): void {
		const { first } = this.#queue;
		if (this.#cancelTimer || !first) return;
		const leftMs = Math.max(0, first.since + this.#limitMs - this.#clock.monotonic());
		this.#cancelTimer = this.#clock.after(leftMs, () => {
			this.#cancelTimer = undefined;
			this.#rejectLate();
			this.#arm();
		});
	}

	#rejectLate(): void {
		const before = this.#clock.monotonic() - this.#limitMs;
		let rejected = 0;
		for (; this.#queue.first && this.#queue.first.since <= before; rejected++)
			this.#queue.shift()?.reject(this.#late());
		if (rejected > 0) this.#left();
	}
}

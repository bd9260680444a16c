/** Sandboxes of one revision that were needed close together, though none stood idle: what spares are for. */
export interface StartBurst {
	/** Of its first start; monotonic milliseconds. */
	atMs: number;
	starts: number;
}

/** Starts this close to the first are one burst, milliseconds: callers that come at once do so within less. */
const burstMs = 2000;
/** Bursts that are remembered: enough to tell what is usual, and some hundred bytes for a function. */
const maxBursts = 24;
/** Milliseconds for which a burst says something of the next one. */
export const historyMs = 3_600_000;

/** When a revision's events found no idle sandbox, and how many at once. Bounded. */
export class StartHistory {
	#bursts: StartBurst[] = [];

	/** An event took a spare of either kind, or had a sandbox made. */
	record(nowMs: number): void {
		const last = this.#bursts.at(-1);
		if (last && nowMs - last.atMs < burstMs) last.starts++;
		else this.#bursts.push({ atMs: nowMs, starts: 1 });
		if (this.#bursts.length > maxBursts) this.#bursts.shift();
	}

	/** The oldest first. */
	bursts(nowMs: number): readonly StartBurst[] {
		const [oldest] = this.#bursts;
		if (oldest && nowMs - oldest.atMs > historyMs)
			this.#bursts = this.#bursts.filter(({ atMs }) => nowMs - atMs <= historyMs);
		return this.#bursts;
	}

	forget(): void {
		this.#bursts = [];
	}
}

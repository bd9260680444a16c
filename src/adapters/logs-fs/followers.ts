import type { LogEvent, StoredLogEvent } from "../../core/log/log-store.ts";

/** Events that a follower may be behind; past it they are counted and passed over. */
const maxFollowerEvents = 10_000;
/** Characters of their messages, which may have 256 KB each. */
const maxFollowerSize = 16 * 1024 * 1024;

type Listener = (stream: string, events: readonly LogEvent[]) => void;

/** Who waits for a group's new events. */
export class Followers {
	readonly #now: () => number;
	readonly #listeners = new Map<string, Set<Listener>>();

	constructor(now: () => number) {
		this.#now = now;
	}

	tell(group: string, stream: string, events: readonly LogEvent[]): void {
		const listeners = this.#listeners.get(group);
		if (listeners) for (const listener of listeners) listener(stream, events);
	}

	async *follow(group: string, options: { stream?: string; signal: AbortSignal }): AsyncIterable<StoredLogEvent> {
		const { stream: only, signal } = options;
		const waiting: StoredLogEvent[] = [];
		let size = 0;
		let lost = 0;
		let wake = () => {};
		const listener: Listener = (stream, events) => {
			if (only !== undefined && stream !== only) return;
			for (const { timestamp, message } of events) {
				if (waiting.length < maxFollowerEvents && size < maxFollowerSize) {
					waiting.push({ timestamp, message, stream });
					size += message.length;
				} else lost++;
			}
			wake();
		};
		const onAbort = () => wake();
		this.#add(group, listener);
		signal.addEventListener("abort", onAbort);
		try {
			while (!signal.aborted) {
				const taken = waiting.splice(0);
				// Those that were lost stood behind these, and before those that come while these are read.
				const lostBehind = lost;
				size = 0;
				lost = 0;
				yield* taken;
				if (lostBehind > 0) yield this.#lostNotice(only, lostBehind);
				if (waiting.length > 0 || signal.aborted) continue;
				await new Promise<void>((resolve) => {
					wake = resolve;
				});
			}
		} finally {
			this.#remove(group, listener);
			signal.removeEventListener("abort", onAbort);
		}
	}

	#add(group: string, listener: Listener): void {
		const listeners = this.#listeners.get(group) ?? new Set();
		listeners.add(listener);
		this.#listeners.set(group, listeners);
	}

	#remove(group: string, listener: Listener): void {
		const listeners = this.#listeners.get(group);
		listeners?.delete(listener);
		if (listeners?.size === 0) this.#listeners.delete(group);
	}

	#lostNotice(stream: string | undefined, lost: number): StoredLogEvent {
		const message = `[slipway] ${lost} lines are not shown here: this reader does not keep up (they are in the log)`;
		return { timestamp: this.#now(), stream: stream ?? "", message };
	}
}

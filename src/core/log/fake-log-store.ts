import { SlipwayError } from "../../base/error.ts";
import type { LogEvent, LogQuery, LogStore, StoredLogEvent } from "./log-store.ts";

/** Keeps everything in memory, for tests. */
export class FakeLogStore implements LogStore {
	readonly #groups = new Map<string, StoredLogEvent[]>();
	readonly #followers = new Set<(group: string, event: StoredLogEvent) => void>();

	append(group: string, stream: string, events: readonly LogEvent[]): void {
		const kept = this.#groups.get(group) ?? [];
		this.#groups.set(group, kept);
		for (const event of events) {
			const stored = { ...event, stream };
			kept.push(stored);
			for (const follower of this.#followers) follower(group, stored);
		}
	}

	async read(group: string, query: LogQuery): Promise<StoredLogEvent[]> {
		const { stream, startMs = Number.NEGATIVE_INFINITY, endMs = Number.POSITIVE_INFINITY, limit = 10_000 } = query;
		const matching = this.#events(group).filter(
			(event) =>
				(stream === undefined || event.stream === stream) && event.timestamp >= startMs && event.timestamp < endMs,
		);
		return query.fromStart ? matching.slice(0, limit) : matching.slice(-limit);
	}

	async *follow(group: string, options: { stream?: string; signal: AbortSignal }): AsyncIterable<StoredLogEvent> {
		const waiting: StoredLogEvent[] = [];
		let wake = () => {};
		const follower = (of: string, event: StoredLogEvent) => {
			if (of !== group || (options.stream !== undefined && options.stream !== event.stream)) return;
			waiting.push(event);
			wake();
		};
		const onAbort = () => wake();
		this.#followers.add(follower);
		options.signal.addEventListener("abort", onAbort);
		try {
			while (!options.signal.aborted) {
				yield* waiting.splice(0);
				if (waiting.length > 0 || options.signal.aborted) continue;
				await new Promise<void>((resolve) => {
					wake = resolve;
				});
			}
		} finally {
			this.#followers.delete(follower);
		}
	}

	async listGroups(): Promise<string[]> {
		return [...this.#groups.keys()].sort();
	}

	async listStreams(group: string): Promise<{ stream: string; firstMs: number; lastMs: number }[]> {
		const byStream = Map.groupBy(this.#events(group), (event) => event.stream);
		return [...byStream].map(([stream, events]) => ({
			stream,
			firstMs: events[0]!.timestamp,
			lastMs: events.at(-1)!.timestamp,
		}));
	}

	async deleteGroup(group: string): Promise<void> {
		this.#events(group);
		this.#groups.delete(group);
	}

	async [Symbol.asyncDispose](): Promise<void> {}

	#events(group: string): StoredLogEvent[] {
		const events = this.#groups.get(group);
		if (!events) throw new SlipwayError("NOT_FOUND", `The log group '${group}' does not exist`);
		return events;
	}
}

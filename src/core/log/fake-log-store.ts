import { SlipwayError } from "../../base/error.ts";
import { EventWindow } from "./event-window.ts";
import {
	compareCursors,
	type IngestedLogEvent,
	type LogEvent,
	type LogGroup,
	type LogGroupSettings,
	type LogPage,
	type LogPageQuery,
	type LogQuery,
	type LogStore,
	type LogStream,
	maxPageBytes,
	maxReadBytes,
	maxReadEvents,
	type StoredLogEvent,
} from "./log-store.ts";

interface FakeGroup {
	createdMs: number;
	settings: LogGroupSettings;
	streams: Map<string, number>;
	events: IngestedLogEvent[];
}

const dayMs = 24 * 60 * 60 * 1000;

/** Keeps everything in memory, for tests. Retention hides events; nothing is deleted before its group or stream. */
export class FakeLogStore implements LogStore {
	readonly #now: () => number;
	readonly #groups = new Map<string, FakeGroup>();
	readonly #followers = new Set<(group: string, event: StoredLogEvent) => void>();
	#sequence = 0;

	constructor(now: () => number = () => 0) {
		this.#now = now;
	}

	append(group: string, stream: string, events: readonly LogEvent[]): void {
		if (events.length === 0) return;
		const known = this.#groups.get(group) ?? this.#make(group, {});
		if (!known.streams.has(stream)) known.streams.set(stream, this.#now());
		for (const { timestamp, message } of events) {
			known.events.push({ timestamp, stream, message, sequence: ++this.#sequence, ingestedMs: this.#now() });
			for (const follower of this.#followers) follower(group, { timestamp, stream, message });
		}
	}

	async flush(group: string): Promise<void> {
		this.#existing(group);
	}

	async read(group: string, query: LogQuery): Promise<StoredLogEvent[]> {
		const { stream, fromStart = false, ...range } = query;
		const streams = stream === undefined ? {} : { streams: [stream] };
		const { events } = await this.page(group, { ...range, ...streams, fromStart, maxBytes: maxReadBytes });
		return events.map(({ timestamp, stream, message }) => ({ timestamp, stream, message }));
	}

	async page(group: string, query: LogPageQuery): Promise<LogPage> {
		const { events, settings } = this.#existing(group);
		const { fromStart, limit = maxReadEvents, maxBytes = maxPageBytes } = query;
		const window = new EventWindow<IngestedLogEvent & { size: number }>({ count: limit, bytes: maxBytes, fromStart });
		const { retentionDays = Number.POSITIVE_INFINITY } = settings;
		const expiredBeforeMs = this.#now() - retentionDays * dayMs;
		for (const event of events)
			if (event.timestamp >= expiredBeforeMs && isWanted(event, query))
				window.add({ ...event, size: Buffer.byteLength(event.message) });
		const { items, more } = window.result();
		const last = fromStart ? items.at(-1) : items[0];
		return {
			events: items.map(({ size: _, ...event }) => event),
			next: more && last ? { timestamp: last.timestamp, sequence: last.sequence } : undefined,
		};
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

	async createGroup(group: string, settings: Partial<LogGroupSettings> = {}): Promise<void> {
		if (this.#groups.has(group)) throw new SlipwayError("ALREADY_EXISTS", `The log group '${group}' exists already`);
		this.#make(group, settings);
	}

	async describeGroup(group: string): Promise<LogGroup> {
		const { createdMs, settings, events } = this.#existing(group);
		const storedBytes = events.reduce((sum, { message }) => sum + message.length, 0);
		return { group, createdMs, storedBytes, ...settings };
	}

	async updateGroup(group: string, change: Partial<LogGroupSettings>): Promise<void> {
		const known = this.#existing(group);
		known.settings = { ...known.settings, ...change };
	}

	async listGroups(): Promise<string[]> {
		return [...this.#groups.keys()].sort();
	}

	async deleteGroup(group: string): Promise<void> {
		this.#existing(group);
		this.#groups.delete(group);
	}

	async createStream(group: string, stream: string): Promise<void> {
		const { streams } = this.#existing(group);
		if (streams.has(stream)) throw new SlipwayError("ALREADY_EXISTS", `The log stream '${stream}' exists already`);
		streams.set(stream, this.#now());
	}

	async describeStreams(group: string): Promise<LogStream[]> {
		const { streams, events } = this.#existing(group);
		const byStream = Map.groupBy(events, (event) => event.stream);
		return [...streams].sort().map(([stream, createdMs]) => {
			const own = byStream.get(stream) ?? [];
			const times = own.map(({ timestamp }) => timestamp);
			const lastIngestedMs = Math.max(...own.map(({ ingestedMs }) => ingestedMs));
			const range = { firstMs: Math.min(...times), lastMs: Math.max(...times), lastIngestedMs };
			return { stream, createdMs, events: own.length === 0 ? undefined : range };
		});
	}

	async listStreams(group: string): Promise<{ stream: string; firstMs: number; lastMs: number }[]> {
		const streams = await this.describeStreams(group);
		return streams.flatMap(({ stream, events }) =>
			events ? [{ stream, firstMs: events.firstMs, lastMs: events.lastMs }] : [],
		);
	}

	async deleteStream(group: string, stream: string): Promise<void> {
		const known = this.#existing(group);
		if (!known.streams.delete(stream))
			throw new SlipwayError("NOT_FOUND", `The log stream '${stream}' does not exist`, { reason: "LogStreamUnknown" });
		known.events = known.events.filter((event) => event.stream !== stream);
	}

	async [Symbol.asyncDispose](): Promise<void> {}

	#make(group: string, settings: Partial<LogGroupSettings>): FakeGroup {
		const made: FakeGroup = {
			createdMs: this.#now(),
			settings: { retentionDays: undefined, tags: {}, ...settings },
			streams: new Map(),
			events: [],
		};
		this.#groups.set(group, made);
		return made;
	}

	#existing(group: string): FakeGroup {
		const known = this.#groups.get(group);
		if (!known)
			throw new SlipwayError("NOT_FOUND", `The log group '${group}' does not exist`, { reason: "LogGroupUnknown" });
		return known;
	}
}

function isWanted(event: IngestedLogEvent, query: LogPageQuery): boolean {
	const { streams, streamPrefix, startMs, endMs, after, before, matches } = query;
	if (startMs !== undefined && event.timestamp < startMs) return false;
	if (endMs !== undefined && event.timestamp >= endMs) return false;
	if (after && compareCursors(event, after) <= 0) return false;
	if (before && compareCursors(event, before) >= 0) return false;
	const isNamed =
		streams?.includes(event.stream) || (streamPrefix !== undefined && event.stream.startsWith(streamPrefix));
	if ((streams || streamPrefix !== undefined) && !isNamed) return false;
	return !matches || matches(event.message);
}

import { systemCode } from "../../base/error.ts";
import { EventWindow } from "../../core/log/event-window.ts";
import {
	compareCursors,
	type IngestedLogEvent,
	type LogCursor,
	type LogPage,
	type LogPageQuery,
	maxPageBytes,
	maxReadEvents,
} from "../../core/log/log-store.ts";
import { type LineHead, readLine } from "./line.ts";
import { scanSegment } from "./scan-segment.ts";
import type { Segment } from "./segments.ts";

export interface PageContext {
	segments: readonly Segment[];
	/** Deleted streams: their events up to this sequence are not read. */
	deleted: Readonly<Record<string, number>>;
	/** Events that are older have expired. */
	expiredBeforeMs: number;
	/** Bytes of segments that a page goes through, in whole segments; then it says where to go on. */
	scanBytes: number;
}

type Item = IngestedLogEvent & { size: number };

export async function readPage(context: PageContext, query: LogPageQuery): Promise<LogPage> {
	const range = new Range(context, query);
	const { fromStart } = query;
	const window = new EventWindow<Item>({
		count: Math.min(query.limit ?? maxReadEvents, maxReadEvents),
		bytes: query.maxBytes ?? maxPageBytes,
		fromStart,
	});
	let scanned = 0;
	let rest: LogCursor | undefined;
	for (const segment of range.segments(context.segments)) {
		window.settle();
		// Everything in this segment and in those after it lies beyond this.
		const edge: LogCursor = fromStart
			? { timestamp: segment.index.minMs, sequence: -1 }
			: { timestamp: segment.index.maxMs, sequence: Number.MAX_SAFE_INTEGER };
		if (window.excludes(edge) || (scanned >= context.scanBytes && range.splitsAt(edge))) {
			rest = edge;
			break;
		}
		scanned += segment.bytes;
		await scan(segment, range, query, window);
	}
	const { items, more } = window.result();
	return finish(items, more, rest, fromStart);
}

/** With a `rest` that was not read, what lies beyond its beginning is left for the next page. */
function finish(items: readonly Item[], more: boolean, rest: LogCursor | undefined, fromStart: boolean): LogPage {
	const beyond = (item: LogCursor) =>
		rest !== undefined && (fromStart ? compareCursors(item, rest) > 0 : compareCursors(item, rest) < 0);
	const sure = items.filter((item) => !beyond(item));
	const events = sure.map(({ size: _, ...event }) => event);
	const last = fromStart ? events.at(-1) : events[0];
	const next = more && last && sure.length === items.length ? last : rest;
	return { events, next: next && { timestamp: next.timestamp, sequence: next.sequence } };
}

async function scan(segment: Segment, range: Range, query: LogPageQuery, window: EventWindow<Item>): Promise<void> {
	try {
		await scanSegment(segment, (head, data, start, end, fallback) => {
			if (!range.wants(head)) return;
			// A message is shorter than its line; when the line itself is not wanted, it need not be read.
			if (query.matches === undefined && window.excludes(head)) return window.miss();
			const event = readLine(data, start, end, fallback);
			if (!event || (query.matches && !query.matches(event.message))) return;
			window.add({ ...event, size: end - start });
		});
	} catch (error) {
		// Expired, or deleted with its group, since the segments were listed.
		if (systemCode(error) !== "ENOENT") throw error;
	}
}

/** Which events a query is about. */
class Range {
	readonly #query: LogPageQuery;
	readonly #deleted: PageContext["deleted"];
	readonly #startMs: number;
	readonly #endMs: number;
	readonly #streams: ReadonlySet<string> | undefined;
	readonly #hasDeleted: boolean;

	constructor(context: PageContext, query: LogPageQuery) {
		this.#query = query;
		this.#deleted = context.deleted;
		this.#hasDeleted = Object.keys(context.deleted).length > 0;
		const { startMs = Number.NEGATIVE_INFINITY, endMs = Number.POSITIVE_INFINITY } = query;
		this.#startMs = Math.max(startMs, context.expiredBeforeMs, query.after?.timestamp ?? Number.NEGATIVE_INFINITY);
		this.#endMs = endMs;
		this.#streams = query.streams && new Set(query.streams);
	}

	/** In the order they are read in. */
	segments(all: readonly Segment[]): Segment[] {
		const { fromStart, before } = this.#query;
		const lastMs = before?.timestamp ?? Number.POSITIVE_INFINITY;
		return all
			.filter(({ index }) => index.maxMs >= this.#startMs && index.minMs < this.#endMs && index.minMs <= lastMs)
			.filter(({ index }) => index.has((stream) => this.#hasStream(stream)))
			.sort((a, b) => (fromStart ? a.index.minMs - b.index.minMs : b.index.maxMs - a.index.maxMs));
	}

	wants(head: LineHead): boolean {
		const { timestamp, stream, sequence } = head;
		if (timestamp < this.#startMs || timestamp >= this.#endMs || !this.includes(head)) return false;
		if (this.#hasDeleted && sequence <= (this.#deleted[stream] ?? -1)) return false;
		return this.#hasStream(stream);
	}

	/** Whether it lies between the query's cursors. */
	includes(place: LogCursor): boolean {
		const { after, before } = this.#query;
		if (after && compareCursors(place, after) <= 0) return false;
		return !before || compareCursors(place, before) < 0;
	}

	/** Whether there may be events of the range on both sides: else stopping there would be no step forward. */
	splitsAt(place: LogCursor): boolean {
		return place.timestamp > this.#startMs && place.timestamp < this.#endMs && this.includes(place);
	}

	#hasStream(stream: string): boolean {
		const { streamPrefix } = this.#query;
		if (!this.#streams && streamPrefix === undefined) return true;
		return this.#streams?.has(stream) || (streamPrefix !== undefined && stream.startsWith(streamPrefix));
	}
}

import type { LogEvent } from "../../core/log/log-store.ts";
import { lineText, sequencesPerMs, streamPrefix } from "./line.ts";
import { SegmentIndex } from "./segment-index.ts";

/** Characters of lines that may wait for the disk, for each group: a third of a second at 50,000 lines/s of 1 KB. */
const maxBuffered = 16 * 1024 * 1024;
/** Below it lines are taken again after the buffer was full, so that there is one notice and not one for every write. */
const resumeBuffered = maxBuffered / 2;
/** Characters written in one piece: bounds the turn of the event loop that makes them bytes (some 2 ms). */
const chunkSize = 1024 * 1024;
/** Streams whose prefix is kept: as many sandboxes as a busy function has. */
const maxPrefixes = 256;

export interface Chunk {
	text: string;
	lines: number;
	index: SegmentIndex;
}

/** Lines of one group that wait for the disk. */
export class GroupBuffer {
	readonly #now: () => number;
	#chunks: Chunk[] = [];
	#size = 0;
	#lines = 0;
	#dropped = 0;
	#droppedStream = "";
	#sequence = 0;
	/** Of the streams that write now: a function's sandboxes write in turns. */
	readonly #prefixes = new Map<string, string>();

	constructor(now: () => number) {
		this.#now = now;
	}

	/** Sequences from here on are larger. */
	startAfter(ms: number): void {
		this.#sequence = Math.max(this.#sequence, ms * sequencesPerMs);
	}

	/** A sequence that parts what has been appended from what will be, in the sequence and in the time of ingestion. */
	part(): number {
		this.#sequence = (Math.floor(this.#sequence / sequencesPerMs) + 1) * sequencesPerMs;
		return this.#sequence;
	}

	/** Characters that wait. */
	get size(): number {
		return this.#size;
	}

	/** Lines that wait, and those that were dropped since there was room. */
	get unwritten(): number {
		return this.#lines + this.#dropped;
	}

	append(stream: string, events: readonly LogEvent[]): void {
		const now = this.#now();
		if (this.#sequence < now * sequencesPerMs) this.#sequence = now * sequencesPerMs;
		const prefix = this.#prefixOf(stream);
		for (const { timestamp, message } of events) {
			if (this.#size > (this.#dropped > 0 ? resumeBuffered : maxBuffered)) {
				this.#dropped++;
				this.#droppedStream = stream;
				continue;
			}
			if (this.#dropped > 0) this.#pushNotice(now);
			this.#push(stream, prefix, timestamp, message);
		}
	}

	/** Says in the log what was dropped since there was room; before a write, so that it stands behind the lines that waited. */
	note(): void {
		if (this.#dropped > 0) this.#pushNotice(this.#now());
	}

	/** The oldest lines, to be written and then `shift`ed; undefined when nothing waits. */
	peek(): Chunk | undefined {
		const chunk = this.#chunks[0];
		if (!chunk || chunk.lines === 0) return undefined;
		// Nothing is added to a chunk that is being written.
		if (this.#chunks.length === 1) this.#chunks.push(emptyChunk());
		return chunk;
	}

	shift(): void {
		const chunk = this.#chunks.shift();
		if (!chunk) return;
		this.#size -= chunk.text.length;
		this.#lines -= chunk.lines;
	}

	/** Streams of the waiting lines. */
	*indexes(): Iterable<SegmentIndex> {
		for (const chunk of this.#chunks) yield chunk.index;
	}

	#prefixOf(stream: string): string {
		let prefix = this.#prefixes.get(stream);
		if (prefix === undefined) {
			prefix = streamPrefix(stream);
			if (this.#prefixes.size >= maxPrefixes) this.#prefixes.clear();
			this.#prefixes.set(stream, prefix);
		}
		return prefix;
	}

	#push(stream: string, prefix: string, timestamp: number, message: string): void {
		let chunk = this.#chunks.at(-1);
		if (!chunk || chunk.text.length >= chunkSize) {
			chunk = emptyChunk();
			this.#chunks.push(chunk);
		}
		const text = lineText(timestamp, prefix, message, ++this.#sequence);
		chunk.text += text;
		chunk.lines++;
		chunk.index.add(stream, timestamp, Math.floor(this.#sequence / sequencesPerMs));
		this.#size += text.length;
		this.#lines++;
	}

	/** What stands in the log where lines are missing: after those that were in the buffer when it was full. */
	#pushNotice(now: number): void {
		const message = `[slipway] ${this.#dropped} log lines were dropped here: the disk did not keep up`;
		this.#dropped = 0;
		this.#push(this.#droppedStream, streamPrefix(this.#droppedStream), now, message);
	}
}

function emptyChunk(): Chunk {
	return { text: "", lines: 0, index: new SegmentIndex() };
}

import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Clock } from "../../base/clock.ts";
import { systemCode } from "../../base/error.ts";
import type { LogEvent, LogQuery, StoredLogEvent } from "../../core/log/log-store.ts";

/** Bytes after which a new segment is begun. */
const segmentBytes = 8 * 1024 * 1024;
/** Bytes of lines that may wait for the disk, for each group. */
const maxBufferedBytes = 16 * 1024 * 1024;

type Line = [timestamp: number, stream: string, message: string];

/** One log group: an appender and its segments, named after the time they were begun so that names sort by age. */
export class GroupLog {
	readonly #folder: string;
	readonly #clock: Clock;
	readonly #maxBytes: number;
	#buffer: string[] = [];
	#bufferBytes = 0;
	#dropped = 0;
	#droppedStream = "";
	#file: FileHandle | undefined;
	#fileBytes = 0;
	#work: Promise<void> = Promise.resolve();

	constructor(folder: string, clock: Clock, maxBytes: number) {
		this.#folder = folder;
		this.#clock = clock;
		this.#maxBytes = maxBytes;
	}

	append(stream: string, events: readonly LogEvent[]): void {
		for (const { timestamp, message } of events) {
			if (this.#bufferBytes > maxBufferedBytes) {
				this.#dropped++;
				this.#droppedStream = stream;
				continue;
			}
			this.#push([timestamp, stream, message]);
		}
	}

	/** Lines that wait for the disk, and those that were dropped since it last kept up. */
	get unwritten(): number {
		return this.#buffer.length + this.#dropped;
	}

	/** Resolves when everything appended so far has been written to its file. */
	flush(): Promise<void> {
		this.#work = this.#work.then(
			() => this.#write(),
			() => this.#write(),
		);
		return this.#work;
	}

	async close(): Promise<void> {
		try {
			await this.flush();
		} finally {
			await this.#file?.close();
			this.#file = undefined;
		}
	}

	/** Oldest first. From the end of the range unless `fromStart`. */
	async read(query: LogQuery & { limit: number }): Promise<StoredLogEvent[]> {
		const segments = await this.#segments();
		if (query.fromStart) {
			const found: StoredLogEvent[] = [];
			for (const segment of segments) {
				for await (const event of this.#matching(segment, query)) {
					found.push(event);
					if (found.length === query.limit) return found;
				}
			}
			return found;
		}
		let found: StoredLogEvent[] = [];
		for (const segment of segments.reverse()) {
			const inSegment: StoredLogEvent[] = [];
			for await (const event of this.#matching(segment, query)) {
				inSegment.push(event);
				if (inSegment.length > 2 * query.limit) inSegment.splice(0, inSegment.length - query.limit);
			}
			found = [...inSegment, ...found].slice(-query.limit);
			if (found.length === query.limit) break;
		}
		return found;
	}

	async streams(): Promise<{ stream: string; firstMs: number; lastMs: number }[]> {
		const streams = new Map<string, { stream: string; firstMs: number; lastMs: number }>();
		for (const segment of await this.#segments())
			for await (const { stream, timestamp } of this.#matching(segment, {})) {
				const known = streams.get(stream);
				if (known) known.lastMs = Math.max(known.lastMs, timestamp);
				else streams.set(stream, { stream, firstMs: timestamp, lastMs: timestamp });
			}
		return [...streams.values()];
	}

	#push(line: Line): void {
		const text = textOf(line);
		this.#buffer.push(text);
		this.#bufferBytes += text.length;
	}

	/** What stands in the log where lines are missing: after those that were in the buffer when it was full. */
	#notice(dropped: number): string {
		if (dropped === 0) return "";
		const message = `[slipway] ${dropped} log lines were dropped here: the disk did not keep up`;
		return textOf([this.#clock.now(), this.#droppedStream, message]);
	}

	async #write(): Promise<void> {
		if (this.#buffer.length === 0) return;
		if (!this.#file) await this.#begin();
		const lines = this.#buffer;
		const bytes = this.#bufferBytes;
		const dropped = this.#dropped;
		const data = Buffer.from(lines.join("") + this.#notice(dropped));
		this.#buffer = [];
		this.#bufferBytes = 0;
		this.#dropped = 0;
		try {
			await this.#file!.appendFile(data);
		} catch (error) {
			this.#buffer = [...lines, ...this.#buffer];
			this.#bufferBytes += bytes;
			this.#dropped += dropped;
			await this.#takeBack();
			throw error;
		}
		this.#fileBytes += data.length;
		if (this.#fileBytes < segmentBytes) return;
		await this.#file?.close();
		this.#file = undefined;
		await this.#forgetOldest();
	}

	/** What a failed write has left of its lines goes, as they are tried again whole; the next segment starts clean. */
	async #takeBack(): Promise<void> {
		const file = this.#file;
		this.#file = undefined;
		try {
			await file?.truncate(this.#fileBytes);
		} finally {
			await file?.close();
		}
	}

	/** Never an existing file: what is in it may end in half a line. */
	async #begin(): Promise<void> {
		await mkdir(this.#folder, { recursive: true });
		for (let startedMs = this.#clock.now(); ; startedMs++) {
			const name = `${String(startedMs).padStart(15, "0")}-${process.pid}.ndjson`;
			try {
				this.#file = await open(join(this.#folder, name), "ax");
				break;
			} catch (error) {
				if (systemCode(error) !== "EEXIST") throw error;
			}
		}
		this.#fileBytes = 0;
	}

	async #segments(): Promise<string[]> {
		try {
			const names = await readdir(this.#folder);
			return names.sort().map((name) => join(this.#folder, name));
		} catch (error) {
			if (systemCode(error) === "ENOENT") return [];
			throw error;
		}
	}

	async #forgetOldest(): Promise<void> {
		let bytes = 0;
		for (const segment of (await this.#segments()).reverse()) {
			bytes += (await stat(segment)).size;
			if (bytes > this.#maxBytes) await unlink(segment);
		}
	}

	async *#matching(segment: string, query: LogQuery): AsyncIterable<StoredLogEvent> {
		const input = createReadStream(segment);
		for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
			const event = parseLine(text);
			if (!event) continue;
			if (query.stream !== undefined && event.stream !== query.stream) continue;
			if (query.startMs !== undefined && event.timestamp < query.startMs) continue;
			if (query.endMs !== undefined && event.timestamp >= query.endMs) continue;
			yield event;
		}
	}
}

function textOf(line: Line): string {
	return `${JSON.stringify(line)}\n`;
}

/** Undefined for the half line that a crash may leave at the end of a segment. */
function parseLine(text: string): StoredLogEvent | undefined {
	try {
		const [timestamp, stream, message] = JSON.parse(text) as Line;
		return { timestamp, stream, message };
	} catch {
		return undefined;
	}
}

import { open } from "node:fs/promises";
import { type LineHead, LineReader, sequencesPerMs } from "./line.ts";
import { ingestedMsOf, SegmentIndex } from "./segment-index.ts";

/** Bytes read at one time, and gone through in one turn of the event loop (some 2 ms). */
const chunkBytes = 256 * 1024;
const newline = 0x0a;

/** Told of every whole line; `data` is valid during the call only. */
export type LineVisitor = (head: LineHead, data: Buffer, start: number, end: number, fallback: number) => void;

/**
 * Goes through a segment's lines, as far as `bytes`: behind that a writer may be at work. The sequences of lines that
 * have none (older releases) are made from the segment's start and the lines' place, and so stay the same.
 */
export async function scanSegment(
	segment: { path: string; startedMs: number; bytes: number },
	visit: LineVisitor,
): Promise<void> {
	await using file = await open(segment.path, "r");
	const reader = new LineReader();
	let rest: Buffer[] = [];
	let fallback = segment.startedMs * sequencesPerMs;
	for (let position = 0; position < segment.bytes; ) {
		const room = Buffer.allocUnsafeSlow(Math.min(chunkBytes, segment.bytes - position));
		const { bytesRead } = await file.read(room, 0, room.length, position);
		if (bytesRead === 0) return;
		position += bytesRead;
		const chunk = room.subarray(0, bytesRead);
		const last = chunk.lastIndexOf(newline);
		if (last === -1) {
			rest.push(chunk); // A line longer than a chunk.
			continue;
		}
		const data = rest.length === 0 ? chunk : Buffer.concat([...rest, chunk]);
		const end = data.length - (chunk.length - 1 - last);
		rest = end < data.length ? [data.subarray(end)] : [];
		for (let start = 0; start < end; ) {
			const stop = data.indexOf(newline, start);
			const head = reader.head(data, start, stop, fallback);
			if (head) visit(head, data, start, stop, fallback);
			fallback++;
			start = stop + 1;
		}
	}
}

export async function indexSegment(segment: { path: string; startedMs: number; bytes: number }): Promise<SegmentIndex> {
	const index = new SegmentIndex();
	await scanSegment(segment, ({ timestamp, sequence, stream }, _data, _start, _end, fallback) =>
		index.add(stream, timestamp, ingestedMsOf(sequence, fallback, timestamp)),
	);
	return index;
}

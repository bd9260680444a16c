/**
 * A segment's line: `[timestamp,"stream","message",sequence]`, JSON. Lines of the first release have no sequence. Read
 * as bytes as far as that says whether a line is wanted at all: JSON.parse costs ten times as much.
 */
import type { IngestedLogEvent } from "../../core/log/log-store.ts";

/** Sequences in a millisecond: a sequence is the time of ingestion times this, or one more than the last. Safe until 2109. */
export const sequencesPerMs = 2048;

export interface LineHead {
	timestamp: number;
	sequence: number;
	stream: string;
}

/** `prefix` is what `streamPrefix` made of the stream. */
export function lineText(timestamp: number, prefix: string, message: string, sequence: number): string {
	return `[${timestamp}${prefix}${JSON.stringify(message)},${sequence}]\n`;
}

export function streamPrefix(stream: string): string {
	return `,${JSON.stringify(stream)},`;
}

const digit0 = 0x30;
const digit9 = 0x39;
const comma = 0x2c;
const quote = 0x22;
const backslash = 0x5c;
const bracket = 0x5d;

/** Remembers the last stream's bytes, as most lines have the stream of the line before. */
export class LineReader {
	#streamBytes: Buffer = Buffer.alloc(0);
	#stream = "";

	/** Undefined for what is no line, such as the half line that a crash may leave. `fallback`: the sequence of a line without one. */
	head(data: Buffer, start: number, end: number, fallback: number): LineHead | undefined {
		let at = start + 1;
		let timestamp = 0;
		for (; at < end; at++) {
			const byte = data[at]!;
			if (byte < digit0 || byte > digit9) break;
			timestamp = timestamp * 10 + (byte - digit0);
		}
		if (data[at] !== comma || data[at + 1] !== quote || data[end - 1] !== bracket)
			return slowHead(data, start, end, fallback);
		const sequence = trailingNumber(data, end - 1) ?? fallback;
		return { timestamp, sequence, stream: this.#streamAt(data, at + 1, end) };
	}

	/** `start` is at the opening quote. */
	#streamAt(data: Buffer, start: number, end: number): string {
		const length = this.#streamBytes.length;
		if (length > 0 && data.compare(this.#streamBytes, 0, length, start, Math.min(start + length, end)) === 0)
			return this.#stream;
		let at = start + 1;
		while (at < end && data[at] !== quote) at += data[at] === backslash ? 2 : 1;
		this.#streamBytes = Buffer.from(data.subarray(start, at + 1));
		try {
			this.#stream = JSON.parse(this.#streamBytes.toString()) as string;
		} catch {
			this.#streamBytes = Buffer.alloc(0);
			this.#stream = "";
		}
		return this.#stream;
	}
}

/** Undefined for what is no line. */
export function readLine(data: Buffer, start: number, end: number, fallback: number): IngestedLogEvent | undefined {
	const line = parse(data, start, end);
	if (!line) return undefined;
	const [timestamp, stream, message, sequence] = line;
	const ingestedMs = sequence === undefined ? timestamp : Math.floor(sequence / sequencesPerMs);
	return { timestamp, stream, message, sequence: sequence ?? fallback, ingestedMs };
}

function slowHead(data: Buffer, start: number, end: number, fallback: number): LineHead | undefined {
	const line = parse(data, start, end);
	return line && { timestamp: line[0], stream: line[1], sequence: line[3] ?? fallback };
}

type Line = [timestamp: number, stream: string, message: string, sequence: number | undefined];

function parse(data: Buffer, start: number, end: number): Line | undefined {
	let line: unknown;
	try {
		line = JSON.parse(data.toString("utf8", start, end));
	} catch {
		return undefined;
	}
	if (!Array.isArray(line)) return undefined;
	const [timestamp, stream, message, sequence] = line as unknown[];
	if (typeof timestamp !== "number" || typeof stream !== "string" || typeof message !== "string") return undefined;
	return [timestamp, stream, message, typeof sequence === "number" ? sequence : undefined];
}

/** The digits before `end`, when a comma stands before them; a message ends with a quote. */
function trailingNumber(data: Buffer, end: number): number | undefined {
	let value = 0;
	let place = 1;
	let at = end - 1;
	for (; data[at]! >= digit0 && data[at]! <= digit9; at--) {
		value += (data[at]! - digit0) * place;
		place *= 10;
	}
	return place > 1 && data[at] === comma ? value : undefined;
}

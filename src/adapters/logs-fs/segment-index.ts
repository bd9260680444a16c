import { sequencesPerMs } from "./line.ts";

/** First and last timestamp, first and last time of ingestion, milliseconds. */
export type StreamTimes = [firstMs: number, lastMs: number, firstIngestedMs: number, lastIngestedMs: number];

/** What is in a segment, so that readers open only those that have what they look for. */
export class SegmentIndex {
	readonly streams = new Map<string, StreamTimes>();
	minMs = Number.POSITIVE_INFINITY;
	maxMs = Number.NEGATIVE_INFINITY;
	#lastStream: string | undefined;
	#lastTimes: StreamTimes | undefined;

	add(stream: string, timestamp: number, ingestedMs: number): void {
		if (timestamp < this.minMs) this.minMs = timestamp;
		if (timestamp > this.maxMs) this.maxMs = timestamp;
		if (stream !== this.#lastStream || !this.#lastTimes) {
			this.#lastStream = stream;
			this.#lastTimes = this.streams.get(stream);
			if (!this.#lastTimes) {
				this.#lastTimes = [timestamp, timestamp, ingestedMs, ingestedMs];
				this.streams.set(stream, this.#lastTimes);
			}
		}
		widen(this.#lastTimes, [timestamp, timestamp, ingestedMs, ingestedMs]);
	}

	merge(other: SegmentIndex): void {
		this.minMs = Math.min(this.minMs, other.minMs);
		this.maxMs = Math.max(this.maxMs, other.maxMs);
		for (const [stream, times] of other.streams) {
			const known = this.streams.get(stream);
			if (known) widen(known, times);
			else this.streams.set(stream, [...times]);
		}
	}

	has(wanted: (stream: string) => boolean): boolean {
		for (const stream of this.streams.keys()) if (wanted(stream)) return true;
		return false;
	}

	toText(bytes: number): string {
		return JSON.stringify({ version: 1, bytes, streams: [...this.streams].map(([name, times]) => [name, ...times]) });
	}

	/** Undefined unless it is the index of a segment of that size. */
	static fromText(text: string, bytes: number): SegmentIndex | undefined {
		let stored: unknown;
		try {
			stored = JSON.parse(text);
		} catch {
			return undefined; // Made anew from the segment.
		}
		if (typeof stored !== "object" || stored === null) return undefined;
		const { version, bytes: of, streams } = stored as Record<string, unknown>;
		if (version !== 1 || of !== bytes || !Array.isArray(streams)) return undefined;
		const index = new SegmentIndex();
		for (const row of streams as [string, ...StreamTimes][]) {
			const [stream, firstMs, lastMs, firstIngestedMs, lastIngestedMs] = row;
			index.add(stream, firstMs, firstIngestedMs);
			index.add(stream, lastMs, lastIngestedMs);
		}
		return index;
	}
}

function widen(times: StreamTimes, by: Readonly<StreamTimes>): void {
	if (by[0] < times[0]) times[0] = by[0];
	if (by[1] > times[1]) times[1] = by[1];
	if (by[2] < times[2]) times[2] = by[2];
	if (by[3] > times[3]) times[3] = by[3];
}

/** Of a line without a sequence nothing is known but its timestamp. */
export function ingestedMsOf(sequence: number, fallback: number, timestamp: number): number {
	return sequence === fallback ? timestamp : Math.floor(sequence / sequencesPerMs);
}

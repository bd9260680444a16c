import { once } from "node:events";
import type { ServerResponse } from "node:http";

/** Progress comes far more often than anybody can look at it. */
const progressIntervalMs = 100;

/** Writes one JSON document a line, as they come, at the reader's pace. */
export class NdjsonWriter {
	readonly #response: ServerResponse;
	readonly #gone: AbortSignal;

	constructor(response: ServerResponse, gone: AbortSignal) {
		this.#response = response;
		this.#gone = gone;
		response.writeHead(200, { "content-type": "application/x-ndjson", "cache-control": "no-store" });
		response.flushHeaders();
	}

	/** Resolves when there is room for the next line. Rejects when the client is gone. */
	async write(line: object): Promise<void> {
		this.#gone.throwIfAborted();
		if (!this.#response.write(`${JSON.stringify(line)}\n`)) await once(this.#response, "drain", { signal: this.#gone });
	}

	/** For lines that may be left out: nothing is written while the reader is behind. */
	offer(line: object): void {
		if (!this.#gone.aborted && !this.#response.writableNeedDrain) this.#response.write(`${JSON.stringify(line)}\n`);
	}

	end(): void {
		this.#response.end();
	}
}

/** Passes on the first report of each key, the last, and in between one in a while. */
export function throttled<T extends { done: number; total: number }>(
	now: () => number,
	key: (report: T) => string,
	pass: (report: T) => void,
): (report: T) => void {
	const last = new Map<string, number>();
	return (report) => {
		const at = now();
		const name = key(report);
		const before = last.get(name);
		if (before !== undefined && report.done < report.total && at - before < progressIntervalMs) return;
		last.set(name, at);
		pass(report);
	};
}

/** One line for each item, until the source ends or its own signal ends it. */
export async function writeAll<T>(
	response: ServerResponse,
	gone: AbortSignal,
	items: AsyncIterable<T>,
	line: (item: T) => object,
): Promise<void> {
	const writer = new NdjsonWriter(response, gone);
	for await (const item of items) await writer.write(line(item));
	writer.end();
}

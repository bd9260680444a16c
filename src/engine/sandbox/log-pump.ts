import type { Readable } from "node:stream";

/** CloudWatch Logs' limit for one event, less its 26 bytes of overhead: a longer line becomes several events. */
export const maxLineBytes = 262_144 - 26;

const newline = 10;

/**
 * Turns what a process writes into whole lines. A line without its newline is held until the newline comes, the line is
 * too long, or somebody flushes.
 */
export class LogPump {
	readonly #onLines: (lines: string[]) => void;
	readonly ended: Promise<void>;
	#partial: Buffer[] = [];
	#partialBytes = 0;

	constructor(stream: Readable, onLines: (lines: string[]) => void) {
		this.#onLines = onLines;
		stream.on("data", (chunk: Buffer) => this.#take(chunk));
		this.ended = new Promise((resolve) => {
			const end = () => {
				this.flush();
				resolve();
			};
			stream.once("close", end);
			stream.once("end", end);
			// A reset pipe is the end of the log, not an error of ours.
			stream.once("error", end);
		});
	}

	/** Lets out a line that still waits for its end. */
	flush(): void {
		if (this.#partialBytes > 0) this.#onLines([this.#takePartial()]);
	}

	#take(chunk: Buffer): void {
		const lines: string[] = [];
		let start = 0;
		for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
			this.#hold(chunk.subarray(start, end), lines);
			lines.push(this.#takePartial());
			start = end + 1;
		}
		this.#hold(chunk.subarray(start), lines);
		if (lines.length > 0) this.#onLines(lines);
	}

	#hold(piece: Buffer, lines: string[]): void {
		let rest = piece;
		while (this.#partialBytes + rest.length > maxLineBytes) {
			const room = maxLineBytes - this.#partialBytes;
			this.#partial.push(rest.subarray(0, room));
			this.#partialBytes += room;
			rest = rest.subarray(room);
			lines.push(this.#takePartial());
		}
		if (rest.length === 0) return;
		this.#partial.push(rest);
		this.#partialBytes += rest.length;
	}

	#takePartial(): string {
		const line =
			this.#partial.length === 1 ? this.#partial[0]!.toString("utf8") : Buffer.concat(this.#partial).toString("utf8");
		this.#partial = [];
		this.#partialBytes = 0;
		return line.endsWith("\r") ? line.slice(0, -1) : line;
	}
}

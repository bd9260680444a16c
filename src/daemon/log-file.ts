import { closeSync, fstatSync, openSync, renameSync, writeSync } from "node:fs";
import { fromSystemError } from "../base/error.ts";

/** Old files kept: `daemon.log.1` is the newest of them. */
const keptFiles = 3;

/**
 * A log file that never grows past `maxBytes`: it becomes FILE.1, that FILE.2, and so on. Lines are written at once and
 * synchronously (microseconds each), so that the last words of a crash are there.
 */
export class LogFile implements Disposable {
	readonly #path: string;
	readonly #maxBytes: number;
	#fd: number;
	#size: number;

	constructor(path: string, maxBytes: number) {
		this.#path = path;
		this.#maxBytes = maxBytes;
		try {
			this.#fd = openSync(path, "a", 0o600);
			this.#size = fstatSync(this.#fd).size;
		} catch (error) {
			throw fromSystemError(error, `opening the log file '${path}'`);
		}
	}

	/** Never throws: a full disk must not end the daemon for its log's sake. Lost lines are counted and said when writing works again. */
	write(line: string): void {
		const text =
			this.#lost > 0 ? `${JSON.stringify({ message: "Log lines were lost", lost: this.#lost })}\n${line}` : line;
		const bytes = Buffer.from(text);
		try {
			if (this.#size > 0 && this.#size + bytes.length > this.#maxBytes) this.#rotate();
			writeSync(this.#fd, bytes);
			this.#size += bytes.length;
			this.#lost = 0;
		} catch {
			this.#lost++;
		}
	}
	#lost = 0;

	#rotate(): void {
		for (let index = keptFiles - 1; index >= 0; index--) {
			const from = index === 0 ? this.#path : `${this.#path}.${index}`;
			try {
				renameSync(from, `${this.#path}.${index + 1}`);
			} catch (error) {
				if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
			}
		}
		const next = openSync(this.#path, "a", 0o600);
		closeSync(this.#fd);
		this.#fd = next;
		this.#size = 0;
	}

	[Symbol.dispose](): void {
		closeSync(this.#fd);
	}
}

import type { Clock } from "../../base/clock.ts";
import type { LogEvent, LogStore } from "../../core/log/log-store.ts";

/** Bytes of log that a caller may ask to get with the answer (Invoke, LogType Tail). */
const tailBytes = 4096;

/** One sandbox's stream of the function's log, with the tail that a caller may want. */
export class SandboxLog {
	readonly #store: LogStore;
	readonly #clock: Clock;
	readonly #group: string;
	/** The stream's name. */
	readonly stream: string;
	#tail: string[] | undefined;
	#tailSize = 0;

	constructor(store: LogStore, clock: Clock, group: string, stream: string) {
		this.#store = store;
		this.#clock = clock;
		this.#group = group;
		this.stream = stream;
	}

	/** Lines of the platform's own, as of now. */
	write(lines: readonly string[]): void {
		if (lines.length === 0) return;
		const timestamp = this.#clock.now();
		this.append(lines.map((message) => ({ timestamp, message })));
	}

	append(events: readonly LogEvent[]): void {
		this.#store.append(this.#group, this.stream, events);
		if (this.#tail) for (const { message } of events) this.#keep(this.#tail, message);
	}

	/** Starts to keep the end of what is written. */
	beginTail(): void {
		this.#tail = [];
		this.#tailSize = 0;
	}

	/** The last 4 KB since `beginTail`. */
	endTail(): Uint8Array {
		const text = Buffer.from((this.#tail ?? []).map((line) => `${line}\n`).join(""));
		this.#tail = undefined;
		return text.subarray(Math.max(0, text.length - tailBytes));
	}

	#keep(tail: string[], line: string): void {
		tail.push(line);
		// Characters, not bytes: never less than the bytes that are cut to in the end.
		this.#tailSize += line.length + 1;
		while (tail.length > 1 && this.#tailSize - (tail[0]?.length ?? 0) - 1 > tailBytes)
			this.#tailSize -= (tail.shift()?.length ?? 0) + 1;
	}
}

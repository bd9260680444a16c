import type { IncomingMessage } from "node:http";
import type { Writable } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import type { StreamingLimits } from "./limits.ts";
import { Bandwidth } from "./runtime-bandwidth.ts";

/** `complete`: the runtime ended it. The others cut the caller's stream. */
export type StreamEnd = "complete" | "truncated" | "too-large";

/**
 * Passes an answer on while the runtime makes it: each piece as it came, no faster than the caller takes it and the
 * bandwidth allows. A caller that went away does not stop the function: what it still sends is read and dropped.
 */
export class StreamedAnswer {
	readonly #request: IncomingMessage;
	readonly #sink: Writable;
	readonly #maxBytes: number;
	readonly #bandwidth: Bandwidth;
	readonly #onEnd: (end: StreamEnd, bytes: number) => void;
	#bytes = 0;
	/** A piece that waits for bandwidth. */
	#held: Buffer | undefined;
	#callerGone = false;
	#over = false;

	/** `onEnd` is called once, unless `cut` comes first. */
	constructor(
		request: IncomingMessage,
		sink: Writable,
		limits: StreamingLimits,
		clock: Clock,
		onEnd: (end: StreamEnd, bytes: number) => void,
	) {
		this.#request = request;
		this.#sink = sink;
		this.#maxBytes = limits.maxBytes;
		this.#bandwidth = new Bandwidth(limits, clock);
		this.#onEnd = onEnd;
		sink.on("drain", () => this.#flow());
		sink.on("error", () => this.#lost());
		sink.once("close", () => this.#lost());
		request.on("data", (chunk: Buffer) => this.#take(chunk));
		request.once("end", () => this.#finish("complete"));
		request.on("error", () => this.#finish("truncated"));
		request.once("close", () => this.#finish("truncated"));
	}

	/** Ends both sides where they are; nothing is reported. */
	cut(): void {
		if (this.#over) return;
		this.#over = true;
		this.#held = undefined;
		this.#bandwidth.close();
		this.#sink.destroy();
		this.#request.socket.destroy();
	}

	#take(chunk: Buffer): void {
		if (this.#over) return;
		const room = this.#maxBytes - this.#bytes;
		if (chunk.length > room) {
			this.#bytes += room;
			if (!this.#callerGone && room > 0) this.#sink.write(chunk.subarray(0, room));
			return this.#finish("too-large");
		}
		if (this.#callerGone) {
			this.#bytes += chunk.length;
			return;
		}
		if (this.#bandwidth.take(chunk.length)) return this.#pass(chunk);
		this.#held = chunk;
		this.#request.pause();
		this.#bandwidth.wait(() => this.#release());
	}

	#pass(chunk: Buffer): void {
		this.#bytes += chunk.length;
		if (!this.#sink.write(chunk)) this.#request.pause();
	}

	#release(): void {
		const chunk = this.#held;
		if (this.#over || !chunk) return;
		if (!this.#bandwidth.take(chunk.length)) return this.#bandwidth.wait(() => this.#release());
		this.#held = undefined;
		this.#pass(chunk);
		this.#flow();
	}

	#flow(): void {
		if (this.#over || this.#held || (!this.#callerGone && this.#sink.writableNeedDrain)) return;
		this.#request.resume();
	}

	#lost(): void {
		if (this.#over || this.#callerGone) return;
		this.#callerGone = true;
		this.#bytes += this.#held?.length ?? 0;
		this.#held = undefined;
		this.#bandwidth.close();
		this.#flow();
	}

	#finish(end: StreamEnd): void {
		if (this.#over) return;
		this.#over = true;
		this.#held = undefined;
		this.#bandwidth.close();
		if (end === "complete") this.#sink.end();
		else this.#sink.destroy();
		this.#onEnd(end, this.#bytes);
	}
}

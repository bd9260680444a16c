/** An answer that a function makes while its caller takes it: the end that the runtime writes to, and the one that is read. */
import type { ServerResponse } from "node:http";
import { Writable } from "node:stream";

/** Bytes that may wait here for the caller, and one piece more; the socket's own buffers come on top. */
const maxWaiting = 64 * 1024;

/**
 * Hands over the pieces as the runtime wrote them, and takes more when they go: a slow caller holds up the runtime and nothing
 * piles up. What was taken is handed over also when the writer is cut off after it. After `discard` everything is
 * swallowed, since a caller that goes away does not stop the function
 * (https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html).
 */
export class StreamedAnswer extends Writable {
	readonly #waiting: Buffer[] = [];
	#bytes = 0;
	/** Lets the writer go on. */
	#taken: (() => void) | undefined;
	#wake: (() => void) | undefined;
	#over = false;
	#discarding = false;

	constructor() {
		// All waiting is done here: a Writable's own buffer is lost when it is destroyed.
		super({ highWaterMark: 1, decodeStrings: true });
		// Whoever cuts the answer says why in the invocation's result; an error event without a listener would end the process.
		this.on("error", () => {});
	}

	/** The next piece, or undefined when there will be none. One call at a time. */
	async next(): Promise<Buffer | undefined> {
		for (;;) {
			const chunk = this.#waiting.shift();
			if (chunk !== undefined) {
				this.#bytes -= chunk.length;
				if (this.#bytes < maxWaiting) this.#release();
				return chunk;
			}
			if (this.#over) return undefined;
			await new Promise<void>((resolve) => {
				this.#wake = resolve;
			});
		}
	}

	/** The invocation has ended: what was written so far is all. */
	close(): void {
		this.#over = true;
		this.#wake?.();
	}

	discard(): void {
		this.#discarding = true;
		this.#waiting.length = 0;
		this.#release();
		this.close();
	}

	override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
		if (this.#discarding) return done();
		this.#waiting.push(chunk);
		this.#bytes += chunk.length;
		if (this.#bytes < maxWaiting) done();
		else this.#taken = done;
		this.#wake?.();
	}

	override _final(done: () => void): void {
		this.close();
		done();
	}

	override _destroy(error: Error | null, done: (error: Error | null) => void): void {
		this.close();
		done(error);
	}

	#release(): void {
		const taken = this.#taken;
		this.#taken = undefined;
		taken?.();
	}
}

/** Resolves when `response` takes more, or nobody reads it any longer. */
export function roomIn(response: ServerResponse): Promise<void> {
	return new Promise((resolve) => {
		const done = () => {
			response.removeListener("drain", done);
			response.removeListener("close", done);
			resolve();
		};
		response.on("drain", done);
		response.on("close", done);
		if (response.destroyed) done();
	});
}

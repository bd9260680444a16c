import { closeSync } from "node:fs";
import { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { pipe } from "../../base/syscall.ts";

/** What a pipe holds is read within this time by whoever reads at all. */
const DRAIN_MS = 200;

/**
 * Our end of a pipe that a program writes to. It is read from when somebody first asks for the stream: one that was read
 * earlier could have ended before anybody listens for its end.
 */
export class OutputPipe implements Disposable {
	/** The program's end, for whoever starts it to hand on and to close. */
	readonly write: number;
	#read: number | undefined;
	#stream: Socket | undefined;

	constructor() {
		const { read, write } = pipe();
		this.#read = read;
		this.write = write;
	}

	get stream(): Socket {
		if (!this.#stream) {
			const fd = this.#read;
			this.#read = undefined;
			this.#stream = fd === undefined ? new Socket().destroy() : new Socket({ fd, readable: true, writable: false });
		}
		return this.#stream;
	}

	/** Lets a reader have the last lines; a stream that nobody reads is dropped. */
	async drain(clock: Clock): Promise<void> {
		const stream = this.#stream;
		if (stream?.readableFlowing && !stream.readableEnded && !stream.destroyed)
			await new Promise<void>((resolve) => {
				const cancel = clock.after(DRAIN_MS, resolve);
				stream.once("close", () => {
					cancel();
					resolve();
				});
			});
		this[Symbol.dispose]();
	}

	[Symbol.dispose](): void {
		this.#stream?.destroy();
		if (this.#read !== undefined) closeSync(this.#read);
		this.#read = undefined;
	}
}

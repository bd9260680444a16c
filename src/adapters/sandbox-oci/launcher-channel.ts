import { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { ANSWER_BYTES } from "./launcher-program.ts";
import type { LauncherScript, ScriptFailure } from "./launcher-script.ts";

/** A script takes a fraction of a millisecond; a launcher that has not answered by then never will. */
const ANSWER_LIMIT_MS = 10_000;

/** Our end of the socket over which one launcher takes its scripts. One script at a time. */
export class LauncherChannel implements Disposable {
	readonly #socket: Socket;
	readonly #clock: Clock;
	#received: Buffer = Buffer.alloc(0);
	#ended = false;
	/** It went without having read what it was sent. */
	#broken = false;
	#onNews: (() => void) | undefined;

	constructor(fd: number, clock: Clock) {
		this.#clock = clock;
		this.#socket = new Socket({ fd, readable: true, writable: true });
		this.#socket.on("data", (part: Buffer) => this.#receive(part));
		// The kernel resets a connection whose other side has gone with something unread.
		this.#socket.on("error", () => {
			this.#broken = true;
			this.#end();
		});
		this.#socket.on("close", () => this.#end());
	}

	/** Undefined when every call was made; SANDBOX_FAILED when the launcher ended over it. */
	async run(script: LauncherScript): Promise<ScriptFailure | undefined> {
		const answer = await this.#exchange(script);
		if (!answer) throw ended("while it was set up");
		return script.failure(answer);
	}

	/**
	 * For a script that ends with the execution of another program, which closes the channel. Undefined when that was done (or
	 * when the launcher was killed over it, which its exit tells); SANDBOX_FAILED when it was gone before.
	 */
	async execute(script: LauncherScript): Promise<ScriptFailure | undefined> {
		const answer = await this.#exchange(script);
		if (!answer && this.#broken) throw ended("before its start");
		return answer && script.failure(answer);
	}

	/** The answer; undefined when the channel was closed instead. */
	async #exchange(script: LauncherScript): Promise<Buffer | undefined> {
		if (this.#ended) throw ended("before its start");
		this.#socket.write(script.encode());
		const { promise, resolve, reject } = Promise.withResolvers<void>();
		this.#onNews = () => {
			if (this.#ended || this.#received.length === ANSWER_BYTES) resolve();
		};
		const cancel = this.#clock.after(ANSWER_LIMIT_MS, () => {
			reject(new SlipwayError("SANDBOX_FAILED", "The sandbox's first process does not answer"));
			// What it may still say would be taken for the answer to the next script.
			this.#socket.destroy();
		});
		await promise.finally(cancel);
		this.#onNews = undefined;
		if (this.#received.length < ANSWER_BYTES) return undefined;
		const answer = this.#received;
		this.#received = Buffer.alloc(0);
		return answer;
	}

	/** Nothing but one answer to each script is kept: whoever else could write to the channel would fill our memory. */
	#receive(part: Buffer): void {
		if (!this.#onNews || this.#received.length + part.length > ANSWER_BYTES) {
			this.#received = Buffer.alloc(0);
			this.#broken = true;
			this.#socket.destroy();
			return;
		}
		this.#received = Buffer.concat([this.#received, part]);
		this.#onNews();
	}

	#end(): void {
		this.#ended = true;
		this.#onNews?.();
	}

	[Symbol.dispose](): void {
		this.#socket.destroy();
	}
}

function ended(when: string): SlipwayError {
	return new SlipwayError("SANDBOX_FAILED", `The sandbox's process has ended ${when}`);
}

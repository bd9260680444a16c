import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Answer, Call, CallBody } from "./calls.ts";

/** The process died before it answered: the call may have been done. */
export class Unknown extends Error {}

/** The process with the queues. It is killed at any time, and started anew; calls that come meanwhile wait. */
export class Killable implements AsyncDisposable {
	readonly #folder: string;
	#child: ChildProcess | undefined;
	#isOpen: Promise<void>;
	readonly #waiting = new Map<number, PromiseWithResolvers<Answer["value"]>>();
	#lastId = 0;

	constructor(folder: string) {
		this.#folder = folder;
		this.#isOpen = this.#start();
		this.#isOpen.catch(() => {});
	}

	#start(): Promise<void> {
		const opened = Promise.withResolvers<void>();
		const child = fork(join(import.meta.dirname, "server.ts"), [this.#folder], {
			execArgv: ["--disable-warning=ExperimentalWarning"],
			stdio: ["ignore", "inherit", "inherit", "ipc"],
		});
		this.#child = child;
		child.on("message", ({ id, value, error }: Answer) => {
			if (id === 0) return opened.resolve();
			const waiting = this.#waiting.get(id);
			this.#waiting.delete(id);
			if (error === undefined) waiting?.resolve(value);
			else waiting?.reject(new Error(error));
		});
		child.on("exit", (code, signal) => {
			opened.reject(new Error(`The process with the queues did not start (${code ?? signal})`));
			for (const { reject } of this.#waiting.values()) reject(new Unknown("killed"));
			this.#waiting.clear();
		});
		return opened.promise;
	}

	/** Rejects with `Unknown` when the process dies first. */
	async call<T extends Answer["value"]>(body: CallBody): Promise<T> {
		await this.#isOpen;
		const call: Call = { id: ++this.#lastId, ...body };
		const answer = Promise.withResolvers<Answer["value"]>();
		this.#waiting.set(call.id, answer);
		// One that can't be given to a dead process is answered by its end.
		this.#child?.send(call, () => {});
		return (await answer.promise) as T;
	}

	/** kill -9, and the next process. Resolves when that one is open. */
	async kill(): Promise<void> {
		await this.#isOpen;
		this.#isOpen = this.#end().then(() => this.#start());
		await this.#isOpen;
	}

	async #end(): Promise<void> {
		const child = this.#child;
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		child.kill("SIGKILL");
		await once(child, "exit");
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.#end();
	}
}

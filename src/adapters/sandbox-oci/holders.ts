import { closeSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SlipwayError } from "../../base/error.ts";
import { pipe } from "../../base/syscall.ts";
import { type ChildReaper, namespaceOf } from "./child-reaper.ts";
import { holderProgram } from "./holder-program.ts";

/** Longer than the kernel mostly takes to end what is watched. */
const STRAYS_MS = 20;

/** What the kernel thread needs to start a holder. */
export interface HolderInput {
	program: string;
	/** A descriptor, for the program's standard input: it ends when the daemon does. */
	lifeline: number;
}

/** Starts the first processes of the sandboxes' process namespaces, and outlives none of them. */
export class Holders implements Disposable {
	readonly input: HolderInput;
	readonly #lifeline: { read: number; write: number };
	readonly #reaper: ChildReaper;

	/** UNSUPPORTED on machines of another kind. The folder is ours alone. */
	constructor(folder: string, reaper: ChildReaper) {
		mkdirSync(folder, { mode: 0o711 });
		const root = join(folder, "root");
		mkdirSync(root, { mode: 0o555 });
		const program = join(folder, "holder");
		const content = holderProgram(process.arch, root);
		if (!content) throw new SlipwayError("UNSUPPORTED", `Sandboxes are not supported on ${process.arch}`);
		writeFileSync(program, content, { mode: 0o755 });
		this.#reaper = reaper;
		this.#lifeline = pipe();
		this.input = { program, lifeline: this.#lifeline.read };
	}

	/** Takes over a holder that the kernel thread started. */
	adopt(pid: number): Holder {
		return new Holder(pid, this.#reaper);
	}

	[Symbol.dispose](): void {
		closeSync(this.#lifeline.write);
		closeSync(this.#lifeline.read);
	}
}

/** The first process of one process namespace: when it goes, the kernel kills every other in there (pid_namespaces(7)). */
export class Holder {
	readonly pid: number;
	/** A name for the namespace while the holder lives. */
	readonly path: string;
	/** Resolves when every process of the namespace is gone. */
	readonly gone: Promise<void>;
	readonly #reaper: ChildReaper;
	readonly #namespace: string;
	#isGone = false;

	get isGone(): boolean {
		return this.#isGone;
	}

	constructor(pid: number, reaper: ChildReaper) {
		this.pid = pid;
		this.#reaper = reaper;
		this.#namespace = namespaceOf(pid);
		this.path = `/proc/${pid}/ns/pid`;
		const { promise, resolve } = Promise.withResolvers<void>();
		this.gone = promise;
		reaper.watch(pid, () => {
			this.#isGone = true;
			resolve();
		});
	}

	/**
	 * SANDBOX_FAILED when a process is in another namespace: had the holder gone in the middle of a create, its id, by which
	 * the runtime program was told the namespace, might have been another process's by then.
	 */
	mustHold(pid: number): void {
		if (this.#namespace !== "" && namespaceOf(pid) === this.#namespace) return;
		throw new SlipwayError("SANDBOX_FAILED", "The sandbox's process namespace has ended while it was made");
	}

	/** SIGKILL to every process of the namespace, which no fork outruns; frozen ones die when they thaw. */
	kill(): void {
		if (!this.#isGone) process.kill(this.pid, "SIGKILL");
	}

	/**
	 * `kill`, and resolves as `gone` does. The kernel lets the first process go after every other has been collected, and a
	 * runtime program that was killed half-way leaves us children that nobody watches. Nobody starts any more by then.
	 */
	async end(): Promise<void> {
		this.kill();
		const timer = setInterval(() => this.#reaper.collectStraysOf(this.#namespace), STRAYS_MS);
		await this.gone.finally(() => clearInterval(timer));
	}
}

import { closeSync } from "node:fs";
import type { Clock } from "../../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Lifetime } from "../../base/lifetime.ts";
import { socketPair, type WaitStatus } from "../../base/syscall.ts";
import { executeScript } from "./attach-script.ts";
import type { Cgroup } from "./cgroup.ts";
import type { ChildReaper } from "./child-reaper.ts";
import { invalid } from "./image-check.ts";
import { LauncherChannel } from "./launcher-channel.ts";
import type { LauncherScript, ScriptFailure } from "./launcher-script.ts";
import { OciProcess } from "./oci-process.ts";
import { OutputPipe } from "./output-pipe.ts";
import type { ProgramFiles } from "./runtime-program.ts";

interface LauncherOptions {
	reaper: ChildReaper;
	clock: Clock;
	cgroup: Cgroup;
	/** Has the runtime program start the launcher with these files; returns its process id. */
	start: (files: ProgramFiles) => Promise<number>;
	/** Further descriptors that it gets behind its channel. */
	files?: readonly number[];
	/** Closes what is open on our side. */
	lifetime: Lifetime;
}

/** A process of a sandbox that waits to be told what to be, and later that program. */
export class Launcher {
	readonly process: OciProcess;
	/** For those who have to know of its end before anybody else does. */
	onExit: (status: WaitStatus) => void;
	readonly #channel: LauncherChannel;
	readonly #parts: readonly Disposable[];

	/** Nothing of it is left open when this fails. */
	static async start({ reaper, clock, cgroup, start, files = [], lifetime }: LauncherOptions): Promise<Launcher> {
		const parts: Disposable[] = [];
		const childEnds: number[] = [];
		const use = <T extends Disposable>(part: T): T => {
			parts.push(part);
			return lifetime.use(part);
		};
		try {
			const stdout = use(new OutputPipe());
			childEnds.push(stdout.write);
			const stderr = use(new OutputPipe());
			childEnds.push(stderr.write);
			const [ours, theirs] = socketPair();
			childEnds.push(theirs);
			const channel = use(new LauncherChannel(ours, clock));
			const pid = await start({ stdout: stdout.write, stderr: stderr.write, further: [theirs, ...files] });
			const launcher = new Launcher(new OciProcess(pid, { stdout, stderr }, cgroup), channel, parts);
			reaper.watch(pid, (status) => launcher.onExit(status));
			return launcher;
		} catch (error) {
			for (const part of parts) part[Symbol.dispose]();
			throw error;
		} finally {
			for (const fd of childEnds) closeSync(fd);
		}
	}

	private constructor(process: OciProcess, channel: LauncherChannel, parts: readonly Disposable[]) {
		this.process = process;
		this.#channel = channel;
		this.#parts = parts;
		this.onExit = (status) => process.onExit(status);
	}

	/** Undefined when every call was made. SANDBOX_FAILED when its process ended over it. */
	run(script: LauncherScript): Promise<ScriptFailure | undefined> {
		return this.#channel.run(script);
	}

	/** Becomes the program at `path`, as the sandbox sees it. INVALID_IMAGE, SANDBOX_FAILED. */
	async execute(path: string, args: readonly string[], env: readonly string[]): Promise<void> {
		const failure = await this.#channel.execute(executeScript(path, args, env));
		if (failure) throw refusal(failure, `fork/exec ${path}`, "InvalidEntrypoint");
	}

	/** One that is not to become anything ends, and nothing of it is left open. */
	dismiss(): void {
		for (const part of this.#parts) part[Symbol.dispose]();
	}
}

/** INVALID_IMAGE for what the image is to blame for, `doing` what it asked for; otherwise SANDBOX_FAILED. */
export function refusal(failure: ScriptFailure, doing: string, reason: string): unknown {
	const failed = setupFailure(failure);
	const error = invalid(Object.assign(new Error(failed.message), { code: failure.code }), doing, reason);
	return isSlipwayError(error) ? error : failed;
}

export function setupFailure({ name, texts, code }: ScriptFailure): SlipwayError {
	return new SlipwayError("SANDBOX_FAILED", `The sandbox could not be set up: ${[name, ...texts].join(" ")}: ${code}`);
}

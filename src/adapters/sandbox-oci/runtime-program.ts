import {
	closeSync,
	constants,
	existsSync,
	openSync,
	readFileSync,
	readSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../base/clock.ts";
import { fromSystemError, SlipwayError, systemCode } from "../../base/error.ts";
import type { PosixSpawnInput } from "../../base/posix-spawn.ts";
import { sealedCopy } from "../../base/sealed-copy.ts";
import { OOM_SCORE_ADJUST } from "./bundle.ts";
import type { ChildReaper } from "./child-reaper.ts";
import { removeFolder } from "./mount-points.ts";
import { signalName } from "./oci-process.ts";
import { type SpawnedProgram, spawnProgram } from "./spawn.ts";
import { TOOL_ENVIRONMENT } from "./tool.ts";

export interface RuntimeProgram {
	name: "crun" | "runc";
	path: string;
	version: string;
}

/** Descriptors that a program of the container gets. */
export interface ProgramFiles {
	stdout: number;
	stderr: number;
	/** From 3 on. */
	further: readonly number[];
}

/** A create takes 10 to 50 ms; one that takes this long is stuck. */
const TIMEOUT_MS = 20_000;
/** More of a log than any of its errors needs. */
const MAX_LOG_BYTES = 8 * 1024;
const FIFO_ATTEMPTS = 2_000;

/** Calls crun or runc. Both keep a container's state in `root`/ID and wait for their start on a named pipe, exec.fifo. */
export class RuntimeCommands implements Disposable {
	readonly #program: RuntimeProgram;
	/**
	 * What is executed in its place: a sealed copy in memory. Without it each call makes such a copy of itself and executes
	 * that, so that no container can write to the program it was started by (CVE-2019-5736), which is half of its time.
	 */
	readonly #executable: number;
	readonly #root: string;
	readonly #reaper: ChildReaper;
	readonly #clock: Clock;

	constructor(program: RuntimeProgram, root: string, reaper: ChildReaper, clock: Clock) {
		this.#program = program;
		this.#executable = sealedCopy(program.path);
		this.#root = root;
		this.#reaper = reaper;
		this.#clock = clock;
	}

	/** Makes the container, stopped just before its program; returns the id of its first process. */
	async create(id: string, bundle: string, files: ProgramFiles): Promise<number> {
		const pidFile = join(bundle, "pid");
		await this.#run(["create", "--bundle", bundle, "--pid-file", pidFile, ...preserve(files), id], bundle, files);
		return Number(readFileSync(pidFile, "utf8"));
	}

	/**
	 * Runs a further program in the container; returns its process id. `folder` takes the call's files, and is nobody else's.
	 * The process is handed to the nearest subreaper, as the first one was.
	 */
	async exec(id: string, folder: string, process: unknown, files: ProgramFiles): Promise<number> {
		const pidFile = join(folder, "pid");
		const processFile = join(folder, "process.json");
		writeFileSync(processFile, JSON.stringify(process));
		const args = ["exec", "--detach", "--pid-file", pidFile, "--process", processFile, ...preserve(files), id];
		await this.#run(args, folder, files);
		const pid = Number(readFileSync(pidFile, "utf8"));
		dieFirst(pid);
		return pid;
	}

	/**
	 * Does what `start` does, without 6 ms for a process of its own: crun's container reads one byte from the pipe
	 * (libcrun/status.c), runc's writes one (libcontainer/container_linux.go), then each executes its program.
	 * SANDBOX_FAILED when that process is gone.
	 */
	async start(id: string, bundle: string, isGone: () => boolean): Promise<void> {
		const fifo = join(this.#root, id, "exec.fifo");
		if (!existsSync(fifo)) await this.#run(["start", id], bundle, undefined);
		else if (this.#program.name === "crun") releaseByWriting(fifo);
		else await releaseByReading(fifo, isGone);
	}

	/** Forgets a container whose processes are gone. `delete` would also do what our own `dispose` does, for a process of its own. */
	forget(id: string): void {
		removeFolder(join(this.#root, id));
	}

	/** `folder` takes the log, and what the program leaves of its own when it is killed. */
	async #run(args: readonly string[], folder: string, files: ProgramFiles | undefined): Promise<void> {
		const log = join(folder, "log");
		const { pid, exited } = this.#spawn({
			path: `/proc/${process.pid}/fd/${this.#executable}`,
			args: ["--root", this.#root, "--log", log, "--log-format", "json", ...args],
			// Where one that does not know its seals puts a copy of itself: by default that is /tmp, where a killed one leaves it.
			env: { ...TOOL_ENVIRONMENT, _LIBCONTAINER_STATEDIR: folder },
			fds: ["ignore", files?.stdout ?? "ignore", files?.stderr ?? "ignore", ...(files?.further ?? [])],
		});
		const cancel = this.#clock.after(TIMEOUT_MS, () => process.kill(pid, "SIGKILL"));
		const ended = await exited.finally(cancel);
		if (ended.code === 0) return;
		throw runtimeError(this.#program.name, args[0]!, await lastMessage(log), signalName(ended.signal));
	}

	[Symbol.dispose](): void {
		closeSync(this.#executable);
	}

	#spawn(program: PosixSpawnInput): SpawnedProgram {
		try {
			return spawnProgram(this.#reaper, program);
		} catch (error) {
			const known = fromSystemError(error, `starting ${this.#program.name}`);
			if (known !== error) throw known;
			throw new SlipwayError("UNAVAILABLE", `Could not run ${this.#program.path}`, {
				cause: error,
				hint: "Run `slipway doctor`",
			});
		}
	}
}

function preserve({ further }: ProgramFiles): string[] {
	return ["--preserve-fds", `${further.length}`];
}

/** crun's exec forgets what it is told of that (1.8). Nothing of the image runs in the process yet, and what it starts inherits it. */
function dieFirst(pid: number): void {
	try {
		writeFileSync(`/proc/${pid}/oom_score_adj`, `${OOM_SCORE_ADJUST}`);
	} catch (error) {
		if (systemCode(error) !== "ENOENT" && systemCode(error) !== "ESRCH") throw error;
	}
}

function releaseByWriting(fifo: string): void {
	const fd = openForWriting(fifo);
	try {
		unlinkSync(fifo);
		writeSync(fd, "0");
	} finally {
		closeSync(fd);
	}
}

function openForWriting(fifo: string): number {
	try {
		return openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
	} catch (error) {
		if (systemCode(error) !== "ENXIO") throw error;
		throw new SlipwayError("SANDBOX_FAILED", "The sandbox's first process has ended before its start", {
			cause: error,
		});
	}
}

async function releaseByReading(fifo: string, isGone: () => boolean): Promise<void> {
	const fd = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
	try {
		const byte = Buffer.alloc(1);
		for (let attempt = 0; !readByte(fd, byte); attempt++) {
			if (isGone() || attempt === FIFO_ATTEMPTS)
				throw new SlipwayError("SANDBOX_FAILED", "The sandbox's first process did not answer its start");
			await (attempt < 100 ? new Promise((resolve) => setImmediate(resolve)) : sleep(1));
		}
		unlinkSync(fifo);
	} finally {
		closeSync(fd);
	}
}

/** False while the other side has not written yet: either it has the pipe open (EAGAIN) or it is just about to (end of file). */
function readByte(fd: number, byte: Buffer): boolean {
	try {
		return readSync(fd, byte, 0, 1, null) === 1;
	} catch (error) {
		if (systemCode(error) === "EAGAIN") return false;
		throw error;
	}
}

async function lastMessage(log: string): Promise<string> {
	const text = (await readFile(log, "utf8").catch(() => "")).slice(-MAX_LOG_BYTES);
	const messages = text.split("\n").flatMap((line) => {
		try {
			const entry: unknown = JSON.parse(line);
			return typeof entry === "object" && entry !== null && "msg" in entry ? [String(entry.msg)] : [];
		} catch {
			return []; // A line cut in half, or none.
		}
	});
	return messages.at(-1) ?? "";
}

/** The program's own words for what `checkImage` could not see (a race, a file system's own refusal). */
function runtimeError(name: string, command: string, message: string, signal: string | undefined): SlipwayError {
	if (signal !== undefined) return new SlipwayError("SANDBOX_FAILED", `\`${name} ${command}\` was ended by ${signal}`);
	if (/no space left|cannot allocate memory|resource temporarily unavailable|too many open files/i.test(message))
		return new SlipwayError("EXHAUSTED", `The machine has no room for another sandbox: ${message}`);
	return new SlipwayError("SANDBOX_FAILED", `\`${name} ${command}\` failed: ${message || "it gave no reason"}`, {
		hint: "Run `slipway doctor`",
	});
}

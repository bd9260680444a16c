/** The daemon's programs, started as processes: the command line imports nothing of the daemon. */
import { execFile, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { SlipwayError, systemCode } from "../base/error.ts";
import { daemonLogFile } from "../client/local.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Small rather than fast where it does not matter: a daemon that idles is most of its life's memory, and young generations of
 * 4 MB instead of 16 save 60 MB after a burst of requests at the same speed. Not `--optimize-for-size`: it costs the warm path a quarter
 * of its speed.
 */
const nodeOptions = ["--disable-warning=ExperimentalWarning", "--max-semi-space-size=4"];
/** One heap for the C library instead of one a thread: 3 MB. */
const daemonEnvironment = { MALLOC_ARENA_MAX: "1" };

function program(path: string): string {
	// A published package holds JavaScript.
	const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
	return fileURLToPath(new URL(`../daemon/${path}${extension}`, import.meta.url));
}

/** Becomes the daemon: same process, same terminal, nothing in between. */
export function becomeDaemon(env: Environment): never {
	const { execve } = process;
	if (!execve) throw new SlipwayError("UNSUPPORTED", "This Node has no process.execve; use the one of `npm ci`");
	execve(
		process.execPath,
		[process.execPath, ...nodeOptions, program("main")],
		definedOnly({ ...daemonEnvironment, ...env }),
	);
	throw new Error("execve returned");
}

function definedOnly(env: Environment): Record<string, string> {
	return Object.fromEntries(Object.entries(env).filter((pair): pair is [string, string] => pair[1] !== undefined));
}

export interface StartReport {
	ready: boolean;
	message?: string;
	hint?: string;
	pid?: number;
	address?: string;
	url?: string;
	home?: string;
	runtime?: string;
}

/**
 * Starts the daemon in a session of its own and waits for its report: the one line it writes to its standard output. Its
 * standard error goes to its log file, for what Node itself says in a crash; that may not be possible yet, and then the
 * report says why.
 */
export async function startDetached(env: Environment, home: string, main = program("main")): Promise<StartReport> {
	const errors = openLog(home);
	const child = spawn(process.execPath, [...nodeOptions, main, "--detached"], {
		env: { ...daemonEnvironment, ...env },
		cwd: "/",
		detached: true,
		stdio: ["ignore", "pipe", errors ?? "ignore"],
	});
	if (errors !== undefined) closeSync(errors);
	const ended = new Promise<StartReport>((resolve, reject) => {
		child.once("error", reject);
		child.once("exit", (code, signal) =>
			resolve({
				ready: false,
				message: `The daemon ended with ${signal ?? `exit code ${code}`} before it was ready`,
				hint: `Its log is ${join(home, daemonLogFile)}`,
			}),
		);
	});
	const output = child.stdout;
	if (!output) throw new Error("The daemon was started without an output pipe");
	const lines = createInterface({ input: output });
	const reported = new Promise<StartReport>((resolve) => {
		lines.once("line", (line) => resolve(JSON.parse(line) as StartReport));
	});
	// The report is on its way before the process ends: only a pipe that closed without one means that none comes.
	const closed = new Promise<void>((resolve) => lines.once("close", resolve));
	const report = await Promise.race([reported, closed.then(() => ended)]);
	output.destroy();
	child.unref();
	return report;
}

function openLog(home: string): number | undefined {
	try {
		mkdirSync(home, { recursive: true, mode: 0o700 });
		return openSync(join(home, daemonLogFile), "a", 0o600);
	} catch (error) {
		if (systemCode(error) === undefined) throw error;
		return undefined; // The daemon meets the same refusal and words it.
	}
}

export async function describeConfiguration(): Promise<{ name: string; description: string; default: string }[]> {
	const { stdout } = await promisify(execFile)(process.execPath, [...nodeOptions, program("config/describe")]);
	return JSON.parse(stdout);
}

export interface DoctorLine {
	name: string;
	status: "ok" | "warn" | "fail";
	detail: string;
	/** A command that mends it. */
	fix?: string;
}

/** Yields findings as they are made. With `fix`, what the package manager says goes to standard error. */
export async function* doctorLines(env: Environment, options: { fix: boolean }): AsyncGenerator<DoctorLine> {
	const args = options.fix ? ["--fix"] : [];
	const child = spawn(process.execPath, [...nodeOptions, program("doctor/main"), ...args], {
		env: { ...env },
		stdio: ["ignore", "pipe", "inherit"],
	});
	const ended = new Promise<number | null>((resolve, reject) => {
		child.once("error", reject);
		child.once("exit", resolve);
	});
	for await (const line of createInterface({ input: child.stdout })) yield JSON.parse(line) as DoctorLine;
	const code = await ended;
	if (code !== 0) throw new SlipwayError("UNAVAILABLE", `The examination ended with exit code ${code}`);
}

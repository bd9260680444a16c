import { type SpawnOptions, spawn } from "node:child_process";

export interface RunOptions {
	cwd?: string;
	env?: NodeJS.ProcessEnv;
	input?: string;
	/** Milliseconds after which the program is ended and the call fails. */
	timeoutMs?: number;
}

/** How much of a failing program's output its error shows. */
const shownOutput = 4_000;

/** Runs a program to its end and returns its standard output. Throws with the end of its output when it fails. */
export async function run(program: string, words: string[], options: RunOptions = {}): Promise<string> {
	const result = await attempt(program, words, options);
	if (result.code === 0) return result.stdout;
	const output = `${result.stdout}${result.stderr}`.trim().slice(-shownOutput);
	throw new Error(`${program} ${words[0] ?? ""} failed (${result.code ?? "by a signal"}):\n${output}`);
}

export interface Outcome {
	/** Exit code; undefined when a signal ended the program or it could not be started. */
	code: number | undefined;
	stdout: string;
	stderr: string;
}

/** Runs a program to its end, whatever the end is. */
export function attempt(program: string, words: string[], options: RunOptions = {}): Promise<Outcome> {
	const spawnOptions: SpawnOptions = {
		stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
		...(options.cwd === undefined ? {} : { cwd: options.cwd }),
		...(options.env === undefined ? {} : { env: options.env }),
		...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs, killSignal: "SIGKILL" as const }),
	};
	return new Promise((resolve) => {
		const child = spawn(program, words, spawnOptions);
		let stdout = "";
		let stderr = "";
		child.stdout?.setEncoding("utf8").on("data", (text: string) => {
			stdout += text;
		});
		child.stderr?.setEncoding("utf8").on("data", (text: string) => {
			stderr += text;
		});
		child.on("error", (error) => resolve({ code: undefined, stdout, stderr: `${stderr}${error.message}` }));
		child.on("close", (code) => resolve({ code: code ?? undefined, stdout, stderr }));
		child.stdin?.on("error", () => {}); // a program that ends early without reading its input says so by its exit code
		if (options.input !== undefined) child.stdin?.end(options.input);
	});
}

/** Whether a program can be started at all. */
export async function isThere(program: string, words: string[] = ["--version"]): Promise<boolean> {
	return (await attempt(program, words, { timeoutMs: 20_000 })).code === 0;
}

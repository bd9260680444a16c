import { execFile } from "node:child_process";
import { systemCode } from "../../base/error.ts";

/** Administrators' tools are in sbin, which a user's PATH often lacks. */
export const toolPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** Each is a question that is answered in milliseconds; a container's start takes the longest. */
const timeoutMs = 15_000;

export interface Outcome {
	/** The program could not be found. */
	missing: boolean;
	ok: boolean;
	stdout: string;
	/** What it said on standard error, or why it did not run. */
	why: string;
}

/** Runs a program to its end; never rejects for what the program does. */
export function run(program: string, args: readonly string[], options: { cwd?: string } = {}): Promise<Outcome> {
	return new Promise((resolve) => {
		const settings = {
			env: { PATH: toolPath, LC_ALL: "C" },
			timeout: timeoutMs,
			killSignal: "SIGKILL" as const,
			...options,
		};
		execFile(program, args, settings, (error, stdout, stderr) => {
			const lastLine = stderr.trim().split("\n").at(-1) || stdout.trim().split("\n").at(-1) || error?.message || "";
			resolve({ missing: systemCode(error) === "ENOENT", ok: error === null, stdout, why: lastLine });
		}).stdin?.end();
	});
}

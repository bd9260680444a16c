/** Runs the command line as a user does, on a home folder of the test's own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const checkout = fileURLToPath(new URL("../../", import.meta.url));
export const slipwayPath = join(checkout, "bin/slipway");
export const fakeDaemonPath = join(checkout, "tests/e2e/fixtures/fake-daemon.ts");
export const nodeOptions = ["--disable-warning=ExperimentalWarning"];

export interface Result {
	code: number | null;
	out: string;
	err: string;
}

type Environment = Record<string, string>;

/** The surroundings of a fresh shell: nothing of ours, no colours. */
export function environment(home: string, extra: Environment = {}): Environment {
	const { PATH = "/usr/bin:/bin", NODE_COMPILE_CACHE } = process.env;
	return { PATH, HOME: home, SLIPWAY_HOME: home, ...(NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE }), ...extra };
}

export function testHome(context: TestContext): string {
	const home = mkdtempSync(join(tmpdir(), "slipway-e2e-"));
	context.after(() => rmSync(home, { recursive: true, force: true }));
	return home;
}

export async function finished(child: ChildProcess): Promise<Result> {
	const code = new Promise<number | null>((resolve) => child.once("close", resolve));
	const [out, err] = await Promise.all([
		child.stdout ? text(child.stdout) : "",
		child.stderr ? text(child.stderr) : "",
	]);
	return { code: await code, out, err };
}

export function slipway(
	home: string,
	args: readonly string[],
	options: { env?: Environment; input?: string; cwd?: string } = {},
) {
	const child = spawn(slipwayPath, args, {
		env: environment(home, options.env),
		stdio: ["pipe", "pipe", "pipe"],
		...(options.cwd && { cwd: options.cwd }),
	});
	child.stdin.on("error", () => undefined); // A command that reads nothing may end first.
	child.stdin.end(options.input ?? "");
	return finished(child);
}

/** The daemon's process on fakes, up when this resolves; ended with the test. */
export async function fakeDaemon(context: TestContext, home: string, env: Environment = {}) {
	const child = spawn(process.execPath, [...nodeOptions, fakeDaemonPath], {
		env: environment(home, { SLIPWAY_LISTEN: "127.0.0.1:0", ...env }),
		stdio: ["ignore", "pipe", "pipe"],
	});
	context.after(() => child.kill("SIGKILL"));
	const result = finished(child);
	const up = new Promise<void>((resolve) =>
		child.stdout.on("data", (chunk: Buffer) => chunk.includes("Ctrl-C") && resolve()),
	);
	await Promise.race([
		up,
		result.then(({ err }) => {
			throw new Error(`The daemon did not start: ${err}`);
		}),
	]);
	return { pid: child.pid ?? 0, result, kill: (signal: NodeJS.Signals) => child.kill(signal) };
}

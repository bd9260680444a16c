import { collect, contractSpec } from "../../../core/sandbox/sandbox-runtime.contract.ts";
import type { SandboxExit, SandboxRuntime, SandboxSpec } from "../../../core/sandbox/sandbox-runtime.ts";

export interface RunResult {
	exit: SandboxExit;
	stdout: string;
	stderr: string;
}

/** One shell script in one sandbox, from create to dispose. */
export async function runScript(
	harness: { runtime: SandboxRuntime; rootfs: string },
	script: string,
	more: Partial<SandboxSpec> = {},
): Promise<RunResult> {
	await using sandbox = await harness.runtime.create(contractSpec(harness.rootfs, ["sh", "-c", script], more));
	const stdout = collect(sandbox.stdout);
	const stderr = collect(sandbox.stderr);
	await sandbox.start();
	const exit = await sandbox.exited;
	// What the script left in the background may hold its output open.
	await sandbox.kill();
	return { exit, stdout: await stdout.ended, stderr: await stderr.ended };
}

/** How long a sandbox takes to stop and to go on, beside SIGSTOP and SIGCONT to one process. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OciSandboxRuntime } from "../src/adapters/sandbox-oci/oci-sandbox-runtime.ts";
import { probeRuntimes } from "../src/adapters/sandbox-oci/probe.ts";
import { type Figure, summarize } from "./result.ts";
import { makeRootfs, sandboxSpec } from "./sandbox.ts";

const ROUNDS = 500;
const PROMISE_MS = 1;

/** To be called as root in the daemon's kind of mount namespace. */
export async function freezeAndThaw(rounds = ROUNDS): Promise<Figure> {
	const runtime = (await probeRuntimes({ allowVulnerableRuntime: true })).find(({ usable }) => usable);
	if (!runtime) throw new Error("No runtime program works here; `slipway doctor` says why");
	const folder = mkdtempSync(join(tmpdir(), "slipway-bench-"));
	const bare = spawn("sleep", ["600"], { stdio: "ignore" });
	try {
		const rootfs = makeRootfs(join(folder, "rootfs"));
		await using sandboxes = await OciSandboxRuntime.open({
			runtime,
			stateFolder: join(folder, "state"),
			allowVulnerableRuntime: true,
		});
		const connected = Promise.withResolvers<Socket>();
		const spec = sandboxSpec("freeze", rootfs, connected.resolve);
		await using sandbox = await sandboxes.create(spec);
		// A main process and a companion, as a function with an extension has.
		await sandbox.exec(spec);
		await sandbox.start();
		await connected.promise;
		const [ours, theirs]: [number[], number[]] = [[], []];
		for (let round = 0; round < rounds; round++) {
			ours.push(
				await timed(async () => {
					await sandbox.freeze();
					await sandbox.thaw();
				}),
			);
			theirs.push(await timed(async () => stopAndContinue(bare)));
		}
		const summary = summarize(ours);
		return {
			key: "freeze",
			name: `freeze and thaw a sandbox of two processes (${runtime.name})`,
			unit: "ms",
			summary,
			baselines: [{ name: "SIGSTOP and SIGCONT to one process", summary: summarize(theirs) }],
			promise: { text: `under ${PROMISE_MS} ms`, kept: summary.p50 < PROMISE_MS },
		};
	} finally {
		bare.kill("SIGKILL");
		rmSync(folder, { recursive: true, force: true });
	}
}

async function timed(task: () => Promise<void>): Promise<number> {
	const started = performance.now();
	await task();
	return performance.now() - started;
}

/** Both take effect when the kernel gets to the process: so it is looked at until they have, as a freeze is. */
function stopAndContinue({ pid }: ChildProcess): void {
	if (pid === undefined) throw new Error("sleep did not start");
	const isStopped = () => /^\d+ \(.*\) T /s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
	process.kill(pid, "SIGSTOP");
	while (!isStopped());
	process.kill(pid, "SIGCONT");
	while (isStopped());
}

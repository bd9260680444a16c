/** How long a sandbox takes to stop and to go on, beside SIGSTOP and SIGCONT to one process; and an event that finds one frozen. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { OciSandboxRuntime } from "../src/adapters/sandbox-oci/oci-sandbox-runtime.ts";
import { probeRuntimes } from "../src/adapters/sandbox-oci/probe.ts";
import { type LocalDaemon, startDaemon } from "../tools/local-daemon.ts";
import { type Figure, figure } from "./result.ts";
import { type RunOptions, samples, timed } from "./run-options.ts";
import { makeRootfs, sandboxSpec } from "./sandbox.ts";
import { mustBeGood, pushStaticImage, SlipwayClient } from "./slipway-client.ts";

/** Longer than the daemon waits before it freezes an idle sandbox (10 ms). */
const frozenAfterMs = 40;

/** To be called as root in the daemon's kind of mount namespace. */
export async function freezeAndThaw(options: RunOptions): Promise<Record<string, Figure>> {
	const runtime = (await probeRuntimes({ allowVulnerableRuntime: true })).find(({ usable }) => usable);
	if (!runtime) throw new Error("No runtime program works here; `slipway doctor` says why");
	const folder = mkdtempSync(join(tmpdir(), "slipway-bench-"));
	const bare = spawn("sleep", ["600"], { stdio: "ignore" });
	try {
		const rootfs = makeRootfs(join(folder, "rootfs"));
		const stateFolder = join(folder, "state");
		await using sandboxes = await OciSandboxRuntime.open({ runtime, stateFolder, allowVulnerableRuntime: true });
		const connected = Promise.withResolvers<Socket>();
		const spec = sandboxSpec("freeze", rootfs, connected.resolve);
		await using sandbox = await sandboxes.create(spec);
		// A main process and a companion, as a function with an extension has.
		await sandbox.exec(spec);
		await sandbox.start();
		await connected.promise;
		const times = { freeze: [] as number[], thaw: [] as number[], stop: [] as number[], go: [] as number[] };
		for (let round = samples(options, 500); round > 0; round--) {
			times.freeze.push(await timed(() => sandbox.freeze()));
			times.thaw.push(await timed(() => sandbox.thaw()));
			times.stop.push(await timed(async () => stop(bare)));
			times.go.push(await timed(async () => go(bare)));
		}
		const how = `a sandbox of two processes (${runtime.name}), until the kernel says so`;
		return {
			freeze: figure({
				name: "freezing a sandbox",
				unit: "ms",
				values: times.freeze,
				baselines: { "SIGSTOP to one process": times.stop },
				how,
				promises: { "at most 0.5 ms": ({ p50 }) => p50 <= 0.5 },
			}),
			thaw: figure({
				name: "thawing a sandbox",
				unit: "ms",
				values: times.thaw,
				baselines: { "SIGCONT to one process": times.go },
				how,
				promises: { "at most 0.5 ms": ({ p50 }) => p50 <= 0.5 },
			}),
		};
	} finally {
		bare.kill("SIGKILL");
		rmSync(folder, { recursive: true, force: true });
	}
}

/** Both take effect when the kernel gets to the process: so it is looked at until they have, as a freeze is. */
function stop(child: ChildProcess): void {
	process.kill(child.pid as number, "SIGSTOP");
	while (!isStopped(child));
}

function go(child: ChildProcess): void {
	process.kill(child.pid as number, "SIGCONT");
	while (isStopped(child));
}

const isStopped = ({ pid }: ChildProcess) => /^\d+ \(.*\) T /s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));

/** Of two daemons in turns, one of which never freezes: an event after a pause finds cooler caches in any case. */
export async function frozenInvocation(options: RunOptions): Promise<Record<string, Figure>> {
	await using freezing = await startDaemon();
	await using other = await startDaemon({ env: { SLIPWAY_FREEZE_DELAY: "3600000", SLIPWAY_EGRESS: "0" } });
	const invoke = await invoker(freezing);
	const invokeOther = await invoker(other);
	const [frozen, thawed, warm]: [number[], number[], number[]] = [[], [], []];
	for (let round = samples(options, 400); round > 0; round--) {
		await sleep(frozenAfterMs);
		frozen.push(await invoke());
		warm.push(await invoke());
		await sleep(frozenAfterMs);
		thawed.push(await invokeOther());
		await invokeOther();
	}
	const same = "after the same pause, not frozen";
	return {
		"thaw.invocation": figure({
			name: "invocation that finds its sandbox frozen",
			unit: "ms",
			values: frozen,
			baselines: { [same]: thawed, "the next invocation, without a pause": warm },
			how: `HTTP request in to response out, ${frozenAfterMs} ms after the last one; in turns with a daemon that does not freeze`,
			promises: { "at most 0.5 ms more than one that is not": ({ p50, of }) => p50 - of(same) <= 0.5 },
		}),
	};
}

/** Milliseconds of one invocation of a function that has been invoked often. */
async function invoker(daemon: LocalDaemon): Promise<() => Promise<number>> {
	const imageUri = await pushStaticImage(daemon);
	const client = await SlipwayClient.open(daemon);
	await client.createFunction("bench-frozen", imageUri);
	const invocation = async () => {
		const request = client.invokeRequest("bench-frozen", {});
		return timed(async () => mustBeGood(await client.send(request)));
	};
	for (let count = 0; count < 500; count++) await invocation();
	return invocation;
}

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Lifetime } from "../../base/lifetime.ts";
import { waitFor } from "../../core/sandbox/sandbox-runtime.contract.ts";
import { openCgroupHost } from "./cgroup.ts";
import { OciSandboxRuntime } from "./oci-sandbox-runtime.ts";
import { busyboxPath, makeBusyboxRootfs } from "./testing/busybox-rootfs.ts";
import { type OciRuntimeName, runtimePath, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";
import { runScript } from "./testing/run.ts";
import { runTool } from "./tool.ts";

const SANDBOXES = 6;

await inOwnMountNamespace(import.meta.filename, () => {
	for (const name of ["crun", "runc"] satisfies OciRuntimeName[])
		test(`after kill -9 of a daemon, the next one removes everything it left: ${name}`, {
			skip: whyNot(name) ?? false,
			timeout: 60_000,
		}, async () => {
			await using lifetime = new Lifetime();
			const folder = mkdtempSync(join(tmpdir(), "slipway-reap-"));
			lifetime.defer(() => rmSync(folder, { recursive: true, force: true }));
			const rootfs = makeBusyboxRootfs(join(folder, "rootfs"), busyboxPath()!);
			const stateFolder = join(folder, "state");
			const daemon = await startDoomedDaemon([name, runtimePath(name)!, stateFolder, rootfs, `${SANDBOXES}`, "egress"]);
			const mark = `slipway-${createHash("sha256").update(realpathSync(stateFolder)).digest("hex").slice(0, 8)}`;
			const cgroups = openCgroupHost();
			const ids = cgroups.children(mark);
			// And those that are blank.
			assert.ok(ids.length >= SANDBOXES, ids.join());
			const processes = ids.flatMap((id) => cgroups.group(join(mark, id)).processes());
			assert.ok(processes.length >= SANDBOXES);
			assert.ok(interfaces(mark).length > 0);
			const holders = childrenOf(daemon).filter((pid) => nameOf(pid) === "holder");
			assert.ok(holders.length >= SANDBOXES, `${holders.length} holders`);

			process.kill(daemon, "SIGKILL");
			// The end of their input ends them, and all that ran by their side; what was frozen dies when it thaws.
			await waitFor(() => !holders.some(isAlive), "the holders' end");
			await waitFor(() => processes.filter(isAlive).length <= processes.length / 2, "the end of what is not frozen");
			const runtime = lifetime.use(
				await OciSandboxRuntime.open({
					runtime: { name, path: runtimePath(name)!, version: "0.0.0" },
					stateFolder,
					allowVulnerableRuntime: true,
				}),
			);
			const left = cgroups.children(mark).length;
			assert.equal(await runtime.reap(), left);

			assert.deepEqual(cgroups.children(mark), []);
			await waitFor(() => !processes.some(isAlive), "the end of what was frozen");
			await waitFor(() => interfaces(mark).length === 0, "the end of their networks");
			assert.ok(!(await runTool("nft", ["list", "tables"])).includes(mark));
			await waitFor(() => loopsOf(stateFolder).length === 0, "the end of their disks");
			assert.deepEqual(
				readdirSync(join(stateFolder, "disks")).filter((file) => !file.startsWith("template-")),
				[],
			);
			assert.equal((await runScript({ runtime, rootfs }, "echo alive")).stdout, "alive\n");
			assert.equal(await runtime.reap(), 0);
		});
});

/** Resolves to the process id that is to be killed. */
async function startDoomedDaemon(args: string[]): Promise<number> {
	const script = join(import.meta.dirname, "testing/doomed-daemon.ts");
	const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", script, ...args], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	// This process has been told that its child's child will be killed: its exit code is of no interest.
	for await (const chunk of child.stdout) {
		const match = /^ready (\d+)/.exec(String(chunk));
		if (match) return Number(match[1]);
	}
	throw new Error("The doomed daemon ended too early");
}

function childrenOf(pid: number): number[] {
	return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
		readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
	);
}

function nameOf(pid: number): string {
	return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
}

function interfaces(mark: string): string[] {
	return readdirSync("/sys/class/net").filter((name) =>
		name.startsWith(`slw${mark.slice("slipway-".length).slice(0, 5)}`),
	);
}

/** Not gone, nor a zombie, nor on its way there: those have no memory any more (proc_pid_status(5)). */
function isAlive(pid: number): boolean {
	return existsSync(`/proc/${pid}`) && readFileSync(`/proc/${pid}/status`, "utf8").includes("VmSize");
}

function loopsOf(folder: string): string[] {
	return readdirSync("/sys/block").filter((name) => {
		const file = `/sys/block/${name}/loop/backing_file`;
		return existsSync(file) && readFileSync(file, "utf8").startsWith(folder);
	});
}

/** What is killed half-way, by the kernel or by somebody else: nobody waits for it for ever, and it leaves nothing. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import { Lifetime } from "../../base/lifetime.ts";
import { contractLimits, contractSpec, waitFor } from "../../core/sandbox/sandbox-runtime.contract.ts";
import { ChildReaper, namespaceOf } from "./child-reaper.ts";
import { Holders } from "./holders.ts";
import { KernelThread } from "./kernel-thread.ts";
import { OciSandboxRuntime } from "./oci-sandbox-runtime.ts";
import { SandboxNetwork } from "./sandbox-network.ts";
import { hostSnapshot } from "./testing/host-snapshot.ts";
import { type OciHarness, type OciRuntimeName, openOciHarness, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";

/** As crun and runc put a copy of themselves out of the sandbox's reach, ended in the middle of it. */
const killedProgram = `#!/bin/sh
copy=$(mktemp -p "$_LIBCONTAINER_STATEDIR" copy.XXXXXX) || exit 1
mount --bind /proc/self/exe "$copy" || exit 1
kill -9 $$
`;

await inOwnMountNamespace(import.meta.filename, () => {
	for (const name of ["crun", "runc"] satisfies OciRuntimeName[])
		describe(`killed under ${name}`, { skip: whyNot(name) ?? false, timeout: 60_000 }, () => suite(name));
});

function suite(name: OciRuntimeName): void {
	let harness: OciHarness;
	before(async () => {
		harness = await openOciHarness(name);
	});
	after(() => harness?.[Symbol.asyncDispose]());

	const create = (script = "sleep 600") =>
		harness.runtime.create(contractSpec(harness.rootfs, ["sh", "-c", script], { id: `killed-${process.pid}` }));
	const failed = (error: unknown) => isSlipwayError(error, "SANDBOX_FAILED");

	test("a runtime program that was killed leaves no mount", async () => {
		await using lifetime = new Lifetime();
		const folder = mkdtempSync(join(tmpdir(), "slipway-killed-"));
		lifetime.defer(() => rmSync(folder, { recursive: true, force: true }));
		const path = join(folder, "program");
		writeFileSync(path, killedProgram, { mode: 0o755 });
		const stateFolder = join(folder, "state of it");
		const runtime = lifetime.use(
			await OciSandboxRuntime.open({
				runtime: { name, path, version: "0.0.0" },
				stateFolder,
				allowVulnerableRuntime: true,
				poolSize: 0,
			}),
		);
		const spec = contractSpec(harness.rootfs, ["true"]);
		await assert.rejects(runtime.create(spec), /ended by SIGKILL/);
		const first = hostSnapshot(stateFolder);
		await assert.rejects(runtime.create({ ...spec, id: `${spec.id}-2` }), /ended by SIGKILL/);
		assert.deepEqual(hostSnapshot(stateFolder), first);
		assert.deepEqual(
			first.mounts?.filter((mount) => mount.includes("/bundles/")),
			[],
		);
		assert.deepEqual(readdirSync(join(stateFolder, "run/bundles")), []);
	});

	test("networks whose first process has gone are not used", async () => {
		harness.runtime.prepare({ tmpMiB: contractLimits.tmpMiB, egress: false });
		await harness.runtime.settled();
		const holders = children().filter((pid) => nameOf(pid) === "holder");
		assert.ok(holders.length >= 2);
		for (const pid of holders) process.kill(pid, "SIGKILL");
		await waitFor(() => holders.every((pid) => !children().includes(pid)), "the holders to be gone");
		await using sandbox = await create("exit 3");
		await sandbox.start();
		assert.deepEqual(await sandbox.exited, { code: 3, oomKilled: false });
	});

	for (const [when, wait] of [
		["at once", 0],
		["after we know of it", 100],
	] as const)
		test(`a start after the main process was killed fails in words, ${when}`, async () => {
			const before = attached();
			await using sandbox = await create();
			process.kill(mainProcess(before), "SIGKILL");
			// The kernel has ended it by then, and a signal's news waits for the event loop.
			for (const until = performance.now() + 20; performance.now() < until; );
			if (wait > 0) await sleep(wait);
			await assert.rejects(sandbox.start(), failed);
			assert.deepEqual(await sandbox.exited, { signal: "SIGKILL", oomKilled: false });
			await assert.rejects(sandbox.exec(contractSpec(harness.rootfs, ["true"])), failed);
		});

	test("the end of the first process ends the sandbox, and a reset makes it anew", async () => {
		const before = attached();
		const sandbox = await create();
		const main = mainProcess(before);
		await sandbox.start();
		const holder = children().find((pid) => pid !== main && namespaceOf(pid) === namespaceOf(main)) ?? 0;
		assert.equal(nameOf(holder), "holder");
		process.kill(holder, "SIGKILL");
		assert.deepEqual(await sandbox.exited, { signal: "SIGKILL", oomKilled: false });
		await using next = await sandbox.reset();
		await next.start();
		next.signal("SIGKILL");
		assert.deepEqual(await next.exited, { signal: "SIGKILL", oomKilled: false });
	});

	test("connections that the sandbox never accepts end with it", async () => {
		// busybox's server has a queue of one; frozen, it accepts nothing.
		const sandbox = await create("nc -ll -p 8080 -e true");
		await sandbox.start();
		const connect = () => sandbox.connect(8080).then((socket) => void socket.on("error", () => {}).destroy());
		let listens = false;
		await waitFor(() => {
			const yes = () => {
				listens = true;
			};
			connect().then(yes, () => {});
			return listens;
		}, "the server to listen");
		await sandbox.freeze();
		const waiting = Promise.allSettled(Array.from({ length: 8 }, connect));
		await sleep(50);
		await sandbox[Symbol.asyncDispose]();
		const ends = await waiting;
		assert.ok(ends.some((end) => end.status === "rejected" && failed(end.reason)));
	});

	test("a process outside of its namespace is refused", async () => {
		await using lifetime = new Lifetime();
		const folder = mkdtempSync(join(tmpdir(), "slipway-holder-"));
		lifetime.defer(() => rmSync(folder, { recursive: true, force: true }));
		const thread = lifetime.use(new KernelThread("holder-test"));
		const holders = lifetime.use(new Holders(join(folder, "holders"), lifetime.use(new ChildReaper(systemClock))));
		const { holder } = lifetime.use(
			await SandboxNetwork.create(thread, holders, { path: join(folder, "network"), withDoor: true }),
		);
		holder.mustHold(holder.pid);
		assert.throws(() => holder.mustHold(process.pid), failed);
	});
}

function children(): number[] {
	return readdirSync("/proc/self/task")
		.flatMap((task) => readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" ").filter(Boolean))
		.map(Number);
}

/** Those that see the image: not of a blank sandbox, and no first process. */
function attached(): number[] {
	return children().filter((pid) => existsSync(`/proc/${pid}/root/bin/busybox`) && nameOf(pid) === "launcher");
}

/** Of a sandbox that has been created since. */
function mainProcess(before: readonly number[]): number {
	const main = attached().find((pid) => !before.includes(pid));
	assert.ok(main !== undefined);
	return main;
}

function nameOf(pid: number): string {
	return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
}

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isSlipwayError } from "../../base/error.ts";
import { Lifetime } from "../../base/lifetime.ts";
import { MNT_DETACH, MS_BIND, MS_RDONLY, MS_REMOUNT, mount, umount } from "../../base/syscall.ts";
import { contractSpec } from "../../core/sandbox/sandbox-runtime.contract.ts";
import type { SandboxMount, SandboxSpec } from "../../core/sandbox/sandbox-runtime.ts";
import { hostSnapshot } from "./testing/host-snapshot.ts";
import { type OciHarness, type OciRuntimeName, openOciHarness, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";
import { runScript } from "./testing/run.ts";

const user = { uid: 0, gid: 0 };

await inOwnMountNamespace(import.meta.filename, () => {
	for (const name of ["crun", "runc"] satisfies OciRuntimeName[])
		describe(`mounts under ${name}`, { skip: whyNot(name) ?? false, timeout: 60_000 }, () => suite(name));
});

function suite(name: OciRuntimeName): void {
	let harness: OciHarness;
	let folder: string;
	let host: string;
	before(async () => {
		harness = await openOciHarness(name);
		host = join(harness.stateFolder, "..");
		folder = join(host, "volume");
		mkdirSync(join(folder, "inner"), { recursive: true });
		writeFileSync(join(folder, "file"), "from the host\n");
		writeFileSync(join(folder, "program"), "#!/bin/sh\necho program $1\n", { mode: 0o755 });
		mkdirSync(join(harness.rootfs, "run"));
		mkdirSync(join(harness.rootfs, "var/mounted"));
		writeFileSync(join(harness.rootfs, "var/config"), "the image's\n");
		symlinkSync("/run", join(harness.rootfs, "var/run"));
		symlinkSync("/proc", join(harness.rootfs, "var/link-to-proc"));
		symlinkSync("/etc/hosts", join(harness.rootfs, "var/link-to-hosts"));
		symlinkSync(`../../../../../../../../../..${host}`, join(harness.rootfs, "var/outside"));
		symlinkSync("nowhere", join(harness.rootfs, "var/dangling"));
		symlinkSync("loop", join(harness.rootfs, "var/loop"));
	});
	after(() => harness?.[Symbol.asyncDispose]());

	const at = (target: string, readOnly = false, source = folder): SandboxMount => ({ source, target, readOnly });
	const run = (script: string, mounts: SandboxMount[], more: Partial<SandboxSpec> = {}) =>
		runScript(harness, script, { readonlyRoot: false, user, mounts, ...more });
	const refused = (mounts: SandboxMount[], message: RegExp, more: Partial<SandboxSpec> = {}) =>
		assert.rejects(
			harness.runtime.create(contractSpec(harness.rootfs, ["true"], { readonlyRoot: false, mounts, ...more })),
			(error) => isSlipwayError(error, "INVALID") && message.test(error.message),
			`${mounts[0]?.target}`,
		);

	test("a link in a volume does not lead out of it, at the next start either", async () => {
		const shared = join(folder, "shared");
		mkdirSync(join(shared, "sub"), { recursive: true });
		const mounts = [{ source: shared, subPath: "sub", target: "/sub", readOnly: false }];
		const everything = [{ source: shared, target: "/all", readOnly: false }];
		assert.equal((await run("echo mine > /sub/x; cat /sub/x", mounts)).stdout, "mine\n");
		for (const to of ["/", "..", `${"../".repeat(12)}etc`, host]) {
			await run(`rm -rf /all/sub; ln -s ${to} /all/sub`, everything);
			const outcome = await run("ls -a /sub", mounts).catch((error: unknown) => error);
			if (isSlipwayError(outcome, "INVALID")) continue;
			// What it leads to is in the volume.
			assert.deepEqual((outcome as { stdout: string }).stdout.split("\n"), [".", "..", "sub", ""]);
		}
		await refused([{ ...mounts[0]!, subPath: "sub/none" }], /There is no .*sub\/none on the host/);
		rmSync(shared, { recursive: true });
	});

	test("folders and files, made where the image has none, to be written or only read", async () => {
		const file = join(folder, "file");
		const mounts = [
			at("/var/mounted", true),
			at("/deep/in/side/"),
			at("/var/config", true, file),
			at("/a/b", true, file),
		];
		const { stdout } = await run(
			`cat /var/mounted/file /deep/in/side/file /var/config /a/b; cd /deep/in/side
			for f in /var/mounted/x /var/config /a/b; do echo x 2> /dev/null > $f && echo wrote $f; done
			echo written > new; grep -E ' (/var|/deep|/a)' /proc/mounts | sed 's/^[^ ]* \\([^ ]*\\) [^ ]* \\(..,[^ ]*nodev\\).*/\\1 \\2/'`,
			mounts,
		);
		assert.deepEqual(stdout.split("\n").sort(), [
			"",
			"/a/b ro,nosuid,nodev",
			"/deep/in/side rw,nosuid,nodev",
			"/var/config ro,nosuid,nodev",
			"/var/mounted ro,nosuid,nodev",
			...Array.from({ length: 4 }, () => "from the host"),
		]);
		assert.equal(readFileSync(join(folder, "new"), "utf8"), "written\n");
		assert.ok(!existsSync(join(harness.rootfs, "deep")) && !existsSync(join(harness.rootfs, "a")));
	});

	test("on a read-only root where the image has the target, and in /tmp only what is made there", async () => {
		const { stdout } = await run(
			"cat /var/mounted/file; echo x 2> /dev/null > /var/x || echo read-only; echo x > /tmp/x && cat /tmp/x; grep ' /tmp ' /proc/mounts",
			[at("/var/mounted")],
			{ readonlyRoot: true },
		);
		assert.match(stdout, /^from the host\nread-only\nx\n\/dev\/loop/);
		await refused([at("/var/missing")], /image has no \/var\/missing .* read-only/, { readonlyRoot: true });
		await refused([at("/tmp/missing")], /image has no \/tmp\/missing/, { readonlyRoot: true });
	});

	test("one inside of another, in any order, if the other has a place for it", async () => {
		const inner = join(host, "inner-volume");
		mkdirSync(inner, { recursive: true });
		writeFileSync(join(inner, "file"), "inner\n");
		const { stdout } = await run("cat /data/file /data/inner/file", [at("/data/inner", true, inner), at("/data")]);
		assert.equal(stdout, "from the host\ninner\n");
		await refused([at("/data"), at("/data/not-there", true, inner)], /no \/data\/not-there to mount/);
		assert.ok(!existsSync(join(folder, "not-there")));
	});

	test("links of the image are followed inside of it, and nothing is made on the host", async () => {
		const before = readdirSync(host).sort();
		const { stdout } = await run("cat /run/secrets/file; ls /var/outside/ 2> /dev/null; ls -d /work 2> /dev/null", [
			at("/var/run/secrets"),
		]);
		assert.equal(stdout, "from the host\n");
		await refused([at("/var/outside/made")], /can't be mounted on/);
		await refused([at("/var/dangling")], /can't be mounted on/);
		await refused([at("/var/loop/x")], /can't be mounted on/);
		await refused([at("/var/config/x")], /can't be mounted on/);
		await refused([at("/var/link-to-proc")], /the platform's/);
		await refused([at("/var/link-to-proc/made")], /the platform's/);
		await refused([at("/var/link-to-hosts", true, join(folder, "file"))], /the platform's/);
		await refused([at("/var/config")], /no folder in the image/);
		await refused([at("/var/mounted", true, join(folder, "file"))], /no file in the image/);
		await refused([at("/x", true, "/no/such/source")], /no \/no\/such\/source on the host/);
		assert.deepEqual(readdirSync(host).sort(), before);
		assert.deepEqual(readdirSync(join(harness.rootfs, "proc")), []);
	});

	test("a link in a volume leads no mount out of the sandbox", async () => {
		const volume = join(host, "hostile");
		mkdirSync(volume, { recursive: true });
		symlinkSync(host, join(volume, "up"));
		symlinkSync("/proc", join(volume, "proc"));
		await refused([at("/data", false, volume), at("/data/up")], /no .data.up to mount/);
		await refused([at("/data", false, volume), at("/data/up/made")], /no .data.up to mount/);
		await refused([at("/data", false, volume), at("/data/proc")], /the platform's/);
		assert.deepEqual(readdirSync(volume).sort(), ["proc", "up"]);
	});

	test("what the host has read-only stays so", async () => {
		await using lifetime = new Lifetime();
		const source = join(host, "read-only");
		mkdirSync(source);
		mount(folder, source, "none", MS_BIND);
		lifetime.defer(() => umount(source, MNT_DETACH));
		mount("none", source, "none", MS_REMOUNT | MS_BIND | MS_RDONLY);
		const { stdout } = await run("echo x 2> /dev/null > /data/x || echo refused", [at("/data", false, source)]);
		assert.equal(stdout, "refused\n");
	});

	test("programs and working directories can be in a mount", async () => {
		const spec = { readonlyRoot: false, user, mounts: [at("/scripts", true)], cwd: "/scripts" };
		await using sandbox = await harness.runtime.create(contractSpec(harness.rootfs, ["./program", "main"], spec));
		sandbox.stdout.resume();
		const { args, env, cwd } = contractSpec("", ["/scripts/program", "other"], spec);
		const other = await sandbox.exec({ args, env, cwd, user });
		other.stdout.resume();
		assert.equal((await other.exited).code, 0);
		await sandbox.start();
		assert.equal((await sandbox.exited).code, 0);
		const missing = harness.runtime.create(contractSpec(harness.rootfs, ["/scripts/missing"], spec));
		await assert.rejects(
			missing.then((created) => created.start().finally(() => created[Symbol.asyncDispose]())),
			(error) => isSlipwayError(error, "INVALID_IMAGE") && error.reason === "InvalidEntrypoint",
		);
	});

	test("nothing is left of them, and nothing of the volumes is lost", async () => {
		await run("true", []);
		await harness.runtime.settled();
		await sleep(150);
		const before = hostSnapshot(harness.stateFolder);
		const files = readdirSync(folder);
		for (const readonlyRoot of [true, false]) {
			const mounts = [at("/var/mounted"), at("/run")];
			const spec = contractSpec(harness.rootfs, ["sleep", "600"], { readonlyRoot, mounts });
			const sandbox = await harness.runtime.create(spec);
			await sandbox.start();
			const next = await sandbox.reset();
			await next.start();
			await next[Symbol.asyncDispose]();
			await assert.rejects(harness.runtime.create({ ...spec, mounts: [...mounts, at("/var/dangling")] }));
		}
		await harness.runtime.settled();
		await sleep(150);
		assert.deepEqual(hostSnapshot(harness.stateFolder), before);
		assert.deepEqual(readdirSync(folder), files);
	});
}

import assert from "node:assert/strict";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Lifetime } from "../../base/lifetime.ts";
import { MNT_DETACH, MS_NODEV, MS_NOSUID, MS_RDONLY, mount, umount } from "../../base/syscall.ts";
import { capabilitiesWithout } from "../../core/sandbox/capabilities.ts";
import { collect, contractLimits, contractSpec, waitFor } from "../../core/sandbox/sandbox-runtime.contract.ts";
import type { SandboxSpec } from "../../core/sandbox/sandbox-runtime.ts";
import { hostSnapshot } from "./testing/host-snapshot.ts";
import { type OciHarness, type OciRuntimeName, openOciHarness, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";
import { runScript } from "./testing/run.ts";

const MIB = 1 << 20;
const root = { uid: 0, gid: 0 };

await inOwnMountNamespace(import.meta.filename, () => {
	for (const name of ["crun", "runc"] satisfies OciRuntimeName[])
		describe(`a writable root under ${name}`, { skip: whyNot(name) ?? false, timeout: 60_000 }, () => suite(name));
});

function suite(name: OciRuntimeName): void {
	let harness: OciHarness;
	before(async () => {
		harness = await openOciHarness(name);
		for (const [path, content, uid] of [
			["var/task/mine", "original\n", 1000],
			["var/task/theirs", "original\n", 0],
		] as const) {
			writeFileSync(join(harness.rootfs, path), content);
			chownSync(join(harness.rootfs, path), uid, uid);
		}
		chmodSync(join(harness.rootfs, "tmp"), 0o700);
		chownSync(join(harness.rootfs, "var/task"), 1000, 1000);
	});
	after(() => harness?.[Symbol.asyncDispose]());

	const run = (script: string, more: Partial<SandboxSpec> = {}) =>
		runScript(harness, script, { readonlyRoot: false, ...more });

	test("files are changed by those who may, and the image and its other sandboxes see nothing of it", async () => {
		const change = `echo changed > mine; echo changed 2> /dev/null > theirs || echo refused
			echo new > new; mkdir folder && mv folder moved && rm mine && ls; stat -c '%a %u' / /tmp; echo x > /tmp/x && cat /tmp/x`;
		const changed = await run(change);
		assert.deepEqual(changed.stdout.split("\n"), ["refused", "moved", "new", "theirs", "755 0", "1777 0", "x", ""]);
		const asRoot = await run("echo changed > theirs; cat theirs; rm /bin/ls; echo x > /x; cat /x", { user: root });
		assert.equal(asRoot.stdout, "changed\nx\n");
		for (const readonlyRoot of [false, true]) {
			const { stdout } = await run("cat mine theirs; ls; ls /tmp; ls /x", { readonlyRoot });
			assert.equal(stdout, "original\noriginal\nmine\ntheirs\n");
		}
		assert.equal(readFileSync(join(harness.rootfs, "var/task/mine"), "utf8"), "original\n");
		assert.ok(!existsSync(join(harness.rootfs, "x")) && existsSync(join(harness.rootfs, "bin/ls")));
	});

	test("over an image of several layers, of which one hides files of another", async () => {
		await using lifetime = new Lifetime();
		const folder = join(harness.stateFolder, "../layers");
		const [top, stacked] = [join(folder, "top"), join(folder, "stacked")];
		for (const path of [join(top, "var/task/only-here"), stacked]) mkdirSync(path, { recursive: true });
		writeFileSync(join(top, "var/task/mine"), "from the top\n");
		mount(
			"overlay",
			stacked,
			"overlay",
			MS_RDONLY | MS_NOSUID | MS_NODEV,
			`lowerdir=${top}:${harness.rootfs},redirect_dir=nofollow`,
		);
		lifetime.defer(() => umount(stacked, MNT_DETACH));
		const script = "cat mine; echo changed > mine; rm theirs; mv only-here moved; cat mine; ls";
		const { stdout } = await run(script, { rootfs: stacked, user: root });
		assert.deepEqual(stdout.split("\n"), ["from the top", "changed", "mine", "moved", ""]);
		assert.deepEqual(readdirSync(join(stacked, "var/task")).sort(), ["mine", "only-here", "theirs"]);
	});

	test("what is written counts against the sandbox's memory, and past it there is none of the host's", async () => {
		const writing = "dd if=/dev/zero of=/tmp/some bs=1M count=20 2> /dev/null; echo written; sleep 600";
		await using sandbox = await harness.runtime.create(
			contractSpec(harness.rootfs, ["sh", "-c", writing], { readonlyRoot: false }),
		);
		const stdout = collect(sandbox.stdout);
		await sandbox.start();
		await waitFor(() => stdout.text() !== "", "20 MiB");
		assert.ok((await sandbox.stats()).memoryBytes >= 20 * MIB);
		await sandbox[Symbol.asyncDispose]();

		const before = sharedMemory();
		const { stdout: size } = await run(
			"dd if=/dev/zero of=/tmp/big bs=1M count=500 2> /dev/null; stat -c %s /tmp/big; df -m / | tail -n 1",
		);
		const written = Number(size.split("\n")[0]) / MIB;
		assert.ok(written > 32 && written <= contractLimits.memoryMiB, `${written} MiB`);
		assert.match(size, new RegExp(`^overlay +${contractLimits.memoryMiB} `, "m"));
		const many = await run("i=0; while [ $i -lt 30000 ] && : 2> /dev/null > /tmp/$i; do i=$((i+1)); done; echo $i");
		assert.ok(many.exit.oomKilled || Number(many.stdout) <= (contractLimits.memoryMiB * MIB) / 4096, many.stdout);
		await sleep(200);
		assert.ok(sharedMemory() - before < 16 * MIB, "it is given back");
	});

	test("the sandbox learns no path of the host, and changes no mount", async () => {
		const script =
			"cat /proc/self/mountinfo /proc/mounts; mount -o remount,rw,suid / 2>&1; mount -t tmpfs x /tmp 2>&1; ls /stage 2>&1";
		const { stdout } = await run(script, { user: root });
		const rootMount = stdout.split("\n").find((line) => line.startsWith("overlay / "));
		assert.match(rootMount ?? "", /^overlay \/ overlay rw,nosuid,nodev,/);
		assert.ok(!stdout.includes(harness.rootfs), stdout);
		// The files of /etc are mounts of the host's, whose root (field 4) is of the run folder's tmpfs and no path of ours.
		assert.ok(!stdout.includes(harness.stateFolder), stdout);
		assert.equal(stdout.match(/(Operation not permitted|permission denied|Permission denied)/g)?.length, 2, stdout);
		assert.match(stdout, /\/stage: No such file/);
	});

	test("the filter, capabilities and privileges are those of any sandbox", async () => {
		const { stdout } = await run("cat /proc/self/status; echo x 2> /dev/null > /etc/hosts || echo hosts", {
			user: root,
		});
		for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
			assert.match(stdout, new RegExp(`${set}:\\s0+\n`));
		assert.match(stdout, /NoNewPrivs:\s1/);
		assert.match(stdout, /Seccomp:\s2/);
		assert.match(stdout, /^hosts$/m);
	});

	test("user 0 has the capabilities that it is given, keeps none as another user, and others get none", async () => {
		const script = `touch /tmp/file && chown 33:33 /tmp/file && stat -c %u /tmp/file
			grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status`;
		const sets = (stdout: string) =>
			[...stdout.matchAll(/Cap(\w+):\s([0-9a-f]+)/g)].map(([, set, bits]) => `${set} ${bits}`);
		const own = await run(script, { user: root, capabilities: capabilitiesWithout() });
		assert.match(own.stdout, /^33\n/);
		const all = "00000000000005fb";
		const none = "0".repeat(16);
		assert.deepEqual(sets(own.stdout), [`Inh ${none}`, `Prm ${all}`, `Eff ${all}`, `Bnd ${all}`, `Amb ${none}`]);
		const less = await run(script, { user: root, capabilities: capabilitiesWithout(["NET_BIND_SERVICE", "CAP_KILL"]) });
		assert.ok(sets(less.stdout).includes("Bnd 00000000000001db"), less.stdout);
		const other = await run(script, { user: { uid: 1234, gid: 1234 }, capabilities: capabilitiesWithout() });
		assert.deepEqual([...new Set(sets(other.stdout).map((set) => set.slice(4)))], [none]);
	});

	test("its user's name is in its own /etc/passwd", async () => {
		const user = { uid: 1234, gid: 1234, name: "somebody", home: "/home" };
		const { stdout } = await run("grep somebody /etc/passwd", { user });
		assert.equal(stdout, "somebody:x:1234:1234::/home:/sbin/nologin\n");
		assert.ok(!readFileSync(join(harness.rootfs, "etc/passwd"), "utf8").includes("somebody"));
	});

	test("dispose gives everything back, whatever came before, and takes no disk", async () => {
		await run("true");
		await sleep(150);
		const before = hostSnapshot(harness.stateFolder);
		for (let round = 0; round < 3; round++) {
			const spec = contractSpec(harness.rootfs, ["sh", "-c", "echo x > /tmp/x; sleep 600"], { readonlyRoot: false });
			const sandbox = await harness.runtime.create(spec);
			assert.deepEqual(hostSnapshot(harness.stateFolder).disks, before.disks);
			if (round > 0) await sandbox.start();
			if (round > 1) await sandbox.freeze();
			await (round > 1 ? await sandbox.reset() : sandbox)[Symbol.asyncDispose]();
			const mounts = [{ source: "/no/such/source", target: "/a/b", readOnly: false }];
			await assert.rejects(harness.runtime.create({ ...spec, mounts }), { code: "INVALID" });
			await assert.rejects(harness.runtime.create({ ...spec, cwd: "/nope" }), { code: "INVALID_IMAGE" });
		}
		await harness.runtime.settled();
		await sleep(150);
		assert.deepEqual(hostSnapshot(harness.stateFolder), before);
	});
}

/** Bytes of the machine's tmpfs files. */
function sharedMemory(): number {
	return Number(/^Shmem:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"))![1]) * 1024;
}

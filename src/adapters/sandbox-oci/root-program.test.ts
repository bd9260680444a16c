/** What user 0 of a service's container, with all that it may have, can do to anything but itself. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { capabilitiesWithout } from "../../core/sandbox/capabilities.ts";
import { collect, contractSpec, waitFor } from "../../core/sandbox/sandbox-runtime.contract.ts";
import type { SandboxSpec } from "../../core/sandbox/sandbox-runtime.ts";
import { type OciHarness, type OciRuntimeName, openOciHarness, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";
import { runScript } from "./testing/run.ts";

const root = { user: { uid: 0, gid: 0 }, capabilities: capabilitiesWithout(), readonlyRoot: false };

await inOwnMountNamespace(import.meta.filename, () => {
	for (const name of ["crun", "runc"] satisfies OciRuntimeName[])
		describe(`user 0 of a service under ${name}`, { skip: whyNot(name) ?? false, timeout: 60_000 }, () => suite(name));
});

function suite(name: OciRuntimeName): void {
	let harness: OciHarness;
	before(async () => {
		harness = await openOciHarness(name);
	});
	after(() => harness?.[Symbol.asyncDispose]());
	const run = (script: string, more: Partial<SandboxSpec> = {}) => runScript(harness, script, { ...root, ...more });

	test("has the nine capabilities, the filter and no new privileges, in further programs too, and no other user has", async () => {
		const spec = contractSpec(harness.rootfs, ["sleep", "60"], root);
		await using sandbox = await harness.runtime.create(spec);
		const status = async (user: SandboxSpec["user"]) => {
			const { stdout } = await sandbox.exec({ ...spec, args: ["cat", "/proc/self/status"], user });
			return collect(stdout).ended;
		};
		const own = await run("cat /proc/self/status");
		for (const [text, sets] of [
			[own.stdout, "0+5fb"],
			[await status(root.user), "0+5fb"],
			[await status({ uid: 1, gid: 1 }), "0+"],
		] as const) {
			for (const set of ["CapPrm", "CapEff", "CapBnd"]) assert.match(text, new RegExp(`${set}:\\s${sets}\n`));
			for (const set of ["CapInh", "CapAmb"]) assert.match(text, new RegExp(`${set}:\\s0+\n`));
			assert.match(text, /NoNewPrivs:\s1\nSeccomp:\s2/);
		}
	});

	test("writes to nothing of the kernel's, and reads nothing that is for the host's root alone", async () => {
		const script = `
			for f in $(find /proc /sys/fs /sys/kernel -maxdepth 4 \\( -path '/proc/[0-9]*' -o -path /proc/sys/net \\) -prune -o -type f -perm /222 -print 2>/dev/null); do
				case $f in /proc/self/*|/proc/thread-self/*) continue;; esac
				{ true >> $f; } 2>/dev/null && echo $f; done
			for f in $(find /proc -maxdepth 2 -path '/proc/[0-9]*' -prune -o -type f -perm 400 -print 2>/dev/null); do
				[ -n "$(head -c 1 $f 2>/dev/null)" ] && echo reads $f; done
			cat /proc/dynamic_debug/control 2>/dev/null; true`;
		const { stdout } = await run(script);
		// mtrr: opens, and each change needs CAP_SYS_ADMIN. pressure: a trigger of its own, for everybody.
		const left = stdout.split("\n").filter((line) => !/^\/proc\/(mtrr|pressure\/(cpu|io|memory)|)$/.test(line));
		assert.deepEqual(left, [""], stdout);
	});

	test("makes no device, mount, root or namespace, and changes neither the shared files nor its mounts", async () => {
		const refused = [
			"mknod /tmp/disk b 8 0",
			"mknod /tmp/null c 1 3",
			"mount -t tmpfs x /tmp",
			"mount -o remount,rw,bind /etc/hosts",
			"mount -o remount,rw /proc/sys",
			"mount --bind / /tmp",
			"umount /proc/sys",
			"umount -l /proc",
			"chroot / true",
			"unshare -U true",
			"unshare -m true",
			"nsenter -t 1 -n true",
			"hostname other",
			"rm /etc/hosts",
			"mv /proc /x",
			"echo x > /etc/hosts",
			"chown 1 /etc/hosts",
			"echo '|/x' > /proc/sys/kernel/core_pattern",
			"echo b > /proc/sysrq-trigger",
			"mkdir /sys/fs/cgroup/memory/x",
			"ls /proc/1/root/",
			"readlink /proc/1/fd/0",
			"echo x > /proc/1/mem",
			"echo -1000 > /proc/1/oom_score_adj",
			"ip link add dummy0 type dummy",
			"ip addr add 10.1.2.3/8 dev lo",
			"dmesg",
		];
		// 126 and 127: the program is not there, and nothing was refused.
		const script = refused
			.map((line) => `( ${line} ) > /dev/null 2>&1; case $? in 0|126|127) echo "${line.replaceAll('"', "")}";; esac`)
			.join("\n");
		assert.equal((await run(`${script}; true`)).stdout, "");
	});

	test("can't end or change the first process of its process namespace, whatever user it becomes", async () => {
		const script = `kill -9 1; kill -STOP 1; kill -TERM 1; sleep 0.1; ls /proc/1/status
			id=$(grep ^Uid: /proc/1/status | cut -f 2); echo "h:x:$id:$id::/:/bin/sh" > /etc/passwd
			su h -c 'id -u; kill -9 1; ls /proc/1/root/ /proc/1/cwd/ /proc/1/fd/; true >> /proc/1/mem' 2>&1`;
		const { stdout } = await run(script);
		assert.match(stdout, /^\/proc\/1\/status\n42949\d+\n/);
		assert.equal(stdout.match(/denied|not permitted/g)?.length, 4, stdout);
	});

	test("gets at no process of ours that is on its way to be another program of its", async () => {
		// It stops what it has not seen, which lets it look as long as it likes.
		const hunting = `echo ready; while :; do for p in /proc/[0-9]*; do
			n=\${p#/proc/}; [ $n -le $$ ] && continue
			kill -STOP $n 2>/dev/null || continue
			name=; read -r name 2>/dev/null < $p/comm
			case $name in ''|sleep|sh|busybox) ;; *)
				echo "saw $name"
				# A stop waits for the end of an execve, and then it is the program that was opened.
				if { true >> $p/mem; } 2>/dev/null; then sleep 0.02; read -r again 2>/dev/null < $p/comm
					[ "$again" = "$name" ] && echo "writes to $name"; fi;; esac
			kill -CONT $n; done; done`;
		await using sandbox = await harness.runtime.create(contractSpec(harness.rootfs, ["sh", "-c", hunting], root));
		const stdout = collect(sandbox.stdout);
		sandbox.stderr.resume();
		await sandbox.start();
		await waitFor(() => stdout.text() !== "", "the hunter");
		for (let round = 0; round < 8; round++) {
			const program = { args: ["sleep", "0"], env: {}, cwd: "/", user: root.user };
			const process = await sandbox.exec({ ...program, env: { PATH: "/bin" } });
			process.stdout.resume();
			process.stderr.resume();
			await process.exited;
		}
		await sandbox.kill();
		const seen = (await stdout.ended).split("\n");
		assert.deepEqual(
			seen.filter((line) => line.startsWith("writes")),
			[],
		);
	});

	// runc reads the sandbox's files in any case, and is killed when it has not ended in time.
	test("what it makes of /etc/passwd does not hold up a further program", { skip: name === "runc" }, async () => {
		for (const link of ["/dev/ptmx", "/dev/zero"]) {
			const script = `ln -sf ${link} /etc/passwd; echo ready; sleep 60`;
			await using sandbox = await harness.runtime.create(contractSpec(harness.rootfs, ["sh", "-c", script], root));
			const stdout = collect(sandbox.stdout);
			await sandbox.start();
			await waitFor(() => stdout.text() !== "", "the link");
			const process = await sandbox.exec({ args: ["true"], env: { PATH: "/bin" }, cwd: "/", user: root.user });
			assert.deepEqual(await process.exited, { code: 0, oomKilled: false });
		}
	});

	test("what counts by user leaves the host's root its share", async () => {
		const { stdout } = await run("cat /proc/self/limits");
		assert.match(stdout, /Max pending signals +2048 +2048 /);
		assert.match(stdout, /Max msgqueue size +409600 +409600 /);
	});

	test("files without contents take memory of its own", async () => {
		for (const folder of ["/tmp", "/dev", "/dev/shm"]) {
			const filling = `i=0; while [ $i -lt 10000 ] && true > ${folder}/$i; do i=$((i+1)); done; echo $i; sleep 60`;
			await using sandbox = await harness.runtime.create(contractSpec(harness.rootfs, ["sh", "-c", filling], root));
			const stdout = collect(sandbox.stdout);
			await sandbox.start();
			await waitFor(() => stdout.text() !== "", "the files");
			assert.equal(stdout.text(), "10000\n");
			const { memoryBytes } = await sandbox.stats();
			assert.ok(memoryBytes > 7 << 20, `${memoryBytes} bytes for those in ${folder}`);
		}
	});
}

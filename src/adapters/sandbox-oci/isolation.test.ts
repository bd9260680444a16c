import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isSlipwayError } from "../../base/error.ts";
import { collect, contractLimits, contractSpec } from "../../core/sandbox/sandbox-runtime.contract.ts";
import type { SandboxSpec } from "../../core/sandbox/sandbox-runtime.ts";
import { busyboxPath, makeBusyboxRootfs } from "./testing/busybox-rootfs.ts";
import { hostSnapshot } from "./testing/host-snapshot.ts";
import { type OciHarness, type OciRuntimeName, openOciHarness, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";
import { runScript } from "./testing/run.ts";
import { syscallProgram, type TinyCall } from "./tiny-elf.ts";

const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

await inOwnMountNamespace(import.meta.filename, () => {
	for (const name of ["crun", "runc"] satisfies OciRuntimeName[]) {
		const reason = whyNot(name);
		if (reason) test(`isolation under ${name}`, { skip: reason });
		else isolationSuite(name);
	}
});

function isolationSuite(name: OciRuntimeName): void {
	describe(`isolation under ${name}`, { timeout: 120_000 }, () => {
		let harness: OciHarness;
		before(async () => {
			harness = await openOciHarness(name);
		});
		after(() => harness?.[Symbol.asyncDispose]());
		const run = (script: string, more: Partial<SandboxSpec> = {}) => runScript(harness, script, more);
		const limits = (changed: Partial<typeof contractLimits>) => ({ limits: { ...contractLimits, ...changed } });

		test("no capabilities, no new privileges, a seccomp filter, whoever the user is", async () => {
			for (const uid of [0, 1000]) {
				const { stdout } = await run("cat /proc/self/status", { user: { uid, gid: uid } });
				for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
					assert.match(stdout, new RegExp(`${set}:\\s0+\n`));
				assert.match(stdout, /NoNewPrivs:\s1/);
				assert.match(stdout, /Seccomp:\s2/);
			}
		});

		test("the root is read-only, and so is what is mounted from the host", async () => {
			const script =
				"for f in /x /bin/x /etc/hosts /etc/resolv.conf /proc/sys/kernel/hostname /sys/x; do echo x 2>/dev/null > $f && echo wrote $f; done; true";
			assert.equal((await run(script, { user: { uid: 0, gid: 0 } })).stdout, "");
			assert.equal(
				(await run("cat /etc/hosts")).stdout.split("\n")[0],
				"127.0.0.1 localhost sandbox.localdomain sandbox",
			);
		});

		test("/dev/stdout and /dev/stderr can be opened anew by the sandbox's user", async () => {
			const { stdout, stderr } = await run("echo out > /dev/stdout; echo err > /dev/stderr");
			assert.deepEqual([stdout, stderr], ["out\n", "err\n"]);
		});

		test("its pseudo-terminals are its own, and bounded", async () => {
			const { stdout } = await run(
				`ls /dev/pts; exec 3<>/dev/ptmx; ls /dev/pts; : > /tmp/full; i=0
				while [ $i -lt 70 ]; do i=$((i+1)); { sleep 60 4<>/dev/ptmx || echo >> /tmp/full; } 2>/dev/null & done
				i=0; while [ $i -lt 300 ] && [ $(wc -l < /tmp/full) -lt 7 ]; do i=$((i+1)); sleep 0.02; done
				wc -l < /tmp/full`,
				limits({ pids: 200 }),
			);
			assert.equal(stdout, "ptmx\n0\nptmx\n7\n");
		});

		test("its processes are the only ones it sees", async () => {
			const { stdout, exit } = await run("sleep 600 & ls -d /proc/[0-9]* | wc -l");
			assert.ok(Number(stdout) >= 3 && Number(stdout) <= 6, stdout);
			assert.deepEqual(exit, { code: 0, oomKilled: false });
		});

		test("a fork bomb stays inside, and a neighbour works", async () => {
			await using bomb = await harness.runtime.create(
				contractSpec(harness.rootfs, ["sh", "-c", "b() { b | b & b; }; b"], limits({ pids: 40, cpus: 0.3 })),
			);
			bomb.stderr.resume();
			bomb.stdout.resume();
			await bomb.start();
			await sleep(200);
			const { stdout } = await run("echo fine");
			assert.equal(stdout, "fine\n");
			assert.ok((await bomb.stats()).pids <= 40);
			await bomb.kill();
		});

		test("open files and processes have their limits", async () => {
			const { stdout } = await run("ulimit -n; ulimit -c");
			assert.deepEqual(stdout.split("\n").slice(0, 2), [`${contractLimits.openFiles}`, "0"]);
		});

		test("/tmp has its size, and it holds", async () => {
			const { stdout } = await run(
				"df -m /tmp | tail -n 1 | tr -s ' ' | tr ' ' '\\n' | head -n 4 | tail -n 1; dd if=/dev/zero of=/tmp/big bs=1M count=64 2>/dev/null && echo no limit; wc -c < /tmp/big",
				limits({ tmpMiB: 32 }),
			);
			const [available, written] = stdout.split("\n").map(Number);
			assert.ok(available! >= 31 && available! <= 34, `${available} MiB available`);
			assert.ok(written! >= 31 << 20 && written! <= 35 << 20, `${written} bytes written`);
		});

		test("files in /tmp do not count against the memory limit", async () => {
			const { stdout, exit } = await run(
				"dd if=/dev/zero of=/tmp/big bs=1M count=200 2>/dev/null; wc -c < /tmp/big",
				limits({ tmpMiB: 256, memoryMiB: 48 }),
			);
			assert.deepEqual(exit, { code: 0, oomKilled: false });
			assert.equal(Number(stdout), 200 << 20);
		});

		test("/tmp can't hold devices or give privileges", async () => {
			assert.match((await run("mount | grep ' /tmp '")).stdout, /\(rw,nosuid,nodev,/);
		});

		test("CPU time is what was given", async () => {
			await using sandbox = await harness.runtime.create(
				contractSpec(harness.rootfs, ["sh", "-c", "while true; do :; done"], limits({ cpus: 0.2 })),
			);
			await sandbox.start();
			const { cpuUs: before } = await sandbox.stats();
			const started = performance.now();
			await sleep(1_000);
			const { cpuUs } = await sandbox.stats();
			const share = (cpuUs - before) / 1_000 / (performance.now() - started);
			assert.ok(share > 0.05 && share < 0.26, `share ${share}`);
		});

		test("no network but its own loopback: not the host's, not a neighbour's, no metadata service", async () => {
			const server = createServer((socket) => socket.end("reached\n"));
			await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
			const { port } = server.address() as { port: number };
			const endpoint = {
				envName: "ENDPOINT",
				onConnection: (socket: import("node:net").Socket) => void socket.end("neighbour\n"),
			};
			await using neighbour = await harness.runtime.create(
				contractSpec(harness.rootfs, ["sleep", "600"], { endpoint }),
			);
			await neighbour.start();
			const own = Object.values(networkInterfaces()).flatMap((list) =>
				(list ?? []).filter((entry) => entry.family === "IPv4"),
			);
			const targets = [
				...own.map(({ address }) => `${address} ${port}`),
				"127.0.0.1 9001",
				"169.254.169.254 80",
				"1.1.1.1 53",
			];
			const script = targets
				.map((target) => `nc -w 1 ${target} < /dev/null 2>/dev/null && echo reached ${target}`)
				.join("; ");
			const { stdout } = await run(`${script}; ls /sys/class/net`);
			assert.equal(stdout, "lo\n");
			server.close();
		});

		test("the system calls that matter are refused", {
			skip: process.arch !== "x64" && "written for x86-64",
		}, async () => {
			const clone = (flag: number): TinyCall => [56, flag | 17, 0, 0, 0, 0];
			const cases: [name: string, errno: number, call: TinyCall][] = [
				["mount", EPERM, [165, 0, 0, 0, 0, 0]],
				["umount2", EPERM, [166, 0, 0]],
				["pivot_root", EPERM, [155, 0, 0]],
				["unshare(CLONE_NEWUSER)", EPERM, [272, 0x10000000]],
				["clone(CLONE_NEWUSER)", EPERM, clone(0x10000000)],
				["clone(CLONE_NEWNET)", EPERM, clone(0x40000000)],
				["clone3", ENOSYS, [435, 0, 0]],
				["setns", EPERM, [308, 0, 0]],
				["ptrace", EPERM, [101, 0, 0, 0, 0]],
				["process_vm_readv", EPERM, [310, 1, 0, 0, 0, 0, 0]],
				["pidfd_getfd", EPERM, [438, 0, 0, 0]],
				["keyctl", EPERM, [250, 0, 0]],
				["add_key", EPERM, [248, 0, 0, 0, 0, 0]],
				["request_key", EPERM, [249, 0, 0, 0, 0]],
				["bpf", EPERM, [321, 0, 0, 0]],
				["perf_event_open", EPERM, [298, 0, 0, 0, 0, 0]],
				["userfaultfd", EPERM, [323, 0]],
				["io_uring_setup", ENOSYS, [425, 1, 0]],
				["kexec_load", EPERM, [246, 0, 0, 0, 0]],
				["init_module", EPERM, [175, 0, 0, 0]],
				["open_by_handle_at", EPERM, [304, 0, 0, 0]],
				["reboot", EPERM, [169, 0, 0, 0, 0]],
				["settimeofday", EPERM, [164, 0, 0]],
				["mknod", EPERM, [133, 0, 0, 0]],
				["personality(ADDR_COMPAT_LAYOUT)", ENOSYS, [135, 0x0200000]],
				["socket(AF_VSOCK)", EAFNOSUPPORT, [41, 40, 1, 0]],
				["socket(AF_ALG)", EAFNOSUPPORT, [41, 38, 5, 0]],
				["socket(AF_PACKET)", EAFNOSUPPORT, [41, 17, 3, 0]],
				["a call nobody has heard of", ENOSYS, [999]],
			];
			writeFileSync(join(harness.rootfs, "bin/calls"), syscallProgram(cases.map(([, , call]) => call)));
			chmodSync(join(harness.rootfs, "bin/calls"), 0o755);
			await using sandbox = await harness.runtime.create(
				contractSpec(harness.rootfs, ["/bin/calls"], { user: { uid: 0, gid: 0 } }),
			);
			const chunks: Buffer[] = [];
			sandbox.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
			const ended = new Promise((resolve) => sandbox.stdout.once("close", resolve));
			await sandbox.start();
			assert.deepEqual(await sandbox.exited, { code: 0, oomKilled: false });
			await ended;
			const results = Buffer.concat(chunks);
			const answers = cases.map(([call, errno], at) => [
				call,
				results.readBigInt64LE(at * 8) === BigInt(-errno) ? "refused" : `${results.readBigInt64LE(at * 8)}`,
			]);
			assert.deepEqual(
				answers,
				cases.map(([call]) => [call, "refused"]),
			);
		});

		const rejectsImage = (more: Partial<SandboxSpec> & { args?: string[] }, reason: string, message: RegExp | string) =>
			assert.rejects(
				harness.runtime.create(contractSpec(more.rootfs ?? harness.rootfs, more.args ?? ["sh"], more)),
				(error) =>
					isSlipwayError(error, "INVALID_IMAGE") &&
					error.reason === reason &&
					(typeof message === "string" ? error.message === message : message.test(error.message)),
			);

		test("an entrypoint that can't be executed is named in the cloud's words", async () => {
			const file = (path: string, content: string, mode: number) => {
				writeFileSync(join(harness.rootfs, path), content);
				chmodSync(join(harness.rootfs, path), mode);
			};
			file("var/task/noexec", "x", 0o644);
			file("var/task/garbage", "this is no program", 0o755);
			file("var/task/interpreter", "#!/no/such/shell\n", 0o755);
			file("var/task/private", "#!/bin/sh\n", 0o700);
			file("var/task/works", "#!/bin/sh\nexit 9\n", 0o755);
			const invalid = (args: string[], message: string) => rejectsImage({ args }, "InvalidEntrypoint", message);
			await invalid(["/var/task/bootstrap"], "fork/exec /var/task/bootstrap: no such file or directory");
			await invalid(["./bootstrap"], "fork/exec ./bootstrap: no such file or directory");
			await invalid(["/var/task/noexec"], "fork/exec /var/task/noexec: permission denied");
			await invalid(["/var/task/private"], "fork/exec /var/task/private: permission denied");
			await invalid(["/var/task/garbage"], "fork/exec /var/task/garbage: exec format error");
			await invalid(["/var/task/interpreter"], "fork/exec /var/task/interpreter: no such file or directory");
			await invalid(["/var/task"], "fork/exec /var/task: permission denied");
			await invalid(["nothing-by-this-name"], 'exec: "nothing-by-this-name": executable file not found in $PATH');
			await rejectsImage({ args: [] }, "InvalidEntrypoint", /neither ENTRYPOINT nor CMD/);
			await using sandbox = await harness.runtime.create(contractSpec(harness.rootfs, ["./works"]));
			await sandbox.start();
			assert.equal((await sandbox.exited).code, 9);
		});

		test("a working directory that is not there, or leads out, is refused (CVE-2024-21626)", async () => {
			await rejectsImage({ cwd: "/nope" }, "InvalidWorkingDir", "chdir /nope: no such file or directory");
			await rejectsImage({ cwd: "/bin/busybox" }, "InvalidWorkingDir", "chdir /bin/busybox: not a directory");
			symlinkSync("/proc/self/fd/8", join(harness.rootfs, "var/leak"));
			symlinkSync("../../../../../../../../", join(harness.rootfs, "var/up"));
			for (let fd = 3; fd <= 20; fd++)
				await rejectsImage({ cwd: `/proc/self/fd/${fd}` }, "InvalidWorkingDir", /no such file/);
			await rejectsImage({ cwd: "/var/leak" }, "InvalidWorkingDir", /no such file/);
			const { stdout } = await run("ls /", { cwd: "/var/up" });
			assert.ok(!stdout.includes("work") && stdout.includes("bin"));
		});

		test("the runtime's own program can't be run or overwritten from an image (CVE-2019-5736)", async () => {
			symlinkSync("/proc/self/exe", join(harness.rootfs, "bin/self"));
			writeFileSync(join(harness.rootfs, "bin/by-self"), "#!/proc/self/exe\n");
			chmodSync(join(harness.rootfs, "bin/by-self"), 0o755);
			for (const program of ["/proc/self/exe", "/bin/self", "/bin/by-self"])
				await rejectsImage({ args: [program] }, "InvalidEntrypoint", `fork/exec ${program}: no such file or directory`);
			const { stdout } = await run(
				"for p in /proc/[0-9]*; do echo x 2>/dev/null > $p/exe && echo wrote $p; done; true",
				{ user: { uid: 0, gid: 0 } },
			);
			assert.equal(stdout, "");
		});

		test("an image whose mount points are links is refused, and nothing outside is touched (CVE-2026-41579)", async () => {
			const outside = join(harness.stateFolder, "../outside");
			mkdirSync(outside, { recursive: true });
			writeFileSync(join(outside, "ptmx"), "precious");
			for (const [at, path] of ["dev", "proc", "sys", "tmp", "etc", "etc/resolv.conf"].entries()) {
				const rootfs = makeBusyboxRootfs(join(harness.stateFolder, `../evil-${at}`), busyboxPath()!);
				rmSync(join(rootfs, path), { recursive: true });
				symlinkSync(outside, join(rootfs, path));
				await rejectsImage({ rootfs }, "InvalidMountPoint", new RegExp(`^/${path} of the image must be`));
			}
			assert.deepEqual(readdirSync(outside), ["ptmx"]);
		});

		test("links in the image's /dev do not unmask anything (CVE-2025-31133)", async () => {
			const rootfs = makeBusyboxRootfs(join(harness.stateFolder, "../masked"), busyboxPath()!);
			symlinkSync("/proc/sys/kernel/core_pattern", join(rootfs, "dev/null"));
			symlinkSync("/proc/sysrq-trigger", join(rootfs, "dev/console"));
			const script =
				"[ -c /dev/null ] && echo device; head -c 1 /proc/keys | wc -c; head -c 1 /proc/timer_list | wc -c; ls /sys/firmware | wc -l; echo x 2>/dev/null > /proc/sys/kernel/core_pattern || echo refused";
			const { stdout } = await runScript({ runtime: harness.runtime, rootfs }, script, { user: { uid: 0, gid: 0 } });
			assert.deepEqual(stdout.split("\n"), ["device", "0", "0", "0", "refused", ""]);
		});

		test("dispose gives everything back", async () => {
			await run("true");
			await settle();
			const before = hostSnapshot(harness.stateFolder);
			const sandboxes = await Promise.all(
				Array.from({ length: 8 }, async (_, at) => {
					const endpoint = {
						envName: "ENDPOINT",
						onConnection: (socket: import("node:net").Socket) => void socket.resume(),
					};
					const sandbox = await harness.runtime.create(
						contractSpec(harness.rootfs, ["sh", "-c", "nc 127.0.0.1 9001 & echo x > /tmp/x; sleep 600"], { endpoint }),
					);
					if (at % 2 === 0) collect(sandbox.stdout);
					if (at % 4 !== 3) await sandbox.start();
					if (at % 4 === 1) await sandbox.freeze();
					return sandbox;
				}),
			);
			await sleep(100);
			await Promise.all(sandboxes.map((sandbox) => sandbox[Symbol.asyncDispose]()));
			await settle();
			assert.deepEqual(hostSnapshot(harness.stateFolder), before);
		});
	});
}

/** The kernel takes namespaces and loop devices apart a moment after their last user. */
async function settle(): Promise<void> {
	await sleep(150);
}

/** The launcher in real sandboxes: what an image can get at of it, and what is left when it or its sandbox ends half-way. */
import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isSlipwayError } from "../../base/error.ts";
import { collect, contractLimits, contractSpec } from "../../core/sandbox/sandbox-runtime.contract.ts";
import type { Sandbox, SandboxSpec } from "../../core/sandbox/sandbox-runtime.ts";
import { hostSnapshot } from "./testing/host-snapshot.ts";
import { type OciHarness, type OciRuntimeName, openOciHarness, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";
import { runScript } from "./testing/run.ts";

const ROOT = { uid: 0, gid: 0 };

await inOwnMountNamespace(import.meta.filename, () => {
	for (const name of ["crun", "runc"] satisfies OciRuntimeName[])
		describe(`launcher under ${name}`, { skip: whyNot(name) ?? false, timeout: 120_000 }, () => suite(name));
});

function suite(name: OciRuntimeName): void {
	let harness: OciHarness;
	before(async () => {
		harness = await openOciHarness(name);
	});
	after(() => harness?.[Symbol.asyncDispose]());

	const create = (script: string, more: Partial<SandboxSpec> = {}) =>
		harness.runtime.create(contractSpec(harness.rootfs, ["sh", "-c", script], more));
	const failed = (error: unknown) => isSlipwayError(error, "SANDBOX_FAILED");
	async function exec(sandbox: Sandbox, script: string, user = ROOT): Promise<string> {
		const { env, cwd } = contractSpec("", []);
		const process = await sandbox.exec({ args: ["sh", "-c", script], env, cwd, user });
		const output = collect(process.stdout);
		process.stderr.resume();
		await process.exited;
		return output.ended;
	}

	test("a program beside it can't look into one that waits, whoever the user is", async () => {
		for (const user of [ROOT, { uid: 1000, gid: 1000 }]) {
			await using sandbox = await create("sleep 600", { user });
			const look = `
				for p in /proc/[0-9]*; do
					grep -q '^Name:.launcher$' $p/status || continue
					echo found; cd $p 2>/dev/null || continue
					busybox readlink exe; busybox readlink root; busybox readlink cwd; for fd in fd/*; do busybox readlink $fd; done; cat environ
					dd if=mem bs=1 skip=4194304 count=4 2>/dev/null; echo x 2>/dev/null > mem && echo writes
				done; true`;
			assert.equal(await exec(sandbox, look, user), "found\n");
			await sandbox.start();
			// The program that it becomes is its user's own again.
			assert.match(
				await exec(sandbox, "for p in /proc/[0-9]*; do busybox readlink $p/exe; done", user),
				/busybox\n.*busybox/s,
			);
		}
	});

	test("what all sandboxes are started by is open for us as sealed memory alone", () => {
		const links = readdirSync("/proc/self/fd").map((fd) => {
			try {
				return readlinkSync(`/proc/self/fd/${fd}`);
			} catch {
				return ""; // The folder's own descriptor is closed by now.
			}
		});
		assert.deepEqual(
			links.filter((link) => link.startsWith(harness.stateFolder) && link.includes("launcher")),
			[],
		);
		assert.ok(links.filter((link) => link.startsWith("/memfd:sealed")).length >= 2);
	});

	test("the main program and others have the same of everything, and nothing of the host's", async () => {
		const script = `
			busybox stat -L -c '%d %t,%T' /proc/self/fd/0 /dev/null; ls /proc/$$/fd; umask; pwd; id
			grep -vE '^(Max open files|Limit)' /proc/$$/limits
			grep -E '^(Groups|Cap|NoNew|Seccomp|Sig[BIC]|Umask)' /proc/$$/status; cat /proc/$$/oom_score_adj`;
		for (const user of [ROOT, { uid: 1000, gid: 1000 }]) {
			await using sandbox = await create(script, { user });
			const output = collect(sandbox.stdout);
			const other = await exec(sandbox, script, user);
			await sandbox.start();
			await sandbox.exited;
			const main = await output.ended;
			assert.equal(other, main);
			const [input, own, ...files] = main.split("\n");
			assert.equal(input, own, "its standard input is the sandbox's own /dev/null");
			assert.deepEqual(files.slice(0, 4), ["0", "1", "2", "0022"]);
			assert.match(main, /^Max core file size +0 +0 /m);
		}
	});

	test("nothing of the blank sandbox is left to be seen, and every mount keeps its flags", async () => {
		const { stdout } = await runScript(harness, "cat /proc/self/mountinfo; ls /stage /launcher 2>/dev/null; true", {
			user: ROOT,
		});
		assert.doesNotMatch(stdout, /stage|launcher|blank|old/);
		const mounts = stdout
			.trim()
			.split("\n")
			.map((line) => line.split(" "));
		const flagsOf = (path: string) => mounts.filter((mount) => mount[4] === path).map((mount) => mount[5]!.split(","));
		assert.equal(flagsOf("/").length, 1);
		for (const flag of ["ro", "nosuid", "nodev"]) assert.ok(flagsOf("/")[0]!.includes(flag), `/ without ${flag}`);
		for (const path of [
			"/sys",
			"/proc/sys",
			"/proc/bus",
			"/proc/irq",
			"/etc/hosts",
			"/etc/resolv.conf",
			"/etc/hostname",
		])
			assert.ok(flagsOf(path)[0]?.includes("ro"), `${path} can be written to`);
		for (const path of ["/tmp", "/proc", "/sys", "/etc/hosts", "/dev/shm"])
			for (const flag of ["nosuid", "nodev"]) assert.ok(flagsOf(path)[0]?.includes(flag), `${path} without ${flag}`);
		// Nothing goes from here to the host.
		for (const mount of mounts) assert.ok(!mount.some((field) => field.startsWith("shared:")), mount.join(" "));
	});

	test("what can't be executed for its size or its text is refused in words, and a later one works", async () => {
		const invalid = (error: unknown) => isSlipwayError(error, "INVALID_IMAGE") && error.reason === "InvalidEntrypoint";
		const { env, cwd, user } = contractSpec("", []);
		await using sandbox = await create("sleep 600");
		const values = ["x".repeat(200_000), "x".repeat(3 << 20), "nul\0"];
		for (const value of values) {
			const args = ["sh", "-c", "true", value];
			await assert.rejects(sandbox.exec({ args, env, cwd, user }), invalid);
			await assert.rejects(sandbox.exec({ args: ["true"], env: { ...env, value }, cwd, user }), invalid);
		}
		await using other = await create("true", { env: { ...env, VALUE: "x".repeat(200_000) } });
		await assert.rejects(other.start(), /fork\/exec \/bin\/sh: argument list too long/);
		const odd = { A: "", B: "=", C: "two\nlines", D: "\u{1f600}\u0001", E: "x".repeat(100_000) };
		const { stdout } = await runScript(harness, 'printf "%s|" "$A" "$B" "$C" "$D" | wc -c; echo $E | wc -c', {
			env: { ...env, ...odd },
		});
		assert.equal(stdout, `${4 + Buffer.byteLength(Object.values(odd).slice(0, 4).join(""))}\n100001\n`);
	});

	test("a program that was not to be leaves no descriptor and no process", async () => {
		const { env, cwd, user } = contractSpec("", []);
		await using sandbox = await create("sleep 600");
		const attempt = () =>
			assert.rejects(sandbox.exec({ args: ["sh", "nul\0"], env, cwd, user }), (error) => isSlipwayError(error));
		await attempt();
		await sleep(50);
		const open = () => readdirSync("/proc/self/fd").length;
		const before = open();
		for (let round = 0; round < 5; round++) await attempt();
		for (let look = 0; look < 100 && open() > before; look++) await sleep(10);
		assert.equal(open(), before);
		assert.equal((await sandbox.stats()).pids, 1);
	});

	test("limits that can't be set fail in words, and leave nothing", async () => {
		const before = hostSnapshot(harness.stateFolder);
		await assert.rejects(create("true", { limits: { ...contractLimits, memoryMiB: 0 } }), failed);
		for (let look = 0; look < 50 && hostSnapshot(harness.stateFolder).loops!.length > 0; look++) await sleep(10);
		assert.deepEqual(hostSnapshot(harness.stateFolder), before);
	});

	test("disposed, twice and at once, while it starts and while another program does", async () => {
		await create("true").then((sandbox) => sandbox[Symbol.asyncDispose]());
		await sleep(100);
		const before = hostSnapshot(harness.stateFolder);
		for (const wait of [0, 1, 5, 20, 40]) {
			const sandbox = await create("sleep 600");
			const { env, cwd, user } = contractSpec("", []);
			const ends = Promise.allSettled([
				sandbox.exec({ args: ["sleep", "600"], env, cwd, user }),
				wait % 2 === 0 ? sandbox.start() : sandbox.freeze(),
			]);
			if (wait > 0) await sleep(wait);
			await Promise.all([sandbox[Symbol.asyncDispose](), sandbox[Symbol.asyncDispose]()]);
			for (const end of await ends)
				if (end.status === "rejected") assert.ok(isSlipwayError(end.reason), String(end.reason));
			await assert.rejects(
				sandbox.start().then(() => sandbox.exec({ args: ["true"], env, cwd, user })),
				failed,
			);
		}
		await sleep(150);
		assert.deepEqual(hostSnapshot(harness.stateFolder), before);
	});

	test("an abort at any moment of a create leaves nothing", async () => {
		const before = hostSnapshot(harness.stateFolder);
		const spec = () => contractSpec(harness.rootfs, ["true"]);
		for (const wait of [undefined, 0, 2, 10, 20, 30, 45]) {
			const abort = new AbortController();
			const reason = new Error("no longer wanted");
			if (wait === undefined) abort.abort(reason);
			else setTimeout(() => abort.abort(reason), wait);
			try {
				await using _ = await harness.runtime.create(spec(), abort.signal);
			} catch (error) {
				assert.equal(error, reason);
			}
		}
		await sleep(150);
		assert.deepEqual(hostSnapshot(harness.stateFolder), before);
	});

	test("removing what an earlier process left removes nothing of ours", async () => {
		await using other = await openOciHarness(name);
		other.runtime.prepare({ tmpMiB: contractLimits.tmpMiB, egress: false });
		await other.runtime.settled();
		await using sandbox = await other.runtime.create(contractSpec(other.rootfs, ["sh", "-c", "sleep 0.3; exit 5"]));
		await sandbox.start();
		assert.equal(await other.runtime.reap(), 0);
		assert.deepEqual(await sandbox.exited, { code: 5, oomKilled: false });
	});
}

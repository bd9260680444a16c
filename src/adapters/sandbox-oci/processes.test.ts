/** What the processes of one sandbox can do to each other, to the first one, which is ours, and to nobody else. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isSlipwayError } from "../../base/error.ts";
import { collect, contractLimits, contractSpec, waitFor } from "../../core/sandbox/sandbox-runtime.contract.ts";
import type { Sandbox, SandboxExit, SandboxSpec } from "../../core/sandbox/sandbox-runtime.ts";
import { type OciHarness, type OciRuntimeName, openOciHarness, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";
import { runScript } from "./testing/run.ts";

await inOwnMountNamespace(import.meta.filename, () => {
	for (const name of ["crun", "runc"] satisfies OciRuntimeName[])
		describe(`processes under ${name}`, { skip: whyNot(name) ?? false, timeout: 60_000 }, () => processSuite(name));
});

function processSuite(name: OciRuntimeName): void {
	let harness: OciHarness;
	before(async () => {
		harness = await openOciHarness(name);
	});
	after(() => harness?.[Symbol.asyncDispose]());

	const run = (script: string, more?: Partial<SandboxSpec>) => runScript(harness, script, more);
	const shell = (script: string) => {
		const { args, env, cwd, user } = contractSpec(harness.rootfs, ["sh", "-c", script]);
		return { args, env, cwd, user };
	};
	const create = (script: string, more: Partial<SandboxSpec> = {}) =>
		harness.runtime.create(contractSpec(harness.rootfs, ["sh", "-c", script], more));
	async function exec(sandbox: Sandbox, script: string): Promise<{ exit: SandboxExit; stdout: string }> {
		const process = await sandbox.exec(shell(script));
		const stdout = collect(process.stdout);
		process.stderr.resume();
		return { exit: await process.exited, stdout: await stdout.ended };
	}

	test("signals that a program sends to itself end it, as anywhere", async () => {
		for (const signal of ["SIGKILL", "SIGABRT", "SIGSEGV", "SIGTERM"])
			assert.deepEqual((await run(`kill -${signal.slice(3)} $$; sleep 600`)).exit, { signal, oomKilled: false });
	});

	test("an exec'd program is confined as the main one", async () => {
		await using sandbox = await create("sleep 600");
		const script =
			"grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; ulimit -n; ulimit -c; cat /proc/self/oom_score_adj /proc/self/cgroup";
		const before = (await exec(sandbox, script)).stdout;
		await sandbox.start();
		const after = (await exec(sandbox, script)).stdout;
		const main = (await run(script)).stdout;
		assert.equal(before, after);
		const status = (text: string) => text.split("\n").slice(0, 7);
		assert.deepEqual(status(before), status(main));
		assert.match(before, /CapEff:\t0+\n(.*\n)?NoNewPrivs:\t1\nSeccomp:\t2/);
		for (const line of before.split("\n").slice(7, -1)) assert.doesNotMatch(line, /\.\./);
	});

	test("the first process, which is ours, is nobody that the image's root could get at", async () => {
		const script = `
			ls /proc/1/root/ /proc/1/cwd/ 2>/dev/null; cat /proc/1/fd/0 2>/dev/null; ls /proc/1/fd
			cat /proc/1/environ 2>/dev/null; cat /proc/1/mountinfo
			kill -9 1 2>/dev/null; kill -STOP 1 2>/dev/null
			cat /proc/1/net/dev | wc -l; cat /proc/1/net/route | wc -l; grep -E '^(Uid|CapPrm|CapEff):' /proc/1/status`;
		const { stdout, exit } = await run(script, { user: { uid: 0, gid: 0 } });
		const zero = "0000000000000000";
		// Only its input is open; two lines of headings and the loopback; a heading and no route.
		const uid = Array(4).fill(4294967280).join("\t");
		assert.equal(stdout, `0\n3\n1\nUid:\t${uid}\nCapPrm:\t${zero}\nCapEff:\t${zero}\n`);
		assert.deepEqual(exit, { code: 0, oomKilled: false });
	});

	test("orphans are collected", async () => {
		const script = `
			for i in $(seq 30); do (true & true &) ; done
			for i in $(seq 100); do
				zombies=$(cat /proc/[0-9]*/stat 2>/dev/null | grep -c ' Z ')
				[ "$zombies" = 0 ] && break; sleep 0.02
			done
			echo $zombies`;
		assert.equal((await run(script)).stdout, "0\n");
	});

	test("exec names a program or a folder that is not there, and the sandbox goes on", async () => {
		await using sandbox = await create("sleep 600");
		const reasons = { InvalidEntrypoint: { args: ["/nowhere"] }, InvalidWorkingDir: { cwd: "/nowhere" } };
		for (const [reason, change] of Object.entries(reasons))
			await assert.rejects(
				sandbox.exec({ ...shell("true"), ...change }),
				(error) => isSlipwayError(error, "INVALID_IMAGE") && error.reason === reason,
			);
		assert.deepEqual((await exec(sandbox, "exit 3")).exit, { code: 3, oomKilled: false });
	});

	test("a child that the kernel kills for memory leaves its parent running, whose own plain end stays plain", async () => {
		await using sandbox = await create(
			"tail -n 1 /dev/zero; echo $?; until [ -e /tmp/go ]; do sleep 0.02; done; kill -9 $$",
			{
				limits: { ...contractLimits, memoryMiB: 24 },
			},
		);
		const stdout = collect(sandbox.stdout);
		sandbox.stderr.resume();
		await sandbox.start();
		await waitFor(() => stdout.text().includes("137\n"), "the child to be killed");
		// As the engine does after each event.
		await sandbox.memoryPeak();
		assert.deepEqual((await exec(sandbox, "touch /tmp/go")).exit, { code: 0, oomKilled: false });
		assert.deepEqual(await sandbox.exited, { signal: "SIGKILL", oomKilled: false });
	});

	test("nothing of them is left with us", async () => {
		await harness.runtime.settled();
		const before = childrenOfMine();
		for (let round = 0; round < 3; round++) {
			const sandbox = await create("sleep 600 & exec sleep 600");
			await sandbox.exec(shell("sleep 600"));
			await sandbox.start();
			const next = await sandbox.reset();
			await next.exec(shell("sleep 600 & (sleep 600 &)"));
			await next.start();
			await sleep(20);
			await next[Symbol.asyncDispose]();
		}
		await waitFor(() => childrenOfMine().length === before.length, "our children to be gone");
	});
}

function childrenOfMine(): string[] {
	return readdirSync("/proc/self/task").flatMap((task) =>
		readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" ").filter(Boolean),
	);
}

/** The limits of the cloud hold as they are written (docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html). */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { collect, contractLimits, contractSpec } from "../../core/sandbox/sandbox-runtime.contract.ts";
import type { Sandbox, SandboxLimits } from "../../core/sandbox/sandbox-runtime.ts";
import { type OciHarness, openOciHarness, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";
import { runScript } from "./testing/run.ts";

const MEMORY_MIB_PER_CPU = 1_769;
/** Until the machine has a core to spare for one of them. */
const CPU_LOOKS = 6;
/** A sandbox that gets too little while so many are idle is kept from them by its own limit. */
const IDLE_CPUS = 0.5;
/** A slice that the kernel lets a sandbox overrun its quota by, 5 ms on each core, is little of what 128 MB get in this time. */
const CPU_LOOK_MS = 3_000;
const PIDS = 1_024;
const MIB = 1 << 20;

await inOwnMountNamespace(import.meta.filename, () =>
	describe("limits", { skip: whyNot("crun") ?? false, timeout: 240_000 }, limitsSuite),
);

function limitsSuite(): void {
	let harness: OciHarness;
	before(async () => {
		harness = await openOciHarness("crun");
	});
	after(() => harness?.[Symbol.asyncDispose]());

	const create = (script: string, change: Partial<SandboxLimits>) =>
		harness.runtime.create(
			contractSpec(harness.rootfs, ["sh", "-c", script], { limits: { ...contractLimits, ...change } }),
		);

	for (const memoryMiB of [128, 884, MEMORY_MIB_PER_CPU])
		test(`${memoryMiB} MB get ${memoryMiB}/${MEMORY_MIB_PER_CPU} of a CPU, however many ask for more`, async (context) => {
			const cpus = memoryMiB / MEMORY_MIB_PER_CPU;
			await using sandbox = await create("while true; do :; done & while true; do :; done", { memoryMiB, cpus });
			await sandbox.start();
			const looks: string[] = [];
			for (let look = 0; look < CPU_LOOKS; look++) {
				const idleBefore = idleSeconds();
				const share = (await cpuShare(sandbox)) / cpus;
				const idleCpus = ((idleSeconds() - idleBefore) * 1_000) / CPU_LOOK_MS;
				assert.ok(share <= 1.05, `${share} of what it was given`);
				if (share >= 0.95) return;
				const seen = `${share.toFixed(2)} of it with ${idleCpus.toFixed(2)} CPUs idle`;
				assert.ok(share > 0.9 || idleCpus < IDLE_CPUS, seen);
				looks.push(seen);
			}
			// Others took what it was given.
			context.diagnostic(`The machine was busy: ${looks.join(", ")}`);
		});

	test("a start may use more CPU, until it is over", async () => {
		const limits = { cpus: 0.07, startCpus: 0.5 };
		await using sandbox = await create("while true; do :; done & while true; do :; done", limits);
		await sandbox.start();
		const before = await cpuShare(sandbox);
		await sandbox.endStart();
		await sandbox.endStart();
		const after = await cpuShare(sandbox);
		assert.ok(before > 2 * limits.cpus && before <= 1.05 * limits.startCpus, `${before} of a CPU at its start`);
		assert.ok(after <= 1.1 * limits.cpus, `${after} of a CPU afterwards`);
		await using next = await sandbox.reset();
		await next.start();
		const again = await cpuShare(next);
		assert.ok(again > 2 * limits.cpus, `${again} of a CPU after a reset`);
		await next[Symbol.asyncDispose]();
		await next.endStart();
	});

	/** CPU time by wall time, over a while. */
	async function cpuShare(sandbox: Sandbox): Promise<number> {
		const [before, started] = [await sandbox.stats(), performance.now()];
		await sleep(CPU_LOOK_MS);
		const [after, ended] = [await sandbox.stats(), performance.now()];
		return (after.cpuUs - before.cpuUs) / 1_000 / (ended - started);
	}

	test("a /tmp of 512 MiB takes 512 MiB, and no more", async () => {
		const script = "dd if=/dev/zero of=/tmp/big bs=1M count=600 2>&1 | grep -o 'No space left'; wc -c < /tmp/big";
		const { stdout } = await runScript(harness, script, { limits: { ...contractLimits, tmpMiB: 512 } });
		const [message, bytes] = stdout.split("\n");
		assert.equal(message, "No space left");
		assert.ok(Math.abs(Number(bytes) - 512 * MIB) <= MIB, `${Number(bytes) / MIB} MiB`);
	});

	test("a /tmp of 10,240 MiB has its size, and costs nothing before it is used", async () => {
		const script = "df -m /tmp | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4; echo x > /tmp/file && cat /tmp/file";
		const { stdout } = await runScript(harness, script, { limits: { ...contractLimits, tmpMiB: 10_240 } });
		const [available, content] = stdout.split("\n");
		assert.ok(Math.abs(Number(available) - 10_240) <= 10, `${available} MiB`);
		assert.equal(content, "x");
	});

	test("no program has more files open than the limit, the main one or another", async () => {
		// The shell ends when it can open no more; it says how far it got.
		const script = 'ulimit -Hn; n=3; while true; do eval "exec $n</dev/null"; echo $n; n=$((n+1)); done';
		await using sandbox = await create(script, { openFiles: 100 });
		const { args, env, cwd, user } = contractSpec("", ["sh", "-c", script]);
		const other = await sandbox.exec({ args, env, cwd, user });
		const outputs = [collect(sandbox.stdout), collect(other.stdout)];
		await sandbox.start();
		for (const output of outputs) {
			const lines = (await output.ended).trim().split("\n");
			assert.equal(lines[0], "100");
			// 0 to 99; the shell may need one for a moment.
			assert.ok(Number(lines.at(-1)) >= 97 && Number(lines.at(-1)) <= 99, `${lines.at(-1)} was the last`);
		}
	});

	test("there are never more processes than the limit, of all programs together", async () => {
		const script = "i=0; while [ $i -lt 1100 ]; do sleep 600 & i=$((i+1)); done 2>/dev/null; echo done; wait";
		await using sandbox = await create(script, { pids: PIDS, memoryMiB: 512 });
		const { args, env, cwd, user } = contractSpec("", ["sh", "-c", script]);
		const other = await sandbox.exec({ args, env, cwd, user });
		for (const stream of [sandbox.stdout, sandbox.stderr, other.stdout, other.stderr]) stream.resume();
		await sandbox.start();
		let most = 0;
		// A shell that can't fork gives up, and its place is free: the last one or two are not taken at all times.
		for (let look = 0; look < 1_000 && most < PIDS - 2; look++, await sleep(10))
			most = Math.max(most, (await sandbox.stats()).pids);
		for (let look = 0; look < 20; look++, await sleep(5)) most = Math.max(most, (await sandbox.stats()).pids);
		assert.ok(most >= PIDS - 2 && most <= PIDS, `${most} processes`);
	});

	test("a frozen sandbox uses no CPU time at all, whatever runs in it, and a thawed one goes on", async () => {
		const spin = "while true; do :; done";
		await using sandbox = await create(`${spin} & (${spin} &) ; ${spin}`, { cpus: 2 });
		const { args, env, cwd, user } = contractSpec("", ["sh", "-c", spin]);
		await sandbox.exec({ args, env, cwd, user });
		await sandbox.start();
		for (let round = 0; round < 3; round++) {
			const running = (await sandbox.stats()).cpuUs;
			for (let looks = 0; looks < 400 && (await sandbox.stats()).cpuUs <= running + 50_000; looks++) await sleep(10);
			assert.ok((await sandbox.stats()).cpuUs > running + 50_000);
			await sandbox.freeze();
			const frozen = (await sandbox.stats()).cpuUs;
			await sleep(300);
			assert.ok((await sandbox.stats()).cpuUs - frozen < 1_000, "CPU time while frozen");
			await sandbox.thaw();
		}
	});
}

/** Of all CPUs, since the boot (proc_uptime(5)). */
function idleSeconds(): number {
	return Number(readFileSync("/proc/uptime", "utf8").split(" ")[1]);
}

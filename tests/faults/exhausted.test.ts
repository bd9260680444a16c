/** What sandboxes are made of runs out, or is taken away: each event is answered in time, the log says what lacks, and all is well once it is back. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { FunctionClient } from "../e2e/function-client.ts";
import { missingForFunctionImages, pushShellRuntime } from "../e2e/function-image.ts";
import { marksOf, remains, takeInventory } from "../soak/leftovers.ts";
import { DaemonGroup } from "./daemon-group.ts";

const timeoutS = 5;
/** What the platform may take beyond the function's time. */
const graceMs = 2000;
/** More than stand ready: some have to be made. */
const burst = 12;
const diskMiB = 160;
const settleMs = 15_000;
/** Blank sandboxes that are kept ready however short memory is. */
const standingReady = 2;

interface Answer {
	/** "ok", or the service's error with its status and message. */
	outcome: string;
	ms: number;
}

describe("a machine without", { skip: missingForFunctionImages() ?? false, timeout: 120_000 }, () => {
	let base: string;
	let group: DaemonGroup;
	let daemon: LocalDaemon;
	let client: FunctionClient;

	before(async () => {
		base = mkdtempSync(join(tmpdir(), "slipway-exhausted-"));
		mkdirSync(join(base, "tmp"));
		mkdirSync(join(base, "home"));
		execFileSync("mount", ["-t", "tmpfs", "-o", `size=${diskMiB}m`, "slipway-exhausted", join(base, "home")]);
		group = new DaemonGroup();
		const env = { TMPDIR: join(base, "tmp"), SLIPWAY_EGRESS: "0" };
		daemon = await startDaemon({ home: join(base, "home"), prefix: group.prefix, env, log: "inherit" });
		client = new FunctionClient(daemon);
		await client.createActive("f", await pushShellRuntime(daemon, "shell"), { Timeout: timeoutS });
	});
	after(async () => {
		client?.[Symbol.dispose]();
		const marks = daemon && marksOf(daemon.pid, daemon.home, join(base, "tmp"));
		await daemon?.[Symbol.asyncDispose]();
		const left = marks ? await remains(marks) : [];
		group?.[Symbol.dispose]();
		execFileSync("umount", [join(base, "home")]);
		rmSync(base, { recursive: true });
		assert.equal(daemon?.process?.exitCode, 0, "it ends well");
		assert.deepEqual(left, []);
	});
	/** What came back is used again, and what was made meanwhile goes. */
	let mayKeepSome = false;

	afterEach(async () => {
		for (const { outcome } of await invokeAll(burst)) assert.equal(outcome, "ok");
		await atRest();
	});

	async function invoke(n: number): Promise<Answer> {
		const start = performance.now();
		const outcome = await client.invoke("f", { n }).then(
			({ json }) => (json.n === n ? "ok" : JSON.stringify(json)),
			(error: Error & { $metadata?: { httpStatusCode?: number } }) =>
				`${error.name} ${error.$metadata?.httpStatusCode}: ${error.message}`,
		);
		return { outcome, ms: performance.now() - start };
	}
	const invokeAll = (count: number) => Promise.all(Array.from({ length: count }, (_, n) => invoke(n)));

	/** Every one is answered in time: well, or as a failure of the service that names what lacks. */
	function answered(answers: readonly Answer[], lacks: RegExp): string[] {
		for (const { outcome, ms } of answers) {
			assert.ok(ms <= timeoutS * 1000 + graceMs, `${outcome} after ${ms} ms`);
			if (outcome !== "ok") assert.match(outcome, lacks);
		}
		return answers.map(({ outcome }) => outcome).filter((outcome) => outcome !== "ok");
	}

	async function toZero(): Promise<void> {
		const headers = { authorization: `Bearer ${daemon.credentials.token}` };
		const answer = await fetch(`${daemon.url}/_slipway/functions/f/stop`, { method: "POST", headers });
		assert.equal(answer.status, 200, await answer.text());
	}

	/** Nothing is left but what stands ready, which is little while memory is short. */
	async function atRest(): Promise<void> {
		const marks = marksOf(daemon.pid, daemon.home, join(base, "tmp"));
		try {
			for (const until = performance.now() + settleMs; ; await sleep(100)) {
				await toZero();
				group.makeMemoryShort();
				const { containers, processes, zombies, loopDevices } = await takeInventory(marks);
				const beyond = {
					containers: Math.max(0, containers - standingReady),
					disks: Math.max(0, loopDevices - standingReady),
				};
				const now = { ...beyond, processes: processes - 2 * containers, zombies };
				const expected = { containers: 0, disks: 0, processes: 0, zombies: 0 };
				if (mayKeepSome || Object.values(now).every((count) => count === 0)) return;
				if (performance.now() > until) assert.deepEqual(now, expected);
			}
		} finally {
			group.limitMemory();
		}
	}

	const lacksRoom = (what: string) => new RegExp(`^ServiceException 500: The machine .*(${what})`);

	test("process ids", async () => {
		await toZero();
		group.limitTasks(2);
		try {
			const failed = answered(await invokeAll(burst), lacksRoom("processes|Resource temporarily unavailable"));
			assert.ok(failed.length > 0 && group.refusedTasks > 0, `${failed.length} failed`);
		} finally {
			group.limitTasks();
		}
	});

	test("memory: what stands ready beyond the least goes, and events are answered all the same", async () => {
		await invokeAll(burst);
		group.makeMemoryShort();
		try {
			answered(await invokeAll(3), lacksRoom("memory"));
		} finally {
			group.limitMemory();
		}
	});

	test("disk space", async () => {
		await toZero();
		const filler = join(base, "home/filler");
		fill(filler);
		try {
			answered(await invokeAll(burst), lacksRoom("room"));
		} finally {
			rmSync(filler);
		}
	});

	test("the mounted root of an image: it is mounted again", async () => {
		const mounts = readFileSync(`/proc/${daemon.pid}/mounts`, "utf8").split("\n");
		// A sandbox that is on its way out may still have the same root in its stage.
		const isRoot = ([, path = "", type]: string[]) => type === "overlay" && path.includes("/roots/");
		const roots = mounts.map((line) => line.split(" ")).filter(isRoot);
		assert.equal(roots.length, 1);
		await toZero();
		for (const [, path = ""] of roots) execFileSync("nsenter", ["-t", `${daemon.pid}`, "-m", "umount", "-l", path]);
		for (const { outcome } of await invokeAll(3)) assert.equal(outcome, "ok");
	});
	test("file descriptors", async () => {
		// A sandbox whose control group can't be written to for want of a descriptor is removed with the daemon at the latest.
		mayKeepSome = true;
		await toZero();
		const limit = (count: string) => execFileSync("prlimit", ["-p", `${daemon.pid}`, `--nofile=${count}`]);
		const [, soft = ""] = /^Max open files +(\d+)/m.exec(readFileSync(`/proc/${daemon.pid}/limits`, "utf8")) ?? [];
		// The callers' own connections are among them.
		limit(`${readdirSync(`/proc/${daemon.pid}/fd`).length + burst + 4}:`);
		try {
			const failed = answered(await invokeAll(burst), lacksRoom("open files|EMFILE"));
			assert.ok(failed.length > 0, "none failed");
		} finally {
			limit(`${soft}:`);
		}
	});
});

function fill(path: string): void {
	const file = openSync(path, "w");
	const chunk = Buffer.alloc(65_536);
	try {
		for (;;) writeSync(file, chunk);
	} catch (error) {
		assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
	} finally {
		closeSync(file);
	}
}

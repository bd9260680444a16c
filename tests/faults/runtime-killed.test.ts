/** kill -9 of the container runtime half-way through a create: the event fails by contract, the next one works, nothing stays. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { UpdateFunctionConfigurationCommand, waitUntilFunctionUpdatedV2 } from "@aws-sdk/client-lambda";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { FunctionClient } from "../e2e/function-client.ts";
import { missingForFunctionImages, pushShellRuntime } from "../e2e/function-image.ts";
import { DaemonGroup } from "./daemon-group.ts";

/** A new sandbox for each: enough for kills to land all over the 20 to 50 ms that a create takes. */
const rounds = 15;
/** Events of a round. */
const atOnce = 6;

describe("kill -9 of the runtime program", { skip: missingForFunctionImages() ?? false }, () => {
	let daemon: LocalDaemon;
	let client: FunctionClient;
	let group: DaemonGroup;
	let revision = 1;

	before(async () => {
		group = new DaemonGroup();
		daemon = await startDaemon({ prefix: group.prefix, env: { SLIPWAY_EGRESS: "0" } });
		client = new FunctionClient(daemon);
		await client.createActive("cold", await pushShellRuntime(daemon, "shell"));
	});
	/** What the runtime's adapter marks the control groups of this home with. */
	const stateFolder = () => join(daemon.home, "sandboxes");
	const mark = () => `slipway-${createHash("sha256").update(stateFolder()).digest("hex").slice(0, 8)}`;
	after(async () => {
		client?.[Symbol.dispose]();
		await daemon?.[Symbol.asyncDispose]();
		group?.[Symbol.dispose]();
	});

	test("each event is answered or fails as the contract says, and no process, cgroup, interface or mount is left", async () => {
		// As many connections as later: they are descriptors of the daemon.
		const first = await Promise.all(Array.from({ length: atOnce }, () => client.invoke("cold", { n: 0 })));
		for (const { json } of first) assert.deepEqual(json, { n: 0 });
		await makeCold();
		const idle = await settled(() => true);
		const atRest = idle.sandboxes.length + idle.processes.length;
		let killed = 0;
		let failed = 0;
		for (let n = 1; n <= rounds; n++) {
			const before = new Set(children(daemon.pid));
			let done = false;
			// More than stand ready: some have to be made now.
			const one = (_: unknown, of: number) =>
				client.invoke("cold", { n, of }).then(
					({ json, error }) => {
						// Of a create that is over the process that was found has become the function's own.
						if (error === undefined) return assert.deepEqual(json, { n, of });
						failed++;
						assert.deepEqual([json.errorType, /signal: killed$/.test(json.errorMessage)], ["Runtime.ExitError", true]);
					},
					(error: Error & { $metadata?: { httpStatusCode?: number } }) => {
						failed++;
						assert.deepEqual([error.name, error.$metadata?.httpStatusCode], ["ServiceException", 500], String(error));
					},
				);
			const finished = Promise.all(Array.from({ length: atOnce }, one)).finally(() => {
				done = true;
			});
			while (!done) {
				const victim = children(daemon.pid).find((pid) => !before.has(pid) && isCreate(pid));
				if (victim === undefined) await sleep(1);
				else {
					await sleep(n % 10);
					if (kill(victim)) killed++;
					before.add(victim);
				}
			}
			await finished;
			await makeCold();
		}
		assert.ok(
			killed >= rounds && failed >= 5 && failed <= killed,
			`${failed} events failed, ${killed} creates were hit in ${rounds} rounds`,
		);
		assert.deepEqual((await client.invoke("cold", { n: -1 })).json, { n: -1 });
		await makeCold();
		// Processes that a killed runtime orphaned are collected by a sweep every five seconds.
		const now = await settled(({ sandboxes, processes }) => sandboxes.length + processes.length === atRest);
		const comparable = { sandboxes: [], cgroups: [], containers: [] };
		assert.deepEqual({ ...now, ...comparable }, { ...idle, ...comparable });
		assert.equal(now.sandboxes.length, idle.sandboxes.length);
		assert.equal(now.containers.length, idle.containers.length);
	});

	/** A new revision: its next event needs a new sandbox, and the old ones go. */
	async function makeCold(): Promise<void> {
		await client.lambda.send(
			new UpdateFunctionConfigurationCommand({ FunctionName: "cold", Description: `${revision++}` }),
		);
		const waiting = { client: client.lambda, maxWaitTime: 30, minDelay: 0.01, maxDelay: 0.05 };
		await waitUntilFunctionUpdatedV2(waiting, { FunctionName: "cold" });
	}

	/**
	 * What there is of sandboxes on the machine once the pools and spares that refill behind them have come to rest, and
	 * each control group is one that the daemon knows.
	 */
	async function settled(like: (now: Awaited<ReturnType<typeof machine>>) => boolean) {
		let last: Awaited<ReturnType<typeof machine>> | undefined;
		const until = performance.now() + 20_000;
		for (let same = 0; ; await sleep(150)) {
			// Then no more blank sandboxes stand ready than at first, however many were asked for lately.
			group.makeMemoryShort();
			const now = await machine();
			same = isDeepStrictEqual(now, last) && like(now) ? same + 1 : 0;
			last = now;
			if (same < 10 && performance.now() < until) continue;
			group.limitMemory();
			assert.deepEqual(now.cgroups, now.containers, "control groups and containers");
			return now;
		}
	}

	async function machine() {
		const { sandboxes } = (await (await client.native("/sandboxes")).json()) as { sandboxes: { id: string }[] };
		const processes = children(daemon.pid).map((pid) => `${comm(pid)} ${read(`/proc/${pid}/stat`).split(" ")[2]}`);
		const roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"].map((root) => join(root, mark()));
		const cgroups = roots
			.filter(existsSync)
			.flatMap((root) => readdirSync(root).filter((id) => id.startsWith("blank-")));
		const containers = readdirSync(join(`/proc/${daemon.pid}/root`, stateFolder(), "run/state"));
		const folders = ["bundles", "state", "tmp"].map((name) =>
			join(`/proc/${daemon.pid}/root`, stateFolder(), "run", name),
		);
		return {
			sandboxes: sandboxes.map(({ id }) => id).sort(),
			containers: containers.sort(),
			processes,
			cgroups: [...new Set(cgroups)].sort(),
			bundles: folders.map((folder) => readdirSync(folder).length),
			mounts: readFileSync(`/proc/${daemon.pid}/mounts`, "utf8").split("\n").length,
			descriptors: readdirSync(`/proc/${daemon.pid}/fd`).length,
		};
	}
});

function kill(pid: number): boolean {
	try {
		process.kill(pid, "SIGKILL");
		return true;
	} catch {
		return false; // it was faster
	}
}

function read(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return ""; // it has ended meanwhile
	}
}

/** The runtime program is executed from memory: its name is a number. */
const isCreate = (pid: number) => read(`/proc/${pid}/cmdline`).includes("\0create\0--bundle\0");
const comm = (pid: number) => read(`/proc/${pid}/comm`).trim();
function children(pid: number): number[] {
	let threads: string[];
	try {
		threads = readdirSync(`/proc/${pid}/task`);
	} catch {
		return [];
	}
	return threads.flatMap((thread) =>
		read(`/proc/${pid}/task/${thread}/children`).split(" ").filter(Boolean).map(Number),
	);
}

/** kill -9 of a sandbox's processes, of its first process, or of the runtime program: each caller is answered in time, and the next one well. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { FunctionClient } from "../e2e/function-client.ts";
import { missingForFunctionImages, pushShellRuntime } from "../e2e/function-image.ts";

const timeoutS = 3;
/** What the platform may take beyond the function's time. */
const graceMs = 1000;
/** Kills land all over what they are meant to hit. */
const rounds = 6;

interface Answer {
	/** "ok", the function's error type, or the name of the service's error. */
	outcome: string;
	ms: number;
}

describe("kill -9 inside of a sandbox", { skip: missingForFunctionImages() ?? false, timeout: 120_000 }, () => {
	let daemon: LocalDaemon;
	let client: FunctionClient;

	before(async () => {
		daemon = await startDaemon();
		client = new FunctionClient(daemon);
		const extension = await readFile(join(import.meta.dirname, "../e2e/fixtures/extension.sh"));
		const shell = await pushShellRuntime(daemon, "shell");
		const extended = await pushShellRuntime(daemon, "extended", {}, { "opt/extensions/watcher": extension });
		await client.createActive("plain", shell, { Timeout: timeoutS });
		await client.createActive("extended", extended, { Timeout: timeoutS });
		await client.createActive("slow", shell, { Timeout: timeoutS, Environment: { Variables: { INIT: "hang" } } });
	});
	after(async () => {
		client?.[Symbol.dispose]();
		await daemon?.[Symbol.asyncDispose]();
	});

	async function invoke(name: string, event: unknown): Promise<Answer> {
		const start = performance.now();
		const outcome = await client.invoke(name, event).then(
			({ error, json }) => (error === undefined ? "ok" : String((json as { errorType?: string }).errorType)),
			(error: Error) => error.name,
		);
		return { outcome, ms: performance.now() - start };
	}

	/** An answer in time that is one of these, and soon after it a good one. */
	async function answered(answer: Promise<Answer>, outcomes: readonly string[], again = "plain"): Promise<void> {
		const { outcome, ms } = await answer;
		assert.ok(ms <= timeoutS * 1000 + graceMs, `${outcome} after ${ms} ms`);
		assert.ok(outcomes.includes(outcome), outcome);
		// A frozen process that was killed dies when it thaws, with the event that thawed it (cgroup version 1).
		for (let tries = 1; (await invoke(again, { n: 1 })).outcome !== "ok"; tries++) assert.ok(tries < 5);
	}

	const found = (is: (name: string, commandLine: string) => boolean) =>
		children(daemon.pid).filter((pid) => is(read(pid, "comm").trim(), read(pid, "cmdline")));
	const holders = () => found((name) => name === "holder");
	const runtimes = () => found((_, line) => line.includes("/runtime.sh"));

	/** Kills the first that comes, unless the answer is faster. */
	async function killNext(answer: Promise<Answer>, find: () => number[], delayMs = 0): Promise<void> {
		const known = new Set(find());
		let done = false;
		void answer.then(() => {
			done = true;
		});
		while (!done) {
			const victim = find().find((pid) => !known.has(pid));
			if (victim === undefined) {
				await sleep(1);
				continue;
			}
			await sleep(delayMs);
			kill(victim);
			return;
		}
	}

	test("between create and start: what stands ready goes, and the event gets another", async () => {
		for (let round = 0; round < rounds; round++) {
			assert.equal((await invoke("plain", { n: 0 })).outcome, "ok");
			// What stands ready waits in the launcher for what it is to become.
			const spares = found((_, line) => line.startsWith("/launcher\0"));
			assert.ok(spares.length > 0);
			const all = [...spares, ...runtimes()];
			for (const pid of round % 2 === 0 ? all : holders()) kill(pid);
			await answered(invoke("plain", { n: 1 }), ["ok", "Runtime.ExitError"]);
		}
	});

	test("between start and the first poll", async () => {
		for (const target of ["main", "holder"]) {
			const answer = invoke("slow", { n: 1 });
			await sleep(300);
			for (const pid of target === "main" ? runtimes() : holders()) kill(pid);
			await sleep(500);
			for (const pid of target === "main" ? runtimes() : holders()) kill(pid);
			await answered(answer, ["Runtime.ExitError", "Sandbox.Timedout"]);
		}
	});

	test("during an event", async () => {
		for (const target of ["main", "holder"]) {
			const answer = invoke("plain", { do: "hang" });
			await sleep(400);
			for (const pid of target === "main" ? runtimes() : holders()) kill(pid);
			const { ms } = await answer;
			assert.ok(ms < 2000, `told after ${ms} ms`);
			await answered(answer, ["Runtime.ExitError"]);
		}
	});

	test("while it waits for an event, frozen", async () => {
		for (const target of ["main", "holder"]) {
			assert.equal((await invoke("plain", { n: 0 })).outcome, "ok");
			await sleep(200);
			for (const pid of target === "main" ? runtimes() : holders()) kill(pid);
			await answered(invoke("plain", { n: 1 }), ["ok", "Runtime.ExitError"]);
		}
	});

	test("during an exec: the extension's, and the program that starts it", async () => {
		for (let round = 0; round < rounds; round++) {
			await invoke("extended", { do: "exit", size: 1 });
			const answer = invoke("extended", { n: 1 });
			const find =
				round % 2 === 0
					? () => found((_, line) => line.includes("\0exec\0--detach\0"))
					: () => found((_, line) => line.includes("/opt/extensions/watcher"));
			await killNext(answer, find, round);
			const outcomes = ["ok", "ServiceException", "Extension.Crash", "Extension.LaunchError", "Runtime.ExitError"];
			await answered(answer, outcomes, "extended");
		}
	});

	test("during a reset", async () => {
		for (let round = 0; round < rounds; round++) {
			assert.equal((await invoke("plain", { n: 0 })).outcome, "ok");
			const crash = invoke("plain", { do: "exit", size: 1 });
			const next = crash.then(() => invoke("plain", { n: 1 }));
			const find = round % 2 === 0 ? () => found((_, line) => line.includes("\0create\0--bundle\0")) : holders;
			await killNext(next, find, round * 3);
			await answered(crash, ["Runtime.ExitError"]);
			await answered(next, ["ok", "ServiceException", "Runtime.ExitError"]);
		}
	});
});

function children(pid: number): number[] {
	return readdirSync(`/proc/${pid}/task`).flatMap((task) => {
		try {
			return readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number);
		} catch {
			return []; // a thread that has ended meanwhile
		}
	});
}

function read(pid: number, name: string): string {
	try {
		return readFileSync(`/proc/${pid}/${name}`, "utf8");
	} catch {
		return ""; // it has ended meanwhile
	}
}

/** Only ever a process in another process namespace or the runtime program: an id that was found in the daemon's children. */
function kill(pid: number): void {
	try {
		readlinkSync(`/proc/${pid}/ns/pid`);
		process.kill(pid, "SIGKILL");
	} catch {
		// It was faster.
	}
}

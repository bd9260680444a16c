import assert from "node:assert/strict";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isSlipwayError } from "../../base/error.ts";
import type { ContractProgramName } from "./sandbox-runtime.programs.ts";
import type { Sandbox, SandboxRuntime, SandboxSpec } from "./sandbox-runtime.ts";

export interface SandboxContractHarness extends AsyncDisposable {
	runtime: SandboxRuntime;
	/** A root on which the contract's programs run. */
	rootfs: string;
	/** How the runtime under test runs one of the contract's programs. */
	args(program: ContractProgramName, ...args: string[]): string[];
}

export const contractLimits = { memoryMiB: 64, cpus: 1, pids: 64, openFiles: 256, tmpMiB: 16 };
/** Above what any of these takes on a busy machine of two cores. */
const TIMEOUT_MS = 60_000;
let nextId = 1;

export function contractSpec(rootfs: string, args: readonly string[], more: Partial<SandboxSpec> = {}): SandboxSpec {
	return {
		id: `contract-${process.pid}-${nextId++}`,
		rootfs,
		args,
		env: { PATH: "/bin", GREETING: "hello world" },
		cwd: "/var/task",
		user: { uid: 1000, gid: 1000 },
		readonlyRoot: true,
		limits: contractLimits,
		egress: false,
		...more,
	};
}

/** Collects a stream as text. */
export function collect(stream: Readable): { text: () => string; ended: Promise<string> } {
	let text = "";
	stream.on("data", (chunk: Buffer) => {
		text += chunk.toString();
	});
	const ended = new Promise<string>((resolve) =>
		stream.once("close", () => resolve(text)).once("end", () => resolve(text)),
	);
	return { text: () => text, ended };
}

export async function waitFor(condition: () => boolean, what: string): Promise<void> {
	for (let waited = 0; !condition(); waited += 5) {
		if (waited > 20_000) assert.fail(`Waited in vain for ${what}`);
		await sleep(5);
	}
}

/** A program says that it is ready just before it listens. */
async function connectOften(sandbox: Sandbox, port: number): Promise<Socket> {
	for (let attempt = 1; ; attempt++)
		try {
			return await sandbox.connect(port);
		} catch (error) {
			if (attempt === 200) throw error;
			await sleep(10);
		}
}

/** What every `SandboxRuntime` does, also one that isolates nothing. */
export function sandboxRuntimeContract(name: string, open: () => Promise<SandboxContractHarness>): void {
	describe(`SandboxRuntime contract: ${name}`, { timeout: TIMEOUT_MS * 4 }, () => {
		let harness: SandboxContractHarness;
		before(async () => {
			harness = await open();
		});
		after(() => harness?.[Symbol.asyncDispose]());

		const create = (program: ContractProgramName, more: Partial<SandboxSpec> = {}, ...args: string[]) =>
			harness.runtime.create(contractSpec(harness.rootfs, harness.args(program, ...args), more));
		/** For exec. */
		const program = (name: ContractProgramName, ...args: string[]) => {
			const { env, cwd, user } = contractSpec(harness.rootfs, []);
			return { args: harness.args(name, ...args), env, cwd, user };
		};

		test("runs nothing before start, then passes arguments, environment, folder, user and the endpoint's address", async () => {
			const endpoint = { envName: "ENDPOINT", onConnection: (socket: Socket) => void socket.destroy() };
			await using sandbox = await create("describe", { endpoint }, "two words");
			const stdout = collect(sandbox.stdout);
			const stderr = collect(sandbox.stderr);
			await sleep(50);
			assert.equal(stdout.text(), "");
			await sandbox.start();
			assert.deepEqual(await sandbox.exited, { code: 0, oomKilled: false });
			const lines = (await stdout.ended).split("\n");
			assert.equal(lines[0], "two words");
			assert.equal(lines[1], "hello world");
			assert.match(lines[2]!, /^127\.0\.0\.1:\d+$/);
			assert.deepEqual(lines.slice(3), ["/var/task", "1000:1000", ""]);
			assert.equal(await stderr.ended, "problem\n");
		});

		test("tells the exit code, and keeps telling it", async () => {
			await using sandbox = await create("fail");
			await sandbox.start();
			assert.deepEqual(await sandbox.exited, { code: 42, oomKilled: false });
			assert.deepEqual(await sandbox.kill(), { code: 42, oomKilled: false });
			sandbox.signal("SIGTERM");
			assert.deepEqual(await sandbox.exited, { code: 42, oomKilled: false });
		});

		test("kill ends a running and a merely created sandbox with SIGKILL", async () => {
			await using running = await create("sleep");
			await running.start();
			await using created = await create("sleep");
			const expected = { signal: "SIGKILL", oomKilled: false };
			assert.deepEqual(await running.kill(), expected);
			assert.deepEqual(await created.kill(), expected);
			await assert.rejects(created.start(), (error) => isSlipwayError(error, "SANDBOX_FAILED"));
		});

		test("SIGTERM lets a program end by itself that listens for it, and ends another", async () => {
			await using polite = await create("polite");
			await using other = await create("sleep");
			const stdout = collect(polite.stdout);
			polite.signal("SIGTERM");
			await Promise.all([polite.start(), other.start()]);
			await waitFor(() => stdout.text() !== "", "the program to be ready");
			for (const sandbox of [polite, other]) sandbox.signal("SIGTERM");
			assert.deepEqual(await polite.exited, { code: 7, oomKilled: false });
			assert.equal(await stdout.ended, "ready\nstopping\n");
			assert.deepEqual(await other.exited, { signal: "SIGTERM", oomKilled: false });
		});

		test("a frozen program takes a signal when it thaws", async () => {
			await using sandbox = await create("polite");
			const stdout = collect(sandbox.stdout);
			await sandbox.start();
			await waitFor(() => stdout.text() !== "", "the program to be ready");
			await sandbox.freeze();
			sandbox.signal("SIGTERM");
			await sleep(50);
			assert.equal(stdout.text(), "ready\n");
			await sandbox.thaw();
			assert.deepEqual(await sandbox.exited, { code: 7, oomKilled: false });
		});

		test("a signal to the main process reaches it alone, and its end leaves the others running until kill", async () => {
			await using sandbox = await create("sleep");
			const other = await sandbox.exec(program("count"));
			const output = collect(other.stdout);
			await sandbox.start();
			sandbox.signal("SIGKILL");
			assert.deepEqual(await sandbox.exited, { signal: "SIGKILL", oomKilled: false });
			const length = output.text().length;
			await waitFor(() => output.text().length > length + 4, "the other to go on");
			await assert.rejects(sandbox.exec(program("fail")), (error) => isSlipwayError(error, "SANDBOX_FAILED"));
			assert.deepEqual(await sandbox.kill(), { signal: "SIGKILL", oomKilled: false });
			assert.deepEqual(await other.exited, { signal: "SIGKILL", oomKilled: false });
		});

		test("exec runs further programs before and after start, each with its own output, environment, folder and user", async () => {
			const endpoint = { envName: "ENDPOINT", onConnection: (socket: Socket) => void socket.destroy() };
			await using sandbox = await create("sleep", { endpoint });
			const describeIt = (argument: string, greeting: string) =>
				sandbox.exec({
					...program("describe", argument),
					env: { PATH: "/bin", GREETING: greeting },
					cwd: "/tmp",
					user: { uid: 1001, gid: 1002 },
				});
			for (const when of ["before", "after"]) {
				const described = await describeIt(when, "good morning");
				const [stdout, stderr] = [collect(described.stdout), collect(described.stderr)];
				assert.deepEqual(await described.exited, { code: 0, oomKilled: false });
				assert.match(await stdout.ended, new RegExp(`^${when}\ngood morning\n127.0.0.1:\\d+\n/tmp\n1001:1002\n$`));
				assert.equal(await stderr.ended, "problem\n");
				await sandbox.start();
			}
			const failing = await sandbox.exec(program("fail"));
			assert.deepEqual(await failing.exited, { code: 42, oomKilled: false });
			const asked = await sandbox.exec(program("polite"));
			const stdout = collect(asked.stdout);
			await waitFor(() => stdout.text() !== "", "the program to be ready");
			asked.signal("SIGTERM");
			assert.deepEqual(await asked.exited, { code: 7, oomKilled: false });
			asked.signal("SIGKILL");
			assert.deepEqual(await sandbox.kill(), { signal: "SIGKILL", oomKilled: false });
		});

		test("freeze stops every process", async () => {
			await using sandbox = await create("count");
			const other = await sandbox.exec(program("count"));
			const outputs = [collect(sandbox.stdout), collect(other.stdout)];
			await sandbox.start();
			for (const output of outputs) await waitFor(() => output.text().length > 4, "it to count");
			await sandbox.freeze();
			await sleep(30);
			const frozenAt = outputs.map((output) => output.text());
			await sleep(100);
			assert.deepEqual(
				outputs.map((output) => output.text()),
				frozenAt,
			);
			await sandbox.thaw();
			for (const [i, output] of outputs.entries())
				await waitFor(() => output.text().length > frozenAt[i]!.length, "it to go on");
		});

		test("reset makes everything anew but /tmp, under the same id, any number of times", async () => {
			let connections = 0;
			const endpoint = {
				envName: "ENDPOINT",
				onConnection: (socket: Socket) => {
					connections++;
					socket.end("hello\n");
				},
			};
			let sandbox = await create("remember", { endpoint }, "main");
			try {
				for (let round = 1; round <= 3; round++) {
					const stdout = collect(sandbox.stdout);
					await sandbox.start();
					assert.deepEqual(await sandbox.exited, { code: 0, oomKilled: false });
					assert.equal(await stdout.ended, "main ".repeat(round));
					const old = sandbox;
					sandbox = await old.reset();
					assert.equal(sandbox.id, old.id);
					assert.notEqual(sandbox, old);
					const talking = await sandbox.exec(program("talk", "me"));
					const heard = collect(talking.stdout);
					assert.deepEqual(await talking.exited, { code: 0, oomKilled: false });
					assert.equal(await heard.ended, "hello\n");
					assert.equal(connections, round);
					await old[Symbol.asyncDispose]();
				}
			} finally {
				await sandbox[Symbol.asyncDispose]();
			}
			await assert.rejects(sandbox.reset(), (error) => isSlipwayError(error, "SANDBOX_FAILED"));
			await using fresh = await create("remember", { id: sandbox.id }, "other");
			const stdout = collect(fresh.stdout);
			await fresh.start();
			assert.equal(await stdout.ended, "other ");
		});

		test("reset ends whatever ran, frozen too", async () => {
			await using sandbox = await create("count");
			sandbox.stdout.resume();
			const other = await sandbox.exec(program("count"));
			other.stdout.resume();
			await sandbox.start();
			await sandbox.freeze();
			await using next = await sandbox.reset();
			const expected = { signal: "SIGKILL", oomKilled: false };
			assert.deepEqual([await sandbox.exited, await other.exited], [expected, expected]);
			const stdout = collect(next.stdout);
			await next.start();
			await waitFor(() => stdout.text().startsWith("0\n1\n"), "the new one to count from 0");
		});

		test("connects to a server inside, and is refused where there is none", async () => {
			await using sandbox = await create("serve");
			const stdout = collect(sandbox.stdout);
			await assert.rejects(sandbox.connect(8080), { code: "ECONNREFUSED" });
			await sandbox.start();
			await waitFor(() => stdout.text() !== "", "the server to be ready");
			const socket = await connectOften(sandbox, 8080);
			socket.write("echo me\n");
			assert.equal(await new Promise((resolve) => socket.once("data", (data) => resolve(String(data)))), "echo me\n");
			const closed = new Promise((resolve) => socket.once("close", resolve));
			socket.on("error", () => {});
			socket.resume();
			await sandbox.kill();
			await closed;
		});

		test("freeze really stops it, thaw goes on, both any number of times", async () => {
			await using sandbox = await create("count");
			const stdout = collect(sandbox.stdout);
			await sandbox.start();
			await waitFor(() => stdout.text().length > 4, "it to count");
			await sandbox.freeze();
			await sandbox.freeze();
			await sleep(30);
			const frozenAt = stdout.text();
			await sleep(150);
			assert.equal(stdout.text(), frozenAt);
			await sandbox.thaw();
			await sandbox.thaw();
			await waitFor(() => stdout.text().length > frozenAt.length, "it to go on");
			await sandbox.freeze();
			assert.deepEqual(await sandbox.kill(), { signal: "SIGKILL", oomKilled: false });
		});

		test("a kill or a thaw in the middle of a freeze wins", async () => {
			for (let round = 0; round < 5; round++) {
				await using sandbox = await create("count");
				const stdout = collect(sandbox.stdout);
				await sandbox.start();
				await Promise.all([sandbox.freeze(), sandbox.thaw()]);
				const length = stdout.text().length;
				await waitFor(() => stdout.text().length > length + 4, "it to count");
				const [, exit] = await Promise.all([sandbox.freeze(), sandbox.kill()]);
				assert.deepEqual(exit, { signal: "SIGKILL", oomKilled: false });
			}
		});

		test("tells a kill for the memory limit apart", async () => {
			await using sandbox = await create("balloon");
			await sandbox.start();
			const exit = await sandbox.exited;
			assert.equal(exit.oomKilled, true);
			assert.equal(exit.signal, "SIGKILL");
		});

		test("a kill for the memory limit hits one process, and a plain kill stays plain after it", async () => {
			await using sandbox = await create("count");
			const stdout = collect(sandbox.stdout);
			await sandbox.start();
			const victim = await sandbox.exec(program("balloon"));
			assert.deepEqual(await victim.exited, { signal: "SIGKILL", oomKilled: true });
			const length = stdout.text().length;
			await waitFor(() => stdout.text().length > length + 4, "the main process to go on");
			await sandbox.memoryPeak();
			sandbox.signal("SIGKILL");
			assert.deepEqual(await sandbox.exited, { signal: "SIGKILL", oomKilled: false });
		});

		test("connections arrive from their own sandbox, in both directions", async () => {
			const heard = new Map<string, string>();
			const talk = (id: string) => ({
				envName: "ENDPOINT",
				onConnection: (socket: Socket) => {
					socket.once("data", (data) => {
						heard.set(id, String(data));
						socket.end(`you are ${id}\n`);
					});
				},
			});
			const ids = ["one", "two", "three"];
			await Promise.all(
				ids.map(async (id) => {
					await using sandbox = await create("talk", { endpoint: talk(id) }, id);
					const stdout = collect(sandbox.stdout);
					await sandbox.start();
					assert.deepEqual(await sandbox.exited, { code: 0, oomKilled: false });
					assert.equal(await stdout.ended, `you are ${id}\n`);
				}),
			);
			for (const id of ids) assert.equal(heard.get(id), `I am ${id}\n`);
		});

		test("a flood that nobody reads, or that somebody does, holds up nobody else", async () => {
			await using unread = await create("flood");
			await using read = await create("flood");
			let bytes = 0;
			read.stdout.on("data", (chunk: Buffer) => {
				bytes += chunk.length;
			});
			await Promise.all([unread.start(), read.start()]);
			await using quiet = await create("describe", {}, "x");
			const stdout = collect(quiet.stdout);
			await quiet.start();
			assert.deepEqual(await quiet.exited, { code: 0, oomKilled: false });
			assert.match(await stdout.ended, /^x\n/);
			await waitFor(() => bytes > 1_000_000, "a megabyte of flood");
			assert.ok(unread.stdout.readableLength <= 1 << 20, "an unread stream is bounded");
		});

		test("stats are plausible", async () => {
			await using sandbox = await create("count");
			sandbox.stdout.resume();
			await sandbox.start();
			await sleep(50);
			const stats = await sandbox.stats();
			assert.ok(stats.pids >= 1 && stats.pids <= contractLimits.pids);
			assert.ok(stats.memoryBytes >= 0 && stats.memoryBytes <= contractLimits.memoryMiB << 20);
			assert.ok(stats.memoryPeakBytes >= stats.memoryBytes);
			assert.ok(stats.cpuUs >= 0 && stats.cpuUs < 10_000_000);
			await sandbox.kill();
			const last = await sandbox.stats();
			assert.ok(last.memoryPeakBytes >= stats.memoryPeakBytes);
			assert.ok(last.cpuUs >= stats.cpuUs);
		});

		test("dispose ends it, resolves `exited`, and may be called again; the id is free afterwards", async () => {
			const sandbox = await create("sleep");
			await sandbox.start();
			await assert.rejects(
				harness.runtime.create(contractSpec(harness.rootfs, harness.args("fail"), { id: sandbox.id })),
				(error) => isSlipwayError(error, "ALREADY_EXISTS"),
			);
			await Promise.all([sandbox[Symbol.asyncDispose](), sandbox[Symbol.asyncDispose]()]);
			assert.equal((await sandbox.exited).signal, "SIGKILL");
			await sandbox[Symbol.asyncDispose]();
			await using again = await create("fail", { id: sandbox.id });
			await again.start();
			assert.equal((await again.exited).code, 42);
		});

		test("an aborted create rejects with the signal's reason, whenever it comes", async () => {
			const reason = new Error("changed my mind");
			for (const delayMs of [-1, 0, 1, 4, 10]) {
				const controller = new AbortController();
				if (delayMs < 0) controller.abort(reason);
				const spec = contractSpec(harness.rootfs, harness.args("sleep"));
				const creating = harness.runtime.create(spec, controller.signal);
				if (delayMs >= 0) setTimeout(() => controller.abort(reason), delayMs);
				const outcome = await creating.then(
					(sandbox: Sandbox) => sandbox,
					(error: unknown) => error,
				);
				if (outcome instanceof Error) assert.equal(outcome, reason);
				else await (outcome as Sandbox)[Symbol.asyncDispose]();
			}
		});

		test("fifty at once", async () => {
			const sandboxes = await Promise.all(Array.from({ length: 50 }, (_, i) => create("describe", {}, `number ${i}`)));
			const outputs = sandboxes.map((sandbox) => collect(sandbox.stdout));
			await Promise.all(sandboxes.map((sandbox) => sandbox.start()));
			for (const [i, sandbox] of sandboxes.entries()) {
				assert.deepEqual(await sandbox.exited, { code: 0, oomKilled: false });
				assert.match(await outputs[i]!.ended, new RegExp(`^number ${i}\n`));
			}
			await Promise.all(sandboxes.map((sandbox) => sandbox[Symbol.asyncDispose]()));
		});
	});
}

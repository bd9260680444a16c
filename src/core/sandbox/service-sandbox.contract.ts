import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { collect, contractSpec, type SandboxContractHarness, waitFor } from "./sandbox-runtime.contract.ts";
import type { ContractProgramName } from "./sandbox-runtime.programs.ts";
import type { SandboxSpec } from "./sandbox-runtime.ts";

const METADATA = "169.254.169.254";
const invalid = (error: unknown) => isSlipwayError(error, "INVALID");

/** What every `SandboxRuntime` does for services and jobs, beyond what functions need: also one that isolates nothing. */
export function serviceSandboxContract(name: string, open: () => Promise<SandboxContractHarness>): void {
	describe(`SandboxRuntime contract for services: ${name}`, { timeout: 120_000 }, () => {
		let harness: SandboxContractHarness;
		before(async () => {
			harness = await open();
		});
		after(() => harness?.[Symbol.asyncDispose]());

		const create = (program: ContractProgramName, more: Partial<SandboxSpec> = {}, ...args: string[]) =>
			harness.runtime.create(contractSpec(harness.rootfs, harness.args(program, ...args), more));

		test("with a writable root /tmp is there, and fresh after a reset", async () => {
			let sandbox = await create("remember", { readonlyRoot: false }, "me");
			try {
				for (let round = 0; round < 3; round++) {
					const stdout = collect(sandbox.stdout);
					await sandbox.start();
					assert.deepEqual(await sandbox.exited, { code: 0, oomKilled: false });
					assert.equal(await stdout.ended, "me ");
					sandbox = await sandbox.reset();
				}
			} finally {
				await sandbox[Symbol.asyncDispose]();
			}
		});

		test("what connects to a listener's address arrives there, also after a reset", async () => {
			let connections = 0;
			const says = (host: string, port: number, words: string) => ({
				host,
				port,
				onConnection: (socket: Socket) => {
					connections++;
					socket.end(`${words}\n`);
				},
			});
			const listeners = [
				says(METADATA, 80, "metadata"),
				says(METADATA, 8080, "more"),
				says("169.254.8.1", 80, "another"),
			];
			let sandbox = await create("hear", { listeners }, METADATA, "80");
			try {
				for (let round = 1; round <= 2; round++) {
					const outputs = [collect(sandbox.stdout).ended];
					for (const [host, port] of [
						[METADATA, "8080"],
						["169.254.8.1", "80"],
					] as const) {
						const { args, env, cwd, user } = contractSpec("", harness.args("hear", host, port));
						outputs.push(collect((await sandbox.exec({ args, env, cwd, user })).stdout).ended);
					}
					await sandbox.start();
					assert.deepEqual(await Promise.all(outputs), ["metadata\n", "more\n", "another\n"]);
					assert.equal(connections, 3 * round);
					sandbox = await sandbox.reset();
				}
			} finally {
				await sandbox[Symbol.asyncDispose]();
			}
		});

		test("sandboxes beside each other have one loopback, listeners included, and end each by itself", async () => {
			const onConnection = (socket: Socket) => void socket.end("metadata\n");
			await using first = await create("greet", { listeners: [{ host: METADATA, port: 80, onConnection }] }, "hello");
			const ready = collect(first.stdout);
			await first.start();
			await waitFor(() => ready.text() !== "", "the server to be ready");
			await using second = await create("hear", { beside: first, readonlyRoot: false }, "127.0.0.1", "8081");
			await using third = await create("hear", { beside: first }, METADATA, "80");
			const heard = [second, third].map(({ stdout }) => collect(stdout).ended);
			await Promise.all([second.start(), third.start()]);
			assert.deepEqual(await Promise.all(heard), ["hello\n", "metadata\n"]);
			await using server = await create("serve", { beside: first });
			const served = collect(server.stdout);
			await server.start();
			await waitFor(() => served.text() !== "", "the other server to be ready");
			let socket: Socket | undefined;
			await waitFor(() => {
				if (!socket)
					void first
						.connect(8080)
						.then((connected) => (socket = connected))
						.catch(() => {});
				return socket !== undefined;
			}, "a connection to it by the first");
			socket?.destroy();
			await Promise.all([second, third, server].map((sandbox) => sandbox[Symbol.asyncDispose]()));
			await using last = await create("hear", { beside: first }, METADATA, "80");
			const lastHeard = collect(last.stdout).ended;
			await last.start();
			assert.equal(await lastHeard, "metadata\n");
		});

		test("a sandbox beside another is anew beside it after a reset, and can't be beside one that has gone", async () => {
			const onConnection = (socket: Socket) => void socket.end("metadata\n");
			const first = await create("sleep", { listeners: [{ host: METADATA, port: 80, onConnection }] });
			await using second = await create("hear", { beside: first }, METADATA, "80");
			await using again = await second.reset();
			const stdout = collect(again.stdout);
			await again.start();
			assert.equal(await stdout.ended, "metadata\n");
			await again[Symbol.asyncDispose]();
			await first[Symbol.asyncDispose]();
			await assert.rejects(create("fail", { beside: first }), invalid);
		});

		test("refuses what can't be: mounts, listeners and neighbours", async () => {
			const onConnection = () => {};
			await using other = await create("sleep");
			const mount = (target: string, source = "/") => ({ mounts: [{ source, target, readOnly: true }] });
			const wrong: Partial<SandboxSpec>[] = [
				...[
					"data",
					"/a/../b",
					"/..",
					"/",
					"/proc",
					"/proc/self",
					"/dev/shm",
					"/sys/",
					"//dev",
					"/etc",
					"/etc/hosts",
				].map((target) => mount(target)),
				mount("/data", "relative"),
				{ mounts: [...mount("/a").mounts, ...mount("/a/").mounts] },
				{ listeners: [{ host: "127.0.0.1", port: 80, onConnection }] },
				{ listeners: [{ host: "169.254.1", port: 80, onConnection }] },
				{ listeners: [{ host: METADATA, port: 0, onConnection }] },
				{ listeners: [80, 80].map((port) => ({ host: METADATA, port, onConnection })) },
				{ beside: other, endpoint: { envName: "X", onConnection } },
				{ beside: other, listeners: [{ host: METADATA, port: 80, onConnection }] },
			];
			for (const more of wrong) await assert.rejects(create("fail", more), invalid, JSON.stringify(more.mounts));
		});

		test("publishes names, and refuses what are none", () => {
			harness.runtime.publishNames({ "hello.default.svc.cluster.local": "10.0.0.1", hello: "10.0.0.1" });
			for (const name of ["", "a b", "a\n", "-a", "a-", "a..b", "a_b", `${"a".repeat(64)}.b`, `${"a.".repeat(127)}abc`])
				assert.throws(() => harness.runtime.publishNames({ [name]: "10.0.0.1" }), invalid, name);
			for (const address of ["", "::1", "10.0.0", "10.0.0.256", "10.0.0.1\n10.0.0.2 x"])
				assert.throws(() => harness.runtime.publishNames({ hello: address }), invalid, address);
			harness.runtime.publishNames({});
		});
	});
}

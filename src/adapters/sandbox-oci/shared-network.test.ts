import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { collect, contractLimits, contractSpec, waitFor } from "../../core/sandbox/sandbox-runtime.contract.ts";
import type { Sandbox, SandboxSpec } from "../../core/sandbox/sandbox-runtime.ts";
import { hostSnapshot } from "./testing/host-snapshot.ts";
import { type OciHarness, type OciRuntimeName, openOciHarness, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";
import { runScript } from "./testing/run.ts";

const hear = (host: string, port: number) => `until nc ${host} ${port} < /dev/null 2> /dev/null; do sleep 0.02; done`;
const METADATA = "169.254.169.254";

await inOwnMountNamespace(import.meta.filename, () => {
	for (const name of ["crun", "runc"] satisfies OciRuntimeName[])
		describe(`shared networks under ${name}`, { skip: whyNot(name) ?? false, timeout: 60_000 }, () => suite(name));
});

function suite(name: OciRuntimeName): void {
	let harness: OciHarness;
	before(async () => {
		harness = await openOciHarness(name);
	});
	after(() => harness?.[Symbol.asyncDispose]());

	const create = (script: string, more: Partial<SandboxSpec> = {}) =>
		harness.runtime.create(contractSpec(harness.rootfs, ["sh", "-c", script], more));
	const listener = (words: string, port = 80) => ({
		host: METADATA,
		port,
		onConnection: (socket: Socket) => void socket.end(`${words}\n`),
	});
	/** Each line that the script writes, as it comes. */
	const started = async (sandbox: Sandbox) => {
		const { text } = collect(sandbox.stdout);
		await sandbox.start();
		return text;
	};

	test("a sandbox beside another has its processes, its group and its root to itself", async () => {
		await using first = await create("ip addr show lo; ls -d /proc/[0-9]* | wc -l; exec sleep 600");
		const text = await started(first);
		await waitFor(() => text().split("\n").length > 2, "the first");
		const beside = { beside: first, readonlyRoot: false, limits: { ...contractLimits, memoryMiB: 32 } };
		await using second = await create("sleep 599 & sleep 600 & echo x > /tmp/x; kill -9 -1; ls /proc/1", beside);
		await using third = await create("ls /tmp; cat /proc/1/net/tcp | wc -l; exec sleep 600", { beside: first });
		await started(second);
		await second.exited;
		const thirdText = await started(third);
		await waitFor(() => thirdText() !== "", "the third");
		assert.ok(!thirdText().includes("x"));
		assert.ok((await first.stats()).pids >= 1);
		await second.kill();
		await third.freeze();
		// The first goes on whatever becomes of the others.
		const { args, env, cwd, user } = contractSpec("", ["sh", "-c", "echo alive"]);
		const { stdout } = await first.exec({ args, env, cwd, user });
		assert.equal(await collect(stdout).ended, "alive\n");
	});

	test("one has the way out and the name servers of the other, whatever it asks for", async () => {
		const show = "cat /etc/resolv.conf; ip -4 addr";
		for (const egress of [true, false]) {
			await using first = await create(`${show}; echo .; exec sleep 600`, { egress });
			const text = await started(first);
			await waitFor(() => text().endsWith(".\n"), "the first");
			await using second = await create(`${show}; echo .`, { beside: first, egress: !egress });
			const other = await started(second);
			await second.exited;
			await waitFor(() => other().endsWith(".\n"), "the second");
			assert.equal(other(), text());
			assert.equal(other().includes("nameserver"), egress);
			assert.equal(other().includes("eth0"), egress);
		}
	});

	for (const egress of [false, true])
		test(`listeners are reached ${egress ? "with" : "without"} egress, by their own sandbox alone, at their own address alone`, async () => {
			const ask = (host: string, port: number) => `nc -w 1 ${host} ${port} < /dev/null 2> /dev/null || echo refused`;
			const script = [ask(METADATA, 80), ask(METADATA, 8080), ask(METADATA, 81), ask("169.254.169.253", 80)].join(";");
			const listeners = [listener("one"), listener("two", 8080)];
			const both = await Promise.all([
				runScript(harness, script, { egress, listeners }),
				runScript(harness, script, { egress, listeners: [listener("other")] }),
				runScript(harness, script, { egress }),
			]);
			assert.deepEqual(
				both.map(({ stdout }) => stdout.split("\n").slice(0, -1)),
				[
					["one", "two", "refused", "refused"],
					["other", "refused", "refused", "refused"],
					["refused", "refused", "refused", "refused"],
				],
			);
		});

	test("a server without privileges has any port, with a writable root", async () => {
		await using sandbox = await create("echo ready; exec nc -l -p 80 -e echo served", { readonlyRoot: false });
		const text = await started(sandbox);
		await waitFor(() => text() !== "", "the server");
		const { args, env, cwd, user } = contractSpec("", ["sh", "-c", hear("127.0.0.1", 80)]);
		const { stdout } = await sandbox.exec({ args, env, cwd, user });
		assert.equal(await collect(stdout).ended, "served\n");
		const closed = await runScript(harness, "nc -l -p 80 -e true 2>&1");
		assert.match(closed.stdout, /Permission denied/);
	});

	test("published names are read by sandboxes that run, and by those that come", async () => {
		await using sandbox = await create(
			"until grep -q second /etc/hosts; do grep -q first /etc/hosts && echo first; sleep 0.02; done; cat /etc/hosts; nslookup second | tail -n 0; ping -c 1 -w 1 second 2>&1 | grep PING",
			{ user: { uid: 0, gid: 0 } },
		);
		const text = await started(sandbox);
		harness.runtime.publishNames({ first: "10.1.2.3" });
		await waitFor(() => text().includes("first"), "the first name");
		harness.runtime.publishNames({ "second.default.svc.cluster.local": "10.1.2.4", second: "10.1.2.4" });
		await waitFor(() => text().includes("10.1.2.4 second\n"), "the second name");
		const lines =
			"127.0.0.1 localhost sandbox.localdomain sandbox\n10.1.2.4 second.default.svc.cluster.local\n10.1.2.4 second\n";
		assert.ok(text().includes(lines), text());
		for (const readonlyRoot of [true, false])
			assert.equal((await runScript(harness, "cat /etc/hosts", { readonlyRoot })).stdout, lines);
		harness.runtime.publishNames({});
	});

	test("a program without a handler for SIGTERM ends by it, also when it is frozen", async () => {
		// It is not process 1 of its sandbox, which the kernel would keep from ending (pid_namespaces(7)).
		await using sandbox = await create("echo ready; exec sleep 600", { readonlyRoot: false });
		const text = await started(sandbox);
		await waitFor(() => text() !== "", "it to run");
		await sandbox.freeze();
		sandbox.signal("SIGTERM");
		await sleep(30);
		assert.equal((await sandbox.stats()).pids >= 1, true);
		await sandbox.thaw();
		assert.deepEqual(await sandbox.exited, { signal: "SIGTERM", oomKilled: false });
	});

	test("nothing is left of shared networks, in whatever order they end", async () => {
		await runScript(harness, "true", { egress: true });
		await harness.runtime.settled();
		await sleep(150);
		const before = hostSnapshot(harness.stateFolder);
		for (const inOrder of [true, false]) {
			const first = await create("exec sleep 600", { egress: true, listeners: [listener("x")] });
			const second = await create("exec sleep 600", { beside: first });
			await Promise.all([first.start(), second.start()]);
			const bad = contractSpec(harness.rootfs, ["sleep"], { beside: first, cwd: "/nope" });
			await assert.rejects(harness.runtime.create(bad), { code: "INVALID_IMAGE" });
			const mounts = [{ source: "/no/such", target: "/x", readOnly: true }];
			await assert.rejects(harness.runtime.create({ ...bad, cwd: "/", mounts }), { code: "INVALID" });
			for (const sandbox of inOrder ? [second, first] : [first, second]) await sandbox[Symbol.asyncDispose]();
		}
		const taken = [listener("x"), { ...listener("y"), port: 65_535 }];
		await assert.rejects(
			harness.runtime.create(
				contractSpec(harness.rootfs, ["sleep"], {
					cwd: "/",
					listeners: taken,
					mounts: [{ source: "/no/such", target: "/x", readOnly: true }],
				}),
			),
			{ code: "INVALID" },
		);
		await harness.runtime.settled();
		await sleep(300);
		assert.deepEqual(hostSnapshot(harness.stateFolder), before);
	});
}

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, test } from "node:test";
import { mountsBelow } from "../../adapters/sandbox-oci/mount-points.ts";
import { type OciHarness, openOciHarness, whyNot } from "../../adapters/sandbox-oci/testing/oci-harness.ts";
import { inOwnMountNamespace } from "../../adapters/sandbox-oci/testing/own-mount-namespace.ts";
import { FsVolumeHost } from "../../adapters/volumes-fs/fs-volume-host.ts";
import { systemClock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { MetadataServer } from "../../contracts/http/metadata.ts";
import { NetworkProbes } from "../../contracts/http/probes.ts";
import { FakeLogStore } from "../../core/log/fake-log-store.ts";
import type { InstanceOptions } from "../../core/workload/instance.ts";
import type { Probe, Workload } from "../../core/workload/workload.ts";
import { SandboxInstanceHost } from "./instance-host.ts";
import { testWorkload } from "./testing/workloads.ts";

/** The real thing, of a shell and its web server. */
await inOwnMountNamespace(import.meta.filename, () => {
	const reason = whyNot("crun");
	if (reason) test("Instances in containers", { skip: reason });
	else describe("Instances in containers", { timeout: 60_000 }, containers);
});

function containers(): void {
	let harness: OciHarness;
	let host: SandboxInstanceHost;
	let folder: string;
	const logs = new FakeLogStore(() => Date.now());
	const metadata = new MetadataServer({
		projectId: "my-project",
		numericProjectId: "1",
		region: "local",
		log: silentLog,
		clock: systemClock,
		ids: randomIds,
		issuer: "http://localhost",
		sign: async () => "a.b.c",
	});

	before(async () => {
		folder = mkdtempSync(join(tmpdir(), "slipway-instances-"));
		harness = await openOciHarness("crun");
		writeFileSync(join(harness.rootfs, "etc/group"), "root:x:0:\nweb:x:77:\n");
		const volumes = await FsVolumeHost.open({
			runFolder: join(folder, "run"),
			persistentFolder: join(folder, "persistent"),
		});
		const { runtime, rootfs } = harness;
		host = new SandboxInstanceHost({
			runtime,
			rootfs: {
				has: async () => true,
				unpack: () => Promise.reject(new Error("has no layers")),
				acquire: async () => ({ path: rootfs, files: async () => [], release: async () => {} }),
				remove: async () => {},
				list: async () => [],
			},
			logs,
			volumes,
			clock: systemClock,
			log: silentLog,
			probes: new NetworkProbes(),
		});
	});

	after(async () => {
		await host?.[Symbol.asyncDispose]();
		const left = mountsBelow(folder);
		await harness?.[Symbol.asyncDispose]();
		rmSync(folder, { recursive: true, force: true });
		assert.deepEqual(left, []);
	});

	let next = 0;
	const start = (workload: Workload, more: Partial<InstanceOptions> = {}) =>
		host.start({
			id: `inst-${process.pid}-${next++}`,
			workload,
			environment: () => ({ K_SERVICE: "web" }),
			log: { group: "/test", stream: (container) => container },
			restart: "others",
			...more,
		});
	const sh = (script: string) => ["sh", "-c", script];
	const shell = { env: { PATH: "/bin" }, limits: { memoryMiB: 64, cpus: 1, pids: 64, openFiles: 256 } };
	const web = { ...shell, args: sh("echo well > /tmp/index.html; exec busybox httpd -f -p $PORT -h /tmp") };
	const http: Probe = {
		check: { kind: "http", port: 8080, path: "/index.html", headers: [] },
		initialDelayMs: 0,
		timeoutMs: 1000,
		periodMs: 10_000,
		successThreshold: 1,
		failureThreshold: 3,
	};

	it("listen, are probed and answer", async () => {
		const instance = start(testWorkload([{ ...web, startupProbe: http, livenessProbe: http }]));
		const startAt = performance.now();
		await instance.ready;
		assert.ok(performance.now() - startAt < 5000, "it waited for a period");
		const socket = await instance.connect();
		socket.write("GET /index.html HTTP/1.0\r\n\r\n");
		const answer = Buffer.concat((await Array.fromAsync(socket)) as Buffer[]).toString();
		assert.match(answer, /^HTTP\/1\.\d 200 .*\r\n\r\nwell\n$/s);
		assert.ok((await instance.stats()).memoryBytes > 0);
		const end = await instance.stop(0);
		assert.deepEqual([end.stopped, end.restarts], [true, 0]);
	});

	it("are probed by a program of theirs, which has their user and environment", async () => {
		const started = 'test "$K_SERVICE" = web || exit 3; test -e /tmp/up || { echo not yet; exit 1; }';
		const exec = (script: string): Probe => ({ ...http, periodMs: 0, check: { kind: "exec", command: sh(script) } });
		const instance = start(
			testWorkload([
				{
					...shell,
					port: undefined,
					args: sh("echo waiting; sleep 0.3; echo > /tmp/up; sleep 60"),
					startupProbe: exec(started),
					livenessProbe: { ...exec("sleep 30"), timeoutMs: 100, failureThreshold: 1 },
				},
			]),
		);
		await instance.ready;
		const { signal, stopped } = await instance.ended;
		assert.deepEqual([signal, stopped], ["SIGKILL", false]);
	});

	it("end with a code and their last words", async () => {
		const instance = start(testWorkload([{ ...shell, args: sh("echo no config >&2; exit 42") }]));
		await assert.rejects(
			instance.ready,
			(error) => isSlipwayError(error, "UNAVAILABLE") && /exited with code 42.*no config/.test(error.message),
		);
		assert.equal((await instance.ended).code, 42);
	});

	it("get SIGTERM, their grace and then SIGKILL, with an end of their input from the beginning", async () => {
		const script = "cat; trap 'echo term; exit 9' TERM; echo on; while :; do sleep 0.05; done";
		const kind = start(testWorkload([{ ...shell, port: undefined, args: sh(script) }]));
		await kind.ready;
		await untilLogged("on");
		assert.equal((await kind.stop(5000)).code, 9);
		await untilLogged("term");
		const stubborn = start(
			testWorkload([{ ...shell, port: undefined, args: sh("trap '' TERM; echo deaf; while :; do sleep 0.05; done") }]),
		);
		await untilLogged("deaf");
		const startAt = performance.now();
		assert.equal((await stubborn.stop(200)).stopped, true);
		const tookMs = performance.now() - startAt;
		assert.ok(tookMs >= 200 && tookMs < 3000, `${tookMs} ms`);
	});

	it("share a network and an emptyDir, in the order of their dependencies", async () => {
		const mounts = [{ volume: "shared", path: "/shared", subPath: "", readOnly: false }];
		const tcp: Probe = { ...http, check: { kind: "tcp", port: 9000 } };
		const instance = start(
			testWorkload(
				[
					{
						...shell,
						args: sh(
							"wget -q -O /shared/index.html http://127.0.0.1:9000/told && exec busybox httpd -f -p $PORT -h /shared",
						),
						dependsOn: ["side"],
						mounts,
					},
					{
						...shell,
						name: "side",
						port: undefined,
						args: sh("echo from the side > /tmp/told; sleep 0.1; exec busybox httpd -f -p 9000 -h /tmp"),
						startupProbe: tcp,
						mounts,
					},
				],
				{ volumes: [{ kind: "emptyDir", name: "shared", sizeMiB: 1 }] },
			),
		);
		await instance.ready;
		const socket = await instance.connect();
		socket.write("GET /index.html HTTP/1.0\r\n\r\n");
		assert.match(Buffer.concat((await Array.fromAsync(socket)) as Buffer[]).toString(), /from the side\n$/);
		await instance.stop(0);
	});

	it("run as the user they ask for, and find the metadata server", async () => {
		const script =
			"id -u; id -g; echo $HOME $K_SERVICE; wget -q -O - --header 'Metadata-Flavor: Google' http://169.254.169.254/computeMetadata/v1/project/project-id; echo; exit 0";
		const workload = testWorkload([{ ...shell, port: undefined, user: "sandbox:web", args: sh(script) }]);
		const onMetadata = metadata.handler({ instanceId: "i", email: "e@x" });
		const end = await start(workload, {
			onMetadata,
			restart: "never",
			log: { group: "/test", stream: () => "user" },
		}).ended;
		assert.equal(end.code, 0);
		const lines = (await logs.read("/test", { stream: "user" })).map(({ message }) => message);
		assert.deepEqual(lines, ["1000", "77", "/tmp web", "my-project"]);
	});

	async function untilLogged(line: string): Promise<void> {
		for (let tries = 0; tries < 400; tries++) {
			const found = await logs.read("/test", {}).catch(() => []);
			if (found.some(({ message }) => message === line)) return;
			await systemClock.sleep(10);
		}
		assert.fail(`"${line}" was never logged`);
	}
}

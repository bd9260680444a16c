import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { silentLog } from "../../base/log.ts";
import { NetworkProbes } from "../../contracts/http/probes.ts";
import { FakeRootfsStore } from "../../core/image/fake-rootfs-store.ts";
import { FakeLogStore } from "../../core/log/fake-log-store.ts";
import { type FakeProgram, FakeSandboxRuntime } from "../../core/sandbox/fake-sandbox-runtime.ts";
import { FakeVolumeHost } from "../../core/workload/fake-volume-host.ts";
import type { InstanceOptions } from "../../core/workload/instance.ts";
import type { Probe, Workload, WorkloadContainer } from "../../core/workload/workload.ts";
import { fastClock } from "../testing/fast-clock.ts";
import { SandboxInstanceHost } from "./instance-host.ts";
import { testWorkload } from "./testing/workloads.ts";

const settle = (ms = 20) => new Promise((resolve) => setTimeout(resolve, ms));
const untilEnd = (signal: AbortSignal) =>
	new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

/** Listens on PORT until SIGTERM. */
const server: FakeProgram = async (process) => {
	await process.listen(Number(process.env.PORT ?? 9000), (socket) => void socket.on("error", () => {}).end("hello"));
	await untilEnd(process.signal);
	return 0;
};

function setUp(programs: Record<string, FakeProgram>, speed = 20) {
	const runtime = new FakeSandboxRuntime({ program: server, programs });
	const rootfs = new FakeRootfsStore();
	const logs = new FakeLogStore(() => 0);
	const volumes = new FakeVolumeHost();
	const clock = fastClock(speed);
	const host = new SandboxInstanceHost({
		runtime,
		rootfs,
		logs,
		volumes,
		clock,
		log: silentLog,
		probes: new NetworkProbes(clock),
		readImageFile: () => () => "root:x:0:0::/root:/bin/sh\nweb:x:33:44::/home/web:/bin/sh\n",
	});
	let next = 0;
	const start = (workload: Workload, more: Partial<InstanceOptions> = {}) =>
		host.start({
			id: `test-${next++}`,
			workload,
			environment: () => ({ K_SERVICE: "s" }),
			log: { group: "/g", stream: (container) => `r/i/${container}` },
			restart: "others",
			...more,
		});
	const messages = async () => (await logs.read("/g", {})).map(({ stream, message }) => `${stream} ${message}`);
	return { runtime, rootfs, volumes, host, start, messages };
}

const probe = (check: Partial<Probe>): Probe => ({
	check: { kind: "tcp", port: 8080 },
	initialDelayMs: 0,
	timeoutMs: 10_000,
	periodMs: 1000,
	successThreshold: 1,
	failureThreshold: 3,
	...check,
});

describe("An instance", () => {
	it("is ready when its port is open, is connected to, and ends with SIGTERM", async () => {
		const { start, runtime, rootfs } = setUp({});
		const instance = start(testWorkload());
		const states: string[] = [];
		instance.onState((state) => states.push(state));
		assert.equal(instance.state, "starting");
		await instance.ready;
		const socket = await instance.connect();
		const [data] = (await Array.fromAsync(socket)) as [Buffer];
		assert.equal(data.toString(), "hello");
		const end = await instance.stop();
		assert.deepEqual(states, ["ready", "stopping", "ended"]);
		assert.equal(end.stopped, true);
		assert.ok(instance.gone.aborted);
		assert.deepEqual([runtime.sandboxes.size, rootfs.held], [0, 0]);
	});

	it("gives PORT to the ingress container alone, and what the contract says to all", async () => {
		const seen = new Map<string, Record<string, string | undefined>>();
		const see =
			(name: string): FakeProgram =>
			(process) => {
				seen.set(name, { ...process.env, user: `${process.user.uid}:${process.user.gid}` });
				return server(process);
			};
		const { start } = setUp({ main: see("main"), side: see("side") });
		const instance = start(
			testWorkload([
				{ name: "side", args: ["side"], port: undefined, user: "web" },
				{ env: { PATH: "/x", K_SERVICE: "mine" } },
			]),
		);
		await instance.ready;
		await settle();
		const [main, side] = [seen.get("main"), seen.get("side")];
		assert.deepEqual(
			[main?.PORT, main?.K_SERVICE, main?.HOME, main?.PATH, main?.user],
			["8080", "s", "/root", "/x", "0:0"],
		);
		assert.deepEqual([side?.PORT, side?.K_SERVICE, side?.HOME, side?.user], [undefined, "s", "/home/web", "33:44"]);
		await instance.stop();
	});

	it("fails with the exit code and the last lines of one that ends before it is ready", async () => {
		const { start, runtime } = setUp({
			main: async (process) => {
				for (let line = 1; line <= 20; line++) process.stderr.write(`line ${line}\n`);
				return 7;
			},
		});
		const instance = start(testWorkload());
		await assert.rejects(instance.ready, (error) => {
			assert.ok(isSlipwayError(error, "UNAVAILABLE") && error.reason === "ContainerExited");
			assert.match(error.message, /exited with code 7.*line 20$/s);
			assert.doesNotMatch(error.message, /line 10\b/);
			return true;
		});
		const end = await instance.ended;
		assert.deepEqual([end.code, end.container, end.stopped], [7, "main", false]);
		assert.equal(runtime.sandboxes.size, 0);
	});

	it("fails with its probe when nobody listens in time", async () => {
		const { start } = setUp({ main: (process) => untilEnd(process.signal).then(() => 0) }, 100);
		const startupProbe = probe({ failureThreshold: 2 });
		const instance = start(testWorkload([{ startupProbe }]));
		await assert.rejects(
			instance.ready,
			(error) => isSlipwayError(error, "UNAVAILABLE") && error.reason === "ProbeFailed",
		);
		assert.equal((await instance.ended).signal, "SIGKILL");
	});

	it("passes on what the runtime says of its image, and the user it does not know", async () => {
		const { start } = setUp({});
		for (const user of ["nobody-here", "web:no-group", "99999999999"])
			await assert.rejects(
				start(testWorkload([{ user }])).ready,
				(error) => isSlipwayError(error, "INVALID_IMAGE") && error.reason === "UnknownUser",
			);
	});

	it("writes each container's lines to its stream", async () => {
		const says =
			(what: string): FakeProgram =>
			(process) => {
				process.stdout.write(`${what}\nhalf`);
				return server(process);
			};
		const { start, messages } = setUp({ main: says("one"), side: says("two") });
		const instance = start(testWorkload([{}, { name: "side", args: ["side"], port: undefined }]));
		await instance.ready;
		await instance.stop();
		assert.deepEqual((await messages()).sort(), ["r/i/main half", "r/i/main one", "r/i/side half", "r/i/side two"]);
	});
});

describe("An instance of several containers", () => {
	const order: string[] = [];
	const noting =
		(name: string, delayMs = 0): FakeProgram =>
		async (process) => {
			order.push(`${name} starts`);
			if (delayMs) await settle(delayMs);
			await process.listen(name === "main" ? 8080 : 9000, (socket) => void socket.on("error", () => {}).end());
			order.push(`${name} listens`);
			await untilEnd(process.signal);
			order.push(`${name} ends`);
			return 0;
		};
	const side: Partial<WorkloadContainer> = { name: "side", args: ["side"], port: undefined };

	it("starts one when the one it depends on is started, and ends the main one first", async () => {
		order.length = 0;
		const { start } = setUp({ main: noting("main"), side: noting("side", 10) });
		const startupProbe = probe({ check: { kind: "tcp", port: 9000 }, failureThreshold: 100 });
		const instance = start(testWorkload([{ dependsOn: ["side"] }, { ...side, startupProbe }]));
		await instance.ready;
		await instance.stop();
		assert.deepEqual(order, ["side starts", "side listens", "main starts", "main listens", "main ends", "side ends"]);
	});

	it("restarts one beside the main one in place, and ends with the main one", async () => {
		const exits: (() => void)[] = [];
		const crashing: FakeProgram = () => new Promise((resolve) => exits.push(() => resolve(1)));
		const { start, runtime } = setUp({ main: crashing, side: crashing });
		const instance = start(testWorkload([{ port: undefined }, side]));
		await instance.ready;
		assert.equal(exits.length, 2);
		exits[1]?.();
		await settle();
		assert.deepEqual([exits.length, instance.state], [3, "ready"]);
		exits[0]?.();
		const end = await instance.ended;
		assert.deepEqual([end.container, end.code, end.restarts], ["main", 1, 1]);
		assert.equal(runtime.sandboxes.size, 0);
	});

	it("ends when one beside the main one has ended and can't be freed", async () => {
		const exits: (() => void)[] = [];
		const { start, runtime, rootfs } = setUp({ side: () => new Promise((resolve) => exits.push(() => resolve(1))) });
		const acquire = rootfs.acquire.bind(rootfs);
		let roots = 0;
		rootfs.acquire = async (diffIds) => {
			const root = await acquire(diffIds);
			return ++roots === 1 ? root : { ...root, release: () => Promise.reject(new Error("device is busy")) };
		};
		const instance = start(testWorkload([{}, side]));
		await instance.ready;
		exits[0]?.();
		assert.equal((await instance.ended).stopped, false);
		assert.equal(runtime.sandboxes.size, 0);
	});

	it("that is never restarted ends with a failure of any, not with one that is done", async () => {
		const exits: ((code: number) => void)[] = [];
		const task: FakeProgram = () => new Promise((resolve) => exits.push(resolve));
		const { start } = setUp({ main: task, side: task });
		const workload = testWorkload([{ port: undefined }, side]);
		const done = start(workload, { restart: "never" });
		await done.ready;
		exits[1]?.(0);
		await settle();
		assert.equal(done.state, "unready");
		exits[0]?.(0);
		assert.deepEqual([(await done.ended).code, (await done.ended).container], [0, "main"]);
		exits.length = 0;
		const failed = start(workload, { restart: "never" });
		await failed.ready;
		exits[1]?.(3);
		assert.deepEqual([(await failed.ended).code, (await failed.ended).container], [3, "side"]);
	});

	it("shares its volumes, and frees them", async () => {
		const { start, runtime, volumes } = setUp({});
		const mounts = [{ volume: "shared", path: "/shared", subPath: "a", readOnly: false }];
		const workload = testWorkload([{ mounts }, { ...side, mounts }], {
			volumes: [{ kind: "emptyDir", name: "shared", sizeMiB: undefined }],
		});
		const instance = start(workload);
		await instance.ready;
		for (const spec of runtime.created) {
			const { source, subPath } = spec.mounts![0]!;
			assert.deepEqual([source, subPath], ["/fake/volumes/test-0-0-128", "a"]);
		}
		await instance.stop();
		assert.equal(volumes.held.size, 0);
		const unknown = start(testWorkload([{ mounts }]));
		await assert.rejects(unknown.ready, (error) => isSlipwayError(error, "INVALID"));
	});
});

describe("A worker", () => {
	it("is restarted with a back-off until it is stopped", async () => {
		let starts = 0;
		const { start } = setUp({ main: async () => ++starts }, 1000);
		const instance = start(testWorkload([{ port: undefined }]), { restart: "always" });
		const from = performance.now();
		while (starts < 3 && performance.now() < from + 2000) await settle(1);
		// Again at once and after 10 s, a thousand times as fast.
		assert.ok(starts >= 3 && performance.now() - from > 9, `${starts} starts in ${performance.now() - from} ms`);
		const end = await instance.stop();
		assert.deepEqual([end.code, end.restarts >= 2, end.stopped], [starts, true, true]);
		await settle(50);
		assert.equal(end.code, starts);
	});
});

describe("Liveness and readiness", () => {
	const answering =
		(status: () => number): FakeProgram =>
		async (process) => {
			await process.listen(8080, (socket) => {
				socket.on("error", () => {});
				socket.once("data", () =>
					socket.end(`HTTP/1.1 ${status()} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`),
				);
			});
			await untilEnd(process.signal);
			return 0;
		};
	const httpProbe = probe({ check: { kind: "http", port: 8080, path: "/", headers: [] }, failureThreshold: 2 });

	it("a failing readiness probe takes it from the ready ones, and back", async () => {
		let status = 200;
		const { start } = setUp({ main: answering(() => status) }, 100);
		const instance = start(testWorkload([{ readinessProbe: httpProbe }]));
		await instance.ready;
		const next = () => new Promise((resolve) => instance.onState(resolve));
		status = 503;
		assert.equal(await next(), "unready");
		status = 200;
		assert.equal(await next(), "ready");
		await instance.stop();
	});

	it("a failing liveness probe kills it", async () => {
		let status = 200;
		const { start } = setUp({ main: answering(() => status) }, 100);
		const instance = start(testWorkload([{ livenessProbe: httpProbe }]));
		await instance.ready;
		status = 500;
		const end = await instance.ended;
		assert.deepEqual([end.signal, end.stopped], ["SIGKILL", false]);
	});

	it("a frozen one gets its CPU for as long as a probe takes", async () => {
		let status = 200;
		const { start, runtime } = setUp({ main: answering(() => status) }, 100);
		const instance = start(testWorkload([{ livenessProbe: httpProbe }]));
		await instance.ready;
		await instance.freeze();
		const [sandbox] = runtime.sandboxes.values();
		let thaws = 0;
		const thaw = sandbox!.thaw.bind(sandbox);
		sandbox!.thaw = () => {
			thaws++;
			return thaw();
		};
		await settle(50);
		assert.ok(thaws > 0);
		status = 500;
		assert.equal((await instance.ended).signal, "SIGKILL");
	});

	it("are tried where the CPU can't be given or taken, and nothing else comes of that", async () => {
		let status = 200;
		const { start, runtime } = setUp({ main: answering(() => status) }, 100);
		const instance = start(testWorkload([{ livenessProbe: httpProbe, readinessProbe: httpProbe }]));
		await instance.ready;
		const [sandbox] = runtime.sandboxes.values();
		await instance.freeze();
		await sandbox!.thaw();
		sandbox!.freeze = sandbox!.thaw = () => Promise.reject(new Error("EMFILE"));
		await settle(50);
		assert.equal(instance.state, "ready");
		status = 500;
		assert.equal((await instance.ended).signal, "SIGKILL");
	});
});

/** kill -9 of the daemon while services deploy, roll out, grow and are deleted; instances that are stopped under load: nothing lost, nothing left. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { missingForFunctionImages } from "../e2e/function-image.ts";
import {
	apply,
	ask,
	deploy,
	hostOf,
	instancesOf,
	manifest,
	serviceOf,
	startTestDaemon,
	told,
	until,
} from "../services/service-client.ts";
import { pushSubject } from "../services/subject.ts";
import { type Marks, marksOf, remains } from "../soak/leftovers.ts";

const minScale = (count: number) => ({ "autoscaling.knative.dev/minScale": String(count) });

describe("services in trouble", { skip: missingForFunctionImages() ?? false, timeout: 90_000 }, () => {
	let base: string;
	let listen: string;
	let daemon: LocalDaemon;
	let image: string;
	const marks: Marks[] = [];

	async function start(): Promise<void> {
		const tmp = join(base, "tmp");
		daemon = await startTestDaemon({ home: join(base, "home"), listen, env: { TMPDIR: tmp } });
		marks.push(marksOf(daemon.pid, daemon.home, tmp));
	}
	const service = (name: string, container: object = {}, annotations: Record<string, string> = {}, spec: object = {}) =>
		manifest(name, { image, ...container }, { annotations, spec: { ...spec } });
	async function api(method: string, path: string, body?: object): Promise<void> {
		const headers = { authorization: `Bearer ${daemon.credentials.token}`, "content-type": "application/json" };
		const url = `${daemon.url}/apis/serving.knative.dev/v1/namespaces/default/${path}`;
		const answer = await fetch(url, { method, headers, ...(body && { body: JSON.stringify(body) }) });
		assert.ok(answer.ok, await answer.text());
	}

	before(async () => {
		base = mkdtempSync(join(tmpdir(), "slipway-services-"));
		mkdirSync(join(base, "tmp"));
		// The next daemon finds images by the same name.
		listen = `127.0.0.1:${await freePort()}`;
		await start();
		image = await pushSubject(daemon);
	});
	after(async () => {
		await daemon?.[Symbol.asyncDispose]();
		const left: string[] = [];
		// One after the other: each runs programs in mount namespaces of their own, whose numbers may be those of a daemon that is gone.
		for (const mark of marks) left.push(...(await remains(mark)));
		const volumes = readdirSync(join(base, "home", "instance-volumes"));
		rmSync(base, { recursive: true, force: true });
		assert.deepEqual([left, volumes], [[], []]);
	});

	test("kill -9 in the middle of everything", async () => {
		const volumes = [
			{ name: "data", persistentVolumeClaim: { claimName: "store" } },
			{ name: "scratch", emptyDir: {} },
		];
		const volumeMounts = volumes.map(({ name }) => ({ name, mountPath: `/${name}` }));
		await Promise.all([
			apply(daemon, service("warm", {}, minScale(2))),
			apply(daemon, service("store", { volumeMounts }, { "slipway.dev/core": "true" }, { volumes })),
			apply(daemon, service("doomed", { env: [{ name: "IGNORE_SIGTERM", value: "1" }] }, minScale(1))),
			apply(daemon, service("growing", {}, {}, { containerConcurrency: 1 })),
			deploy(daemon, "rolling", image, "--env", "COLOUR=blue", "--rollout-duration", "60s"),
		]);
		await ask(daemon, "store", "/file?path=/data/note", { method: "PUT", body: "kept" });
		await deploy(daemon, "rolling", image, "--env", "COLOUR=green");
		await api("POST", "services", service("deploying", { env: [{ name: "START_MS", value: "1500" }] }));
		const asked = ["doomed", ...Array.from({ length: 6 }, () => "growing")].map((name) =>
			ask(daemon, name, "/sleep?ms=20000").catch(() => undefined),
		);
		await sleep(300);
		await api("DELETE", "services/doomed");
		await sleep(300);
		const exited = once(daemon.process!, "exit");
		process.kill(daemon.pid, "SIGKILL");
		await Promise.all([exited, ...asked]);
		await start();
		for (const name of ["warm", "growing", "rolling", "store"]) await told(daemon, name);
		assert.equal((await ask(daemon, "store", "/file?path=/data/note")).text, "kept");
		assert.equal((await ask(daemon, "doomed")).status, 404);
		const traffic = (await serviceOf(daemon, "rolling")).status.traffic ?? [];
		assert.equal(traffic.length, 2, "the rollout goes on where it was");
		await until("it is deployed", 20, async () => (await ask(daemon, "deploying")).status === 200 || undefined);
		await until("its minimum", 10, async () => (await instancesOf(daemon, "warm")) === 2 || undefined);
		for (const name of ["warm", "growing", "rolling", "store", "deploying"]) await api("DELETE", `services/${name}`);
	});

	test("instances that are stopped or killed as requests arrive: each request is answered, never too many at a time", async () => {
		await apply(daemon, service("hit", {}, {}, { containerConcurrency: 2 }));
		const end = performance.now() + 4000;
		const stop = async () => {
			const headers = { authorization: `Bearer ${daemon.credentials.token}` };
			const url = `${daemon.url}/_slipway/services/default/hit/stop`;
			for (; performance.now() < end; await sleep(20)) assert.ok((await fetch(url, { method: "POST", headers })).ok);
		};
		const statuses: Record<number, number> = {};
		let peak = 0;
		const client = async (_: unknown, pauseMs: number) => {
			for (; performance.now() < end; await sleep(pauseMs)) {
				const { status, text } = await ask(daemon, "hit", "/sleep?ms=3");
				statuses[status] = (statuses[status] ?? 0) + 1;
				if (status === 200) peak = Math.max(peak, (JSON.parse(text) as { peak: number }).peak);
			}
		};
		await Promise.all([stop(), ...Array.from({ length: 8 }, (_, n) => client(_, 10 * n))]);
		assert.deepEqual(Object.keys(statuses), ["200"], JSON.stringify(statuses));
		assert.ok(peak <= 2, `${peak} at a time`);
		await told(daemon, "hit");
		for (const pid of processesOf("hit-00001")) process.kill(pid, "SIGKILL");
		assert.equal((await ask(daemon, "hit")).status, 200, "asked before its end is known");
	});

	test("who waits for a service that is deleted is told so, and who is served is served to the end", async () => {
		await apply(daemon, service("going", {}, { "autoscaling.knative.dev/maxScale": "1" }, { containerConcurrency: 1 }));
		const answers = Array.from({ length: 4 }, () => ask(daemon, "going", "/sleep?ms=800"));
		await sleep(300);
		await api("DELETE", "services/going");
		const [served, ...refused] = (await Promise.all(answers)).sort((a, b) => a.status - b.status);
		assert.equal(served?.status, 200);
		for (const { status, text, ms } of refused) {
			assert.equal(status, 404);
			assert.match(text, /deleted while the request waited/);
			assert.ok(ms < served.ms, `${ms} ms`);
		}
		assert.match(
			(await ask(daemon, "going")).text,
			new RegExp(`no service '${hostOf(daemon, "going").split(".")[0]}'`),
		);
	});
});

async function freePort(): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as { port: number };
	server.close();
	await once(server, "close");
	return port;
}

/** Of a revision's containers. */
function processesOf(revision: string): number[] {
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.filter((pid) => {
			try {
				return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(`K_REVISION=${revision}`);
			} catch {
				return false;
			}
		})
		.map(Number);
}

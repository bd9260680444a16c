/** What becomes of a service's instances: from zero and back, probes, time limits, restarts of the daemon. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { missingForFunctionImages } from "../e2e/function-image.ts";
import { apply, ask, deploy, instancesOf, logOf, manifest, startTestDaemon, told, until } from "./service-client.ts";
import { pushSubject } from "./subject.ts";

const skip = missingForFunctionImages() ?? false;
/** The shortest that Knative allows. */
const shortWindow = { "autoscaling.knative.dev/window": "6s" };

let daemon: LocalDaemon;
let image: string;

const instances = (name: string, count: number, seconds: number) =>
	until(`${count} instances of ${name}`, seconds, async () => (await instancesOf(daemon, name)) === count || undefined);
const logLine = (name: string, line: RegExp) =>
	until(`${line} in the log of ${name}`, 10, async () => line.test(await logOf(daemon, name)) || undefined);

describe("the life of instances", { skip, concurrency: 4 }, () => {
	before(async () => {
		daemon = await startTestDaemon();
		image = await pushSubject(daemon);
	});
	after(() => daemon?.[Symbol.asyncDispose]());

	test("to zero when nobody asks, with SIGTERM, and back with the next request", async () => {
		await apply(daemon, manifest("sleeper", { image }, { annotations: shortWindow }));
		const before = await told(daemon, "sleeper");
		await instances("sleeper", 0, 70);
		await logLine("sleeper", new RegExp(`${before.instance} SIGTERM after 1 requests, 0 active`));
		await logLine("sleeper", new RegExp(`${before.instance} ended`));
		const woken = await ask(daemon, "sleeper");
		assert.equal(woken.status, 200);
		assert.notEqual(JSON.parse(woken.text).instance, before.instance);
	});

	test("one at a time means one at a time, and all are answered", async () => {
		await deploy(daemon, "strict", image, "--concurrency", "1", "--max-instances", "4");
		const answers = await Promise.all(Array.from({ length: 30 }, () => told(daemon, "strict", "/sleep?ms=200")));
		assert.deepEqual([...new Set(answers.map(({ peak }) => peak))], [1]);
		const used = new Set(answers.map(({ instance }) => instance)).size;
		assert.ok(used > 1 && used <= 4, `${used} instances`);
	});

	test("an answer that takes too long is a 504, and the instance goes on", async () => {
		await deploy(daemon, "slow", image, "--timeout", "1s");
		const { instance } = await told(daemon, "slow");
		const late = await ask(daemon, "slow", "/sleep?ms=3000");
		assert.equal(late.status, 504, late.text);
		assert.ok(late.ms > 900 && late.ms < 3000, `${late.ms} ms`);
		assert.equal((await told(daemon, "slow")).instance, instance);
	});

	test("a process that ends under a request is a 502 or 503, and the next request finds a new one", async () => {
		await deploy(daemon, "fragile", image);
		const { instance } = await told(daemon, "fragile");
		const { status } = await ask(daemon, "fragile", "/exit", { method: "POST" });
		assert.ok(status === 502 || status === 503, String(status));
		const next = await told(daemon, "fragile");
		assert.notEqual(next.instance, instance);
	});

	test("startup probe: no request before it succeeds", async () => {
		const container = {
			image,
			env: [{ name: "START_MS", value: "1500" }],
			startupProbe: { httpGet: { path: "/health" }, periodSeconds: 1, failureThreshold: 10 },
		};
		await apply(daemon, manifest("started", container));
		const { served } = await told(daemon, "started");
		assert.equal(served, 1);
	});

	test("startup probe: a revision whose probe keeps failing does not get ready", async () => {
		const startupProbe = { httpGet: { path: "/nowhere", port: 8081 }, periodSeconds: 1, failureThreshold: 2 };
		const { err } = await apply(daemon, manifest("unstarted", { image, startupProbe }), 1);
		assert.match(err, /unstarted-00001 is not ready/);
	});

	test("liveness probe: an instance that fails it is replaced", async () => {
		const livenessProbe = { httpGet: { path: "/health" }, periodSeconds: 1, failureThreshold: 2 };
		await apply(
			daemon,
			manifest("alive", { image, livenessProbe }, { annotations: { "autoscaling.knative.dev/minScale": "1" } }),
		);
		const { instance } = await told(daemon, "alive");
		await ask(daemon, "alive", "/set?healthy=no");
		const next = await until("another instance", 20, async () => {
			const answer = await ask(daemon, "alive");
			const other = answer.status === 200 ? (JSON.parse(answer.text).instance as string) : instance;
			return other === instance ? undefined : other;
		});
		assert.notEqual(next, instance);
	});

	test("readiness probe: an instance that fails it gets no new requests until it succeeds again", async () => {
		const readinessProbe = { httpGet: { path: "/ready" }, periodSeconds: 1, failureThreshold: 1 };
		const annotations = { "autoscaling.knative.dev/minScale": "2", "autoscaling.knative.dev/maxScale": "2" };
		await apply(daemon, manifest("willing", { image, readinessProbe }, { annotations }));
		await instances("willing", 2, 10);
		const { instance } = await told(daemon, "willing", "/set?ready=no").catch(async () => told(daemon, "willing"));
		await until("only one of them", 10, async () => {
			const some = await Promise.all(Array.from({ length: 20 }, () => told(daemon, "willing")));
			return new Set(some.map((one) => one.instance)).size === 1 || undefined;
		});
		assert.ok(instance);
	});

	test("memory: files that a container writes count, and too many end it", async () => {
		await deploy(daemon, "writer", image, "--memory", "128Mi");
		const { instance } = await told(daemon, "writer");
		assert.equal((await ask(daemon, "writer", "/allocate?path=/tmp/a&mib=40")).status, 200);
		assert.equal((await ask(daemon, "writer", "/file?path=/etc/own", { method: "PUT", body: "mine" })).status, 200);
		assert.equal((await ask(daemon, "writer", "/file?path=/etc/own")).text, "mine");
		assert.notEqual((await ask(daemon, "writer", "/allocate?path=/tmp/b&mib=200")).status, 200);
		const next = await until("an answer", 10, async () => {
			const answer = await ask(daemon, "writer", "/file?path=/etc/own");
			return answer.status === 500 ? answer : undefined;
		});
		assert.match(next.text, /no such file/);
		assert.notEqual((await told(daemon, "writer")).instance, instance);
	});

	test("a full queue refuses with 503 or 429 and loses nobody that it took", async () => {
		const annotations = { "autoscaling.knative.dev/maxScale": "1", "run.googleapis.com/cpu-throttling": "false" };
		await apply(
			daemon,
			manifest("full", { image }, { annotations, spec: { containerConcurrency: 1, timeoutSeconds: 30 } }),
		);
		const answers = await Promise.all(Array.from({ length: 60 }, () => ask(daemon, "full", "/sleep?ms=150")));
		const counts = Map.groupBy(answers, ({ status }) => status);
		assert.ok(
			(counts.get(200)?.length ?? 0) > 10,
			JSON.stringify([...counts].map(([code, list]) => [code, list.length])),
		);
		for (const code of counts.keys()) assert.ok([200, 429, 503].includes(code), String(code));
	});
});

test("a service outlives the daemon: its definition, its URL, its revisions and its traffic", { skip }, async (t) => {
	const home = await mkdtemp(join(tmpdir(), "slipway-home-"));
	t.after(() => rm(home, { recursive: true, force: true }));
	let revision: string;
	{
		await using first = await startTestDaemon({ home });
		const reference = await pushSubject(first);
		await deploy(first, "kept", reference, "--env", "COLOUR=blue", "--min-instances", "1");
		revision = (await told(first, "kept")).revision;
	}
	await using second = await startTestDaemon({ home });
	const answer = await told(second, "kept");
	assert.deepEqual([answer.revision, answer.env.COLOUR], [revision, "blue"]);
});

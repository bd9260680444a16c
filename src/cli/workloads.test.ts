import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { randomIds } from "../base/ids.ts";
import { silentLog } from "../base/log.ts";
import { apiFront } from "../front/api/api.ts";
import { fakeApiDeps } from "../front/api/fake-engine.ts";
import { fakeWorkloads } from "../front/api/fake-workloads.ts";
import { WatchView } from "./service-watch.ts";

const token = "slw_test";

/** The API of a daemon over fakes, and the command line on it as a user runs it. */
async function daemon(context: TestContext) {
	const home = await mkdtemp(join(tmpdir(), "slipway-cli-"));
	const workloads = await fakeWorkloads();
	const closing = new AbortController();
	const common = { closing: closing.signal, clock: systemClock, ids: randomIds, log: silentLog };
	const fakes = fakeApiDeps({ ...common, accountId: "123456789012", home });
	const server = createServer(apiFront({ ...fakes, token, workloads }));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	context.after(async () => {
		closing.abort();
		server.closeAllConnections();
		server.close();
		await workloads[Symbol.asyncDispose]();
		await rm(home, { recursive: true });
	});
	const SLIPWAY_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	const slipway = async (...args: string[]) => {
		const main = join(import.meta.dirname, "main.ts");
		const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", main, ...args], {
			env: { PATH: process.env.PATH ?? "", SLIPWAY_URL, SLIPWAY_TOKEN: token, SLIPWAY_HOME: home },
			stdio: ["ignore", "pipe", "pipe"],
		});
		const code = new Promise<number | null>((resolve) => child.once("close", resolve));
		const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
		return { code: await code, out, err };
	};
	const file = async (name: string, content: string) => {
		await writeFile(join(home, name), content);
		return join(home, name);
	};
	return { slipway, file, workloads };
}

test("A service from an image, and everything that can be asked of it", async (context) => {
	const { slipway } = await daemon(context);
	const deployed = await slipway("service", "deploy", "hello:1", "--env", "A=b", "--max-instances", "3");
	assert.equal(deployed.code, 0, deployed.err);
	assert.match(deployed.err, /ConfigurationsReady +yes\nRoutesReady +yes\nReady +yes\n$/);
	assert.match(
		deployed.out,
		/^hello hello-00001: hello-00001 \(latest\) 100%\n {2}http:.*\n\n {2}curl http:.*\n {2}slipway service watch hello\n$/,
	);
	const { spec } = JSON.parse((await slipway("service", "get", "hello", "--json")).out);
	assert.equal(spec.template.spec.containers[0].image, "127.0.0.1/hello:1");
	assert.match(
		(await slipway("service", "ls")).out,
		/^SERVICE +NAMESPACE +STATE +URL +TRAFFIC +CREATED\nhello +default +Ready/,
	);
	assert.match((await slipway("service", "describe", "hello")).out, /latest ready +hello-00001/);
	assert.match((await slipway("service", "url", "hello")).out, /^http:\/\/hello\..*localhost:4747\n$/);
	assert.match((await slipway("ps")).out, /svc-\w+ +service +hello +hello-00001 +(ready|frozen) +\S+ +0 +0 B/);
	assert.equal((await slipway("service", "traffic", "hello", "--to-latest")).code, 0);
	assert.match((await slipway("revision", "ls", "hello")).out, /hello-0000\d +hello/);
	assert.equal((await slipway("service", "traffic", "hello", "--to-revisions", "a=60,b=50")).code, 2);
	const unknown = await slipway("service", "traffic", "hello", "--to-revisions", "a=10");
	assert.deepEqual(
		[unknown.code, unknown.err],
		[4, "slipway: There is no revision 'a'\nhint: There are hello-00001, and LATEST\n"],
	);
	// The same tag may mean another image by now.
	assert.match((await slipway("service", "deploy", "hello:1")).out, /^hello hello-00002: hello-00002 \(latest\) 100%/);
	assert.equal((await slipway("service", "stop", "hello")).out, "hello: 2 instances stopped\n");
	assert.equal((await slipway("service", "rm", "hello")).out, "hello\n");
	assert.equal((await slipway("service", "get", "hello")).code, 4);
});

test("A revision that does not get ready is told with its reason, and the one before goes on; back to the one before that", async (context) => {
	const { slipway } = await daemon(context);
	const deploy = (...more: string[]) => slipway("service", "deploy", "hello:1", "--namespace", "shop", ...more);
	assert.equal((await deploy("--tag", "blue")).code, 0);
	const crashed = await deploy("--args", "crash");
	assert.equal(crashed.code, 1);
	assert.match(crashed.err, /^Ready +no {2}RevisionFailed: .*Container "main" exited with code 1/m);
	assert.match(crashed.err, /hello-00002 is not ready: .*exited with code 1/);
	assert.match(crashed.err, /hello-00001 goes on serving\.\nIts log: slipway service logs hello --namespace shop\n$/);
	assert.match((await slipway("service", "get", "hello", "-n", "shop")).out, /traffic +hello-00001 \(latest\) 100%/);
	const third = await deploy("--args", "fine", "--rollout-duration", "10m", "--rollback-on-error-rate", "5%");
	assert.equal(third.code, 0, third.err);
	assert.match(third.out, /^hello hello-00003: .*hello-00003 \(latest\) \d+%/);
	const back = await slipway("service", "rollback", "hello", "-n", "shop");
	assert.match(back.out, /^hello-00001 100%/, back.err);
	assert.match((await slipway("service", "url", "hello", "-n", "shop", "--tag", "blue")).out, /^http:\/\/blue---hello/);
});

test("What is missing or wrong is said with the way out", async (context) => {
	const { slipway } = await daemon(context);
	const cases: [string[], number, RegExp][] = [
		[["service", "deploy"], 2, /Either IMAGE or -f FILE/],
		[["service", "deploy", "nowhere:1"], 4, /built-in registry has no image 'nowhere:1'\n.*docker save nowhere:1/],
		[["service", "deploy", "hello:1", "--port", "http"], 2, /--port is 'http'/],
		[["service", "deploy", "hello:1", "--env", "A"], 2, /must be KEY=VALUE/],
		[["service", "deploy", "-f", "/nowhere.yaml"], 1, /'\/nowhere\.yaml' can't be read/],
		[["service"], 2, /'service' needs a verb: deploy, ls/],
		[["job", "run", "nothing"], 4, /Job 'nothing' was not found/],
		[["worker", "scale", "w", "many"], 2, /must be a number of instances/],
		[["route", "apply"], 2, /-f FILE is missing/],
		[["domain", "add", "a.example.com"], 2, /--service or --route is missing/],
	];
	for (const [args, code, message] of cases) {
		const result = await slipway(...args);
		assert.equal(result.code, code, `${args.join(" ")}: ${result.err}`);
		assert.match(result.err, message);
	}
});

test("Manifests: several services of one file; what is wrong has its file, line and field", async (context) => {
	const { slipway, file } = await daemon(context);
	const service = (name: string) =>
		`apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: ${name}\nspec:\n  template:\n    spec:\n      containers:\n      - image: 127.0.0.1/x:1\n`;
	const good = await slipway(
		"service",
		"deploy",
		"-f",
		await file("two.yaml", `${service("a")}---\n${service("b")}`),
		"--json",
	);
	assert.equal(good.code, 0, good.err);
	assert.equal((JSON.parse(good.out) as object[]).length, 2);
	const job =
		"apiVersion: run.googleapis.com/v1\nkind: Job\nmetadata:\n  name: j\nspec:\n  template:\n    spec:\n      taskCount: 0\n      template:\n        spec:\n          containers:\n          - image: 127.0.0.1/x:1\n";
	const path = await file("job.yaml", job);
	const other = await slipway("service", "deploy", "-f", path);
	assert.deepEqual([other.code, other.err.includes(`${path}:2: kind is 'Job': it must be Service`)], [1, true]);
	const bad = await slipway("job", "deploy", "-f", path);
	assert.equal(bad.code, 1);
	assert.ok(bad.err.includes("expected 1 <= 0 <= 10000: spec.template.spec.taskCount"), bad.err);
	assert.ok(bad.err.includes(`${path}:8: spec.template.spec.taskCount`), bad.err);
});

test("Jobs: run waits, shows the tasks, and fails when they do", async (context) => {
	const { slipway } = await daemon(context);
	assert.equal(
		(await slipway("job", "deploy", "hello:1", "--name", "j", "--tasks", "2", "--max-retries", "1")).code,
		0,
	);
	const good = await slipway("job", "run", "j", "--wait");
	assert.equal(good.code, 0, good.err);
	assert.match(
		good.out,
		/^TASK +STATE +RETRIES +EXIT CODE +MESSAGE\n0 +succeeded +0 +0\n1 +succeeded +0 +0\nj-\w+: All 2 tasks have succeeded\n$/,
	);
	const bad = await slipway("job", "run", "j", "--wait", "--args", "7", "--tasks", "1");
	assert.equal(bad.code, 1);
	assert.match(bad.out, /0 +failed +1 +7 +Container 'main' exited with code 7\nj-\w+: 1 of 1 tasks have failed/);
	assert.match(
		(await slipway("job", "executions", "j")).out,
		/NonZeroExitCode +0 of 1 tasks succeeded, 1 failed, 1 retried/,
	);
	assert.match((await slipway("job", "ls")).out, /j +default +2 +2 +j-\w+/);
	const running = JSON.parse((await slipway("job", "run", "j", "--args", "hang", "--json")).out);
	assert.equal((await slipway("job", "cancel", running.metadata.name)).code, 0);
	assert.equal((await slipway("job", "rm", "j")).code, 0);
});

test("Workers, routes and domains", async (context) => {
	const { slipway, file, workloads } = await daemon(context);
	const made = ["worker", "deploy", "hello:1", "--name", "w", "--instances", "2", "--volume", "spool:/var/spool"];
	const deployed = await slipway(...made);
	assert.equal(deployed.code, 0, deployed.err);
	assert.deepEqual(workloads.instances.started[0]?.workload.volumes, [
		{ kind: "persistent", name: "spool", claim: "spool" },
	]);
	assert.match(deployed.out, /^w: 2 of 2 instances\n/);
	assert.equal((await slipway("worker", "scale", "w", "1")).out, "w: 1 of 1 instances\n");
	assert.match((await slipway("worker", "get", "w")).out, /latest ready +w-00001\n[\s\S]*worker-\w+ +w-00001 ready/);
	assert.equal((await slipway("worker", "rm", "w")).out, "w\n");
	const routes =
		"name: shop\nhosts: [shop.example.com]\nrules:\n- {method: GET, path: /a, target: {service: a}}\n- {method: GET, path: b, target: {service: a}}\n";
	const bad = await slipway("route", "apply", "-f", await file("bad.yaml", routes));
	assert.deepEqual([bad.code, /bad\.yaml:5: rules\[1\]\.path/.test(bad.err)], [1, true], bad.err);
	const good = await file("good.yaml", routes.replace("path: b", "path: /b"));
	assert.equal((await slipway("route", "apply", "-f", good)).out, "shop: 2 rules on shop.example.com\n");
	assert.match((await slipway("route", "get", "shop")).out, /GET +\/a +service a/);
	const domain = await slipway("domain", "add", "www.example.com", "--route", "shop", "--tls", "dev");
	assert.equal(domain.out, "https://www.example.com\n", domain.err);
	assert.match((await slipway("domain", "ls")).out, /www\.example\.com +route shop +dev/);
	assert.equal((await slipway("domain", "rm", "www.example.com")).code, 0);
	assert.equal((await slipway("route", "rm", "shop")).code, 0);
});

test("What a watched service does: a line for each change, none for the same again", () => {
	const view = new WatchView(false);
	const status = (percent: number) => ({
		observedGeneration: 1,
		conditions: [{ type: "Ready", status: "True" as const, lastTransitionTime: "2026-01-01T00:00:00Z" }],
		url: "http://a.localhost",
		traffic: [
			{ revisionName: "a-1", percent: 100 - percent },
			{ revisionName: "a-2", percent, latestRevision: true },
		],
	});
	const named = { kind: "Service", metadata: { name: "a" } };
	const service = (percent: number) => ({ type: "service", service: { ...named, status: status(percent) } }) as never;
	const rolledBack = {
		type: "RolloutHealthy",
		status: "False" as const,
		reason: "ErrorRateExceeded",
		message: "12 of 40 requests failed (30 %); the bound is 5 %",
		lastTransitionTime: "2026-01-01T00:00:00Z",
	};
	const activity = (requests: number, failures = 0): Parameters<WatchView["take"]>[0] => ({
		type: "activity",
		revisions: [{ revision: "a-2", percent: 1, tags: [], actualReplicas: 1, desiredReplicas: 2, requests, failures }],
	});
	const plain = (lines: string[]) => lines.map((line) => line.slice("2026-01-01 00:00:00  ".length));
	assert.deepEqual(plain(view.take(service(1), 0)), [
		"traffic              a-1 99%, a-2 (latest) 1%",
		"Ready                yes",
	]);
	assert.deepEqual(view.take(service(1), 100), []);
	assert.deepEqual(plain(view.take(service(10), 200)), ["traffic              a-1 90%, a-2 (latest) 10%"]);
	assert.deepEqual(plain(view.take(activity(100), 1000)), [
		"a-2                  1%, 1 -> 2 instances, 0 req/s, 0 err/s",
	]);
	assert.deepEqual(plain(view.take(activity(140, 20), 2000)), [
		"a-2                  1%, 1 -> 2 instances, 40 req/s, 20 err/s",
	]);
	assert.deepEqual(view.take(activity(180, 40), 3000), []);
	const back = { ...status(0), conditions: [...status(0).conditions, rolledBack] };
	assert.deepEqual(plain(view.take({ type: "service", service: { ...named, status: back } } as never, 3500)), [
		"traffic              a-1 100%",
		"RolloutHealthy       no  ErrorRateExceeded: 12 of 40 requests failed (30 %); the bound is 5 %",
	]);
	assert.match(view.screen().join("\n"), /^a {2}http:\/\/a\.localhost\nREVISION.*\na-2 +1% +1 -> 2 +40 +20 +180 +40\n/);
	assert.deepEqual(plain(view.take({ type: "deleted" }, 4000)), ["deleted"]);
});

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { SlipwayClient } from "../../client/client.ts";
import { nodeFetch } from "../../client/node-fetch.ts";
import {
	executionSchema,
	instanceSchema,
	jobSchema,
	revisionSchema,
	type ServiceStreamLine,
	serviceSchema,
	taskSchema,
	workerSchema,
} from "../../client/service-schema.ts";
import { jobManifest, workerManifest } from "../../engine/jobs/testing.ts";
import { apiFront, apiRoutes } from "./api.ts";
import { fakeApiDeps } from "./fake-engine.ts";
import { fakeWorkloads } from "./fake-workloads.ts";
import { openApiDocument } from "./openapi.ts";

const token = "slw_test";

async function served(context: TestContext) {
	const workloads = await fakeWorkloads();
	const closing = new AbortController();
	const fakes = fakeApiDeps({
		accountId: "123456789012",
		closing: closing.signal,
		clock: systemClock,
		ids: randomIds,
		log: silentLog,
		home: "/nowhere",
	});
	const deps = { ...fakes, token, workloads };
	const server = createServer(apiFront(deps));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	context.after(async () => {
		closing.abort();
		server.closeAllConnections();
		server.close();
		await workloads[Symbol.asyncDispose]();
	});
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	return { deps, server, closing, workloads, client: new SlipwayClient({ url, token, fetch: nodeFetch }).workloads };
}

const service = (name: string, image = "127.0.0.1/app:1") => ({
	apiVersion: "serving.knative.dev/v1",
	kind: "Service",
	metadata: { name },
	spec: { template: { spec: { containers: [{ image }] } } },
});

test("Services: apply, get, list, traffic, revisions, delete", async (context) => {
	const { client } = await served(context);
	serviceSchema.parse(await client.applyService("default", service("a")));
	await client.applyService("other", service("b"));
	assert.deepEqual(
		(await client.services("other")).map(({ metadata }) => metadata.name),
		["b"],
	);
	assert.equal((await client.services()).length, 2);
	await client.applyService("default", service("dry"), { dryRun: true, profile: "knative" });
	await assert.rejects(client.service("default", "dry"), (error) => isSlipwayError(error, "NOT_FOUND"));
	const changed = await client.setTraffic("default", "a", [{ latestRevision: true, percent: 100, tag: "green" }]);
	assert.equal(changed.spec.traffic?.[0]?.tag, "green");
	const revisions = await client.revisions("default", "a");
	assert.ok(revisions.length >= 1);
	revisionSchema.parse(await client.revision("default", revisions[0]!.metadata.name));
	await assert.rejects(client.rollback("default", "a"), (error) => isSlipwayError(error, "CONFLICT"));
	await client.deleteService("default", "a");
	await assert.rejects(client.service("default", "a"), (error) => isSlipwayError(error, "NOT_FOUND"));
	await assert.rejects(client.service("UPPER", "a"), (error) => isSlipwayError(error, "INVALID"));
	await assert.rejects(client.applyService("default", service("c"), { profile: "aws" }), /profile/);
});

test("A watched service: itself, what its revisions do, each change, its end", async (context) => {
	const { client } = await served(context);
	await client.applyService("default", service("a"));
	const lines = client.watchService("default", "a");
	const next = async () => (await lines.next()).value as Exclude<ServiceStreamLine, { type: "problem" }>;
	assert.equal((await next()).type, "service");
	const activity = await next();
	assert.deepEqual(activity, {
		type: "activity",
		revisions: [
			{ revision: "a-00001", percent: 100, tags: [], actualReplicas: 1, desiredReplicas: 1, requests: 0, failures: 0 },
		],
	});
	await client.applyService("default", service("a", "127.0.0.1/app:2"));
	const seen = new Set<string>();
	for (let line = await next(); ; line = await next()) {
		seen.add(line.type);
		if (line.type !== "service") continue;
		assert.equal(line.service.metadata.generation, 2);
		break;
	}
	await client.deleteService("default", "a");
	for await (const line of lines) seen.add(line.type);
	assert.ok(seen.has("deleted"));
});

test("A watched service tells how far its newest revision is that is being made ready", async (context) => {
	const { client, workloads } = await served(context);
	await client.applyService("default", service("a", "127.0.0.1/slow:1"));
	const seen: ServiceStreamLine[] = [];
	for await (const line of client.watchService("default", "a")) {
		if (line.type === "progress") {
			seen.push(line);
			workloads.images.finish();
		}
		if (line.type === "service" && line.service.status.latestReadyRevisionName) break;
	}
	assert.deepEqual(seen[0], {
		type: "progress",
		revision: "a-00001",
		stage: "unpack",
		image: `127.0.0.1/slow@sha256:${"a".repeat(64)}`,
		done: 25,
		total: 100,
	});
	assert.equal(workloads.services.progress("default", "a-00001"), undefined);
});

test("Executions and workers tell how far their image is", async (context) => {
	const { client, workloads } = await served(context);
	await client.applyJob("default", jobManifest("j", { image: "127.0.0.1/slow:1" }));
	const { metadata } = await client.runJob("default", "j");
	const progress = { stage: "unpack", image: `127.0.0.1/slow@sha256:${"a".repeat(64)}`, done: 25, total: 100 };
	assert.deepEqual((await client.execution("default", metadata.name)).status.progress, progress);
	await client.applyWorker("default", workerManifest("w", { image: "127.0.0.1/slow:1" }));
	const seen = [];
	for await (const { worker } of client.watchWorker("default", "w")) {
		if (worker.status.progress) seen.push(worker.status.progress);
		workloads.images.finish();
		if (worker.status.readyInstances === 1) break;
	}
	assert.deepEqual(seen[0], progress);
	assert.equal((await client.worker("default", "w")).status.progress, undefined);
	for await (const { execution } of client.watchExecution("default", metadata.name))
		if (execution.status.completionTime) assert.equal(execution.status.progress, undefined);
});

test("A stream whose daemon is gone in its midst is a daemon that does not answer", async (context) => {
	const { client, server } = await served(context);
	await client.applyService("default", service("a"));
	const watched = (async () => {
		for await (const line of client.watchService("default", "a"))
			if (line.type === "service") server.closeAllConnections();
	})();
	await assert.rejects(watched, { code: "UNAVAILABLE", reason: "NoDaemon", message: /connection .* was lost/ });
});

test("Jobs: apply, run with overrides, watch to the end, tasks, executions, delete", async (context) => {
	const { client } = await served(context);
	jobSchema.parse(
		await client.applyJob("default", jobManifest("j", { execution: { taskCount: 3 }, task: { maxRetries: 1 } })),
	);
	await assert.rejects(
		client.applyJob("default", jobManifest("j", { execution: { taskCount: 0 } })),
		/spec\.template\.spec\.taskCount/,
	);
	await assert.rejects(client.runJob("default", "j", { taskCount: 0 }), /overrides\.taskCount/);
	const { metadata } = executionSchema.parse(
		await client.runJob("default", "j", { containerOverrides: [{ args: ["2"] }] }),
	);
	const states = await Array.fromAsync(client.watchExecution("default", metadata.name), ({ execution }) => execution);
	const last = states.at(-1)!;
	assert.deepEqual([last.status.failedCount, last.status.retriedCount], [3, 3]);
	assert.equal(last.status.conditions[0]?.reason, "NonZeroExitCode");
	const tasks = await client.tasks("default", metadata.name);
	assert.equal(tasks.length, 3);
	for (const task of tasks) assert.equal(taskSchema.parse(task).status.lastAttemptResult?.exitCode, 2);
	assert.equal((await client.executions("default", "j"))[0]?.metadata.name, metadata.name);
	await assert.rejects(client.cancelExecution("default", metadata.name), (error) => isSlipwayError(error, "CONFLICT"));
	const hanging = await client.runJob("default", "j", { containerOverrides: [{ args: ["hang"] }] });
	await client.cancelExecution("default", hanging.metadata.name);
	for await (const { execution } of client.watchExecution("default", hanging.metadata.name))
		if (execution.status.cancelledCount === 3) break;
	await client.deleteExecution("default", metadata.name);
	await client.deleteJob("default", "j");
	assert.deepEqual(await client.jobs(), []);
});

test("Workers: apply, scale, watch, delete", async (context) => {
	const { client, workloads } = await served(context);
	workerSchema.parse(await client.applyWorker("default", workerManifest("w", { instances: 2 })));
	for await (const { worker } of client.watchWorker("default", "w")) if (worker.status.readyInstances === 2) break;
	await client.scaleWorker("default", "w", 1);
	for await (const { worker } of client.watchWorker("default", "w")) if (worker.status.instances.length === 1) break;
	await assert.rejects(client.scaleWorker("default", "w", 101), (error) => isSlipwayError(error, "INVALID"));
	assert.equal((await client.workers()).length, 1);
	await client.deleteWorker("default", "w");
	assert.deepEqual(await client.workers(), []);
	assert.deepEqual(workloads.instances.instances.size, 0);
});

test("A watcher is let go when the daemon stops", async (context) => {
	const { client, closing } = await served(context);
	await client.applyWorker("default", workerManifest("w"));
	await client.applyService("default", service("a"));
	const watched = Promise.all([
		Array.fromAsync(client.watchWorker("default", "w")),
		Array.fromAsync(client.watchService("default", "a")),
	]);
	setTimeout(() => closing.abort(), 50);
	const [worker, lines] = await watched;
	assert.ok(worker.length >= 1 && lines.length >= 1);
});

test("Routes and domains: apply, list, delete; a field that is wrong is named", async (context) => {
	const { client } = await served(context);
	const rule = { method: "GET", path: "/items/{id}", target: { service: "shop", namespace: "default" } };
	await client.applyGatewayRoute({ name: "shop", hosts: ["shop.example.com"], rules: [rule] });
	assert.equal((await client.gatewayRoutes())[0]?.name, "shop");
	assert.equal((await client.gatewayRoute("shop")).rules[0]?.path, "/items/{id}");
	await assert.rejects(client.applyGatewayRoute({ name: "shop", rules: [{ ...rule, method: "FETCH" }] }), /method/);
	await client.applyDomain({ host: "www.example.com", route: "shop", tls: "dev" });
	assert.deepEqual(
		(await client.domains()).map(({ host, tls, certificate }) => [host, tls, certificate]),
		[["www.example.com", "dev", { state: "issued", until: "1970-01-01T00:00:00.000Z" }]],
	);
	assert.equal((await client.developmentAuthority()).path, "/ca.crt");
	await assert.rejects(client.deleteGatewayRoute("shop"), (error) => isSlipwayError(error, "CONFLICT"));
	await client.deleteDomain("www.example.com");
	await client.deleteGatewayRoute("shop");
	assert.deepEqual([await client.domains(), await client.gatewayRoutes()], [[], []]);
});

test("Instances of services, workers and jobs; a service that is told to go to zero", async (context) => {
	const { client } = await served(context);
	await client.applyService("default", service("hello"));
	await client.applyWorker("default", workerManifest("w"));
	await client.applyJob(
		"default",
		jobManifest("j", { task: { containers: [{ image: "127.0.0.1/a:1", args: ["hang"] }] } }),
	);
	const { metadata } = await client.runJob("default", "j");
	const instances = (await client.instances()).map((one) => instanceSchema.parse(one));
	assert.deepEqual(
		instances.map(({ kind, name, part, state, inFlight }) => [kind, name, part, state, inFlight]),
		[
			["service", "hello", "hello-00001", "ready", 0],
			["worker", "w", "w-00001", "ready", undefined],
			["job", "j", `${metadata.name}/0`, "ready", undefined],
		],
	);
	assert.equal(await client.stopService("default", "hello"), 1);
	assert.deepEqual(
		(await client.instances()).map(({ kind }) => kind),
		["worker", "job"],
	);
	await assert.rejects(client.stopService("default", "nothing"), (error) => isSlipwayError(error, "NOT_FOUND"));
});

test("Every operation is in the document, and every schema it names", async (context) => {
	const { deps } = await served(context);
	const routes = apiRoutes(deps);
	assert.equal(new Set(routes.map(({ id }) => id)).size, routes.length);
	const text = JSON.stringify(openApiDocument(routes, "/_slipway", "0"));
	const { components } = JSON.parse(text) as { components: { schemas: object } };
	for (const [, name] of text.matchAll(/#\/components\/schemas\/(\w+)/g))
		assert.ok(name !== undefined && name in components.schemas, `${name} is described`);
	assert.match(text, /"\/executions\/\{namespace\}\/\{name\}\/watch"/);
});

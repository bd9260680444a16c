import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type FakeServing, manifest, openServices } from "./testing.ts";

const user = { user: "ada" };
const guarded = {
	"slipway.dev/rollback-on-error-rate": "5%",
	"slipway.dev/rollback-on-latency-p95": "500ms",
	"slipway.dev/rollback-window": "60s",
};

function answers(serving: FakeServing, revision: string, requests: number, failures: number, ms = 10): void {
	const before = serving.usages.get(revision) ?? { requests: 0, failures: 0, latency: [] };
	const bounds = [50, 1000, Number.POSITIVE_INFINITY];
	const slot = bounds.findIndex((upToMs) => ms <= upToMs);
	const latency = bounds.map((upToMs, index) => ({
		upToMs,
		count: (before.latency[index]?.count ?? 0) + (index === slot ? requests : 0),
	}));
	serving.usages.set(revision, { requests: before.requests + requests, failures: before.failures + failures, latency });
}

async function deployed(annotations: Record<string, string>) {
	const opened = await openServices();
	const deploy = async (tag: string) => {
		await opened.services.apply("default", manifest({ annotations, image: `registry.local/hello:${tag}` }), user);
		await opened.services.settled();
	};
	await deploy("1");
	await deploy("2");
	const targets = () =>
		Object.fromEntries(
			(opened.services.routing.find("default", "hello", undefined)?.targets ?? []).map((one) => [
				one.revision,
				one.percent,
			]),
		);
	const healthy = () =>
		opened.services.service("default", "hello").status.conditions.find(({ type }) => type === "RolloutHealthy");
	return { ...opened, deploy, targets, healthy };
}

describe("gradual rollout", () => {
	it("begins with 1 %, goes in steps, ends in time with everything, over a restart too", async () => {
		const annotations = { "serving.knative.dev/rollout-duration": "100s" };
		const first = await deployed(annotations);
		assert.deepEqual(first.targets(), { "hello-00001": 99, "hello-00002": 1 });
		const route = () => first.services.route("default", "hello").status;
		assert.equal(route().conditions.find(({ type }) => type === "IngressReady")?.reason, "RolloutInProgress");
		assert.equal(route().traffic?.length, 2);
		await first.clock.advance(50_000);
		const half = first.targets()["hello-00002"] ?? 0;
		assert.ok(half > 45 && half < 55, `${half} % at half time`);
		await first.services[Symbol.asyncDispose]();
		const second = await openServices({ store: first.store, clock: first.clock, serving: first.serving });
		await second.clock.advance(51_000);
		assert.deepEqual(second.services.routing.find("default", "hello", undefined)?.targets, [
			{ revision: "hello-00002", percent: 100 },
		]);
		const ready = second.services.service("default", "hello").status.conditions.find(({ type }) => type === "Ready");
		assert.equal(ready?.status, "True");
	});

	it("starts anew from what there is when another revision comes in between", async () => {
		const { clock, deploy, targets } = await deployed({ "slipway.dev/rollout-duration": "100s" });
		await clock.advance(30_000);
		await deploy("3");
		const sum = (all: Record<string, number>) => Object.values(all).reduce((total, one) => total + one, 0);
		assert.equal(targets()["hello-00003"], 1);
		assert.equal(sum(targets()), 100);
		for (let i = 0; i < 20; i++) {
			await clock.advance(5000);
			assert.equal(sum(targets()), 100);
		}
		await clock.advance(5000);
		assert.deepEqual(targets(), { "hello-00003": 100 });
	});

	it("waits without a look at the store while a target is missing, and is where its time says when it is not", async () => {
		const { services, clock, targets, store } = await deployed({ "slipway.dev/rollout-duration": "100s" });
		await clock.advance(101_000);
		const traffic = [
			{ latestRevision: true, percent: 50 },
			{ revisionName: "hello-00002", percent: 50 },
		];
		const annotations = { "slipway.dev/rollout-duration": "100s" };
		await services.apply("default", manifest({ annotations, image: "registry.local/hello:3", traffic }), user);
		await services.settled();
		assert.deepEqual(targets(), { "hello-00002": 99, "hello-00003": 1 });
		const missing = [traffic[0]!, { revisionName: "hello-00002", percent: 49 }, { revisionName: "no", percent: 1 }];
		await services.setTraffic("default", "hello", missing, user);
		const commit = store.commit.bind(store);
		let commits = 0;
		store.commit = (changes) => {
			commits++;
			return commit(changes);
		};
		await clock.advance(50_000);
		assert.deepEqual(targets(), { "hello-00002": 99, "hello-00003": 1 });
		assert.ok(commits < 60, `${commits} commits`);
		await services.setTraffic("default", "hello", traffic, user);
		assert.ok(Math.abs((targets()["hello-00003"] ?? 0) - 25) < 3, JSON.stringify(targets()));
	});
});

describe("automatic rollback", () => {
	it("sends everything back when the new revision fails too often, says why, and starts afresh with the next", async () => {
		const { serving, clock, deploy, targets, healthy, services } = await deployed(guarded);
		assert.equal(healthy()?.reason, "Watching");
		answers(serving, "hello-00002", 19, 19);
		await clock.advance(2000);
		assert.deepEqual(targets(), { "hello-00002": 100 }, "too few to judge");
		answers(serving, "hello-00002", 10, 1);
		await clock.advance(2000);
		assert.deepEqual(targets(), { "hello-00001": 100 });
		assert.equal(healthy()?.reason, "ErrorRateExceeded");
		assert.match(healthy()?.message ?? "", /20 of 29 requests failed \(69 %\); the bound is 5 %/);
		const ready = services.service("default", "hello").status.conditions.find(({ type }) => type === "Ready");
		assert.equal(ready?.status, "True");
		await clock.advance(600_000);
		assert.deepEqual(targets(), { "hello-00001": 100 });
		await deploy("3");
		assert.deepEqual(targets(), { "hello-00003": 100 });
		assert.equal(healthy()?.reason, "Watching");
		answers(serving, "hello-00003", 1000, 10);
		await clock.advance(61_000);
		assert.equal(healthy()?.status, "True");
		answers(serving, "hello-00003", 1000, 1000);
		await clock.advance(61_000);
		assert.deepEqual(targets(), { "hello-00003": 100 }, "the window is over");
	});

	it("goes back while the traffic's definition names a revision that is not there", async () => {
		const { serving, clock, targets, healthy, services } = await deployed({
			...guarded,
			"slipway.dev/rollout-duration": "100s",
		});
		await clock.advance(10_000);
		const missing = [
			{ latestRevision: true, percent: 90 },
			{ revisionName: "no", percent: 10 },
		];
		await services.setTraffic("default", "hello", missing, user);
		answers(serving, "hello-00002", 30, 30);
		await clock.advance(2000);
		assert.equal(healthy()?.reason, "ErrorRateExceeded");
		assert.deepEqual(targets(), { "hello-00001": 100 });
		assert.deepEqual(services.service("default", "hello").status.traffic, [
			{ revisionName: "hello-00001", latestRevision: false, percent: 100 },
		]);
		await clock.advance(200_000);
		assert.deepEqual(targets(), { "hello-00001": 100 });
	});

	it("judges the latency, and a revision that has only a part of the traffic", async () => {
		const { serving, clock, targets, healthy, services } = await deployed(guarded);
		await clock.advance(61_000);
		const split = [
			{ revisionName: "hello-00001", percent: 90 },
			{ revisionName: "hello-00002", percent: 10 },
		];
		await services.setTraffic("default", "hello", [{ revisionName: "hello-00001", percent: 100 }], user);
		await services.setTraffic("default", "hello", split, user);
		answers(serving, "hello-00002", 100, 0, 900);
		answers(serving, "hello-00001", 100, 0, 10);
		await clock.advance(2000);
		assert.deepEqual(targets(), { "hello-00001": 100 });
		assert.equal(healthy()?.reason, "LatencyExceeded");
		await services.setTraffic("default", "hello", [{ latestRevision: true, percent: 100 }], user);
		assert.deepEqual(targets(), { "hello-00002": 100 }, "who says so gets it");
	});

	it("does not go back to a revision that is as bad", async () => {
		const { serving, clock, targets } = await deployed(guarded);
		answers(serving, "hello-00001", 100, 50);
		answers(serving, "hello-00002", 100, 50);
		await clock.advance(5000);
		assert.deepEqual(targets(), { "hello-00002": 100 });
	});

	it("stops a gradual rollout that goes wrong, and stays rolled back over a restart", async () => {
		const first = await deployed({ ...guarded, "slipway.dev/rollout-duration": "100s" });
		await first.clock.advance(20_000);
		answers(first.serving, "hello-00002", 40, 20);
		await first.clock.advance(2000);
		assert.deepEqual(first.targets(), { "hello-00001": 100 });
		await first.services[Symbol.asyncDispose]();
		const { services } = await openServices({ store: first.store, clock: first.clock });
		await first.clock.advance(200_000);
		assert.deepEqual(services.routing.find("default", "hello", undefined)?.targets, [
			{ revision: "hello-00001", percent: 100 },
		]);
	});
});

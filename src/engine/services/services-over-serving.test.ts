/** Services with the pools, the queues and the autoscaler that they run on; only the containers are fakes. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import type { AdmittedRequest } from "../../core/service/request-admission.ts";
import { type FakeInstance, FakeInstanceHost } from "../../core/workload/fake-instance-host.ts";
import { Autoscaler } from "../serving/autoscaler.ts";
import { BoundedSlots } from "../serving/instance-slots.ts";
import { Serving } from "../serving/serving.ts";
import { servingPools } from "./serving-pools.ts";
import { type ManifestChange, manifest, openServicesOver } from "./testing.ts";

const user = { user: "ada" };
const scope = "default";

/** What containers of an image do, by its tag. */
type Behavior = (instance: FakeInstance) => Promise<void> | undefined;
const never = () => new Promise<void>(() => {});

async function setUp(t: TestContext, behaviors: Record<string, Behavior> = {}) {
	const clock = new VirtualClock();
	const instances = new FakeInstanceHost({
		start: (instance) => behaviors[instance.options.workload.containers[0]?.env.TAG ?? ""]?.(instance),
	});
	const scaler = new Autoscaler({ clock, log: silentLog });
	const contract = { environment: () => ({}), onMetadata: () => undefined };
	const slots = new BoundedSlots(20);
	const serving = new Serving(
		{ clock, ids: randomIds, log: silentLog, instances, slots, scaler, contract },
		{ freezeAfterMs: 100 },
	);
	const { services, store } = await openServicesOver(servingPools(serving), { clock });
	t.after(async () => {
		await services[Symbol.asyncDispose]();
		await serving[Symbol.asyncDispose]();
		await scaler[Symbol.asyncDispose]();
		assert.deepEqual([instances.instances.size, slots.taken, clock.pending], [0, 0, 0]);
	});

	const deploy = async (tag: string, change: ManifestChange = {}) => {
		const container = { ...change.container, env: [{ name: "TAG", value: tag }] };
		await services.apply(scope, manifest({ ...change, image: `registry.local/hello:${tag}`, container }), user);
		await clock.advance(0);
	};
	/** As the gateway does it: `random`, from 0 to 99, chooses the revision. */
	const ask = async (random = 0, tag?: string): Promise<AdmittedRequest> => {
		const route = services.routing.find(scope, "hello", tag);
		const shares = (route?.targets ?? []).flatMap((target) => Array<typeof target>(target.percent).fill(target));
		const target = shares[random];
		if (!target) throw new SlipwayError("NOT_FOUND", route?.reason ?? "no route");
		const request = serving.admit(
			{ namespace: scope, name: target.revision },
			{ signal: new AbortController().signal },
		);
		// Who asks may wait longer than for the caller to look.
		request.catch(() => {});
		await clock.advance(0);
		return request;
	};
	const answer = async (count: number, outcome: { status: number; ms?: number }, random = 0) => {
		for (let n = 0; n < count; n++)
			(await ask(random)).release({ status: outcome.status, durationMs: outcome.ms ?? 5, failure: undefined });
	};
	const conditions = () =>
		Object.fromEntries(
			services
				.service(scope, "hello")
				.status.conditions.map(({ type, status, reason, message }) => [type, { status, reason, message }]),
		);
	const targets = () =>
		Object.fromEntries(
			(services.routing.find(scope, "hello", undefined)?.targets ?? []).map((one) => [one.revision, one.percent]),
		);
	return { clock, instances, serving, services, store, slots, deploy, ask, answer, conditions, targets };
}

const ok = { status: 200, durationMs: 5, failure: undefined };
const exits = async () => {
	throw new SlipwayError("UNAVAILABLE", 'Container "main" exited with code 3: no database', {
		reason: "ContainerExited",
	});
};

describe("Services over their pools", () => {
	it("bring a service to Ready with one instance that has been ready, and serve it", async (t) => {
		const { clock, deploy, ask, conditions, instances, serving } = await setUp(t, { "1": () => clock.sleep(2000) });
		await deploy("1");
		assert.equal(conditions().Ready?.status, "Unknown");
		await assert.rejects(ask(), /No revision of the service is ready yet/);
		await clock.advance(2000);
		assert.equal(conditions().Ready?.status, "True");
		assert.equal(instances.started.length, 1);
		const request = await ask();
		assert.deepEqual([request.revision.name, request.cold], ["hello-00001", false]);
		request.release(ok);
		assert.deepEqual(serving.scale({ namespace: scope, name: "hello-00001" }), { actual: 1, desired: 1, waiting: 0 });
	});

	it("keep the old revision serving when the new one exits, and say why", async (t) => {
		const { deploy, ask, conditions, targets, services, instances, clock } = await setUp(t, { "2": exits });
		await deploy("1");
		const running = await ask();
		await deploy("2");
		const { ConfigurationsReady, RoutesReady, Ready } = conditions();
		assert.deepEqual([Ready?.status, ConfigurationsReady?.reason], ["False", "RevisionFailed"]);
		assert.equal(RoutesReady?.status, "True");
		assert.match(ConfigurationsReady?.message ?? "", /hello-00002.*exited with code 3: no database/s);
		assert.deepEqual(targets(), { "hello-00001": 100 });
		const failed = services.revision(scope, "hello-00002").status.conditions;
		assert.equal(failed.find(({ type }) => type === "ContainerHealthy")?.reason, "ExitCode3");
		(await ask()).release(ok);
		running.release(ok);
		await clock.advance(60_000);
		assert.equal(instances.started.length, 2, "a revision that failed was started again");
	});

	it("give a new revision up at its progress deadline, and its instance with it", async (t) => {
		const { deploy, ask, conditions, clock, instances } = await setUp(t, { "2": never });
		await deploy("1", { templateAnnotations: { "autoscaling.knative.dev/min-scale": "1" } });
		await deploy("2", { templateAnnotations: { "serving.knative.dev/progress-deadline": "30s" } });
		await clock.advance(29_000);
		assert.deepEqual([conditions().Ready?.status, instances.instances.size], ["Unknown", 2]);
		await clock.advance(2000);
		assert.equal(conditions().Ready?.status, "False");
		assert.match(conditions().Ready?.message ?? "", /not ready within 30 s|Initial scale was never achieved/);
		(await ask()).release(ok);
		assert.equal(instances.instances.size, 1);
	});

	it("end a deployment that is deleted while it starts", async (t) => {
		const { deploy, clock, instances, services, serving } = await setUp(t, { "1": never });
		await deploy("1");
		assert.equal(instances.instances.size, 1);
		await services.delete(scope, "hello");
		await clock.advance(0);
		assert.deepEqual([instances.instances.size, serving.revisions().length, clock.pending], [0, 0, 0]);
	});

	it("split traffic, reach a revision by its tag, and go back", async (t) => {
		const { deploy, ask, services, targets } = await setUp(t);
		await deploy("1");
		await deploy("2");
		await services.setTraffic(
			scope,
			"hello",
			[
				{ revisionName: "hello-00001", latestRevision: false, percent: 90 },
				{ latestRevision: true, percent: 10, tag: "next" },
			],
			user,
		);
		const chosen = new Map<string, number>();
		for (let random = 0; random < 100; random++) {
			const request = await ask(random);
			chosen.set(request.revision.name, (chosen.get(request.revision.name) ?? 0) + 1);
			request.release(ok);
		}
		assert.deepEqual(Object.fromEntries(chosen), { "hello-00001": 90, "hello-00002": 10 });
		const tagged = await ask(0, "next");
		assert.equal(tagged.revision.name, "hello-00002");
		await services.setTraffic(scope, "hello", [{ latestRevision: true, percent: 100 }], user);
		assert.deepEqual(targets(), { "hello-00002": 100 });
		await services.rollback(scope, "hello", user);
		assert.deepEqual(targets(), { "hello-00001": 100 });
		tagged.release(ok);
	});

	it("roll out by time, each request to a revision that serves it", async (t) => {
		const { deploy, answer, clock, targets } = await setUp(t);
		const annotations = { "slipway.dev/rollout-duration": "60s" };
		await deploy("1", { annotations });
		await deploy("2", { annotations });
		assert.deepEqual(targets(), { "hello-00001": 99, "hello-00002": 1 });
		let share = 1;
		for (let second = 0; second < 60; second += 5) {
			await clock.advance(5000);
			assert.ok((targets()["hello-00002"] ?? 0) >= share, "the rollout went back");
			share = targets()["hello-00002"] ?? 0;
			for (const random of [0, 50, 99]) await answer(1, { status: 200 }, random);
		}
		assert.deepEqual(targets(), { "hello-00002": 100 });
	});

	for (const [bound, value, bad, reason] of [
		["error-rate", "5%", { status: 500 }, "ErrorRateExceeded"],
		["latency-p95", "200ms", { status: 200, ms: 2000 }, "LatencyExceeded"],
	] as const)
		it(`go back by themselves when the new revision breaks its bound of ${bound}`, async (t) => {
			const { deploy, answer, ask, clock, targets, conditions } = await setUp(t);
			const annotations = { [`slipway.dev/rollback-on-${bound}`]: value, "slipway.dev/rollback-window": "60s" };
			await deploy("1", { annotations });
			await answer(30, { status: 200 });
			await deploy("2", { annotations });
			assert.deepEqual([targets(), conditions().RolloutHealthy?.reason], [{ "hello-00002": 100 }, "Watching"]);
			await answer(30, bad);
			const late = await ask();
			await clock.advance(1100);
			assert.deepEqual(targets(), { "hello-00001": 100 });
			assert.equal(conditions().RolloutHealthy?.reason, reason);
			assert.equal(late.revision.name, "hello-00002");
			late.release(ok);
			const after = await ask();
			assert.equal(after.revision.name, "hello-00001");
			after.release(ok);
		});

	it("trust a new revision whose answers keep within their bounds for the window", async (t) => {
		const { deploy, answer, clock, targets, conditions } = await setUp(t);
		const annotations = { "slipway.dev/rollback-on-error-rate": "5%", "slipway.dev/rollback-window": "10s" };
		await deploy("1", { annotations });
		await deploy("2", { annotations });
		await answer(99, { status: 200 });
		await answer(1, { status: 500 });
		await clock.advance(11_000);
		assert.deepEqual([targets(), conditions().RolloutHealthy?.status], [{ "hello-00002": 100 }, "True"]);
	});

	it("go to zero and come back with the first request", async (t) => {
		const { deploy, ask, clock, instances, services } = await setUp(t);
		await deploy("1");
		await clock.advance(200_000);
		assert.equal(instances.instances.size, 0);
		const active = () =>
			services.revision(scope, "hello-00001").status.conditions.find(({ type }) => type === "Active");
		assert.deepEqual([active()?.status, active()?.reason], ["False", "NoTraffic"]);
		const request = await ask();
		assert.equal(request.cold, true);
		assert.equal(active()?.status, "True");
		await clock.advance(300_000);
		assert.equal(instances.instances.size, 1, "an instance went with its request");
		request.release(ok);
		await clock.advance(200_000);
		assert.equal(instances.instances.size, 0);
	});

	it("serve what runs to its end when the service is deleted", async (t) => {
		const { deploy, ask, clock, instances, services, serving } = await setUp(t);
		await deploy("1");
		const running = await ask();
		await services.delete(scope, "hello");
		await clock.advance(60_000);
		assert.equal(services.routing.find(scope, "hello", undefined), undefined);
		await assert.rejects(serving.admit(running.revision, { signal: new AbortController().signal }), (error) =>
			isSlipwayError(error, "NOT_FOUND"),
		);
		assert.equal(instances.instances.size, 1);
		running.release(ok);
		await clock.advance(0);
		assert.equal(instances.instances.size, 0);
	});
});

describe("Scaling that a service's annotations say", () => {
	const scaled = (minScale: string) => ({ annotations: { "run.googleapis.com/minScale": minScale } });

	it("holds for the revision that there is, at once and without a new one", async (t) => {
		const { deploy, clock, instances, services } = await setUp(t);
		await deploy("1", scaled("3"));
		await clock.advance(3000);
		assert.equal(instances.instances.size, 3);
		await deploy("1", scaled("1"));
		await clock.advance(120_000);
		assert.equal(instances.instances.size, 1);
		assert.equal(services.revisions().length, 1);
	});

	it("is none for a revision that no route leads to any more", async (t) => {
		const { deploy, clock, instances } = await setUp(t);
		const template = { templateAnnotations: { "autoscaling.knative.dev/min-scale": "2" } };
		await deploy("1", template);
		await deploy("2", template);
		await clock.advance(200_000);
		const tags = [...instances.instances.values()].map(({ options }) => options.workload.containers[0]?.env.TAG);
		assert.deepEqual(tags, ["2", "2"]);
	});

	it("is exactly the manual count, and with a count of 0 the service is off until it has another", async (t) => {
		const { deploy, ask, clock, instances, conditions } = await setUp(t);
		const manual = (count: string) => ({
			annotations: { "run.googleapis.com/scalingMode": "manual", "run.googleapis.com/manualInstanceCount": count },
		});
		await deploy("1", manual("2"));
		await clock.advance(300_000);
		assert.equal(instances.instances.size, 2);
		const running = await ask();
		await deploy("1", manual("0"));
		await assert.rejects(ask(), (error) => isSlipwayError(error, "UNAVAILABLE") && error.reason === "ServiceDisabled");
		await clock.advance(10_000);
		assert.equal(instances.instances.size, 1, "what runs is served to its end");
		running.release(ok);
		await clock.advance(10_000);
		assert.deepEqual([instances.instances.size, conditions().Ready?.status], [0, "True"]);
		await deploy("2", manual("0"));
		await clock.advance(10_000);
		assert.deepEqual([instances.instances.size, conditions().Ready?.status], [0, "True"], "a new revision stays");
		await deploy("2", manual("1"));
		await clock.advance(0);
		assert.equal(instances.instances.size, 1);
		(await ask()).release(ok);
	});

	it("needs no instance where the deployment check is off", async (t) => {
		const { deploy, ask, instances, conditions } = await setUp(t, { "2": exits });
		const templateAnnotations = { "run.googleapis.com/health-check-disabled": "true" };
		await deploy("1", { templateAnnotations });
		assert.deepEqual([conditions().Ready?.status, instances.started.length], ["True", 0]);
		(await ask()).release(ok);
		await deploy("2", { templateAnnotations });
		assert.equal(conditions().Ready?.status, "True");
		await assert.rejects(ask(), (error) => isSlipwayError(error, "UNAVAILABLE") && error.reason === "RevisionFailed");
	});
});

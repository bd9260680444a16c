import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import { FakeInstanceHost, type FakeInstanceHostOptions } from "../../core/workload/fake-instance-host.ts";
import { BoundedSlots } from "../serving/instance-slots.ts";
import { FakeJobImages, workerManifest } from "./testing.ts";
import { Workers } from "./workers.ts";

const user = { user: "me" };

async function engine(
	context: TestContext,
	host?: FakeInstanceHostOptions,
	store = new FakeResourceStore(),
	maxInstances = 1000,
) {
	const clock = new VirtualClock();
	const instances = new FakeInstanceHost(host);
	const images = new FakeJobImages();
	const slots = new BoundedSlots(maxInstances);
	const workers = await Workers.open({
		store,
		images,
		instances,
		slots,
		architecture: "x86_64",
		clock,
		ids: randomIds,
		log: silentLog,
	});
	workers.resume();
	context.after(() => workers[Symbol.asyncDispose]());
	return { clock, images, instances, slots, workers, store };
}

function revisions(instances: FakeInstanceHost): string[] {
	return [...instances.instances.values()].map(
		({ options }) => options.environment("container-0").CLOUD_RUN_REVISION ?? "",
	);
}

test("As many instances as asked for, started again by the host, with the pool's environment and log", async (context) => {
	const { workers, instances, clock } = await engine(context);
	await workers.apply("default", workerManifest("mailer", { instances: 2 }), user);
	await clock.advance(0);
	assert.deepEqual(revisions(instances), ["mailer-00001", "mailer-00001"]);
	const [options] = instances.started;
	assert.equal(options?.restart, "always");
	assert.equal(options?.log.group, "/slipway/workers/default/mailer");
	assert.deepEqual(options?.environment("x"), { CLOUD_RUN_WORKER_POOL: "mailer", CLOUD_RUN_REVISION: "mailer-00001" });
	assert.equal(workers.worker("default", "mailer").status.conditions[0]?.status, "True");
	await workers.scale("default", "mailer", 1);
	await clock.advance(0);
	assert.equal(instances.instances.size, 1);
	[...instances.instances.values()][0]?.exit(1);
	await clock.advance(0);
	assert.equal(instances.instances.size, 1, "one that has ended is replaced");
	await assert.rejects(workers.scale("default", "mailer", 101), (error) => isSlipwayError(error, "INVALID"));
	await workers.delete("default", "mailer");
	await clock.advance(0);
	assert.equal(instances.instances.size, 0);
});

test("A new revision replaces one instance after the other; never fewer run than asked for", async (context) => {
	const { workers, instances, clock } = await engine(context, { start: () => clockSleep(1000) });
	const clockSleep = (ms: number) => clock.sleep(ms);
	await workers.apply("default", workerManifest("w", { instances: 2 }), user);
	await clock.advance(2000);
	await workers.apply("default", workerManifest("w", { instances: 2, image: "127.0.0.1/app:2" }), user);
	const seen: string[] = [];
	for (let step = 0; step < 5; step++) {
		await clock.advance(500);
		const all = revisions(instances);
		seen.push(all.map((name) => name.at(-1)).join(""));
		assert.ok([...instances.instances.values()].filter(({ state }) => state === "ready").length >= 2);
	}
	assert.deepEqual(seen, ["112", "122", "122", "22", "22"]);
	await workers.apply("default", workerManifest("w", { instances: 2, image: "127.0.0.1/app:2" }), user);
	assert.equal(
		workers.worker("default", "w").status.latestCreatedRevisionName,
		"w-00002",
		"the same is no new revision",
	);
});

test("A revision that does not start leaves the old one running and says why, after a restart too", async (context) => {
	const start: FakeInstanceHostOptions["start"] = async ({ options }) => {
		if (options.workload.containers[0]?.args.includes("crash"))
			throw new SlipwayError("UNAVAILABLE", "exited with code 1", { reason: "ContainerExited" });
	};
	const first = await engine(context, { start });
	await first.workers.apply("default", workerManifest("w"), user);
	await first.clock.advance(0);
	await first.workers.apply("default", workerManifest("w", { container: { args: ["crash"] } }), user);
	await first.clock.advance(60_000);
	assert.deepEqual(revisions(first.instances), ["w-00001"]);
	const { status } = first.workers.worker("default", "w");
	assert.deepEqual([status.conditions[0]?.status, status.conditions[0]?.message], ["False", "exited with code 1"]);
	assert.equal(status.latestReadyRevisionName, "w-00001");
	await first.workers[Symbol.asyncDispose]();
	const second = await engine(context, { start }, first.store);
	await second.clock.advance(60_000);
	assert.deepEqual(revisions(second.instances), ["w-00001"]);
	await second.workers.apply("default", workerManifest("w", { container: { args: ["fine"] } }), user);
	await second.clock.advance(60_000);
	assert.deepEqual(revisions(second.instances), ["w-00003"]);
});

test("With a persistent volume the old instance goes first: one writer at a time", async (context) => {
	const { workers, instances, clock } = await engine(context);
	const spec = { volumes: [{ name: "data", persistentVolumeClaim: { claimName: "db" } }] };
	const container = { volumeMounts: [{ name: "data", mountPath: "/data" }] };
	await workers.apply("default", workerManifest("db", { spec, container }), user);
	await clock.advance(0);
	const { volumes, containers } = instances.started[0]!.workload;
	assert.deepEqual(volumes, [{ kind: "persistent", name: "data", claim: "db" }]);
	assert.equal(containers[0]?.mounts[0]?.path, "/data");
	let most = 0;
	const watching = new AbortController();
	const watch = (async () => {
		for await (const _ of workers.watch("default", "db", watching.signal))
			most = Math.max(most, instances.instances.size);
	})();
	await workers.apply("default", workerManifest("db", { spec, container, image: "127.0.0.1/app:2" }), user);
	await clock.advance(1000);
	watching.abort();
	await watch;
	assert.deepEqual(revisions(instances), ["db-00002"]);
	assert.equal(most, 1);
});

test("No room is not the revision's fault: it is tried until there is some, and then all is well", async (context) => {
	const { workers, instances, clock, slots } = await engine(context, undefined, undefined, 2);
	const others = slots.tryAcquire();
	await workers.apply("default", workerManifest("w"), user);
	await clock.advance(0);
	await workers.apply("default", workerManifest("w", { image: "127.0.0.1/app:2" }), user);
	await clock.advance(10_000);
	const ready = () => workers.worker("default", "w").status.conditions[0];
	assert.deepEqual([ready()?.status, ready()?.reason], ["False", "ResourcesUnavailable"]);
	assert.equal(ready()?.lastTransitionTime, new Date(clock.now() - 10_000).toISOString());
	assert.deepEqual(revisions(instances), ["w-00001"]);
	others?.();
	await clock.advance(30_000);
	assert.deepEqual([ready()?.status, revisions(instances)], ["True", ["w-00002"]]);
	assert.deepEqual(
		(await workers.instances()).map(({ name, part, state }) => [name, part, state]),
		[["w", "w-00002", "ready"]],
	);
	assert.deepEqual(
		[...workers.imagesInUse()].map(({ user }) => user),
		["worker default/w", "worker default/w"],
	);
});

test("Made anew under the same name it waits for the one before; a daemon that stops waits for neither longer than it may", async (context) => {
	const stopping = Promise.withResolvers<void>();
	const host: FakeInstanceHostOptions = { stop: () => stopping.promise };
	const { workers, instances, clock, slots } = await engine(context, host);
	const spec = { terminationGracePeriodSeconds: 3600 };
	await workers.apply("default", workerManifest("w", { spec }), user);
	await clock.advance(0);
	const [first] = instances.instances.values();
	await workers.delete("default", "w");
	await workers.apply("default", workerManifest("w", { spec }), user);
	await clock.advance(60_000);
	assert.deepEqual([instances.started.length, first?.graceMs], [1, 3_600_000]);
	const disposed = workers[Symbol.asyncDispose]();
	await clock.advance(0);
	assert.equal(first?.graceMs, 10_000);
	stopping.resolve();
	await disposed;
	assert.deepEqual([instances.started.length, instances.instances.size, slots.taken], [1, 0, 0]);
});

test("A worker whose image is still being unpacked is stopped at once, and starts nothing when the image is there", async (context) => {
	const { workers, instances, images } = await engine(context);
	await workers.apply("default", workerManifest("w", { image: "127.0.0.1/slow:1" }), user);
	await workers[Symbol.asyncDispose]();
	images.finish();
	await new Promise((resolve) => setImmediate(resolve));
	assert.equal(instances.instances.size, 0);
});

test("An image's index means the image for this machine", async (context) => {
	const { workers } = await engine(context);
	const { status } = await workers.apply("default", workerManifest("w", { image: "127.0.0.1/index:1" }), user);
	assert.equal(status.latestCreatedRevisionName, "w-00001");
});

test("A newer revision does not wait for one whose image or start takes long", async (context) => {
	const { workers, clock, instances } = await engine(context, {
		start: async ({ options }) => {
			if (options.environment("container-0").CLOUD_RUN_REVISION === "w-00002") await new Promise(() => {});
		},
	});
	const deploy = async (image: string) => {
		await workers.apply("default", workerManifest("w", { image: `127.0.0.1/${image}` }), user);
		await clock.advance(0);
	};
	await deploy("slow:1");
	assert.deepEqual(revisions(instances), []);
	await deploy("hangs:1");
	assert.deepEqual(revisions(instances), ["w-00002"]);
	await deploy("app:1");
	await clock.advance(0);
	const { conditions, latestReadyRevisionName } = workers.worker("default", "w").status;
	assert.deepEqual([conditions[0]?.status, latestReadyRevisionName], ["True", "w-00003"]);
});

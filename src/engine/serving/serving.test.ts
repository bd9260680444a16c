import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import type { ScalableRevision } from "../../core/scaling/scalable-revision.ts";
import { FakeInstanceHost, type FakeInstanceHostOptions } from "../../core/workload/fake-instance-host.ts";
import { Autoscaler } from "./autoscaler.ts";
import { BoundedSlots } from "./instance-slots.ts";
import { Serving } from "./serving.ts";
import { answered, testRevision, testScaling } from "./testing/served-revision.ts";

function setUp(options: FakeInstanceHostOptions = {}) {
	const clock = new VirtualClock();
	const instances = new FakeInstanceHost(options);
	const scaled = new Map<string, ScalableRevision>();
	const pokes: string[] = [];
	const calls: string[] = [];
	const serving = new Serving(
		{
			clock,
			ids: randomIds,
			log: silentLog,
			instances,
			slots: new BoundedSlots(10),
			scaler: {
				add: (id, revision, { initialized }) => {
					assert.ok(!scaled.has(id));
					scaled.set(id, revision);
					calls.push(`add ${initialized}`);
				},
				reconcile: () => void calls.push("reconcile"),
				remove: (id) => void scaled.delete(id),
				poke: (id) => void pokes.push(id),
			},
			contract: {
				environment: ({ name }) => ({ K_REVISION: name }),
				onMetadata: () => undefined,
			},
		},
		{ freezeAfterMs: 100 },
	);
	const admit = (name = "web-00001") =>
		serving.admit({ namespace: "default", name }, { signal: new AbortController().signal });
	return { clock, instances, scaled, pokes, calls, serving, admit };
}

const id = { namespace: "default", name: "web-00001" };
const isGone = (error: unknown) => isSlipwayError(error, "NOT_FOUND");

describe("Serving", () => {
	it("knows revisions by namespace and name, and tells the autoscaler of them", async () => {
		const { serving, scaled, admit, pokes, instances, clock } = setUp();
		await assert.rejects(admit(), isGone);
		await assert.rejects(async () => serving.check(id), isGone);
		serving.addRevision(testRevision(), { reachable: false });
		assert.deepEqual([...scaled.keys()], ["default/web-00001"]);
		assert.equal(scaled.get("default/web-00001")?.reachable, false);
		serving.setReachable(id, true);
		assert.equal(scaled.get("default/web-00001")?.reachable, true);
		const request = admit();
		await clock.advance(0);
		const admitted = await request;
		assert.deepEqual(pokes, ["default/web-00001"]);
		const options = instances.started[0];
		assert.equal(options?.log.group, "/slipway/services/default/web");
		assert.equal(options?.log.stream("main"), `web-00001/${admitted.instance.id}`);
		assert.deepEqual(options?.environment("main"), { K_REVISION: "web-00001" });
		admitted.release({ ...answered, status: 502, failure: "closed" });
		const usage = serving.usage(id);
		assert.deepEqual([usage?.requests, usage?.failures, usage?.coldStarts], [1, 1, 1]);
		assert.deepEqual(serving.scale(id), { actual: 1, desired: 1, waiting: 0 });
	});

	it("shows instances of revisions that go until they have ended, and one made anew beside them", async () => {
		const { serving, scaled, admit, clock } = setUp();
		serving.addRevision(testRevision(), { reachable: true });
		const request = admit();
		await clock.advance(0);
		const admitted = await request;
		const removed = serving.removeRevision(id);
		assert.equal(scaled.size, 0);
		await assert.rejects(admit(), isGone);
		assert.deepEqual(
			(await serving.instances()).map(({ state, inFlight, revision }) => [state, inFlight, revision]),
			[["draining", 1, "web-00001"]],
		);
		serving.addRevision(testRevision({ uid: "uid-2" }), { reachable: true });
		const again = admit();
		await clock.advance(0);
		assert.notEqual((await again).instance.id, admitted.instance.id);
		assert.equal((await serving.instances()).length, 2);
		admitted.release(answered);
		await clock.advance(0);
		await removed;
		assert.equal((await serving.instances()).length, 1);
		(await again).release(answered);
		const closed = serving.close(1000);
		await clock.advance(1001);
		await closed;
		assert.deepEqual([(await serving.instances()).length, scaled.size, clock.pending], [0, 0, 0]);
	});

	it("keeps the autoscaler out of a deployment probe, and hands over with the initial scale or without", async () => {
		let fails = true;
		const { serving, clock, calls, scaled } = setUp({
			start: () => {
				if (fails) throw new Error("no");
			},
		});
		serving.addRevision(testRevision(), { reachable: false });
		const failed = assert.rejects(serving.check(id), /no/);
		assert.equal(scaled.size, 0);
		await clock.advance(0);
		await failed;
		fails = false;
		const checked = [serving.check(id), serving.check(id)];
		await clock.advance(60_000);
		await Promise.all(checked);
		await serving.check(id);
		serving.setReachable(id, true);
		assert.deepEqual(calls, ["add true", "add true", "add false", "reconcile"]);
		const other = { ...testRevision().scaling, maxScale: 3 };
		serving.updateScaling(id, other);
		assert.equal(scaled.get("default/web-00001")?.settings, other);
		const abort = new AbortController();
		serving.addRevision(testRevision({ name: "web-00002", uid: "uid-9" }), { reachable: false });
		const aborted = serving.check({ ...id, name: "web-00002" }, abort.signal);
		abort.abort(new Error("deleted"));
		await assert.rejects(aborted, /deleted/);
		await serving.removeRevision(id);
	});

	it("holds no timer for a revision at zero", async () => {
		const { serving, clock, scaled, admit } = setUp();
		serving.addRevision(testRevision({ cpu: "request" }), { reachable: true });
		assert.equal(clock.pending, 0);
		const request = admit();
		await clock.advance(0);
		(await request).release(answered);
		await clock.advance(200);
		scaled.get("default/web-00001")?.scaleTo(0);
		await clock.advance(0);
		assert.deepEqual([(await serving.instances()).length, clock.pending], [0, 0]);
	});

	it("scales with the autoscaler: from zero, to what the load needs, and back, and loses nothing", async () => {
		const clock = new VirtualClock();
		const instances = new FakeInstanceHost();
		const scaler = new Autoscaler({ clock, log: silentLog });
		const contract = { environment: () => ({}), onMetadata: () => undefined };
		const slots = new BoundedSlots(100);
		const serving = new Serving(
			{ clock, ids: randomIds, log: silentLog, instances, slots, scaler, contract },
			{ freezeAfterMs: 100 },
		);
		serving.addRevision(testRevision({ concurrency: 10, scaling: { ...testScaling, totalTarget: 10 } }), {
			reachable: true,
		});
		assert.deepEqual([instances.instances.size, clock.pending], [0, 0]);
		const checked = serving.check(id);
		await clock.advance(0);
		await checked;
		await clock.advance(200_000);
		assert.deepEqual([instances.instances.size, clock.pending], [0, 0], "the checked instance stayed");
		let answers = 0;
		const all = Array.from({ length: 100 }, async () => {
			const admitted = await serving.admit(id, { signal: new AbortController().signal });
			await clock.sleep(10_000);
			admitted.release(answered);
			answers++;
		});
		await clock.advance(10_000);
		assert.ok(instances.instances.size >= 10, `${instances.instances.size} instances`);
		await clock.advance(20_000);
		await Promise.all(all);
		assert.equal(answers, 100);
		await clock.advance(300_000);
		assert.deepEqual([instances.instances.size, clock.pending], [0, 0]);
		await serving.close(0);
	});

	it("lets a service go to zero when it is told to: the next request is a cold start", async () => {
		const clock = new VirtualClock();
		const instances = new FakeInstanceHost();
		const scaler = new Autoscaler({ clock, log: silentLog });
		const contract = { environment: () => ({}), onMetadata: () => undefined };
		const serving = new Serving(
			{ clock, ids: randomIds, log: silentLog, instances, slots: new BoundedSlots(100), scaler, contract },
			{ freezeAfterMs: 100 },
		);
		const admit = () => serving.admit(id, { signal: new AbortController().signal });
		const one = { ...testScaling, totalTarget: 1 };
		serving.addRevision(testRevision({ concurrency: 1, scaling: one }), { reachable: true });
		const requests = [admit(), admit()];
		await clock.advance(3000);
		const [first, second] = await Promise.all(requests);
		await clock.advance(10_000);
		first?.release(answered);
		const busy = instances.instances.size;
		assert.ok(busy >= 2, `${busy} instances`);
		const service = { namespace: "default", service: "web" };
		assert.equal(await serving.stopIdle({ ...service, service: "other" }), 0);
		assert.equal(await serving.stopIdle(service), busy - 1, "the one with a request stays");
		second?.release(answered);
		assert.equal(await serving.stopIdle(service), 1);
		await clock.advance(60_000);
		assert.deepEqual([instances.instances.size, clock.pending], [0, 0], "nothing comes back by itself");
		const cold = admit();
		await clock.advance(0);
		assert.equal((await cold).cold, true);
		(await cold).release(answered);
		serving.updateScaling(id, { ...one, minScale: 1 });
		assert.equal(await serving.stopIdle(service), 0, "its minimum stays");
		await clock.advance(10_000);
		assert.equal(instances.instances.size, 1);
		await serving.close(0);
	});

	it("has what was idle the longest give way on a full machine, to who is asked for and to nobody else", async () => {
		const clock = new VirtualClock();
		const instances = new FakeInstanceHost();
		const scaler = new Autoscaler({ clock, log: silentLog });
		const contract = { environment: () => ({}), onMetadata: () => undefined };
		const slots = new BoundedSlots(3);
		const serving = new Serving(
			{ clock, ids: randomIds, log: silentLog, instances, slots, scaler, contract },
			{ freezeAfterMs: 100 },
		);
		const admit = (name: string) =>
			serving.admit({ namespace: "default", name }, { signal: new AbortController().signal });
		const add = (name: string, minScale = 0) =>
			serving.addRevision(testRevision({ name, service: name, uid: name, scaling: { ...testScaling, minScale } }), {
				reachable: true,
			});
		const ready = (name: string) => serving.scale({ namespace: "default", name })?.actual;
		add("kept", 1);
		for (const name of ["first", "second", "third"]) add(name);
		for (const name of ["first", "second"]) {
			const request = admit(name);
			await clock.advance(1000);
			(await request).release(answered);
		}
		const third = admit("third");
		await clock.advance(100);
		(await third).release(answered);
		assert.deepEqual(["kept", "first", "second", "third"].map(ready), [1, 0, 1, 1]);
		const busy = [await admit("second"), await admit("third")];
		const waits = admit("first");
		await clock.advance(5000);
		assert.equal(ready("first"), 0, "nobody is idle");
		busy[1]?.release(answered);
		await clock.advance(1000);
		(await waits).release(answered);
		assert.deepEqual(["kept", "first", "second", "third"].map(ready), [1, 1, 1, 0]);
		busy[0]?.release(answered);
		add("greedy", 2);
		await clock.advance(10_000);
		assert.deepEqual(["kept", "first", "second", "greedy"].map(ready), [1, 1, 1, 0], "a minimum takes nobody's place");
		await serving.removeRevision({ namespace: "default", name: "greedy" });
		serving.addRevision(testRevision({ name: "new", uid: "new" }), { reachable: false });
		const checked = serving.check({ namespace: "default", name: "new" });
		await clock.advance(100);
		await checked;
		assert.deepEqual(["kept", "first", "second"].map(ready), [1, 0, 1], "a deployment does");
		await serving.close(0);
		assert.deepEqual([slots.taken, clock.pending], [0, 0]);
	});

	it("ends what has files that stay as soon as no route leads to it, once its requests are served", async () => {
		const { serving, instances, admit, clock } = setUp();
		const workload = { ...testRevision().workload, volumes: [{ kind: "persistent", name: "d", claim: "d" }] as const };
		serving.addRevision(testRevision({ workload }), { reachable: true });
		const request = admit();
		await clock.advance(0);
		const admitted = await request;
		serving.setReachable(id, false);
		await clock.advance(0);
		assert.equal(instances.instances.size, 1);
		admitted.release(answered);
		await clock.advance(0);
		assert.equal(instances.instances.size, 0);
		await serving.close(0);
	});
});

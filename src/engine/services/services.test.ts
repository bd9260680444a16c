import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Condition } from "../../core/service/knative.ts";
import { manifest, openServices, turns } from "./testing.ts";

const user = { user: "ada" };
const image = (tag: string) => ({ image: `registry.local/hello:${tag}` });

function told(list: readonly Condition[]): Record<string, string> {
	return Object.fromEntries(list.map(({ type, status, reason }) => [type, reason ? `${status} ${reason}` : status]));
}

const refused = (code: string, reason?: string) => (error: unknown) => {
	assert.ok(isSlipwayError(error), String(error));
	assert.deepEqual([error.code, error.reason], [code, reason ?? error.reason]);
	return true;
};

describe("Services", () => {
	it("brings a new service to Ready with one revision and routes everything to it", async () => {
		const { services, serving } = await openServices();
		const created = await services.create("default", manifest(), user);
		assert.deepEqual(told(created.status.conditions), {
			ConfigurationsReady: "Unknown",
			Ready: "Unknown",
			RoutesReady: "Unknown RevisionMissing",
		});
		assert.equal(services.routing.find("default", "hello", undefined)?.targets.length, 0);
		await services.settled();
		const ready = services.service("default", "hello");
		assert.deepEqual(told(ready.status.conditions), {
			ConfigurationsReady: "True",
			Ready: "True",
			RoutesReady: "True",
		});
		assert.deepEqual(ready.status.traffic, [{ latestRevision: true, revisionName: "hello-00001", percent: 100 }]);
		assert.equal(ready.status.url, "http://hello.localhost:4747");
		assert.equal(ready.status.latestReadyRevisionName, "hello-00001");
		assert.equal(ready.metadata.generation, 1);
		assert.equal(ready.metadata.annotations["serving.knative.dev/creator"], "ada");
		assert.deepEqual(services.routing.find("default", "hello", undefined)?.targets, [
			{ revision: "hello-00001", percent: 100 },
		]);
		assert.equal(serving.revisions.get("hello-00001")?.reachable, true);
		const revision = services.revision("default", "hello-00001");
		assert.deepEqual(told(revision.status.conditions), {
			Active: "True",
			ContainerHealthy: "True",
			Ready: "True",
			ResourcesAvailable: "True",
		});
		assert.equal(revision.metadata.labels["serving.knative.dev/configurationGeneration"], "1");
		assert.equal(revision.metadata.labels["serving.knative.dev/routingState"], "active");
		assert.match(revision.status.containerStatuses?.[0]?.imageDigest ?? "", /@sha256:a{64}$/);
		assert.deepEqual(told(services.route("default", "hello").status.conditions), {
			AllTrafficAssigned: "True",
			CertificateProvisioned: "True TLSNotEnabled",
			IngressReady: "True",
			Ready: "True",
		});
		assert.deepEqual(
			[...services.imagesInUse()],
			[{ manifestDigest: `sha256:${"a".repeat(64)}`, diffIds: [], user: "service default/hello" }],
		);
	});

	it("keeps the old revision serving while the new one comes up, and when it fails", async () => {
		const { services, serving } = await openServices();
		await services.create("default", manifest(), user);
		await services.settled();
		let fail: (error: Error) => void = () => {};
		serving.onCheck = () => new Promise((_, reject) => (fail = reject));
		await services.replace("default", "hello", manifest(image("2")), user);
		await turns();
		const targets = () => services.routing.find("default", "hello", undefined)?.targets;
		assert.deepEqual(targets(), [{ revision: "hello-00001", percent: 100 }]);
		assert.deepEqual(told(services.service("default", "hello").status.conditions), {
			ConfigurationsReady: "Unknown",
			Ready: "Unknown",
			RoutesReady: "True",
		});
		fail(
			new SlipwayError("UNAVAILABLE", 'Container "user-container" exited with code 3', { reason: "ContainerExited" }),
		);
		await services.settled();
		assert.deepEqual(targets(), [{ revision: "hello-00001", percent: 100 }]);
		const service = services.service("default", "hello");
		assert.deepEqual(told(service.status.conditions), {
			ConfigurationsReady: "False RevisionFailed",
			Ready: "False RevisionFailed",
			RoutesReady: "True",
		});
		assert.equal(service.status.latestReadyRevisionName, "hello-00001");
		assert.equal(service.status.latestCreatedRevisionName, "hello-00002");
		assert.equal(
			told(services.revision("default", "hello-00002").status.conditions).ContainerHealthy,
			"False ExitCode3",
		);
		serving.onCheck = async () => {};
		await services.replace("default", "hello", manifest(image("3")), user);
		await services.settled();
		assert.deepEqual(targets(), [{ revision: "hello-00003", percent: 100 }]);
		assert.equal(serving.revisions.get("hello-00001")?.reachable, false);
		assert.equal(told(services.service("default", "hello").status.conditions).Ready, "True");
	});

	it("says that an image is missing on service, configuration, route and revision", async () => {
		const { services } = await openServices();
		await services.create("default", manifest(image("missing")), user);
		await services.settled();
		assert.deepEqual(told(services.service("default", "hello").status.conditions), {
			ConfigurationsReady: "False RevisionFailed",
			Ready: "False RevisionFailed",
			RoutesReady: "False RevisionMissing",
		});
		assert.equal(told(services.route("default", "hello").status.conditions).Ready, "False RevisionMissing");
		const ready = services.revision("default", "hello-00001").status.conditions.find(({ type }) => type === "Ready");
		assert.equal(ready?.reason, "ContainerMissing");
		assert.match(ready?.message ?? "", /Unable to fetch image "registry.local\/hello:missing"/);
		assert.match(services.routing.find("default", "hello", undefined)?.reason ?? "", /Unable to fetch image/);
	});

	it("gives up at the progress deadline", async () => {
		const { services, serving, clock } = await openServices();
		serving.onCheck = () => new Promise(() => {});
		const templateAnnotations = { "serving.knative.dev/progress-deadline": "30s" };
		await services.create("default", manifest({ templateAnnotations }), user);
		await clock.advance(29_000);
		assert.equal(told(services.revision("default", "hello-00001").status.conditions).Ready, "Unknown Deploying");
		await clock.advance(2000);
		const conditions = told(services.revision("default", "hello-00001").status.conditions);
		assert.equal(conditions.Ready, "False ProgressDeadlineExceeded");
		assert.equal(serving.revisions.size, 0);
	});

	it("makes a revision of a changed template alone, and changes nothing for the same manifest", async () => {
		const { services, store } = await openServices();
		await services.create("default", manifest(), user);
		await services.settled();
		const before = services.service("default", "hello");
		const commits = store.commits;
		const same = await services.replace("default", "hello", manifest(), { user: "bob" });
		assert.deepEqual(same, before);
		assert.deepEqual(await services.replace("default", "hello", before, user), before);
		assert.equal(store.commits, commits);
		const relabelled = await services.replace("default", "hello", manifest({ annotations: { "a.b/c": "d" } }), {
			user: "bob",
		});
		assert.equal(relabelled.metadata.generation, 1);
		assert.equal(relabelled.metadata.annotations["serving.knative.dev/lastModifier"], "ada");
		assert.equal(services.revisions().length, 1);
		const changed = await services.patch(
			"default",
			"hello",
			{ spec: { template: { metadata: { annotations: { "x.y/z": "1" } } } } },
			{ user: "bob" },
		);
		assert.equal(changed.metadata.generation, 2);
		assert.equal(changed.metadata.annotations["serving.knative.dev/lastModifier"], "bob");
		assert.equal(services.configuration("default", "hello").metadata.generation, 2);
		assert.equal(services.route("default", "hello").metadata.generation, 1);
		await services.settled();
		assert.equal(services.service("default", "hello").status.latestReadyRevisionName, "hello-00002");
	});

	it("leaves what labels and annotations there were on the route's placeholder, and nowhere else", async () => {
		const { services } = await openServices();
		await services.create("default", manifest({ annotations: { "a.b/c": "old", "a.b/d": "d" } }), user);
		await services.replace("default", "hello", manifest({ annotations: { "a.b/c": "new" } }), user);
		const route = () => services.route("default", "hello").metadata.annotations;
		const placeholder = () => services.placeholderMetadata("default", "hello").annotations;
		assert.deepEqual([route()["a.b/c"], route()["a.b/d"]], ["new", undefined]);
		assert.deepEqual([placeholder()["a.b/c"], placeholder()["a.b/d"]], ["new", "d"]);
		const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`a.b/${index}`, ""]));
		await services.replace("default", "hello", manifest({ annotations: many }), user);
		await services.replace("default", "hello", manifest(), user);
		assert.ok(Object.keys(placeholder()).length < 40, "the last ones are kept");
		assert.equal(placeholder()["a.b/99"], "");
	});

	it("refuses a version that is not the current one, a name that is taken, a service that is not there", async () => {
		const { services } = await openServices();
		const { metadata } = await services.create("default", manifest(), user);
		await services.settled();
		const stale = { ...manifest(), metadata: { name: "hello", resourceVersion: metadata.resourceVersion } };
		await assert.rejects(services.replace("default", "hello", stale, user), refused("CONFLICT", "Conflict"));
		await assert.rejects(services.create("default", manifest(), user), refused("ALREADY_EXISTS"));
		await assert.rejects(services.replace("default", "other", manifest({ name: "other" }), user), refused("NOT_FOUND"));
		await assert.rejects(services.delete("default", "other"), refused("NOT_FOUND"));
		assert.throws(() => services.revision("default", "x"), refused("NOT_FOUND"));
		await assert.rejects(services.create("default", { kind: "Service" }, user), refused("INVALID", "Invalid"));
	});

	it("takes a name for the revision, and refuses to change what has that name", async () => {
		const { services } = await openServices();
		await services.create("default", manifest({ revision: "hello-blue" }), user);
		await services.settled();
		assert.equal(services.service("default", "hello").status.latestReadyRevisionName, "hello-blue");
		await assert.rejects(
			services.replace("default", "hello", manifest({ revision: "hello-blue", ...image("2") }), user),
			refused("INVALID", "Invalid"),
		);
		await services.replace("default", "hello", manifest({ revision: "hello-green", ...image("2") }), user);
		await services.settled();
		await services.replace("default", "hello", manifest({ revision: "hello-blue", ...image("3") }), user);
		await services.settled();
		const service = services.service("default", "hello");
		assert.deepEqual(told(service.status.conditions).RoutesReady, "False RevisionNameTaken");
		assert.equal(services.routing.find("default", "hello", undefined)?.targets[0]?.revision, "hello-green");
	});

	it("splits traffic, has tags, says when a target is missing, rolls back by hand", async () => {
		const { services } = await openServices();
		await services.create("default", manifest(), user);
		await services.settled();
		await assert.rejects(services.rollback("default", "hello", user), refused("CONFLICT", "NoEarlierRevision"));
		await services.replace("default", "hello", manifest(image("2")), user);
		await services.settled();
		const traffic = [
			{ revisionName: "hello-00001", percent: 90, tag: "old" },
			{ latestRevision: true, percent: 10 },
		];
		const split = await services.setTraffic("default", "hello", traffic, user);
		assert.deepEqual(split.status.traffic, [
			{
				latestRevision: false,
				tag: "old",
				revisionName: "hello-00001",
				percent: 90,
				url: "http://old---hello.localhost:4747",
			},
			{ latestRevision: true, revisionName: "hello-00002", percent: 10 },
		]);
		assert.deepEqual(services.routing.find("default", "hello", "old")?.targets, [
			{ revision: "hello-00001", percent: 100 },
		]);
		assert.equal(services.routing.find("default", "hello", "constructor"), undefined);
		await assert.rejects(services.deleteRevision("default", "hello-00001"), refused("CONFLICT"));
		const back = await services.rollback("default", "hello", user);
		assert.deepEqual(back.spec.traffic, [
			{ revisionName: "hello-00001", latestRevision: false, percent: 100, tag: "old" },
		]);
		assert.equal(services.revisions().length, 2);
		const missing = await services.setTraffic("default", "hello", [{ revisionName: "hello-nope", percent: 100 }], user);
		assert.equal(told(missing.status.conditions).RoutesReady, "False RevisionMissing");
		assert.deepEqual(services.routing.find("default", "hello", undefined)?.targets, [
			{ revision: "hello-00001", percent: 100 },
		]);
		const sum = services.setTraffic("default", "hello", [{ latestRevision: true, percent: 90 }], user);
		await assert.rejects(sum, /Traffic targets sum to 90, want 100: spec.traffic/);
	});

	it("deletes a service with its revisions and everything that was in progress", async () => {
		const { services, serving, store } = await openServices();
		serving.onCheck = () => new Promise(() => {});
		await services.create("default", manifest(), user);
		await turns();
		await services.delete("default", "hello");
		await services.settled();
		assert.equal(serving.revisions.size, 0);
		assert.equal(services.routing.find("default", "hello", undefined), undefined);
		assert.deepEqual([...(await store.list("service")), ...(await store.list("revision"))], []);
		serving.onCheck = async () => {};
		await services.create("default", manifest(), user);
		await services.settled();
		assert.equal(told(services.service("default", "hello").status.conditions).Ready, "True");
	});

	it("is as it was after a restart: no new check of what was ready, work in progress goes on", async () => {
		const first = await openServices();
		await first.services.create("default", manifest(), user);
		await first.services.settled();
		first.serving.onCheck = () => new Promise(() => {});
		await first.services.replace("default", "hello", manifest(image("2")), user);
		await turns();
		await first.services[Symbol.asyncDispose]();
		const version = first.services.resourceVersion;
		const { services, serving } = await openServices({ store: first.store });
		assert.equal(services.resourceVersion, version);
		assert.deepEqual(services.routing.find("default", "hello", undefined)?.targets, [
			{ revision: "hello-00001", percent: 100 },
		]);
		assert.equal(serving.revisions.get("hello-00001")?.reachable, true);
		await services.settled();
		assert.deepEqual(serving.checks, ["hello-00002"]);
		assert.equal(services.service("default", "hello").status.latestReadyRevisionName, "hello-00002");
		assert.ok(Number(services.resourceVersion) > Number(version));
	});

	it("tells watchers of every change in order, from a version on, and when that is too long ago", async () => {
		const { services } = await openServices();
		const stop = new AbortController();
		const live = services.watch("Service", { signal: stop.signal, name: "hello" });
		const from = services.resourceVersion;
		await services.create("default", manifest(), user);
		await services.settled();
		await services.delete("default", "hello");
		const events = services.watch("Service", { signal: stop.signal, resourceVersion: from });
		const seen = async (source: typeof events) => {
			const types: string[] = [];
			for await (const { type } of source) {
				types.push(type);
				if (type === "DELETED") break;
			}
			return types;
		};
		const types = await seen(events);
		assert.equal(types[0], "ADDED");
		assert.ok(types.includes("MODIFIED"));
		assert.deepEqual(await seen(live), types);
		assert.throws(() => services.watch("Service", { signal: stop.signal, resourceVersion: "0x" }), refused("INVALID"));
		for (let i = 0; i < 1800; i++)
			await services.apply("default", manifest({ annotations: { "a.b/c": String(i) }, name: "busy" }), user);
		assert.throws(
			() => services.watch("Service", { signal: stop.signal, resourceVersion: from }),
			refused("CONFLICT", "Expired"),
		);
		stop.abort();
	});

	it("does nothing in a dry run", async () => {
		const { services, store } = await openServices();
		const shown = await services.create("default", manifest(), { user: "ada", dryRun: true });
		assert.equal(shown.spec.template.spec.timeoutSeconds, 300);
		assert.equal(store.commits, 0);
		assert.deepEqual(services.services(), []);
	});

	it("collects revisions that nothing leads to after their time, all but the last twenty", async () => {
		const { services, clock, serving } = await openServices();
		for (let i = 0; i < 25; i++) {
			await services.apply("default", manifest(image(`v${i}`)), user);
			await services.settled();
		}
		assert.equal(services.revisions().length, 25);
		await clock.advance(49 * 3_600_000);
		await services.apply("default", manifest(image("last")), user);
		await services.settled();
		const count = services.revisions().length;
		assert.ok(count >= 21 && count <= 24, `${count} are left`);
		assert.equal(serving.revisions.size, count);
	});
});

/** The daemon dies, or its disk is full, at each commit of a life of a service. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import type { Services } from "./services.ts";
import { manifest, openServices, turns } from "./testing.ts";

const user = { user: "ada" };

interface Acknowledged {
	/** Spec generations and names that a caller was told of. */
	generation: number;
	deleted: boolean;
}

async function life(services: Services, acknowledged: Acknowledged): Promise<void> {
	const done = (generation: number, deleted = false) => Object.assign(acknowledged, { generation, deleted });
	await services.create("default", manifest(), user);
	done(1);
	await services.settled();
	await services.replace("default", "hello", manifest({ image: "registry.local/hello:2" }), user);
	done(2);
	await services.settled();
	const split = [
		{ revisionName: "hello-00001", percent: 50 },
		{ latestRevision: true, percent: 50 },
	];
	await services.setTraffic("default", "hello", split, user);
	done(3);
	await services.replace("default", "hello", manifest({ image: "registry.local/hello:missing" }), user);
	done(4);
	await services.settled();
	await services.delete("default", "hello");
	done(5, true);
}

async function checkWhole(store: FakeResourceStore, acknowledged: Acknowledged): Promise<void> {
	const { services, serving } = await openServices({ store });
	await services.settled();
	const [service] = services.services();
	const revisions = services.revisions();
	if (!service) {
		assert.ok(acknowledged.deleted || acknowledged.generation === 0 || acknowledged.generation === 4);
		assert.deepEqual(revisions, [], "no revision without its service");
		return;
	}
	assert.ok(
		!acknowledged.deleted && service.metadata.generation >= acknowledged.generation,
		"nothing acknowledged is lost",
	);
	const names = revisions.map(({ metadata }) => metadata.name);
	assert.ok(names.includes(service.status.latestCreatedRevisionName ?? ""), "the newest revision is there");
	for (const { status, metadata } of revisions) {
		const ready = status.conditions.find(({ type }) => type === "Ready");
		assert.notEqual(ready?.status, "Unknown", `${metadata.name} has come to an end`);
	}
	const targets = services.routing.find("default", "hello", undefined)?.targets ?? [];
	assert.equal(
		targets.reduce((sum, { percent }) => sum + percent, 0),
		100,
	);
	for (const { revision } of targets) assert.equal(serving.revisions.get(revision)?.reachable, true);
	const versions = [...services.services(), ...revisions].map(({ metadata }) => Number(metadata.resourceVersion));
	assert.ok(Math.max(...versions) <= Number(services.resourceVersion));
}

async function commitsOfALife(): Promise<number> {
	const { services, store } = await openServices();
	await life(services, { generation: 0, deleted: false });
	return store.commits;
}

describe("Services whose daemon dies at a commit", () => {
	for (const when of ["before", "after"] as const)
		it(`loses nothing acknowledged and is never half done: ${when} it is written`, async () => {
			const commits = await commitsOfALife();
			assert.ok(commits > 8);
			for (let at = 1; at <= commits; at++) {
				const store = new FakeResourceStore();
				const dead = Promise.withResolvers<never>();
				dead.promise.catch(() => {});
				store.onCommit = (now, number) => {
					if (number < at || (number === at && now !== when)) return;
					dead.reject(new Error("dead"));
					return new Promise(() => {});
				};
				const acknowledged = { generation: 0, deleted: false };
				const { services } = await openServices({ store });
				await Promise.race([life(services, acknowledged), dead.promise]).catch((error: Error) =>
					assert.equal(error.message, "dead"),
				);
				store.onCommit = undefined;
				await checkWhole(store, acknowledged);
			}
		});

	it("goes on when the disk has room again: a failed commit fails its caller alone", async () => {
		const commits = await commitsOfALife();
		for (let at = 1; at <= commits; at++) {
			const store = new FakeResourceStore();
			store.onCommit = (now, number) => {
				if (now === "before" && number === at) throw new SlipwayError("EXHAUSTED", "No space is left on the device");
			};
			const acknowledged = { generation: 0, deleted: false };
			const opened = await openServices({ store });
			const clock: VirtualClock = opened.clock;
			let over = false;
			const living = life(opened.services, acknowledged)
				.catch((error: unknown) =>
					assert.ok(error instanceof SlipwayError && error.code === "EXHAUSTED", String(error)),
				)
				.finally(() => (over = true));
			while (!over) await clock.advance(500);
			await living;
			await opened.services.settled();
			await turns();
			await checkWhole(store, acknowledged);
		}
	});
});

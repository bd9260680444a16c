import assert from "node:assert/strict";
import { describe } from "node:test";
import { type Answer, defaultPath, manifest, startFront } from "../../../src/front/knative/test-front.ts";
import { clause, sources } from "./clause.ts";

const area = "Watches";
const source = `${sources.concepts}#efficient-detection-of-changes`;
const services = `${defaultPath}/services`;
type Event = { type: string; object: Answer["body"] };

async function take(events: AsyncGenerator<Event>, count: number): Promise<string[]> {
	const taken: string[] = [];
	while (taken.length < count) {
		const { value, done } = await events.next();
		if (done) break;
		taken.push(`${value.type} ${value.object.metadata?.name ?? value.object.reason ?? ""}`.trim());
	}
	return taken;
}

describe("Watches", () => {
	clause({ area, says: "A watch from a list's version tells every change after it, in order", source }, async () => {
		await using front = await startFront();
		await front.call("POST", services, manifest("before"));
		const { body } = await front.call("GET", services);
		const version = body.metadata.resourceVersion;
		const { body: made } = await front.call("POST", services, manifest("a"));
		await front.call("PUT", `${services}/a`, made);
		await front.call("DELETE", `${services}/a`);
		const events = front.events(`${services}?watch=true&resourceVersion=${version}`);
		assert.deepEqual(await take(events, 3), ["ADDED a", "MODIFIED a", "DELETED a"]);
		await events.return(undefined);
	});
	clause({ area, says: "A watch without a version begins with what is there", source }, async () => {
		await using front = await startFront();
		await front.call("POST", services, manifest("a"));
		const events = front.events(`${services}?watch=1`);
		assert.deepEqual(await take(events, 1), ["ADDED a"]);
		await front.call("POST", services, manifest("b"));
		assert.deepEqual(await take(events, 1), ["ADDED b"]);
		await events.return(undefined);
	});
	clause({ area, says: "A watch of other kinds and namespaces tells only of its own", source }, async () => {
		await using front = await startFront();
		const revisions = front.events(`${defaultPath}/revisions?watch=true`);
		const other = front.events("/apis/serving.knative.dev/v1/namespaces/other/services?watch=true&timeoutSeconds=1");
		const heard = take(other, 1);
		const begun = take(revisions, 1);
		await front.call("POST", services, manifest("a"));
		assert.deepEqual(await begun, ["ADDED a-00001"]);
		assert.deepEqual(await heard, []);
		await revisions.return(undefined);
	});
	clause(
		{
			area,
			says: "For one who selects by labels an object is added and deleted as it begins and ceases to fit",
			source,
		},
		async () => {
			await using front = await startFront();
			const path = `${services}?watch=true&labelSelector=env%3Dprod`;
			const events = front.events(path);
			const heard = take(events, 3);
			await front.call("POST", services, manifest("a"));
			const patch = (env: string) =>
				front.call(
					"PATCH",
					`${services}/a`,
					{ metadata: { labels: { env } } },
					{ "Content-Type": "application/merge-patch+json" },
				);
			await patch("prod");
			await patch("test");
			await front.call("POST", services, manifest("b", { labels: { env: "prod" } }));
			assert.deepEqual(await heard, ["ADDED a", "DELETED a", "ADDED b"]);
			await events.return(undefined);
		},
	);
	clause(
		{
			area,
			says: "A version that is too old is told as an ERROR event with a Status of 410 Expired",
			source: `${sources.concepts}#410-gone-responses`,
		},
		async () => {
			await using front = await startFront();
			front.services.forgotten = 50;
			const events = front.events(`${services}?watch=true&resourceVersion=10`);
			const { value } = await events.next();
			assert.equal(value.type, "ERROR");
			assert.equal(value.object.code, 410);
			assert.equal(value.object.reason, "Expired");
			assert.equal((await events.next()).done, true);
		},
	);
	clause(
		{
			area,
			says: "timeoutSeconds ends a watch, with a bookmark for one who allows them",
			source: `${sources.concepts}#watch-bookmarks`,
		},
		async () => {
			await using front = await startFront();
			await front.call("POST", services, manifest("a"));
			const events = front.events(`${services}?watch=true&timeoutSeconds=1&allowWatchBookmarks=true`);
			const all: Event[] = [];
			for await (const event of events) all.push(event);
			assert.deepEqual(
				all.map(({ type }) => type),
				["ADDED", "BOOKMARK"],
			);
			assert.match(all[1]?.object.metadata.resourceVersion, /^\d+$/);
		},
	);
	clause(
		{
			area,
			says: "sendInitialEvents begins with everything and marks its end with a bookmark",
			source: `${sources.concepts}#streaming-lists`,
		},
		async () => {
			await using front = await startFront();
			await front.call("POST", services, manifest("a"));
			const query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
			const events = front.events(`${services}?${query}`);
			assert.equal((await events.next()).value.type, "ADDED");
			const { value } = await events.next();
			assert.equal(value.type, "BOOKMARK");
			assert.equal(value.object.metadata.annotations["k8s.io/initial-events-end"], "true");
			await events.return(undefined);
			assert.equal((await front.call("GET", `${services}?watch=true&sendInitialEvents=true`)).status, 400);
		},
	);
	clause({ area, says: "A watch ends when the server closes", source }, async () => {
		await using front = await startFront();
		const events = front.events(`${services}?watch=true`);
		const ended = events.next();
		await front.call("GET", services);
		setTimeout(() => front.close.abort(), 20);
		assert.equal((await ended).done, true);
		assert.deepEqual(front.errors, []);
	});
});

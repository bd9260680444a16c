import assert from "node:assert/strict";
import { describe } from "node:test";
import { apiPath, defaultPath, manifest, startFront } from "../../../src/front/knative/test-front.ts";
import { clause, sources } from "./clause.ts";

const area = "Objects";
const services = `${defaultPath}/services`;

describe("Objects", () => {
	clause(
		{ area, says: "A Service is created, read, replaced and deleted", source: `${sources.api}#service-2` },
		async () => {
			await using front = await startFront();
			const made = await front.call("POST", services, manifest("a"));
			assert.equal(made.status, 201);
			assert.equal(made.body.kind, "Service");
			const read = await front.call("GET", `${services}/a`);
			assert.deepEqual(read.body, made.body);
			assert.equal((await front.call("PUT", `${services}/a`, read.body)).body.metadata.generation, 2);
			const { uid } = made.body.metadata;
			const removed = await front.call("DELETE", `${services}/a`, { propagationPolicy: "Foreground" });
			assert.equal(removed.body.status, "Success");
			assert.equal(removed.body.details.uid, uid);
			assert.equal((await front.call("GET", `${services}/a`)).status, 404);
		},
	);
	clause(
		{ area, says: "A Service has a Route and a Configuration of its name and Revisions", source: sources.api },
		async () => {
			await using front = await startFront();
			await front.call("POST", services, manifest("a"));
			for (const [plural, kind] of [
				["routes", "Route"],
				["configurations", "Configuration"],
			]) {
				const { body } = await front.call("GET", `${defaultPath}/${plural}/a`);
				assert.equal(body.kind, kind);
			}
			const { body } = await front.call("GET", `${defaultPath}/revisions?labelSelector=serving.knative.dev/service=a`);
			assert.equal(body.kind, "RevisionList");
			assert.equal(body.items.length, 1);
		},
	);
	clause(
		{
			area,
			says: "A list has the version that a watch goes on from",
			source: `${sources.concepts}#efficient-detection-of-changes`,
		},
		async () => {
			await using front = await startFront();
			await front.call("POST", services, manifest("a"));
			const { body } = await front.call("GET", services);
			assert.equal(body.apiVersion, "serving.knative.dev/v1");
			assert.equal(body.kind, "ServiceList");
			assert.equal(body.metadata.resourceVersion, front.services.resourceVersion);
		},
	);
	clause(
		{ area, says: "A list without a namespace is of all of them", source: `${sources.concepts}#resource-uris` },
		async () => {
			await using front = await startFront();
			for (const namespace of ["a", "b"])
				await front.call("POST", `${apiPath}/namespaces/${namespace}/services`, manifest("x"));
			assert.equal((await front.call("GET", `${apiPath}/services`)).body.items.length, 2);
			assert.equal((await front.call("GET", `${apiPath}/namespaces/a/services`)).body.items.length, 1);
		},
	);
	clause(
		{ area, says: "labelSelector selects by equality and by sets, fieldSelector by name", source: sources.labels },
		async () => {
			await using front = await startFront();
			for (const [name, tier] of [
				["a", "web"],
				["b", "db"],
				["c", "cache"],
			])
				await front.call("POST", services, manifest(name ?? "", { labels: { tier } }));
			const names = async (query: Record<string, string>) =>
				(await front.call("GET", `${services}?${new URLSearchParams(query)}`)).body.items.map(
					({ metadata }: { metadata: { name: string } }) => metadata.name,
				);
			assert.deepEqual(await names({ labelSelector: "tier=web" }), ["a"]);
			assert.deepEqual(await names({ labelSelector: "tier!=web" }), ["b", "c"]);
			assert.deepEqual(await names({ labelSelector: "tier in (web, db), tier notin (db)" }), ["a"]);
			assert.deepEqual(await names({ labelSelector: "tier,!absent" }), ["a", "b", "c"]);
			assert.deepEqual(await names({ fieldSelector: "metadata.name=b" }), ["b"]);
			assert.equal((await front.call("GET", `${services}?fieldSelector=spec.x=1`)).status, 400);
			assert.equal((await front.call("GET", `${services}?labelSelector=a%20in%20b`)).status, 400);
		},
	);
	clause(
		{
			area,
			says: "limit and continue give a list in pieces",
			source: `${sources.concepts}#retrieving-large-results-sets-in-chunks`,
		},
		async () => {
			await using front = await startFront();
			for (const name of ["a", "b", "c"]) await front.call("POST", services, manifest(name));
			const { body: first } = await front.call("GET", `${services}?limit=2`);
			assert.equal(first.items.length, 2);
			assert.equal(first.metadata.remainingItemCount, 1);
			const { body: last } = await front.call("GET", `${services}?limit=2&continue=${first.metadata.continue}`);
			assert.equal(last.items[0].metadata.name, "c");
			assert.equal(last.metadata.continue, undefined);
		},
	);
	clause({ area, says: "dryRun=All checks and changes nothing", source: `${sources.concepts}#dry-run` }, async () => {
		await using front = await startFront();
		assert.equal((await front.call("POST", `${services}?dryRun=All`, manifest("a"))).status, 201);
		assert.equal((await front.call("GET", services)).body.items.length, 0);
	});
	clause(
		{
			area,
			says: "Server-side apply keeps the fields of other managers",
			source: "https://kubernetes.io/docs/reference/using-api/server-side-apply/",
			differs: "An applied manifest is the whole object: no owners of single fields are kept",
		},
		async () => {
			await using front = await startFront();
			await front.call("POST", services, manifest("a", { labels: { other: "1" } }));
			const type = { "Content-Type": "application/apply-patch+yaml" };
			const body = JSON.stringify(manifest("a", { labels: { mine: "1" } }));
			const applied = await front.call("PATCH", `${services}/a?fieldManager=me`, body, type);
			assert.deepEqual(applied.body.metadata.labels, { mine: "1" });
		},
	);
	clause(
		{
			area,
			says: "What asks for protobuf is answered in JSON",
			source: `${sources.concepts}#alternate-representations-of-resources`,
		},
		async () => {
			await using front = await startFront();
			const { status, headers } = await front.call("GET", services, undefined, {
				Accept: "application/vnd.kubernetes.protobuf",
			});
			assert.equal(status, 200);
			assert.equal(headers.get("content-type"), "application/json");
		},
	);
});

import assert from "node:assert/strict";
import { describe } from "node:test";
import { defaultPath, manifest, startFront } from "../../../src/front/knative/test-front.ts";
import { clause, sources } from "./clause.ts";

const area = "Tables";
const source = `${sources.concepts}#receiving-resources-as-tables`;
const table = { Accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json" };
const services = `${defaultPath}/services`;

describe("Tables", () => {
	clause(
		{
			area,
			says: "Services come with the columns URL, LatestCreated, LatestReady, Ready and Reason",
			source: sources.columns,
		},
		async () => {
			await using front = await startFront();
			await front.call("POST", services, manifest("a"));
			const { body } = await front.call("GET", services, undefined, table);
			assert.equal(body.kind, "Table");
			assert.equal(body.apiVersion, "meta.k8s.io/v1");
			const names = body.columnDefinitions.map(({ name }: { name: string }) => name);
			assert.deepEqual(names, ["Name", "URL", "LatestCreated", "LatestReady", "Ready", "Reason"]);
			assert.deepEqual(body.rows[0].cells, ["a", "http://a.default.localhost:4747", "a-00001", "a-00001", "True", ""]);
		},
	);
	clause(
		{ area, says: "Revisions come with their configuration, generation and replicas", source: sources.columns },
		async () => {
			await using front = await startFront();
			await front.call("POST", services, manifest("a"));
			const { body } = await front.call("GET", `${defaultPath}/revisions`, undefined, table);
			assert.deepEqual(body.rows[0].cells, ["a-00001", "a", "1", "True", "", 1, 1]);
		},
	);
	clause(
		{ area, says: "A row carries the object's metadata, all of it or none, as includeObject asks", source },
		async () => {
			await using front = await startFront();
			await front.call("POST", services, manifest("a"));
			const object = async (query: string) =>
				(await front.call("GET", `${services}${query}`, undefined, table)).body.rows[0].object;
			assert.equal((await object("")).kind, "PartialObjectMetadata");
			assert.equal((await object("?includeObject=Object")).kind, "Service");
			assert.equal(await object("?includeObject=None"), undefined);
		},
	);
	clause({ area, says: "One object comes as a table of one row", source }, async () => {
		await using front = await startFront();
		await front.call("POST", services, manifest("a"));
		const { body } = await front.call("GET", `${services}/a`, undefined, table);
		assert.equal(body.rows.length, 1);
	});
	clause(
		{ area, says: "What asks for metadata alone gets PartialObjectMetadata", source: sources.concepts },
		async () => {
			await using front = await startFront();
			await front.call("POST", services, manifest("a"));
			const accept = { Accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1" };
			const { body } = await front.call("GET", services, undefined, accept);
			assert.equal(body.kind, "PartialObjectMetadataList");
			assert.deepEqual(Object.keys(body.items[0]).sort(), ["apiVersion", "kind", "metadata"]);
		},
	);
});

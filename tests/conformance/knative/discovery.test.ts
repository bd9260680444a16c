import assert from "node:assert/strict";
import { describe } from "node:test";
import { apiPath, startFront } from "../../../src/front/knative/test-front.ts";
import { clause, sources } from "./clause.ts";

const area = "Discovery";

describe("Discovery", () => {
	clause(
		{ area, says: "/apis names the group serving.knative.dev with version v1", source: sources.concepts },
		async () => {
			await using front = await startFront();
			const { status, body } = await front.call("GET", "/apis");
			assert.equal(status, 200);
			assert.equal(body.kind, "APIGroupList");
			const group = body.groups.find(({ name }: { name: string }) => name === "serving.knative.dev");
			assert.deepEqual(group.preferredVersion, { groupVersion: "serving.knative.dev/v1", version: "v1" });
			assert.equal((await front.call("GET", "/apis/serving.knative.dev")).body.kind, "APIGroup");
		},
	);
	clause(
		{
			area,
			says: "The group's version lists services, routes, configurations and revisions, namespaced, with Knative's short names",
			source: sources.columns,
		},
		async () => {
			await using front = await startFront();
			const { body } = await front.call("GET", apiPath);
			assert.equal(body.kind, "APIResourceList");
			type Listed = { name: string; kind: string; namespaced: boolean; shortNames: string[] };
			const listed = (body.resources as Listed[]).filter(({ name }) => !name.includes("/"));
			assert.deepEqual(
				listed.map(({ name, kind, namespaced, shortNames }) => [name, kind, namespaced, shortNames]),
				[
					["services", "Service", true, ["kservice", "ksvc"]],
					["routes", "Route", true, ["rt"]],
					["configurations", "Configuration", true, ["config", "cfg"]],
					["revisions", "Revision", true, ["rev"]],
				],
			);
		},
	);
	clause(
		{
			area,
			says: "Revisions can be read and deleted, and neither created nor changed; routes and configurations can be read",
			source: `${sources.api}#revision-2`,
		},
		async () => {
			await using front = await startFront();
			const { body } = await front.call("GET", apiPath);
			const verbs = (name: string) =>
				body.resources.find((one: { name: string }) => one.name === name).verbs.toSorted();
			assert.deepEqual(verbs("revisions"), ["delete", "deletecollection", "get", "list", "watch"]);
			assert.deepEqual(verbs("routes"), ["get", "list", "watch"]);
			assert.deepEqual(verbs("configurations"), ["get", "list", "watch"]);
		},
	);
	clause(
		{ area, says: "/api, /api/v1 and /version answer clients that ask for them first", source: sources.concepts },
		async () => {
			await using front = await startFront();
			assert.deepEqual((await front.call("GET", "/api")).body.versions, ["v1"]);
			assert.equal((await front.call("GET", "/api/v1")).body.groupVersion, "v1");
			assert.equal((await front.call("GET", "/version")).body.major, "1");
		},
	);
	clause(
		{
			area,
			says: "OpenAPI v3 describes each kind, and that PATCH takes dryRun and fieldValidation",
			source: "https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3",
		},
		async () => {
			await using front = await startFront();
			const index = (await front.call("GET", "/openapi/v3")).body;
			const { serverRelativeURL } = index.paths["apis/serving.knative.dev/v1"];
			const { paths, components } = (await front.call("GET", serverRelativeURL)).body;
			assert.equal(Object.keys(components.schemas).length, 4);
			const { parameters } = paths[`${apiPath}/namespaces/{namespace}/services/{name}`].patch;
			assert.deepEqual(
				parameters.map(({ name }: { name: string }) => name),
				["dryRun", "fieldManager", "fieldValidation"],
			);
		},
	);
});

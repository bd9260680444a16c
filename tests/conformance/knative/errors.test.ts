import assert from "node:assert/strict";
import { describe } from "node:test";
import { apiPath, defaultPath, manifest, startFront } from "../../../src/front/knative/test-front.ts";
import { clause, sources } from "./clause.ts";

const area = "Errors";
const source = `${sources.conventions}#response-status-kind`;
const services = `${defaultPath}/services`;

describe("Errors", () => {
	clause(
		{ area, says: "What is not there is 404 with a Status of reason NotFound that names it", source },
		async () => {
			await using front = await startFront();
			const { status, body } = await front.call("GET", `${services}/absent`);
			assert.equal(status, 404);
			assert.deepEqual(body, {
				kind: "Status",
				apiVersion: "v1",
				metadata: {},
				status: "Failure",
				message: 'services.serving.knative.dev "absent" not found',
				reason: "NotFound",
				details: { name: "absent", group: "serving.knative.dev", kind: "services" },
				code: 404,
			});
		},
	);
	clause({ area, says: "A path that nothing is served at is 404 with a Status", source }, async () => {
		await using front = await startFront();
		for (const path of [
			"/apis/apps/v1",
			`${apiPath}/domainmappings`,
			"/api/v2",
			`${services}/a/scale`,
			`${services}//a`,
		]) {
			const { status, body } = await front.call("GET", path);
			assert.equal(status, 404, path);
			assert.equal(body.message, "the server could not find the requested resource");
		}
	});
	clause({ area, says: "A second creation of one name is refused with 409 AlreadyExists", source }, async () => {
		await using front = await startFront();
		assert.equal((await front.call("POST", services, manifest("a"))).status, 201);
		const { status, body } = await front.call("POST", services, manifest("a"));
		assert.equal(status, 409);
		assert.equal(body.reason, "AlreadyExists");
	});
	clause({ area, says: "A PUT with an old resourceVersion is refused with 409 Conflict", source }, async () => {
		await using front = await startFront();
		const { body: first } = await front.call("POST", services, manifest("a"));
		assert.equal((await front.call("PUT", `${services}/a`, first)).status, 200);
		const { status, body } = await front.call("PUT", `${services}/a`, first);
		assert.equal(status, 409);
		assert.equal(body.reason, "Conflict");
		assert.match(body.message, /^Operation cannot be fulfilled on services\.serving\.knative\.dev "a": /);
	});
	clause(
		{ area, says: "An invalid manifest is refused with 422 Invalid, with a cause for each field", source },
		async () => {
			await using front = await startFront();
			const bare = { metadata: { name: "a" }, spec: { template: { spec: { containers: [{}] } } } };
			const { status, body } = await front.call("POST", services, bare);
			assert.equal(status, 422);
			assert.equal(body.reason, "Invalid");
			assert.deepEqual(body.details.causes, [
				{
					reason: "FieldValueRequired",
					message: "missing field(s)",
					field: "spec.template.spec.containers[0].image",
				},
			]);
		},
	);
	clause(
		{ area, says: "A revision can't be created: 405 MethodNotAllowed with Allow", source: `${sources.api}#revision-2` },
		async () => {
			await using front = await startFront();
			const { status, body, headers } = await front.call("POST", `${defaultPath}/revisions`, manifest("a"));
			assert.equal(status, 405);
			assert.equal(body.reason, "MethodNotAllowed");
			assert.match(headers.get("allow") ?? "", /GET/);
		},
	);
	clause(
		{
			area,
			says: "Routes and configurations can be written",
			source: `${sources.api}#route-2`,
			differs: "405: they are made by services alone (the specification requires reading only)",
		},
		async () => {
			await using front = await startFront();
			await front.call("POST", services, manifest("a"));
			for (const plural of ["routes", "configurations"])
				for (const [method, path] of [
					["POST", ""],
					["PUT", "/a"],
					["PATCH", "/a"],
					["DELETE", "/a"],
				])
					assert.equal((await front.call(method ?? "", `${defaultPath}/${plural}${path}`, {})).status, 405);
			assert.equal((await front.call("DELETE", `${defaultPath}/routes/absent`)).status, 404);
		},
	);
	clause({ area, says: "Other methods are 405, also HEAD and OPTIONS", source: sources.concepts }, async () => {
		await using front = await startFront();
		for (const method of ["HEAD", "OPTIONS"]) assert.equal((await front.call(method, services)).status, 405);
		assert.equal((await front.call("POST", `${services}/a`, {})).status, 405);
		assert.equal((await front.call("DELETE", `${apiPath}/services`)).status, 405);
		assert.equal((await front.call("PUT", `${services}/a/status`, {})).status, 405);
	});
	clause(
		{
			area,
			says: "A strategic merge patch of a custom resource is refused with 415",
			source: "https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/",
		},
		async () => {
			await using front = await startFront();
			await front.call("POST", services, manifest("a"));
			const type = { "Content-Type": "application/strategic-merge-patch+json" };
			const { status, body } = await front.call("PATCH", `${services}/a`, {}, type);
			assert.equal(status, 415);
			assert.equal(body.reason, "UnsupportedMediaType");
		},
	);
	clause({ area, says: "A body of more than 3 MiB is refused with 413 RequestEntityTooLarge", source }, async () => {
		await using front = await startFront();
		const { status, body } = await front.call("POST", services, { fill: "x".repeat(3 * 1024 * 1024) });
		assert.equal(status, 413);
		assert.equal(body.reason, "RequestEntityTooLarge");
	});
});

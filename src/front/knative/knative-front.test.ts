import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { apiPath, defaultPath, manifest, startFront, token } from "./test-front.ts";

const services = `${defaultPath}/services`;
const json = (type: string) => ({ "Content-Type": type });

describe("Who is asking", () => {
	it("a bearer token and a password are taken, others get 401 as a Status", async () => {
		await using front = await startFront();
		const basic = `Basic ${Buffer.from(`ada:${token}`).toString("base64")}`;
		const made = await front.call("POST", services, manifest("a"), { Authorization: basic });
		assert.equal(made.body.metadata.annotations["serving.knative.dev/creator"], "ada");
		for (const wrong of ["", "Bearer wrong", "Basic !", `Basic ${Buffer.from("x:y").toString("base64")}`]) {
			const { status, body, headers } = await front.call("GET", services, undefined, { Authorization: wrong });
			assert.equal(status, 401);
			assert.equal(body.reason, "Unauthorized");
			assert.match(headers.get("www-authenticate") ?? "", /^Bearer/);
		}
	});
	it("the version is told to everyone", async () => {
		await using front = await startFront();
		const { status, body } = await front.call("GET", "/version", undefined, { Authorization: "" });
		assert.equal(status, 200);
		assert.match(body.gitVersion, /^v1\.\d+\.0\+slipway\.0\.1\.0$/);
	});
});

describe("Bodies", () => {
	it("are read as YAML too", async () => {
		await using front = await startFront();
		const yaml = "metadata: {name: y}\nspec: {template: {spec: {containers: [{image: a/b:1}]}}}\n";
		const { status, body } = await front.call("POST", services, yaml, json("application/yaml; charset=utf-8"));
		assert.equal(status, 201);
		assert.equal(body.spec.template.spec.containers[0].image, "a/b:1");
	});
	it("that are no JSON, no YAML, a bomb, too large or of another type are refused", async () => {
		await using front = await startFront();
		const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${[..."bcdefghij"].map((name, i) => `${name}: &${name} [${Array(9).fill(`*${"abcdefghij"[i]}`)}]`).join("\n")}`;
		const refused: [body: string, type: string, status: number][] = [
			["{", "application/json", 400],
			["", "application/json", 400],
			["[]", "application/json", 400],
			["a: [", "application/yaml", 400],
			[bomb, "application/yaml", 400],
			["x", "application/vnd.kubernetes.protobuf", 415],
			[`"${"x".repeat(3 * 1024 * 1024)}"`, "application/json", 413],
		];
		for (const [body, type, status] of refused) {
			const answer = await front.call("POST", services, body, json(type));
			assert.equal(answer.status, status, body.slice(0, 20));
			assert.equal(answer.body.kind, "Status");
		}
		assert.deepEqual(front.errors, []);
	});
	it("for another object than the URL's are refused", async () => {
		await using front = await startFront();
		await front.call("POST", services, manifest("a"));
		const wrong = [
			await front.call("POST", services, { ...manifest("b"), kind: "Route" }),
			await front.call("POST", services, { ...manifest("b"), apiVersion: "v1" }),
			await front.call("POST", services, manifest("b", { namespace: "other" })),
			await front.call("PUT", `${services}/a`, manifest("b")),
		];
		assert.deepEqual(
			wrong.map(({ status }) => status),
			[400, 400, 400, 400],
		);
	});
});

describe("Changes", () => {
	it("generateName makes a name", async () => {
		await using front = await startFront();
		const bare = manifest("");
		const { body } = await front.call("POST", services, { ...bare, metadata: { generateName: "hello-" } });
		assert.match(body.metadata.name, /^hello-[bcdfghjklmnpqrstvwxz2-9]{5}$/);
		assert.equal(body.metadata.generateName, undefined);
	});
	it("a dry run changes nothing", async () => {
		await using front = await startFront();
		assert.equal((await front.call("POST", `${services}?dryRun=All`, manifest("a"))).status, 201);
		assert.equal((await front.call("GET", `${services}/a`)).status, 404);
		await front.call("POST", services, manifest("a"));
		assert.equal((await front.call("DELETE", `${services}/a?dryRun=All`)).body.status, "Success");
		assert.equal((await front.call("DELETE", `${services}/a`, { dryRun: ["All"] })).body.status, "Success");
		assert.equal((await front.call("GET", `${services}/a`)).status, 200);
		assert.equal((await front.call("POST", `${services}?dryRun=yes`, manifest("b"))).status, 422);
	});
	it("a merge patch changes, apply makes and replaces, a strategic merge patch is refused", async () => {
		await using front = await startFront();
		await front.call("POST", services, manifest("a", { labels: { x: "1" } }));
		const merge = json("application/merge-patch+json");
		const patched = await front.call("PATCH", `${services}/a`, { metadata: { labels: { x: null, y: "2" } } }, merge);
		assert.deepEqual(patched.body.metadata.labels, { y: "2" });
		const apply = json("application/apply-patch+yaml");
		const applied = await front.call("PATCH", `${services}/n?fieldManager=me`, JSON.stringify(manifest("n")), apply);
		assert.equal(applied.status, 201);
		const again = await front.call("PATCH", `${services}/n?fieldManager=me`, JSON.stringify(manifest("n")), apply);
		assert.equal(again.status, 200);
		assert.equal((await front.call("PATCH", `${services}/n`, "{}", apply)).status, 422);
		const strategic = await front.call("PATCH", `${services}/a`, {}, json("application/strategic-merge-patch+json"));
		assert.equal(strategic.status, 415);
		assert.match(strategic.body.message, /application\/merge-patch\+json/);
		assert.equal((await front.call("PATCH", `${services}/a`, [], merge)).status, 400);
	});
	it("a deletion looks at preconditions and policies", async () => {
		await using front = await startFront();
		const { body } = await front.call("POST", services, manifest("a"));
		const remove = (options: object) => front.call("DELETE", `${services}/a`, options);
		assert.equal((await remove({ preconditions: { uid: "other" } })).body.reason, "Conflict");
		assert.equal((await remove({ preconditions: { resourceVersion: "1" } })).status, 409);
		assert.equal((await remove({ propagationPolicy: "Orphan" })).status, 422);
		const { uid } = body.metadata;
		const done = await remove({
			kind: "DeleteOptions",
			apiVersion: "v1",
			propagationPolicy: "Foreground",
			preconditions: { uid },
		});
		assert.deepEqual(done.body.details, { name: "a", group: "serving.knative.dev", kind: "services", uid });
		assert.equal((await remove({})).status, 404);
	});
	it("a collection is deleted by its selector", async () => {
		await using front = await startFront();
		for (const name of ["a", "b", "c"])
			await front.call("POST", services, manifest(name, { labels: { keep: String(name === "b") } }));
		const { body } = await front.call("DELETE", `${services}?labelSelector=keep!%3Dtrue`);
		assert.equal(body.items.length, 2);
		assert.deepEqual(
			front.services.services().map(({ metadata }) => metadata.name),
			["b"],
		);
	});
});

describe("Lists", () => {
	it("come in order, a page at a time", async () => {
		await using front = await startFront();
		for (const [namespace, name] of [
			["b", "a"],
			["a", "b"],
			["a", "a-b"],
			["a", "a"],
		])
			await front.call("POST", `${apiPath}/namespaces/${namespace}/services`, manifest(name ?? ""));
		const first = (await front.call("GET", `${apiPath}/services?limit=3`)).body;
		assert.equal(first.metadata.remainingItemCount, 1);
		await front.call("POST", services, manifest("later"));
		const second = (await front.call("GET", `${apiPath}/services?limit=3&continue=${first.metadata.continue}`)).body;
		assert.equal(second.metadata.resourceVersion, first.metadata.resourceVersion);
		assert.equal(second.metadata.continue, undefined);
		const names = [...first.items, ...second.items].map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
		assert.deepEqual(names, ["a/a", "a/a-b", "a/b", "b/a", "default/later"]);
		assert.equal((await front.call("GET", `${services}?continue=e30`)).status, 400);
		assert.equal((await front.call("GET", `${services}?limit=x`)).status, 400);
	});
	it("of a version that is not now", async () => {
		await using front = await startFront();
		await front.call("POST", services, manifest("a"));
		const exact = `${services}?resourceVersionMatch=Exact&resourceVersion=`;
		assert.equal((await front.call("GET", `${exact}1`)).body.reason, "Expired");
		assert.equal((await front.call("GET", exact + front.services.resourceVersion)).status, 200);
		assert.equal((await front.call("GET", `${services}?resourceVersion=999999`)).status, 504);
		assert.equal((await front.call("GET", `${services}?resourceVersion=1`)).status, 200);
	});
});

describe("The core API", () => {
	it("has the namespaces that are used, and a Service for each route", async () => {
		await using front = await startFront();
		const path = `${apiPath}/namespaces/prod/services`;
		await front.call("POST", path, manifest("a", { labels: { team: "x" }, annotations: { note: "y" } }));
		const { body } = await front.call("GET", "/api/v1/namespaces");
		assert.deepEqual(
			body.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name),
			["default", "prod"],
		);
		assert.equal((await front.call("GET", "/api/v1/namespaces/any")).body.status.phase, "Active");
		assert.equal((await front.call("GET", "/api/v1/namespaces/No")).status, 404);
		const { body: service } = await front.call("GET", "/api/v1/namespaces/prod/services/a");
		assert.equal(service.spec.externalName, "a.prod.localhost");
		assert.deepEqual(service.metadata.labels, {
			team: "x",
			"serving.knative.dev/service": "a",
			"serving.knative.dev/route": "a",
		});
		assert.equal(service.metadata.annotations.note, "y");
		const gone = await front.call("GET", "/api/v1/namespaces/prod/services/b");
		assert.equal(gone.body.message, 'services "b" not found');
		assert.equal((await front.call("GET", "/api/v1/namespaces/prod/pods")).status, 404);
	});
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadService } from "./published.ts";
import { Router } from "./router.ts";

describe("Router", async () => {
	const { operations } = await loadService("@aws-sdk/client-lambda");
	const lambda = new Router<string>();
	for (const { name, http } of operations) lambda.add(http!.method, http!.uri, name);

	it("routes each of Lambda's published operations, by its own pattern", () => {
		assert.ok(operations.length >= 88);
		const arn = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/x y";
		for (const { name, http } of operations) {
			const [pattern = "", query = ""] = http!.uri.split("?");
			const path = pattern.replace(/\{\w+\+?\}/g, encodeURIComponent(arn));
			const route = lambda.match(http!.method, path, query);
			assert.equal(route?.target, name);
			for (const value of Object.values(route!.labels)) assert.equal(value, arn);
			assert.equal(lambda.match(http!.method, `${path}/`, query)?.target, name, "with a slash at the end");
		}
	});

	it("takes ARNs with their colons as they are", () => {
		const route = lambda.match("GET", "/2017-03-31/tags/arn:aws:lambda:us-east-1:1:function:f", "");
		assert.deepEqual(route, { target: "ListTags", labels: { Resource: "arn:aws:lambda:us-east-1:1:function:f" } });
	});

	it("tells operations of one path apart by their query literals", () => {
		assert.equal(lambda.match("GET", "/2018-10-31/layers", "find=LayerVersion&Arn=x")?.target, "GetLayerVersionByArn");
		assert.equal(lambda.match("GET", "/2018-10-31/layers", "")?.target, "ListLayers");
		const concurrency = "/2019-09-30/functions/f/provisioned-concurrency";
		assert.equal(lambda.match("GET", concurrency, "List=ALL")?.target, "ListProvisionedConcurrencyConfigs");
		assert.equal(lambda.match("GET", concurrency, "Qualifier=1")?.target, "GetProvisionedConcurrencyConfig");
	});

	it("knows greedy labels", () => {
		const s3 = new Router<string>();
		s3.add("GET", "/{Bucket}", "ListObjects");
		s3.add("GET", "/{Bucket}/{Key+}", "GetObject");
		s3.add("GET", "/{Bucket}/{Key+}?torrent", "GetObjectTorrent");
		s3.add("GET", "/{Bucket}/{Key+}/meta", "GetMeta");
		assert.deepEqual(s3.match("GET", "/b/a/b%2Fc/d", "")?.labels, { Bucket: "b", Key: "a/b/c/d" });
		assert.equal(s3.match("GET", "/b/k", "torrent")?.target, "GetObjectTorrent");
		assert.deepEqual(s3.match("GET", "/b/a/b/meta", ""), {
			target: "GetObject",
			labels: { Bucket: "b", Key: "a/b/meta" },
		});
		assert.equal(s3.match("GET", "/b", "")?.target, "ListObjects");
	});

	it("finds nothing where nothing is", () => {
		for (const [method, path] of [
			["GET", "/"],
			["GET", "/2015-03-31/functions//configuration"],
			["PATCH", "/2015-03-31/functions/f"],
			["GET", "/2015-03-31/functions/%zz"],
			["GET", "/2015-03-31/functions/%ff"],
			["GET", `/${"a/".repeat(1000)}`],
			["GET", "2015-03-31/functions"],
		] as const)
			assert.equal(lambda.match(method, path, ""), undefined, path);
	});

	it("survives seeded nonsense, in bounded time", () => {
		const pieces = [
			"2015-03-31",
			"functions",
			"f",
			"%2F",
			"..",
			".",
			"",
			"invocations",
			"%",
			"configuration",
			"a".repeat(300),
			"\u0000",
		];
		let state = 7;
		const next = (below: number) => {
			state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
			return state % below;
		};
		const started = performance.now();
		for (let round = 0; round < 20_000; round++) {
			const path = `/${Array.from({ length: next(8) }, () => pieces[next(pieces.length)]).join("/")}`;
			const route = lambda.match(["GET", "POST", "PUT", "DELETE"][next(4)]!, path, "a=%ff&List=ALL&=");
			assert.ok(route === undefined || typeof route.target === "string");
		}
		assert.ok(performance.now() - started < 5000);
	});
});

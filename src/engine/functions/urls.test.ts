import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import type { Ids } from "../../base/ids.ts";
import { randomIds } from "../../base/ids.ts";
import { FakeFunctionStore } from "../../core/function/fake-function-store.ts";
import { activeFunction, arn, failsWith, openFunctions } from "../testing/functions.ts";
import { FunctionUrls } from "./urls.ts";
import { FunctionVersions } from "./versions.ts";

async function open(store = new FakeFunctionStore(), ids: Ids = randomIds, origin = () => "http://localhost:8080") {
	const opened = await openFunctions({ store, ids });
	const versions = new FunctionVersions(opened);
	if (!opened.records.find("f")) {
		await activeFunction(opened);
		await versions.publish("f", {});
		await versions.createAlias("f", "live", { version: "1" });
	}
	const urls = new FunctionUrls({ ...opened, clock: systemClock, region: "us-east-1", origin });
	return { ...opened, versions, urls };
}

test("the address is https where the daemon speaks TLS", async () => {
	const { urls } = await open(undefined, undefined, () => "https://localhost:8443");
	const url = await urls.create("f", "", { authType: "NONE" });
	assert.equal(urls.address(url), `https://${url.urlId}.lambda-url.us-east-1.localhost:8443/`);
});

test("one URL for the function and one for each alias, found by its id", async () => {
	const { urls } = await open();
	const url = await urls.create("f", "", { authType: "NONE" });
	assert.match(url.urlId, /^[a-z0-9]{32}$/);
	assert.equal(urls.address(url), `http://${url.urlId}.lambda-url.us-east-1.localhost:8080/`);
	assert.deepEqual(urls.byUrlId(url.urlId), { name: "f", qualifier: "", url });
	const live = await urls.create("f", "live", { authType: "AWS_IAM", invokeMode: "RESPONSE_STREAM" });
	assert.deepEqual(urls.byUrlId(live.urlId), { name: "f", qualifier: "live", url: live });
	assert.deepEqual(
		urls.list("f").map(({ qualifier }) => qualifier),
		["", "live"],
	);
	await assert.rejects(
		urls.create("f", "live", { authType: "NONE" }),
		failsWith(
			"CONFLICT",
			`Failed to create function url config for [functionArn = ${arn}:live]. Error message:  FunctionUrlConfig exists for this Lambda function`,
		),
	);
	const updated = await urls.update("f", "live", { cors: { allowOrigins: ["*"] } });
	assert.deepEqual({ ...updated, lastModifiedMs: 0 }, { ...live, cors: { allowOrigins: ["*"] }, lastModifiedMs: 0 });
	assert.deepEqual(urls.byUrlId(live.urlId)?.url, updated);
	await urls.delete("f", "");
	assert.equal(urls.byUrlId(url.urlId), undefined);
	assert.throws(() => urls.get("f", ""), failsWith("NOT_FOUND", "The resource you requested does not exist."));
	assert.deepEqual(urls.get("f", "live"), updated);
});

test("goes with its alias and its function", async () => {
	const { functions, urls, versions } = await open();
	const url = await urls.create("f", "", { authType: "NONE" });
	const live = await urls.create("f", "live", { authType: "NONE" });
	await versions.deleteAlias("f", "live");
	assert.deepEqual([urls.byUrlId(live.urlId), urls.byUrlId(url.urlId)?.name], [undefined, "f"]);
	await functions.delete("f");
	assert.equal(urls.byUrlId(url.urlId), undefined);
});

test("keeps its id over a restart", async () => {
	const store = new FakeFunctionStore();
	const { urlId } = await (await open(store)).urls.create("f", "live", { authType: "NONE" });
	const { urls } = await open(store);
	assert.deepEqual([urls.byUrlId(urlId)?.qualifier, urls.byUrlId("x")], ["live", undefined]);
});

test("refuses in the cloud's words", async () => {
	const { urls } = await open();
	const pattern = (qualifier: string) =>
		`1 validation error detected: Value '${qualifier}' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)`;
	for (const [name, qualifier] of [
		["g", ""],
		["f", "none"],
		["f", "__proto__"],
	] as const) {
		await assert.rejects(
			urls.create(name, qualifier, { authType: "NONE" }),
			failsWith("NOT_FOUND", "Function does not exist"),
		);
		await assert.rejects(urls.update(name, qualifier, {}), failsWith("NOT_FOUND", "Function does not exist"));
		await assert.rejects(
			urls.delete(name, qualifier),
			failsWith("NOT_FOUND", "The resource you requested does not exist."),
		);
		assert.throws(
			() => urls.get(name, qualifier),
			failsWith("NOT_FOUND", "The resource you requested does not exist."),
		);
	}
	await assert.rejects(urls.update("f", "", {}), failsWith("NOT_FOUND", "The resource you requested does not exist."));
	assert.throws(() => urls.list("g"), failsWith("NOT_FOUND", "Function does not exist"));
	for (const qualifier of ["1", "$LATEST"]) {
		await assert.rejects(
			urls.create("f", qualifier, { authType: "NONE" }),
			failsWith("INVALID", pattern(qualifier), "ValidationException"),
		);
		assert.throws(() => urls.get("f", qualifier), failsWith("INVALID", pattern(qualifier)));
	}
	for (const cors of [
		{ maxAge: 86_401 },
		{ maxAge: -1 },
		{ exposeHeaders: ["X-A\r\nX-B"] },
		{ allowHeaders: ["x-ключ"] },
		{ allowHeaders: Array.from({ length: 101 }, () => "h") },
		{ allowMethods: Array.from({ length: 7 }, () => "GET") },
	])
		await assert.rejects(
			urls.create("f", "", { authType: "NONE", cors }),
			failsWith("INVALID", /at 'cors\./, "ValidationException"),
		);
	await Promise.allSettled([urls.create("f", "", { authType: "NONE" }), urls.create("f", "", { authType: "NONE" })]);
	assert.equal(urls.list("f").length, 1, "two at once make one");
});

test("an id that is taken is not given again", async () => {
	const hex = ["00", "00", "ff"];
	const ids = { ...randomIds, hex: (bytes: number) => (hex.shift() ?? "11").repeat(bytes) };
	const { urls } = await open(new FakeFunctionStore(), ids);
	const first = await urls.create("f", "", { authType: "NONE" });
	const second = await urls.create("f", "live", { authType: "NONE" });
	assert.equal(first.urlId, "0".repeat(32));
	assert.notEqual(second.urlId, first.urlId);
});

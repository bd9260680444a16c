import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeFunctionStore } from "../../core/function/fake-function-store.ts";
import {
	activeFunction,
	arn,
	failsWith,
	imageUri,
	type OpenFunctionsOptions,
	openFunctions,
} from "../testing/functions.ts";
import { maxAliases } from "./aliases.ts";
import { FunctionVersions } from "./versions.ts";

async function withTwoVersions(options: OpenFunctionsOptions = {}) {
	const opened = await openFunctions(options);
	const versions = new FunctionVersions(opened);
	await activeFunction(opened);
	await versions.publish("f", {});
	await opened.functions.updateCode("f", { imageUri: imageUri(2) });
	await opened.functions.settled();
	await versions.publish("f", {});
	return { ...opened, versions };
}

test("an alias names a version, $LATEST too; each change gives it a new revision id and leaves the function's", async () => {
	const { functions, versions } = await withTwoVersions();
	const { revisionId } = functions.get("f");
	const created = await versions.createAlias("f", "live", { version: "1" });
	assert.deepEqual(created, { ...created, name: "live", description: "", version: "1", routing: undefined });
	assert.deepEqual(versions.getAlias("f", "live"), created);
	const updated = await versions.updateAlias("f", "live", { description: "changed", revisionId: created.revisionId });
	assert.deepEqual([updated.version, updated.description], ["1", "changed"]);
	assert.notEqual(updated.revisionId, created.revisionId);
	assert.notEqual((await versions.updateAlias("f", "live", {})).revisionId, updated.revisionId);
	assert.equal(functions.get("f").revisionId, revisionId);
	await versions.createAlias("f", "latest", { version: "$LATEST" });
	assert.equal(functions.revision("f", "latest"), functions.revision("f"));
	assert.equal(functions.revision("f", "live"), functions.revision("f", "1"));
	await assert.rejects(
		versions.updateAlias("f", "live", { revisionId: "old" }),
		failsWith(
			"PRECONDITION",
			/^The Revision Id provided does not match the latest Revision Id. Call the GetFunction\/GetAlias API/,
		),
	);
});

test("lists by name, or those of a version; deleting is idempotent", async () => {
	const { versions } = await withTwoVersions();
	for (const [name, version] of [
		["b", "1"],
		["a", "2"],
		["__proto__", "1"],
	] as const)
		await versions.createAlias("f", name, { version });
	const names = (version?: string) => versions.listAliases("f", version).map(({ name }) => name);
	assert.deepEqual([names(), names("1"), names("9")], [["__proto__", "a", "b"], ["__proto__", "b"], []]);
	await versions.deleteAlias("f", "__proto__");
	await versions.deleteAlias("f", "__proto__");
	assert.deepEqual(names(), ["a", "b"]);
	await assert.rejects(versions.deleteAlias("g", "a"), failsWith("NOT_FOUND"));
	assert.throws(() => versions.listAliases("g"), failsWith("NOT_FOUND"));
});

test("refuses in the cloud's words", async () => {
	const { versions } = await withTwoVersions();
	await versions.createAlias("f", "live", { version: "1" });
	const create = (input: Parameters<typeof versions.createAlias>[2], alias = "new", name = "f") =>
		versions.createAlias(name, alias, input);
	const weights =
		"1 validation error detected: Value '{2=2}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null]";
	for (const [making, code, message, reason] of [
		[create({ version: "1" }, "live"), "ALREADY_EXISTS", `Alias already exists: ${arn}:live`],
		[create({ version: "10" }), "NOT_FOUND", `Function not found: ${arn}:10`],
		[create({ version: "1" }, "new", "g"), "NOT_FOUND", `Function not found: ${arn.slice(0, -1)}g:1`],
		[create({ version: "1", routing: { version: "10", weight: 0.5 } }), "NOT_FOUND", `Function not found: ${arn}:10`],
		[
			create({ version: "1", routing: { version: "1", weight: 0.5 } }),
			"INVALID",
			"Invalid function version 1. Function version 1 is already included in routing configuration.",
		],
		[
			create({ version: "$LATEST", routing: { version: "1", weight: 0.5 } }),
			"INVALID",
			"$LATEST is not supported for an alias pointing to more than 1 version",
		],
		[create({ version: "1", routing: { version: "2", weight: 2 } }), "INVALID", weights, "ValidationException"],
		[
			create({ version: "1", routing: { version: "2", weight: Number.NaN } }),
			"INVALID",
			/Map value/,
			"ValidationException",
		],
		[
			create({ version: "1", routing: { version: "$LATEST", weight: 0.5 } }),
			"INVALID",
			/'\{\$LATEST=0.5\}'.*Map keys must satisfy.*\[0-9\]\+\]$/,
			"ValidationException",
		],
		[create({ version: "1" }, "12"), "INVALID", /at 'name' failed.*\(\?!\^\[0-9\]\+\$\)/, "ValidationException"],
		[create({ version: "1" }, "a".repeat(129)), "INVALID", /less than or equal to 128$/, "ValidationException"],
		[versions.updateAlias("f", "none", {}), "NOT_FOUND", `Alias not found: ${arn}:none`],
		[versions.updateAlias("f", "live", { version: "10" }), "NOT_FOUND", `Function not found: ${arn}:10`],
	] as const)
		await assert.rejects(making, failsWith(code, message, reason));
	assert.throws(() => versions.getAlias("f", "none"), failsWith("NOT_FOUND", `Cannot find alias arn: ${arn}:none`));
	assert.throws(() => versions.getAlias("g", "live"), failsWith("NOT_FOUND", /^Cannot find alias arn: /));
	assert.equal((await create({ version: "1" }, "2024-01-02")).name, "2024-01-02", "a date is a name");
});

test("an update checks what it leaves too: the other version can't become its own", async () => {
	const { versions } = await withTwoVersions();
	await versions.createAlias("f", "live", { version: "1", routing: { version: "2", weight: 0.2 } });
	await assert.rejects(versions.updateAlias("f", "live", { version: "2" }), failsWith("INVALID", /already included/));
	const moved = await versions.updateAlias("f", "live", { version: "2", routing: null });
	assert.deepEqual([moved.version, moved.routing], ["2", undefined]);
	const kept = await versions.updateAlias("f", "live", { routing: { version: "1", weight: 1 } });
	assert.deepEqual(kept.routing, { version: "1", weight: 1 });
});

test("weights choose at each event", async () => {
	const numbers = [0, 0.099, 0.1, 0.999];
	let at = 0;
	const { functions, versions } = await withTwoVersions({ random: () => numbers[at++ % numbers.length] ?? 0 });
	await versions.createAlias("f", "canary", { version: "1", routing: { version: "2", weight: 0.1 } });
	assert.deepEqual(
		numbers.map(() => functions.revision("f", "canary").version),
		["2", "2", "1", "1"],
	);
});

test("crossing changes are all kept, and come back after a restart", async () => {
	const store = new FakeFunctionStore();
	const { versions } = await withTwoVersions({ store });
	await Promise.all(["a", "b", "c"].map((alias) => versions.createAlias("f", alias, { version: "1" })));
	const again = await openFunctions({ store });
	assert.deepEqual(
		new FunctionVersions(again).listAliases("f").map(({ name }) => name),
		["a", "b", "c"],
	);
	assert.equal(again.functions.revision("f", "b").version, "1");
});

test("there is a last alias", async () => {
	const { versions } = await withTwoVersions();
	const create = (i: number) => versions.createAlias("f", `a${i}`, { version: "1" });
	await Promise.all(Array.from({ length: maxAliases }, (_, i) => create(i)));
	await assert.rejects(create(maxAliases), failsWith("INVALID", /1000 aliases/, "AliasLimitExceededException"));
});

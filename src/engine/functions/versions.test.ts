import assert from "node:assert/strict";
import { test } from "node:test";
import { SlipwayError } from "../../base/error.ts";
import { FakeFunctionStore } from "../../core/function/fake-function-store.ts";
import {
	activeFunction,
	arn,
	digest,
	failsWith,
	imageUri,
	type OpenFunctionsOptions,
	openFunctions,
	role,
} from "../testing/functions.ts";
import { maxVersions } from "./publishing.ts";
import { FunctionVersions } from "./versions.ts";

async function open(options: OpenFunctionsOptions = {}) {
	const opened = await openFunctions(options);
	return { ...opened, versions: new FunctionVersions(opened) };
}

async function withTwoVersions(options: OpenFunctionsOptions = {}) {
	const opened = await open(options);
	await activeFunction(opened);
	await opened.versions.publish("f", {});
	await opened.functions.updateCode("f", { imageUri: imageUri(2) });
	await opened.functions.settled();
	await opened.versions.publish("f", {});
	return opened;
}

test("publishing makes a version that later changes do not touch; both get new revision ids", async () => {
	const opened = await open();
	const { functions, versions } = opened;
	await activeFunction(opened);
	const before = functions.get("f");
	const first = await versions.publish("f", { description: "first" });
	assert.deepEqual([first.version, first.configuration.description, first.state], ["1", "first", { state: "Active" }]);
	assert.equal(first.lastModifiedMs, before.lastModifiedMs);
	assert.equal(new Set([before.revisionId, first.revisionId, functions.get("f").revisionId]).size, 3);
	assert.equal(functions.get("f").configuration.description, "");
	await functions.updateCode("f", { imageUri: imageUri(2) });
	await functions.settled();
	assert.equal((await versions.publish("f", {})).version, "2");
	assert.deepEqual(versions.get("f", "1"), first);
	assert.deepEqual(
		versions.list("f").map(({ version, code }) => [version, code.manifestDigest]),
		[
			["1", digest(1)],
			["2", digest(2)],
		],
	);
});

test("publishing what has not changed gives the last version, also with another description and after a restart", async () => {
	const store = new FakeFunctionStore();
	const opened = await open({ store });
	await activeFunction(opened);
	const first = await opened.versions.publish("f", { description: "first" });
	const { revisionId } = opened.functions.get("f");
	assert.deepEqual(await opened.versions.publish("f", { description: "second" }), first);
	assert.equal(opened.functions.get("f").revisionId, revisionId);
	const again = await open({ store });
	assert.equal((await again.versions.publish("f", {})).version, "1");
	await again.functions.updateConfiguration("f", { description: "of the function" });
	await again.functions.settled();
	assert.equal((await again.versions.publish("f", {})).version, "2");
});

test("numbers are never used twice, and a deleted last version is published anew", async () => {
	const opened = await open();
	await activeFunction(opened);
	await opened.versions.publish("f", {});
	await opened.versions.delete("f", "1");
	assert.equal((await opened.versions.publish("f", {})).version, "2");
	assert.deepEqual(
		opened.versions.list("f").map(({ version }) => version),
		["2"],
	);
});

test("a code digest or revision id that is not the current one is refused in the cloud's words", async () => {
	const opened = await open();
	const { versions } = opened;
	await activeFunction(opened);
	await assert.rejects(
		versions.publish("f", { codeSha256: "abc" }),
		failsWith(
			"INVALID",
			`CodeSHA256 (abc) is different from current CodeSHA256 in $LATEST (${"1".repeat(64)}). Please try again with the CodeSHA256 in $LATEST.`,
		),
	);
	await assert.rejects(
		versions.publish("f", { revisionId: "old" }),
		failsWith(
			"PRECONDITION",
			"The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
		),
	);
	const { revisionId } = opened.functions.get("f");
	assert.equal((await versions.publish("f", { codeSha256: "1".repeat(64), revisionId })).version, "1");
	await assert.rejects(versions.publish("g", {}), failsWith("NOT_FOUND", /function:g$/));
});

test("nothing is published while the function is made or updated, nor after an update that failed", async () => {
	const { functions, images, versions } = await open();
	images.hold = true;
	await functions.create({ name: "f", role, imageUri: imageUri(1) });
	await assert.rejects(
		versions.publish("f", {}),
		failsWith(
			"CONFLICT",
			"The operation cannot be performed at this time. The function is currently in the following state: Pending",
		),
	);
	images.waiting[0]?.finish();
	await functions.settled();
	await functions.updateCode("f", { imageUri: imageUri(2) });
	await assert.rejects(
		versions.publish("f", {}),
		failsWith(
			"CONFLICT",
			`The operation cannot be performed at this time. An update is in progress for resource: ${arn}`,
		),
	);
	images.waiting[1]?.fail(new SlipwayError("INVALID_IMAGE", "Layer is broken"));
	await functions.settled();
	await assert.rejects(
		versions.publish("f", {}),
		failsWith("CONFLICT", /Failed\. Its last update failed: Layer is broken$/),
	);
});

test("a version that is published with its function becomes Active with it, and serves only then", async () => {
	const { functions, images, versions, active } = await open();
	images.hold = true;
	const created = await functions.create({ name: "f", role, imageUri: imageUri(1), publish: true });
	assert.equal(created.nextVersion, 2);
	assert.equal(versions.get("f", "1").state.state, "Pending");
	assert.throws(() => functions.revision("f", "1"), failsWith("CONFLICT", /state: Pending$/, "Pending"));
	images.waiting[0]?.finish();
	await functions.settled();
	assert.deepEqual(versions.get("f", "1").state, { state: "Active" });
	assert.deepEqual(
		active.map(({ version }) => version),
		["$LATEST", "1"],
	);
	assert.equal((await versions.publish("f", {})).version, "1", "nothing has changed since");
	const updating = await functions.updateCode("f", { imageUri: imageUri(2), publish: true });
	assert.equal(updating.nextVersion, 3);
	images.waiting[1]?.fail(new SlipwayError("INVALID_IMAGE", "Layer is broken"));
	await functions.settled();
	assert.deepEqual(versions.get("f", "2").state, {
		state: "Failed",
		reason: "Layer is broken",
		reasonCode: "InvalidImage",
	});
	assert.throws(
		() => functions.revision("f", "2"),
		failsWith("CONFLICT", /state: Failed$/, "CodeArtifactUserFailedException"),
	);
	assert.deepEqual(functions.revision("f").image.diffIds, [digest(1)]);
	images.hold = false;
	await functions.updateCode("f", { imageUri: imageUri(2), publish: true });
	await functions.settled();
	assert.deepEqual(versions.get("f", "3").state, { state: "Active" }, "a version that failed is not given again");
	const same = await functions.updateCode("f", { imageUri: imageUri(2), publish: true });
	assert.equal(same.nextVersion, 4, "unchanged code makes no version");
});

test("a version that an alias names can't be deleted; the alias's second version neither", async () => {
	const { versions } = await withTwoVersions();
	await versions.createAlias("f", "live", { version: "2", routing: { version: "1", weight: 0.1 } });
	for (const version of ["1", "2"])
		await assert.rejects(
			versions.delete("f", version),
			failsWith("CONFLICT", "Unable to delete version because the following aliases reference it: [live]"),
		);
	await versions.updateAlias("f", "live", { routing: null });
	await versions.delete("f", "1");
	await versions.delete("f", "1");
	assert.throws(() => versions.get("f", "1"), failsWith("NOT_FOUND", `Function not found: ${arn}:1`));
	await assert.rejects(versions.delete("g", "1"), failsWith("NOT_FOUND", /function:g$/));
});

test("a published version is one revision for good, whatever is tagged or updated around it", async () => {
	const { functions, versions, ended, images } = await withTwoVersions();
	const one = functions.revision("f", "1");
	assert.deepEqual([one.version, one.arn, one.image.diffIds], ["1", arn, [digest(1)]]);
	ended.length = 0;
	await functions.tag("f", { a: "1" });
	await functions.updateConfiguration("f", { timeoutS: 9 });
	await functions.settled();
	assert.equal(functions.revision("f", "1"), one);
	assert.deepEqual(
		ended.map(({ version }) => version),
		["$LATEST"],
	);
	assert.notEqual(functions.revision("f", "2").id, functions.revision("f").id);
	await versions.delete("f", "1");
	assert.equal(ended.at(-1), one);
	assert.deepEqual(functions.runningImage(digest(1)), []);
	assert.deepEqual(functions.runningImage(digest(2)), ["f"]);
	images.hold = true;
	await functions.delete("f");
	assert.deepEqual(
		ended.slice(-2).map(({ version }) => version),
		["$LATEST", "2"],
	);
	assert.throws(() => functions.revision("f", "2"), failsWith("NOT_FOUND", `Function not found: ${arn}:2`));
});

test("the images of all versions are in use", async () => {
	const { functions, versions } = await withTwoVersions();
	await functions.updateCode("f", { imageUri: imageUri(3) });
	await functions.settled();
	assert.deepEqual(
		new Set([...functions.imagesInUse()].map(({ manifestDigest }) => manifestDigest)),
		new Set([1, 2, 3].map(digest)),
	);
	assert.equal(functions.codeBytes, 30);
	await versions.delete("f", "1");
	assert.deepEqual(functions.runningImage(digest(1)), []);
});

test("what is not there has its qualified ARN in the message", async () => {
	const { functions } = await withTwoVersions();
	for (const [name, qualifier, asked] of [
		["g", undefined, "g:$LATEST"],
		["g", "1", "g:1"],
		["f", "9", "f:9"],
		["f", "nobody", "f:nobody"],
		["f", "constructor", "f:constructor"],
	] as const)
		assert.throws(
			() => functions.revision(name, qualifier),
			failsWith("NOT_FOUND", `Function not found: ${arn.slice(0, -1)}${asked}`),
		);
	assert.equal(functions.revision("f", "$LATEST"), functions.revision("f"));
});

test("versions and their states come back after a restart", async () => {
	const store = new FakeFunctionStore();
	const first = await open({ store });
	first.images.hold = true;
	await first.functions.create({ name: "f", role, imageUri: imageUri(1), publish: true });
	const second = await open({ store });
	await second.functions.settled();
	assert.deepEqual(second.versions.get("f", "1").state, { state: "Active" });
	assert.equal(second.functions.revision("f", "1").version, "1");
});

test("a function made anew does not use the numbers of its namesake again, also after a restart", async () => {
	const store = new FakeFunctionStore();
	const { functions } = await withTwoVersions({ store });
	await functions.delete("f");
	const again = await open({ store });
	await activeFunction(again);
	assert.deepEqual(again.versions.list("f"), []);
	assert.equal((await again.versions.publish("f", {})).version, "3");
	await again.functions.delete("f");
	await again.functions.create({ name: "f", role, imageUri: imageUri(1), publish: true });
	assert.deepEqual(
		again.versions.list("f").map(({ version }) => version),
		["4"],
	);
});

test("nor does one that is on its way while its namesake goes", async () => {
	const opened = await open();
	const { functions, images, store } = opened;
	const resolved = Promise.withResolvers<void>();
	const resolve = images.resolve.bind(images);
	images.resolve = async (uri) => {
		await resolved.promise;
		return resolve(uri);
	};
	const late = functions.create({ name: "f", role, imageUri: imageUri(1) });
	images.resolve = resolve;
	await functions.create({ name: "f", role, imageUri: imageUri(1), publish: true });
	await functions.settled();
	const written = Promise.withResolvers<void>();
	const remove = store.delete.bind(store);
	store.delete = async (name) => {
		await written.promise;
		await remove(name);
	};
	const deleted = functions.delete("f");
	resolved.resolve();
	await new Promise((turn) => setImmediate(turn));
	written.resolve();
	await deleted;
	assert.equal((await late).nextVersion, 2);
});

test("a restart takes up what was being restored", async () => {
	const store = new FakeFunctionStore();
	const first = await withTwoVersions({ store });
	first.images.hold = true;
	await first.functions.codeGone(first.functions.revision("f"));
	await first.functions.codeGone(first.functions.revision("f", "1"));
	const second = await open({ store });
	await second.functions.settled();
	assert.equal(second.functions.revision("f").version, "$LATEST");
	assert.equal(second.functions.revision("f", "1").version, "1");
	assert.equal(second.functions.get("f").lastUpdate.status, "Successful");
});

test("a write that fails publishes nothing", async () => {
	const store = new FakeFunctionStore();
	const opened = await open({ store });
	await activeFunction(opened);
	store.put = async () => {
		throw new SlipwayError("EXHAUSTED", "No space is left on the device");
	};
	await assert.rejects(opened.versions.publish("f", {}), failsWith("EXHAUSTED"));
	assert.deepEqual([opened.versions.list("f"), opened.functions.get("f").nextVersion], [[], 1]);
});

test("an image whose files are gone is brought back, and when it can't be says so", async () => {
	const { functions, images, ended } = await withTwoVersions();
	images.hold = true;
	const [latest, one] = [functions.revision("f"), functions.revision("f", "1")];
	await functions.codeGone(latest);
	await functions.codeGone(latest);
	await functions.codeGone(one);
	assert.deepEqual([images.waiting.length, ended.includes(latest), ended.includes(one)], [2, true, true]);
	assert.deepEqual(functions.get("f").state, {
		state: "Pending",
		reason: "The function is being restored.",
		reasonCode: "Restoring",
	});
	assert.throws(() => functions.revision("f"), failsWith("CONFLICT", /state: Pending$/));
	assert.equal(functions.revision("f", "2").version, "2", "the others serve on");
	images.waiting[0]?.finish();
	images.waiting[1]?.fail(
		new SlipwayError("INVALID_IMAGE", "Source image does not exist", { reason: "ImageNotFound" }),
	);
	await functions.settled();
	assert.deepEqual(functions.get("f").state, { state: "Active" });
	assert.deepEqual(functions.revision("f").image, latest.image);
	assert.throws(
		() => functions.revision("f", "1"),
		failsWith("CONFLICT", /state: Failed$/, "CodeArtifactUserDeletedException"),
	);
});

test("there is a last version", async () => {
	const store = new FakeFunctionStore();
	const first = await open({ store });
	await activeFunction(first);
	const published = await first.versions.publish("f", {});
	const record = { ...first.functions.get("f"), nextVersion: maxVersions + 1 };
	for (let i = 2; i <= maxVersions; i++)
		await store.put(record, {
			...published,
			version: String(i),
			configuration: { ...published.configuration, timeoutS: 9 },
		});
	const { versions } = await open({ store });
	await assert.rejects(
		versions.publish("f", {}),
		failsWith("INVALID", /10000 versions/, "CodeStorageExceededException"),
	);
	await versions.delete("f", "1");
	assert.equal((await versions.publish("f", {})).version, "10001");
});

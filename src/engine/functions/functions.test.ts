import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { FakeFunctionStore } from "../../core/function/fake-function-store.ts";
import type { FunctionStore } from "../../core/function/function-store.ts";
import { digest, failsWith, imageUri, openFunctions, role } from "../testing/functions.ts";

const image = (n: number) => ({ name: "f", role, imageUri: imageUri(n) });
const open = (store: FunctionStore = new FakeFunctionStore()) => openFunctions({ store });

test("a function is Pending, then Active under a new revision id, with the defaults of the cloud", async () => {
	const { functions, active } = await open();
	const created = await functions.create(image(1));
	assert.deepEqual(created.state, {
		state: "Pending",
		reason: "The function is being created.",
		reasonCode: "Creating",
	});
	assert.equal(created.arn, "arn:aws:lambda:us-east-1:123456789012:function:f");
	const { memoryMiB, timeoutS, tmpMiB, architecture, logGroup, tracingMode } = created.configuration;
	assert.deepEqual(
		[memoryMiB, timeoutS, tmpMiB, architecture, logGroup, tracingMode],
		[128, 3, 512, "x86_64", "/aws/lambda/f", "PassThrough"],
	);
	await functions.settled();
	const settled = functions.get("f");
	assert.deepEqual([settled.state, settled.lastUpdate], [{ state: "Active" }, { status: "Successful" }]);
	assert.notEqual(settled.revisionId, created.revisionId);
	assert.deepEqual(active[0]?.image.diffIds, [digest(1)]);
});

test("while Pending it can't be invoked, updated, or made again", async () => {
	const { functions, images } = await open();
	images.hold = true;
	await functions.create(image(1));
	assert.throws(() => functions.revision("f"), failsWith("CONFLICT", /following state: Pending$/));
	await assert.rejects(functions.updateConfiguration("f", { timeoutS: 5 }), failsWith("CONFLICT"));
	await assert.rejects(functions.create(image(2)), failsWith("ALREADY_EXISTS", /^Function already exist: f$/));
	images.waiting[0]?.finish();
	await functions.settled();
	assert.equal(functions.revision("f").name, "f");
});

test("an image that can't be found refuses the creation and leaves nothing", async () => {
	const { functions, store } = await open();
	await assert.rejects(
		functions.create({ ...image(1), imageUri: "registry/none:x" }),
		failsWith("INVALID_IMAGE", /does not exist/),
	);
	assert.throws(
		() => functions.get("f"),
		failsWith("NOT_FOUND", /^Function not found: arn:aws:lambda:us-east-1:123456789012:function:f$/),
	);
	assert.deepEqual(await store.list(), []);
});

test("an image that can't be unpacked makes it Failed with the reason", async () => {
	const { functions, images } = await open();
	images.hold = true;
	await functions.create(image(1));
	images.waiting[0]?.fail(new SlipwayError("INVALID_IMAGE", "Layer is broken"));
	await functions.settled();
	assert.deepEqual(functions.get("f").state, {
		state: "Failed",
		reason: "Layer is broken",
		reasonCode: "InvalidImage",
	});
	assert.throws(() => functions.revision("f"), failsWith("CONFLICT", /Failed$/));
});

test("a layer that is not what its image says is the image's fault; a full disk is not", async () => {
	for (const [code, reasonCode] of [
		["DIGEST_MISMATCH", "InvalidImage"],
		["EXHAUSTED", "InternalError"],
	] as const) {
		const { functions, images } = await open();
		images.hold = true;
		await functions.create(image(1));
		images.waiting[0]?.fail(new SlipwayError(code, "Not so"));
		await functions.settled();
		assert.deepEqual(functions.get("f").state, { state: "Failed", reason: "Not so", reasonCode });
	}
});

test("during an update the old code serves, a second update is refused, and a failed one changes nothing", async () => {
	const { functions, images, ended } = await open();
	await functions.create(image(1));
	await functions.settled();
	images.hold = true;
	const updating = await functions.updateCode("f", { imageUri: "registry/app:v2" });
	assert.deepEqual(updating.lastUpdate, {
		status: "InProgress",
		reason: "The function is being created.",
		reasonCode: "Creating",
	});
	assert.deepEqual(functions.revision("f").image.diffIds, [digest(1)]);
	await assert.rejects(
		functions.updateCode("f", { imageUri: "registry/app:v3" }),
		failsWith(
			"CONFLICT",
			/^The operation cannot be performed at this time. An update is in progress for resource: arn:/,
		),
	);
	images.waiting[0]?.fail(new SlipwayError("EXHAUSTED", "No space is left"));
	await functions.settled();
	assert.equal(functions.get("f").lastUpdate.status, "Failed");
	assert.deepEqual(functions.revision("f").image.diffIds, [digest(1)]);
	assert.equal(ended.length, 0);
	images.hold = false;
	await functions.updateCode("f", { imageUri: "registry/app:v2" });
	await functions.settled();
	assert.deepEqual(functions.revision("f").image.diffIds, [digest(2)]);
	assert.deepEqual(
		ended.map((revision) => [revision.name, revision.version, revision.image.diffIds]),
		[["f", "$LATEST", [digest(1)]]],
	);
});

test("a revision id that is not the latest is refused; a dry run changes nothing", async () => {
	const { functions } = await open();
	await functions.create(image(1));
	await functions.settled();
	await assert.rejects(
		functions.updateConfiguration("f", { revisionId: "old", timeoutS: 9 }),
		failsWith("PRECONDITION"),
	);
	const dry = await functions.updateCode("f", { imageUri: "registry/app:v2", dryRun: true });
	assert.equal(dry.code.manifestDigest, digest(2));
	assert.equal(functions.get("f").code.manifestDigest, digest(1));
});

test("configuration: only what is given changes, and values out of range are refused by name", async () => {
	const { functions } = await open();
	await functions.create({ ...image(1), environment: { A: "1" }, imageConfig: { command: ["x"] } });
	await functions.settled();
	const updated = await functions.updateConfiguration("f", { memoryMiB: 512 });
	assert.deepEqual(updated.configuration.environment, { A: "1" });
	await functions.settled();
	const emptied = await functions.updateConfiguration("f", { environment: {}, imageConfig: {} });
	assert.deepEqual([emptied.configuration.environment, emptied.configuration.imageConfig], [undefined, undefined]);
	await functions.settled();
	for (const change of [
		{ memoryMiB: 127 },
		{ memoryMiB: 10_241 },
		{ timeoutS: 0 },
		{ timeoutS: 901 },
		{ tmpMiB: 511 },
		{ memoryMiB: 128.5 },
	])
		await assert.rejects(
			functions.updateConfiguration("f", change),
			failsWith("INVALID", /must be a whole number from/),
		);
	await assert.rejects(
		functions.updateConfiguration("f", { environment: { A: "x".repeat(4096) } }),
		failsWith("INVALID", /4KB limit/),
	);
	await assert.rejects(
		functions.updateConfiguration("f", { environment: { AWS_REGION: "x" } }),
		failsWith("INVALID", /reserved keys.*AWS_REGION$/),
	);
});

test("changes that cross each other are all kept", async () => {
	const { functions, images } = await open();
	images.hold = true;
	await functions.create(image(1));
	const tagging = Promise.all([
		functions.tag("f", { a: "1" }),
		functions.tag("f", { b: "2" }),
		functions.untag("f", ["a"]),
	]);
	images.waiting[0]?.finish();
	await tagging;
	await functions.settled();
	assert.deepEqual([functions.get("f").tags, functions.get("f").state.state], [{ b: "2" }, "Active"]);
});

test("a function deleted while its image is on the way stays deleted, and its name is free", async () => {
	const { functions, images, store } = await open();
	images.hold = true;
	await functions.create(image(1));
	await functions.delete("f");
	await functions.create(image(2));
	images.waiting[0]?.finish();
	images.waiting[1]?.finish();
	await functions.settled();
	assert.equal(functions.revision("f").image.diffIds[0], digest(2));
	assert.equal((await store.list()).length, 1);
	await assert.rejects(functions.delete("other"), failsWith("NOT_FOUND"));
});

test("a new daemon takes up what the old one left in progress", async () => {
	const first = await open();
	first.images.hold = true;
	await first.functions.create(image(1));
	const second = await open(first.store);
	await second.functions.settled();
	assert.equal(second.functions.get("f").state.state, "Active");
	assert.equal(second.active.length, 1);
	const third = await open(first.store);
	assert.equal(third.active.length, 0, "an active function is not touched at start");
	assert.deepEqual(third.functions.revision("f").image.diffIds, [digest(1)]);
});

test("pages by name", async () => {
	const { functions } = await open();
	for (const name of ["c", "a", "b"]) await functions.create({ ...image(1), name });
	assert.deepEqual(
		functions.list({ limit: 2 }).map((each) => each.name),
		["a", "b"],
	);
	assert.deepEqual(
		functions.list({ limit: 2, after: "b" }).map((each) => each.name),
		["c"],
	);
	assert.deepEqual(functions.list({ limit: 2, after: "c" }), []);
});

test("a write that fails changes nothing in memory", async () => {
	const store = new FakeFunctionStore();
	const { functions } = await open(store);
	await functions.create(image(1));
	await functions.settled();
	store.put = async () => {
		throw new SlipwayError("EXHAUSTED", "No space is left on the device");
	};
	await assert.rejects(functions.updateConfiguration("f", { timeoutS: 60 }), failsWith("EXHAUSTED"));
	assert.equal(functions.get("f").configuration.timeoutS, 3);
	assert.equal(functions.get("f").lastUpdate.status, "Successful");
});

test("an ImageConfig is replaced whole; what is empty in it is the image's own, and its bounds hold", async () => {
	const { functions } = await open();
	await functions.create({ ...image(1), imageConfig: { command: ["x"], entryPoint: [], workingDirectory: "" } });
	await functions.settled();
	assert.deepEqual(functions.get("f").configuration.imageConfig, { command: ["x"] });
	const update = (imageConfig: { entryPoint?: string[]; command?: string[]; workingDirectory?: string }) =>
		functions.updateConfiguration("f", { imageConfig });
	await update({ workingDirectory: "/w" });
	await functions.settled();
	assert.deepEqual(functions.get("f").configuration.imageConfig, { workingDirectory: "/w" });
	await update({ command: [] });
	await functions.settled();
	assert.equal(functions.get("f").configuration.imageConfig, undefined);
	const many = Array.from({ length: 1501 }, () => "a");
	for (const imageConfig of [{ command: many }, { entryPoint: many }, { workingDirectory: "w".repeat(1001) }])
		await assert.rejects(
			update(imageConfig),
			failsWith("INVALID", /at 'imageConfig\..*have length less than or equal to 1/, "ValidationException"),
		);
	await assert.rejects(update({ command: ["a\0b"] }), failsWith("INVALID", /NUL/));
});

test("tags change the revision id, not the revision, and end at 50", async () => {
	const { functions, ended } = await open();
	await functions.create(image(1));
	await functions.settled();
	const { revisionId } = functions.get("f");
	await functions.tag("f", { a: "1" });
	assert.notEqual(functions.get("f").revisionId, revisionId);
	const fifty = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`t${i}`, ""]));
	await assert.rejects(functions.tag("f", fifty), failsWith("INVALID", "Number of tags exceeds resource tag limit."));
	await functions.untag("f", ["a"]);
	await functions.tag("f", fifty);
	assert.deepEqual(ended, []);
});

test("tags that arrive during an activation do not lose it", async () => {
	const { functions, images } = await open();
	images.hold = true;
	await functions.create(image(1));
	await functions.tag("f", { a: "1" });
	await functions.setRecursiveLoop("f", "Allow");
	images.waiting[0]?.finish();
	await functions.settled();
	const { state, tags, recursiveLoop } = functions.get("f");
	assert.deepEqual([state.state, tags, recursiveLoop], ["Active", { a: "1" }, "Allow"]);
});

test("what is kept ready of a function is its owner's to say, outlives a restart and changes no revision", async () => {
	const store = new FakeFunctionStore();
	const { functions, ended } = await open(store);
	await functions.create(image(1));
	await functions.settled();
	const { revisionId } = functions.get("f");
	assert.deepEqual(functions.spareSetting("f"), { created: "auto", initialized: "auto" });
	await functions.setSpares("f", { initialized: 2 });
	const changed = await functions.setSpares("f", { created: 0 });
	assert.deepEqual([changed.spares, changed.revisionId], [{ created: 0, initialized: 2 }, revisionId]);
	await functions.setSpares("f", { initialized: "auto" });
	assert.deepEqual(functions.spareSetting("f"), { created: 0, initialized: "auto" });
	for (const bad of [-1, 1.5, 101, Number.NaN])
		await assert.rejects(functions.setSpares("f", { initialized: bad }), (error) => isSlipwayError(error, "INVALID"));
	await assert.rejects(functions.setSpares("g", { created: 1 }), (error) => isSlipwayError(error, "NOT_FOUND"));
	assert.deepEqual(functions.spareSetting("g"), { created: "auto", initialized: "auto" });
	assert.deepEqual(ended, []);
	const again = await open(store);
	assert.deepEqual(again.functions.spareSetting("f"), { created: 0, initialized: "auto" });
});

test("an image that is gone by the time it is fetched is ImageDeleted, one that may not be read ImageAccessDenied", async () => {
	for (const [error, reasonCode] of [
		[new SlipwayError("INVALID_IMAGE", "Not there", { reason: "ImageNotFound" }), "ImageDeleted"],
		[new SlipwayError("FORBIDDEN", "Not yours"), "ImageAccessDenied"],
		[new Error("A bug"), "InternalError"],
	] as const) {
		const { functions, images } = await open();
		images.hold = true;
		await functions.create(image(1));
		images.waiting[0]?.fail(error);
		await functions.settled();
		const { state } = functions.get("f");
		assert.ok(state.state === "Failed");
		assert.deepEqual([state.reasonCode, state.reason.includes("bug")], [reasonCode, false]);
	}
});

test("an activation whose last write failed is taken up when somebody asks for the function", async () => {
	const store = new FakeFunctionStore();
	const { functions, images } = await open(store);
	images.hold = true;
	await functions.create(image(1));
	const { put } = store;
	store.put = async () => {
		throw new SlipwayError("EXHAUSTED", "No space is left on the device");
	};
	images.waiting[0]?.finish();
	await functions.settled();
	store.put = put;
	for (let i = 0; i < 3; i++) assert.equal(functions.get("f").state.state, "Pending");
	assert.equal(images.waiting.length, 2, "once, however often it is asked for");
	images.waiting[1]?.finish();
	await functions.settled();
	assert.equal(functions.get("f").state.state, "Active");
});

import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { systemClock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { silentLog } from "../../base/log.ts";
import { type Digest, digestHex } from "../../core/image/digest.ts";
import { FakeRemoteRegistry } from "../../core/image/fake-remote-registry.ts";
import { mediaTypes } from "../../core/image/manifest.ts";
import { FakeRepositoryStore } from "../../core/repository/fake-repository-store.ts";
import { type ImageProgress, Images } from "./images.ts";
import { digest, FakeLayers, fakeBlobs, type MadeImage, makeImage, makeIndex, type TarFile, tar } from "./testing.ts";

const local = "127.0.0.1:4747";

async function setUp(t: TestContext) {
	const folder = await mkdtemp(join(tmpdir(), "slipway-archive-"));
	t.after(() => rm(folder, { recursive: true, force: true }));
	const stores = { blobs: fakeBlobs(), repositories: new FakeRepositoryStore() };
	const images = new Images({
		...stores,
		rootfs: new FakeLayers(),
		remote: new FakeRemoteRegistry(),
		isLocalRegistry: (host) => host === local,
		localRegistry: local,
		clock: systemClock,
		log: silentLog,
		hostArchitecture: "amd64",
	});
	const archive = async (files: TarFile[], pack: (bytes: Buffer) => Buffer = (bytes) => bytes) => {
		const path = join(folder, "archive");
		await writeFile(path, pack(tar(files)));
		return path;
	};
	return { ...stores, images, folder, archive };
}

function json(value: unknown): string {
	return JSON.stringify(value);
}

function blobName(of: Digest): string {
	return `blobs/sha256/${digestHex(of)}`;
}

/** What `docker save` wrote until version 24. */
function legacySave(image: MadeImage, repoTags: string[] | null = ["app:1"]): TarFile[] {
	const config = `${digestHex(digest(image.config))}.json`;
	const layers = image.layers.map((_, i) => `${"0".repeat(60)}${i}/layer.tar`);
	return [
		...image.layers.map((layer, i) => ({ name: layers[i] as string, content: layer.tar })),
		{ name: config, content: image.config },
		{ name: "manifest.json", content: json([{ Config: config, RepoTags: repoTags, Layers: layers }]) },
		{ name: "repositories", content: "{}" },
	];
}

function ociBlobs(image: MadeImage): TarFile[] {
	return [
		{ name: blobName(image.document.digest), content: image.document.bytes },
		{ name: blobName(digest(image.config)), content: image.config },
		...image.layers.map((layer) => ({ name: blobName(digest(layer.blob)), content: layer.blob })),
	];
}

function ociLayout(
	image: MadeImage,
	annotations?: Record<string, string>,
	top: { bytes: Uint8Array; mediaType: string; digest: Digest } = image.document,
): TarFile[] {
	const { mediaType, bytes } = top;
	const manifests = [{ mediaType, digest: top.digest, size: bytes.length, ...(annotations ? { annotations } : {}) }];
	return [
		{ name: "oci-layout", content: json({ imageLayoutVersion: "1.0.0" }) },
		{ name: "index.json", content: json({ schemaVersion: 2, manifests }) },
		...ociBlobs(image),
	];
}

function refused(reason: string, code = "INVALID_IMAGE") {
	return (error: unknown) => {
		assert.ok(error instanceof SlipwayError, String((error as Error).stack));
		assert.equal(error.code, code, error.message);
		if (reason) assert.equal(error.reason, reason, error.message);
		return true;
	};
}

for (const [name, pack] of Object.entries({ plain: undefined, gzip: gzipSync, zstd: zstdCompressSync }))
	test(`imports a docker save archive, ${name}`, async (t) => {
		const { images, blobs, archive } = await setUp(t);
		const image = makeImage({ layers: 3 });
		const progress: ImageProgress[] = [];
		const path = await archive(
			legacySave(image, ["app:1", `${local}/team/app:2`, "docker.io/me/app:3"]),
			pack as never,
		);
		const [imported] = await images.importArchive(path, { onProgress: (p) => progress.push(p) });
		assert.deepEqual(imported?.references, [`${local}/app:1`, `${local}/team/app:2`, "docker.io/me/app:3"]);
		assert.equal(
			progress.at(-1)?.done,
			image.layers.reduce((sum, layer) => sum + layer.tar.length, 0),
		);
		const detail = await images.inspect("team/app:2");
		assert.equal(detail.digest, imported?.digest);
		assert.deepEqual(
			detail.image?.layers.map((layer) => [layer.mediaType, layer.digest]),
			image.layers.map((layer) => ["application/vnd.oci.image.layer.v1.tar", layer.diffId]),
		);
		const prepared = await images.prepare(`${local}/app:1`, "x86_64");
		assert.deepEqual(prepared.image.entrypoint, ["/app"]);
		const again = await images.importArchive(path);
		assert.equal(again[0]?.digest, imported?.digest, "the same archive is the same image");
		assert.equal(blobs.blobs.size, 5);
	});

test("imports what docker save writes now, with its own manifest and compressed layers", async (t) => {
	const { images, archive } = await setUp(t);
	const image = makeImage();
	const attested = makeIndex([
		{ image, architecture: "amd64" },
		{ image: makeImage({ seed: "lost" }), os: "unknown", architecture: "unknown" },
		{ image: makeImage({ seed: "other" }), architecture: "arm64" },
	]);
	const files = [
		...ociLayout(image, { "io.containerd.image.name": "docker.io/library/app:1" }, attested),
		{ name: blobName(attested.digest), content: attested.bytes },
		{
			name: "manifest.json",
			content: json([
				{
					Config: blobName(digest(image.config)),
					RepoTags: ["app:1"],
					Layers: image.layers.map((layer) => blobName(digest(layer.blob))),
				},
			]),
		},
	];
	const [imported] = await images.importArchive(await archive(files));
	assert.deepEqual(imported, { references: [`${local}/app:1`], digest: image.document.digest });
});

test("layers that several images share, links to layers, and compressed layers of other tools", async (t) => {
	const { images, archive } = await setUp(t);
	const one = makeImage({ layers: 2 });
	const two = makeImage({ layers: 1, config: { created: "2026-11-02T00:00:00Z" } });
	const config = (image: MadeImage) => `${digestHex(digest(image.config))}.json`;
	const path = await archive([
		{ name: "l/0.tar", content: one.layers[0]?.tar },
		{ name: "l/1.tar", content: one.layers[1]?.blob },
		{ name: "m/link.tar", type: "2", linkName: "../l/0.tar" },
		{ name: config(one), content: one.config },
		{ name: config(two), content: two.config },
		{
			name: "manifest.json",
			content: json([
				{ Config: config(one), RepoTags: ["one:1"], Layers: ["l/0.tar", "l/1.tar"] },
				{ Config: config(two), RepoTags: ["two:1"], Layers: ["m/link.tar"] },
			]),
		},
	]);
	assert.equal((await images.importArchive(path)).length, 2);
	assert.deepEqual(
		(await images.inspect("one:1")).image?.layers.map((layer) => layer.mediaType),
		["application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip"],
	);
	assert.equal((await images.inspect("two:1")).image?.layers[0]?.digest, one.layers[0]?.diffId);
});

test("imports an OCI layout: file or folder, named by the archive or by the caller", async (t) => {
	const { images, archive, folder } = await setUp(t);
	const image = makeImage();
	const named = await images.importArchive(
		await archive(ociLayout(image, { "org.opencontainers.image.ref.name": "registry.example/app:v1" }), gzipSync),
	);
	assert.deepEqual(named, [{ references: ["registry.example/app:v1"], digest: image.document.digest }]);
	await images.inspect("registry.example/app:v1");

	const layout = join(folder, "layout");
	for (const { name, content } of ociLayout(image, { "org.opencontainers.image.ref.name": "v2" })) {
		await mkdir(dirname(join(layout, name)), { recursive: true });
		await writeFile(join(layout, name), content ?? "");
	}
	await assert.rejects(images.importArchive(layout), refused("ArchiveWithoutName", "INVALID"));
	assert.deepEqual((await images.importArchive(layout, { repository: "app" }))[0]?.references, [`${local}/app:v2`]);
	assert.deepEqual((await images.importArchive(layout, { repository: "b/c:d" }))[0]?.references, [`${local}/b/c:d`]);
});

test("chooses the image of an index by architecture", async (t) => {
	const { images, archive } = await setUp(t);
	const amd = makeImage();
	const arm = makeImage({ seed: "arm", config: { architecture: "arm64" } });
	const index = makeIndex([
		{ image: arm, architecture: "arm64" },
		{ image: amd, architecture: "amd64" },
	]);
	const files = [
		...ociLayout(amd, undefined, index),
		...ociBlobs(arm),
		{ name: blobName(index.digest), content: index.bytes },
	];
	const path = await archive(files);
	assert.equal((await images.importArchive(path, { repository: "a" }))[0]?.digest, amd.document.digest);
	const chosen = await images.importArchive(path, { repository: "a", architecture: "arm64" });
	assert.equal(chosen[0]?.digest, arm.document.digest);
});

test("refuses evil and broken archives, and leaves nothing", async (t) => {
	const { images, archive, blobs, repositories, folder } = await setUp(t);
	const image = makeImage();
	const save = legacySave(image);
	const without = (files: TarFile[], part: string) => files.filter((file) => !file.name.includes(part));
	const replaced = (files: TarFile[], part: string, file: Partial<TarFile>) =>
		files.map((old) => (old.name.includes(part) ? { ...old, ...file } : old));
	const layout = ociLayout(image, { "org.opencontainers.image.ref.name": "registry.example/app:v1" });
	const layerName = blobName(digest(image.layers[1]!.blob));
	const other = Buffer.from(image.layers[1]!.blob);
	other[20] = (other[20] ?? 0) ^ 1;
	const config = `${digestHex(digest(image.config))}.json`;
	const cases: [string, TarFile[], string, string?][] = [
		["path tricks", [...save, { name: "../../etc/cron.d/x", content: "x" }], "ArchivePathEscape"],
		["absolute path", [...save, { name: "/etc/passwd", content: "x" }], "ArchivePathEscape"],
		[
			"link to outside",
			replaced(save, "1/layer.tar", { type: "2", linkName: "../../../etc/passwd", content: "" }),
			"ArchivePathEscape",
		],
		[
			"absolute link",
			replaced(save, "1/layer.tar", { type: "2", linkName: "/etc/passwd", content: "" }),
			"ArchivePathEscape",
		],
		[
			"hard link to outside",
			replaced(save, "1/layer.tar", { type: "1", linkName: "../x", content: "" }),
			"ArchivePathEscape",
		],
		[
			"link to itself",
			replaced(save, "1/layer.tar", { type: "2", linkName: "layer.tar", content: "" }),
			"InvalidArchive",
		],
		[
			"name in the manifest",
			replaced(save, "manifest.json", {
				content: json([{ Config: "../../etc/shadow", RepoTags: ["a:1"], Layers: [] }]),
			}),
			"ArchivePathEscape",
		],
		["device as config", replaced(save, config, { type: "3", content: "" }), "InvalidArchive"],
		["twice", [...save, { name: "manifest.json", content: "[]" }], "ArchiveDuplicateEntry"],
		["missing layer", without(save, "1/layer.tar"), "ArchiveIncomplete"],
		["missing config", without(save, config), "ArchiveIncomplete"],
		["empty manifest", replaced(save, "manifest.json", { content: "[]" }), "InvalidArchive"],
		["not JSON", replaced(save, "manifest.json", { content: "{" }), "InvalidArchive"],
		["wrong shape", replaced(save, "manifest.json", { content: '[{"Config":7}]' }), "InvalidArchive"],
		[
			"huge manifest",
			replaced(save, "manifest.json", { content: Buffer.alloc(5 * 1024 * 1024, 32) }),
			"ArchiveDocumentTooLarge",
		],
		[
			"layer count",
			replaced(save, "manifest.json", { content: json([{ Config: config, RepoTags: ["a:1"], Layers: [] }]) }),
			"LayerCountMismatch",
		],
		["wrong layer", replaced(save, "1/layer.tar", { content: tar([{ name: "x" }]) }), "", "DIGEST_MISMATCH"],
		["wrong config", replaced(save, config, { content: `${image.config} ` }), "", "DIGEST_MISMATCH"],
		[
			"same name twice",
			replaced(save, "manifest.json", {
				content: json([{ Config: config, RepoTags: ["a:1", "a:1"], Layers: save.slice(0, 2).map((f) => f.name) }]),
			}),
			"ArchiveNameClash",
			"INVALID",
		],
		[
			"bad name",
			replaced(save, "manifest.json", {
				content: json([{ Config: config, RepoTags: ["A B"], Layers: save.slice(0, 2).map((f) => f.name) }]),
			}),
			"InvalidArchive",
		],
		["no layout", without(layout, "oci-layout"), "InvalidArchive"],
		["other layout", replaced(layout, "oci-layout", { content: '{"imageLayoutVersion":"2"}' }), "InvalidArchive"],
		["missing blob", without(layout, layerName), "ArchiveIncomplete"],
		["missing manifest", without(layout, digestHex(image.document.digest)), "ArchiveIncomplete"],
		["wrong blob", replaced(layout, layerName, { content: other }), "", "DIGEST_MISMATCH"],
		["short blob", replaced(layout, layerName, { content: "x" }), "", "DIGEST_MISMATCH"],
		[
			"wrong manifest",
			replaced(layout, digestHex(image.document.digest), { content: image.config }),
			"",
			"DIGEST_MISMATCH",
		],
		["nothing", [], "InvalidArchive"],
	];
	for (const pack of [undefined, gzipSync])
		for (const [name, files, reason, code] of cases)
			await assert.rejects(images.importArchive(await archive(files, pack)), refused(reason, code), name);

	const packed = gzipSync(tar(save));
	const damaged = Buffer.from(packed);
	damaged.fill(0x55, packed.length / 2, packed.length / 2 + 20);
	await writeFile(join(folder, "short"), packed.subarray(0, packed.length - 100));
	await writeFile(join(folder, "damaged"), damaged);
	await writeFile(join(folder, "cut"), tar(save).subarray(0, 700));
	await writeFile(join(folder, "text"), "hello");
	await assert.rejects(images.importArchive(join(folder, "short")), refused("ArchiveTruncated"));
	await assert.rejects(images.importArchive(join(folder, "damaged")), refused("ArchiveDamaged"));
	await assert.rejects(images.importArchive(join(folder, "cut")), refused("InvalidArchive"));
	await assert.rejects(images.importArchive(join(folder, "text")), refused("InvalidArchive"));
	await assert.rejects(images.importArchive(join(folder, "none")), refused("", "NOT_FOUND"));
	assert.deepEqual(await repositories.listRepositories({ limit: 10 }), []);
	assert.equal(blobs.blobs.size, 0);
	assert.equal(await blobs.expireUploads(Number.MAX_SAFE_INTEGER), 0, "no session is left");
});

test("refuses folders that lead outside", async (t) => {
	const { images, folder, blobs } = await setUp(t);
	const image = makeImage();
	const layout = join(folder, "layout");
	for (const { name, content } of ociLayout(image)) {
		await mkdir(dirname(join(layout, name)), { recursive: true });
		await writeFile(join(layout, name), content ?? "");
	}
	const layer = join(layout, blobName(digest(image.layers[0]!.blob)));
	await writeFile(join(folder, "outside"), image.layers[0]!.blob);
	await rm(layer);
	await symlink(join(folder, "outside"), layer);
	await assert.rejects(images.importArchive(layout, { repository: "a" }), refused("ArchivePathEscape"));
	await rm(layer);
	await symlink("/dev/zero", layer);
	await assert.rejects(images.importArchive(layout, { repository: "a" }), refused("InvalidArchive"));
	await rm(layer);
	await mkdir(layer);
	await assert.rejects(images.importArchive(layout, { repository: "a" }), refused("InvalidArchive"));
	assert.equal(blobs.blobs.size, 0);
});

test("an abort ends an import and leaves nothing", async (t) => {
	const { images, blobs, archive } = await setUp(t);
	const path = await archive(legacySave(makeImage({ layers: 5 })));
	const abort = new AbortController();
	const onProgress = () => abort.abort(new Error("gone"));
	await assert.rejects(images.importArchive(path, { signal: abort.signal, onProgress }), /gone/);
	assert.equal(blobs.blobs.size, 0);
	assert.equal(await blobs.expireUploads(Number.MAX_SAFE_INTEGER), 0);
});

test("an index that holds itself ends", async (t) => {
	const { images, archive } = await setUp(t);
	const image = makeImage();
	let top = image.document;
	const files: TarFile[] = [];
	for (let depth = 0; depth < 7; depth++) {
		const bytes = Buffer.from(
			json({
				schemaVersion: 2,
				mediaType: mediaTypes.ociIndex,
				manifests: [{ mediaType: top.mediaType, digest: top.digest, size: top.bytes.length }],
			}),
		);
		top = { bytes, mediaType: mediaTypes.ociIndex, digest: digest(bytes) };
		files.push({ name: blobName(top.digest), content: bytes });
	}
	const path = await archive([...ociLayout(image, undefined, top), ...files]);
	await assert.rejects(images.importArchive(path, { repository: "a" }), refused("InvalidArchive"));
});

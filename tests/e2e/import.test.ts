/** Archives that skopeo writes, through the real stores, to a root that can be read. */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { FsBlobStore } from "../../src/adapters/blobs-fs/fs-blob-store.ts";
import { OverlayRootfsStore } from "../../src/adapters/layers-overlay/overlay-rootfs-store.ts";
import { SqliteStore } from "../../src/adapters/store-sqlite/sqlite-store.ts";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { FakeRemoteRegistry } from "../../src/core/image/fake-remote-registry.ts";
import { Images } from "../../src/engine/images/images.ts";
import { makeImage } from "../../src/engine/images/testing.ts";

const run = promisify(execFile);
const local = "127.0.0.1:4747";

function missing(): string | undefined {
	if (process.getuid?.() !== 0) return "unpacking layers needs root";
	return spawnSync("skopeo", ["--version"]).status === 0 ? undefined : "skopeo is not installed";
}
const reason = missing();

async function setUp(t: TestContext) {
	const folder = await mkdtemp(join(tmpdir(), "slipway-import-"));
	const blobs = await FsBlobStore.open({ root: join(folder, "blobs") });
	const store = await SqliteStore.open({ path: join(folder, "state.db") });
	const rootfs = await OverlayRootfsStore.open({ root: join(folder, "layers") });
	t.after(async () => {
		await rootfs[Symbol.asyncDispose]();
		await store[Symbol.asyncDispose]();
		await rm(folder, { recursive: true, force: true });
	});
	const images = new Images({
		blobs,
		repositories: store.repositories,
		rootfs,
		remote: new FakeRemoteRegistry(),
		isLocalRegistry: (host) => host === local,
		localRegistry: local,
		clock: systemClock,
		log: silentLog,
		hostArchitecture: "amd64",
	});
	return { folder, images, rootfs, blobs };
}

/** An OCI layout on the disk for skopeo to read. */
async function writeLayout(folder: string): Promise<ReturnType<typeof makeImage>> {
	const image = makeImage({ layers: 3 });
	await mkdir(join(folder, "blobs/sha256"), { recursive: true });
	for (const bytes of [image.document.bytes, image.config, ...image.layers.map((layer) => layer.blob)])
		await writeFile(join(folder, "blobs/sha256", createHash("sha256").update(bytes).digest("hex")), bytes);
	const { mediaType, digest, bytes } = image.document;
	const annotations = { "org.opencontainers.image.ref.name": "v1" };
	const manifests = [{ mediaType, digest, size: bytes.length, annotations }];
	await writeFile(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
	await writeFile(join(folder, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
	return image;
}

test("imports what skopeo writes, and runs on it", reason ? { skip: reason } : {}, async (t) => {
	const { folder, images, rootfs } = await setUp(t);
	const layout = join(folder, "layout");
	const image = await writeLayout(layout);
	const skopeo = (to: string) => run("skopeo", ["copy", "--insecure-policy", `oci:${layout}:v1`, to]);
	await skopeo(`docker-archive:${folder}/docker.tar:team/app:v1`);
	await skopeo(`oci-archive:${folder}/oci.tar:v2`);
	await writeFile(join(folder, "docker.tar.gz"), gzipSync(await readFile(join(folder, "docker.tar"))));

	const [docker] = await images.importArchive(join(folder, "docker.tar"));
	assert.deepEqual(docker?.references, ["docker.io/team/app:v1"]);
	const [packed] = await images.importArchive(join(folder, "docker.tar.gz"), { repository: "team/packed" });
	assert.equal(packed?.digest, docker?.digest);
	assert.deepEqual(packed?.references, [`${local}/team/packed:v1`]);
	const [oci] = await images.importArchive(join(folder, "oci.tar"), { repository: "team/oci" });
	assert.deepEqual(oci?.references, [`${local}/team/oci:v2`]);
	assert.equal(oci?.digest, image.document.digest);
	const [plain] = await images.importArchive(layout, { repository: "plain:1" });
	assert.equal(plain?.digest, image.document.digest);

	for (const uri of [`${local}/team/packed:v1`, `${local}/team/oci:v2`]) {
		const prepared = await images.prepare(uri, "x86_64");
		assert.deepEqual(
			prepared.image.diffIds,
			image.layers.map((layer) => layer.diffId),
		);
		const root = await rootfs.acquire(prepared.image.diffIds);
		for (const i of [0, 1, 2]) assert.equal(await readFile(join(root.path, `file${i}`), "utf8"), `seed ${i}`);
		await root.release();
	}
});

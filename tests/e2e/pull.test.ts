/** An image's way over HTTP: pushed to one registry of ours, pulled by another, unpacked on real stores. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { FsBlobStore } from "../../src/adapters/blobs-fs/fs-blob-store.ts";
import { OverlayRootfsStore } from "../../src/adapters/layers-overlay/overlay-rootfs-store.ts";
import { RegistryClient } from "../../src/adapters/registry-client/registry-client.ts";
import { SqliteStore } from "../../src/adapters/store-sqlite/sqlite-store.ts";
import { systemClock } from "../../src/base/clock.ts";
import type { SlipwayError } from "../../src/base/error.ts";
import { silentLog } from "../../src/base/log.ts";
import { Collector } from "../../src/engine/images/collect.ts";
import { Images, localRegistryMatcher } from "../../src/engine/images/images.ts";
import { makeImage, makeIndex, push } from "../../src/engine/images/testing.ts";
import { createRegistryFront } from "../../src/front/registry/registry-front.ts";

const isRoot = process.getuid?.() === 0;
const needsRoot = isRoot ? {} : { skip: "unpacking layers needs root" };

interface Node extends AsyncDisposable {
	host: string;
	blobs: FsBlobStore;
	store: SqliteStore;
	images: Images;
	collector: Collector;
	rootfs: OverlayRootfsStore;
}

/** A whole registry with its engine. `spoil` may answer a request in the place of the front. */
async function startNode(
	t: TestContext,
	options: { spoil?: (url: string, response: ServerResponse) => boolean; password?: string } = {},
): Promise<Node> {
	const root = await mkdtemp(join(tmpdir(), "slipway-pull-"));
	const blobs = await FsBlobStore.open({ root: join(root, "blobs") });
	const store = await SqliteStore.open({ path: join(root, "state.db") });
	const rootfs = await OverlayRootfsStore.open({ root: join(root, "layers") });
	const front = createRegistryFront({
		blobs,
		repositories: store.repositories,
		createOnPush: true,
		authorize: () => ({ name: "all" }),
	});
	const server = createServer((request, response) => {
		const { password } = options;
		const expected = `Basic ${Buffer.from(`AWS:${password}`).toString("base64")}`;
		if (password !== undefined && request.headers.authorization !== expected)
			return response.writeHead(401, { "www-authenticate": 'Basic realm="slipway"' }).end();
		if (!options.spoil?.(request.url ?? "", response)) void front(request, response);
	});
	const host = await listen(server);
	const remote = new RegistryClient({
		clock: systemClock,
		log: silentLog,
		random: Math.random,
		limits: { backoffMs: 5 },
		credentials: () => ({ username: "AWS", password: "right" }),
	});
	const images = new Images({
		blobs,
		repositories: store.repositories,
		rootfs,
		remote,
		isLocalRegistry: localRegistryMatcher([host]),
		localRegistry: host,
		clock: systemClock,
		log: silentLog,
		hostArchitecture: "amd64",
	});
	const collector = new Collector({
		blobs,
		repositories: store.repositories,
		rootfs,
		pins: images.pins,
		inUse: () => [],
		clock: systemClock,
		log: silentLog,
		graceMs: 0,
	});
	const dispose = async () => {
		await collector[Symbol.asyncDispose]();
		remote[Symbol.dispose]();
		server.closeAllConnections();
		server.close();
		await rootfs[Symbol.asyncDispose]();
		await store[Symbol.asyncDispose]();
		await rm(root, { recursive: true, force: true });
	};
	t.after(dispose);
	return { host, blobs, store, images, collector, rootfs, [Symbol.asyncDispose]: dispose };
}

async function listen(server: Server): Promise<string> {
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("pulls from a registry with a login, unpacks, and serves the same image again", needsRoot, async (t) => {
	const origin = await startNode(t, { password: "right" });
	const node = await startNode(t);
	const image = makeImage({ layers: 5 });
	await push({ blobs: origin.blobs, repositories: origin.store.repositories }, "team/app", "v1", image);
	const prepared = await node.images.prepare(`${origin.host}/team/app:v1`, "x86_64");
	assert.equal(prepared.manifestDigest, image.document.digest);
	for (const layer of image.layers) assert.ok(await node.rootfs.has(layer.diffId));
	const root = await node.rootfs.acquire(prepared.image.diffIds);
	await root.release();

	const third = await startNode(t);
	const mirror = `${node.host}/127.0.0.1__${origin.host.split(":")[1]}/team/app`;
	const again = await third.images.pull(`${mirror}:v1`);
	assert.equal(again.digest, image.document.digest);
	const local = `${third.host}/${(await third.images.list())[0]?.repository}:v1`;
	assert.equal((await third.images.resolve(local, "x86_64")).manifestDigest, image.document.digest);
});

test("a pull survives a registry that breaks off, and refuses one that lies", needsRoot, async (t) => {
	const layer = randomBytes(3_000_000);
	const digest = `sha256:${createHash("sha256").update(layer).digest("hex")}` as const;
	let breaks = 0;
	let isLying = false;
	const origin = await startNode(t, {
		spoil: (url, response) => {
			if (!url.includes(`/blobs/${digest}`) || breaks >= 3) return false;
			if (isLying) response.writeHead(200, { "content-length": layer.length }).end(randomBytes(layer.length));
			else {
				breaks++;
				response.writeHead(200, { "content-length": layer.length });
				response.write(layer.subarray(0, 1_000_000), () => setTimeout(() => response.destroy(), 5));
			}
			return true;
		},
	});
	const stores = { blobs: origin.blobs, repositories: origin.store.repositories };
	const node = await startNode(t);
	const blob = { mediaType: "application/vnd.oci.image.layer.v1.tar", digest, size: layer.length };
	const image = makeImage({
		manifest: { layers: [blob] },
		config: { rootfs: { type: "layers", diff_ids: [digest] } },
		layers: 0,
	});
	await push(stores, "app", "1", { ...image, layers: [{ tar: layer, blob: layer, diffId: digest }] });
	await node.images.pull(`${origin.host}/app:1`);
	assert.equal(breaks, 3);
	assert.deepEqual(await node.blobs.stat(digest), { size: layer.length });

	await node.images.remove((await node.images.list())[0]!.reference);
	assert.ok((await node.collector.collect()).blobs >= 3);
	assert.equal(await node.blobs.stat(digest), undefined, "the collector has freed it");
	isLying = true;
	breaks = 0;
	await assert.rejects(
		node.images.pull(`${origin.host}/app:1`),
		(error: SlipwayError) => error.code === "DIGEST_MISMATCH",
	);
	assert.equal(await node.blobs.stat(digest), undefined);
	assert.deepEqual(await node.images.list(), []);
});

test("an index is pulled by architecture and refused as a function's image", needsRoot, async (t) => {
	const origin = await startNode(t);
	const node = await startNode(t);
	const stores = { blobs: origin.blobs, repositories: origin.store.repositories };
	const amd = makeImage();
	const arm = makeImage({ seed: "arm", config: { architecture: "arm64" } });
	for (const image of [amd, arm]) await push(stores, "app", undefined, image);
	await push(
		stores,
		"app",
		"1",
		makeIndex([
			{ image: arm, architecture: "arm64" },
			{ image: amd, architecture: "amd64" },
		]),
	);
	const uri = `${origin.host}/app:1`;
	await assert.rejects(
		node.images.prepare(uri, "x86_64"),
		(error: SlipwayError) => error.reason === "MultiArchitectureImage",
	);
	const { digest } = await node.images.pull(uri);
	assert.equal(digest, amd.document.digest);
	assert.equal((await node.images.prepare(`${origin.host}/app@${digest}`, "x86_64")).manifestDigest, digest);
	await assert.rejects(node.images.prepare(`${origin.host}/app:2`, "x86_64"), (error: SlipwayError) =>
		/does not exist\. Provide a valid source image\./.test(error.message),
	);
	await assert.rejects(
		node.images.prepare(`${origin.host}/app@${arm.document.digest}`, "x86_64"),
		(error: SlipwayError) => error.reason === "ArchitectureMismatch",
	);
});

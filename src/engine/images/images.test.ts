import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { silentLog } from "../../base/log.ts";
import type { Digest } from "../../core/image/digest.ts";
import { FakeRemoteRegistry } from "../../core/image/fake-remote-registry.ts";
import { mediaTypes } from "../../core/image/manifest.ts";
import { FakeRepositoryStore } from "../../core/repository/fake-repository-store.ts";
import { type ImageProgress, Images, localRegistryMatcher } from "./images.ts";
import { FakeLayers, fakeBlobs, type MadeImage, makeImage, makeIndex, push } from "./testing.ts";

const local = "127.0.0.1:4747";

function setUp(options: { usedBy?: (digest: Digest) => string[] } = {}) {
	const stores = { blobs: fakeBlobs(), repositories: new FakeRepositoryStore() };
	const rootfs = new FakeLayers();
	const remote = new FakeRemoteRegistry();
	const images = new Images({
		...stores,
		rootfs,
		remote,
		isLocalRegistry: localRegistryMatcher([local, "localhost:4747", "123456789012.dkr.ecr.*.amazonaws.com"]),
		localRegistry: local,
		clock: systemClock,
		log: silentLog,
		hostArchitecture: "amd64",
		...options,
	});
	return { ...stores, stores, rootfs, remote, images };
}

function offer(remote: FakeRemoteRegistry, name: string, tag: string, image: MadeImage): void {
	remote.manifests.set(`${name}:${tag}`, image.document);
	remote.manifests.set(`${name}@${image.document.digest}`, image.document);
	for (const layer of image.layers)
		remote.blobs.set(image.manifest.layers[image.layers.indexOf(layer)]!.digest, layer.blob);
	remote.blobs.set(image.manifest.config.digest, image.config);
}

function refused(code: string, message: RegExp, reason?: string) {
	return (error: unknown) => {
		assert.ok(error instanceof SlipwayError, String(error));
		assert.equal(error.code, code, error.message);
		assert.match(error.message, message);
		if (reason) assert.equal(error.reason, reason);
		return true;
	};
}

test("prepares an image of the local registry, by tag and by digest", async () => {
	const { stores, rootfs, remote, images } = setUp();
	const image = makeImage({ layers: 3 });
	await push(stores, "team/app", "v1", image);
	const prepared = await images.prepare(`${local}/team/app:v1`, "x86_64");
	const { digest } = image.document;
	assert.equal(prepared.resolvedImageUri, `${local}/team/app@${digest}`);
	assert.equal(prepared.manifestDigest, digest);
	assert.deepEqual(prepared.image, {
		diffIds: image.layers.map((layer) => layer.diffId),
		entrypoint: ["/app"],
		cmd: ["serve"],
		env: { A: "1", B: "x=y" },
		workingDir: "/work",
		user: "",
		architecture: "x86_64",
		size: image.config.length + image.layers.reduce((sum, layer) => sum + layer.blob.length, 0),
	});
	assert.equal(rootfs.unpacked.length, 3);
	const first = rootfs.unpacked.find((layer) => layer.diffId === image.layers[0]?.diffId);
	assert.equal(first?.path, `/blobs/${image.manifest.layers[0]?.digest}`);
	const host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
	for (const uri of [`localhost:4747/team/app@${digest}`, `${host}/team/app:v1`, `${host}/team/app:moved@${digest}`])
		assert.equal((await images.prepare(uri, "x86_64")).manifestDigest, digest);
	assert.equal(rootfs.unpacked.length, 3, "nothing is unpacked twice");
	assert.deepEqual(remote.asked, []);
});

test("resolve fetches no layer and unpacks nothing", async () => {
	const { rootfs, remote, images } = setUp();
	const image = makeImage();
	offer(remote, "registry.example/app", "1", image);
	const resolved = await images.resolve("registry.example/app:1", "x86_64");
	assert.equal(resolved.manifestDigest, image.document.digest);
	assert.equal(rootfs.unpacked.length, 0);
	assert.deepEqual(remote.asked, ["registry.example/app:1", image.manifest.config.digest]);
});

test("pulls an image of another registry once, and keeps it in its mirror repository", async () => {
	const { repositories, rootfs, remote, images } = setUp();
	const image = makeImage({ layers: 12 });
	offer(remote, "localhost:5000/app", "1", image);
	remote.beforeBlob = () => sleep(5);
	const progress: ImageProgress[] = [];
	const prepared = await images.prepare("localhost:5000/app:1", "x86_64", { onProgress: (p) => progress.push(p) });
	assert.equal(prepared.resolvedImageUri, `localhost:5000/app@${image.document.digest}`);
	assert.equal(remote.mostOpenBlobs, 4);
	assert.equal(rootfs.unpacked.length, 12);
	const stored = await repositories.getManifest("localhost__5000/app", { tag: "1" });
	assert.equal(stored?.digest, image.document.digest);
	for (const stage of ["pull", "unpack"] as const) {
		const last = progress.filter((p) => p.stage === stage).at(-1);
		assert.ok(last && last.done === last.total && last.total > 0, stage);
	}
	const requests = remote.asked.length;
	assert.equal(requests, 14);
	await images.prepare(prepared.resolvedImageUri, "x86_64");
	assert.equal(remote.asked.length, requests, "a digest that is here needs no registry");
	await images.prepare("localhost:5000/app:1", "x86_64");
	assert.equal(remote.asked.length, requests + 1, "a tag is asked for once, and no blob");
});

test("two functions of one remote image share its transfers, and the abort of one does not fail the other", async () => {
	const { remote, images } = setUp();
	const image = makeImage({ layers: 2 });
	offer(remote, "registry.example/app", "1", image);
	remote.beforeBlob = (_, signal) => sleep(30, undefined, signal ? { signal } : {});
	await Promise.all([1, 2, 3].map(() => images.prepare("registry.example/app:1", "x86_64")));
	const blobs = remote.asked.filter((asked) => asked.startsWith("sha256:"));
	assert.equal(new Set(blobs).size, blobs.length);

	const other = makeImage({ layers: 2, seed: "other" });
	offer(remote, "registry.example/app", "2", other);
	const abort = new AbortController();
	const first = images.prepare("registry.example/app:2", "x86_64", { signal: abort.signal });
	const second = images.prepare("registry.example/app:2", "x86_64");
	setTimeout(() => abort.abort(new Error("gone")), 10);
	await assert.rejects(first, /gone/);
	assert.equal((await second).manifestDigest, other.document.digest);
});

test("a registry that is off line is replaced by the copy that is here", async () => {
	const { remote, images } = setUp();
	const image = makeImage();
	offer(remote, "registry.example/app", "1", image);
	await images.prepare("registry.example/app:1", "x86_64");
	remote.failure = new SlipwayError("UNAVAILABLE", "off line");
	assert.equal((await images.prepare("registry.example/app:1", "x86_64")).manifestDigest, image.document.digest);
	await assert.rejects(images.prepare("registry.example/app:2", "x86_64"), refused("UNAVAILABLE", /off line/));
	remote.failure = new SlipwayError("UNAUTHENTICATED", "log in");
	await assert.rejects(images.prepare("registry.example/app:1", "x86_64"), refused("UNAUTHENTICATED", /log in/));
});

test("refuses what is not there in the cloud's words", async () => {
	const { stores, remote, blobs, images } = setUp();
	const image = makeImage();
	await push(stores, "app", "1", image);
	const message = (uri: string) =>
		new RegExp(`^Source image ${uri.replaceAll(".", "\\.")} does not exist\\. Provide a valid source image\\.$`);
	for (const uri of [`${local}/app:2`, `${local}/other:1`, "registry.example/app:9"])
		await assert.rejects(images.prepare(uri, "x86_64"), refused("INVALID_IMAGE", message(uri), "ImageNotFound"), uri);
	for (const uri of ["app:1", "", `${local}/App:1`, `${local}/app:1@sha256:abc`, `${local}/../etc`])
		await assert.rejects(
			images.prepare(uri, "x86_64"),
			refused("INVALID", /is not valid\. Provide a valid source image\./),
			uri,
		);
	await blobs.delete(image.manifest.layers[1]!.digest);
	await assert.rejects(
		images.prepare(`${local}/app:1`, "x86_64"),
		refused("INVALID_IMAGE", /is not complete: its blob/, "BlobNotFound"),
	);
	await blobs.delete(image.document.digest);
	await assert.rejects(
		images.prepare(`${local}/app:1`, "x86_64"),
		refused("INVALID_IMAGE", /is not complete/, "BlobNotFound"),
	);
	assert.deepEqual(remote.asked, ["registry.example/app:9"]);
});

test("refuses an index and says how to build the image", async () => {
	const { stores, images } = setUp();
	const amd = makeImage();
	const attested = makeIndex([
		{ image: amd, architecture: "amd64" },
		{ image: makeImage({ seed: "a" }), os: "unknown", architecture: "unknown" },
	]);
	for (const seed of ["seed", "a", "b"]) await push(stores, "app", undefined, makeImage({ seed }));
	await push(stores, "app", "attested", attested);
	const supported =
		/^The image manifest, config or layer media type for the source image 127.* is not supported: it is an image index \(linux\/amd64 with 1 attestation\).*--provenance=false --sbom=false --platform linux\/amd64/;
	await assert.rejects(
		images.prepare(`${local}/app:attested`, "x86_64"),
		refused("INVALID_IMAGE", supported, "ImageIndex"),
	);
	const multi = makeIndex([
		{ image: amd, architecture: "amd64" },
		{ image: makeImage({ seed: "b" }), architecture: "arm64" },
	]);
	await push(stores, "app", "multi", multi);
	await assert.rejects(
		images.prepare(`${local}/app:multi`, "x86_64"),
		refused("INVALID_IMAGE", /linux\/amd64, linux\/arm64/, "MultiArchitectureImage"),
	);
});

test("takes an index's image where that is asked for, and prepares it by its digest, off line too", async () => {
	const { stores, remote, rootfs, images } = setUp();
	const amd = makeImage();
	const arm = makeImage({ seed: "arm", config: { architecture: "arm64" } });
	const index = makeIndex([
		{ image: arm, architecture: "arm64" },
		{ image: amd, architecture: "amd64" },
	]);
	for (const image of [amd, arm]) {
		offer(remote, "registry.example/app", "unused", image);
		await push(stores, "app", undefined, image);
	}
	remote.manifests.set("registry.example/app:1", index);
	await push(stores, "app", "1", index);
	const { digest } = amd.document;
	for (const host of [local, "registry.example"]) {
		const { resolvedImageUri, manifestDigest } = await images.resolve(`${host}/app:1`, "x86_64", { fromIndex: true });
		assert.deepEqual([resolvedImageUri, manifestDigest], [`${host}/app@${digest}`, digest]);
		await images.prepare(resolvedImageUri, "x86_64");
	}
	assert.equal(rootfs.unpacked.length, amd.layers.length);
	const asked = remote.asked.length;
	await images.prepare(`registry.example/app@${digest}`, "x86_64");
	assert.equal(remote.asked.length, asked);
	const mips = makeIndex([{ image: arm, architecture: "mips" }]);
	remote.manifests.set("registry.example/app:2", mips);
	await assert.rejects(
		images.resolve("registry.example/app:2", "x86_64", { fromIndex: true }),
		refused("INVALID_IMAGE", /no image for linux\/amd64, only for linux\/mips/, "ArchitectureMismatch"),
	);
});

test("refuses the wrong architecture and names both", async () => {
	const { stores, images } = setUp();
	await push(stores, "app", "amd", makeImage());
	await push(stores, "app", "arm", makeImage({ config: { architecture: "arm64" } }));
	await push(stores, "app", "risc", makeImage({ config: { architecture: "riscv64" } }));
	await push(stores, "app", "windows", makeImage({ config: { os: "windows" } }));
	const prepare = (tag: string, architecture: "x86_64" | "arm64") =>
		images.prepare(`${local}/app:${tag}`, architecture);
	const mismatch = (message: RegExp) => refused("INVALID_IMAGE", message, "ArchitectureMismatch");
	await assert.rejects(
		prepare("arm", "x86_64"),
		mismatch(/built for arm64 .* function's architecture is x86_64 .*--platform linux\/amd64.*--architectures arm64/),
	);
	await assert.rejects(
		prepare("amd", "arm64"),
		mismatch(/built for x86_64 .* function's architecture is arm64 .*--platform linux\/arm64/),
	);
	await assert.rejects(prepare("risc", "x86_64"), mismatch(/built for riscv64/));
	await assert.rejects(
		prepare("arm", "arm64"),
		refused("INVALID_IMAGE", /are for arm64 .*this machine runs x86_64/, "HostArchitectureMismatch"),
	);
	await assert.rejects(prepare("windows", "x86_64"), refused("INVALID_IMAGE", /windows/, "OsMismatch"));
});

test("refuses images that can't be functions", async () => {
	const { stores, rootfs, images } = setUp();
	const layer = makeImage().manifest.layers[0]!;
	const cases: [string, MadeImage, RegExp][] = [
		[
			"artifact",
			makeImage({
				manifest: { config: { ...makeImage().manifest.config, mediaType: "application/vnd.oci.empty.v1+json" } },
			}),
			/not an image's/,
		],
		[
			"foreign",
			makeImage({
				manifest: { layers: [{ ...layer, mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" }] },
			}),
			/not a layer's/,
		],
		["none", makeImage({ manifest: { layers: [] } }), /0 layers/],
		["many", makeImage({ manifest: { layers: Array.from({ length: 128 }, () => layer) } }), /128 layers/],
		[
			"count",
			makeImage({ layers: 2, config: { rootfs: { type: "layers", diff_ids: [layer.digest] } } }),
			/2 layers in its manifest and 1 in its config/,
		],
		["huge", makeImage({ manifest: { layers: [{ ...layer, size: 11 * 1024 ** 3 }] } }), /larger than 10 GB/],
		["zero", makeImage({ config: { config: { Cmd: ["a\0b"] } } }), /zero byte/],
	];
	for (const [tag, image, message] of cases) {
		await push(stores, "app", tag, image);
		await assert.rejects(images.prepare(`${local}/app:${tag}`, "x86_64"), refused("INVALID_IMAGE", message), tag);
	}
	assert.equal(rootfs.unpacked.length, 0);
	await push(stores, "app", "docker", makeImage({ mediaType: mediaTypes.dockerManifest, seed: "docker" }));
	await images.prepare(`${local}/app:docker`, "x86_64");
	rootfs.layerSize = 6 * 1024 ** 3;
	await push(stores, "app", "bomb", makeImage({ layers: 2, seed: "bomb" }));
	await assert.rejects(
		images.prepare(`${local}/app:bomb`, "x86_64"),
		refused("INVALID_IMAGE", /10 GB/, "ImageTooLarge"),
	);
});

test("unpacks a few layers at a time, each diffID once; an error or an abort ends all", async () => {
	const { stores, rootfs, images } = setUp();
	const image = makeImage({ layers: 10 });
	await push(stores, "app", "1", image);
	rootfs.beforeUnpack = (_, signal) => sleep(5, undefined, signal ? { signal } : {});
	await images.prepare(`${local}/app:1`, "x86_64");
	assert.equal(rootfs.mostRunning, 4);
	await push(stores, "app", "2", makeImage({ layers: 10, seed: "bad" }));
	const done = rootfs.unpacked.length;
	rootfs.beforeUnpack = async () => {
		await sleep(2);
		throw new SlipwayError("INVALID_IMAGE", "evil layer", { reason: "LayerPathEscape" });
	};
	await assert.rejects(
		images.prepare(`${local}/app:2`, "x86_64"),
		refused("INVALID_IMAGE", /evil layer/, "LayerPathEscape"),
	);
	assert.equal(rootfs.running, 0);
	assert.equal(rootfs.unpacked.length, done);
	rootfs.beforeUnpack = (_, signal) => sleep(1000, undefined, signal ? { signal } : {});
	const abort = new AbortController();
	setTimeout(() => abort.abort(new Error("gone")), 10);
	await assert.rejects(images.prepare(`${local}/app:2`, "x86_64", { signal: abort.signal }), /gone/);
	assert.equal(rootfs.running, 0);
});

test("pull chooses an index's image by architecture", async () => {
	const { repositories, remote, images } = setUp();
	const amd = makeImage();
	const arm = makeImage({ seed: "arm", config: { architecture: "arm64" } });
	for (const image of [amd, arm]) offer(remote, "docker.io/busybox", "unused", image);
	remote.manifests.set(
		"docker.io/busybox:1",
		makeIndex([
			{ image: arm, architecture: "arm64" },
			{ image: amd, architecture: "amd64" },
		]),
	);
	const pulled = await images.pull("busybox:1");
	assert.equal(pulled.digest, amd.document.digest);
	assert.equal(
		(await repositories.getManifest("docker.io/library/busybox", { tag: "1" }))?.digest,
		amd.document.digest,
	);
	assert.equal((await images.pull("docker.io/busybox:1", { architecture: "arm64" })).digest, arm.document.digest);
	await images.prepare(pulled.reference, "x86_64");
	await assert.rejects(images.pull(`${local}/app:1`), refused("INVALID", /in this registry already/));
	remote.manifests.set("docker.io/busybox:2", makeIndex([{ image: arm, architecture: "arm64" }]));
	await assert.rejects(
		images.pull("busybox:2"),
		refused("INVALID_IMAGE", /no image for linux\/amd64, only for linux\/arm64/),
	);
});

test("lists, inspects and removes", async () => {
	const users: string[] = [];
	const { stores, blobs, rootfs, images, repositories } = setUp({ usedBy: () => users });
	const image = makeImage();
	const sibling = makeImage({ layers: 3 });
	await push(stores, "app", "1", image);
	await push(stores, "app", "2", image);
	await push(stores, "app", undefined, sibling);
	await push(stores, "multi", undefined, image);
	await push(stores, "multi", "1", makeIndex([{ image, architecture: "amd64" }]));
	const listed = (await images.list()).map((summary) => summary.reference).sort();
	assert.deepEqual(listed, [
		`${local}/app:1`,
		`${local}/app:2`,
		`${local}/app@${sibling.document.digest}`,
		`${local}/multi:1`,
		`${local}/multi@${image.document.digest}`,
	]);
	await images.prepare(`${local}/app:1`, "x86_64");
	const detail = await images.inspect("app:1");
	assert.deepEqual(detail.tags, ["1", "2"]);
	assert.equal(detail.image?.architecture, "x86_64");
	assert.equal(detail.image?.created, "2026-11-01T00:00:00Z");
	assert.deepEqual(
		detail.image?.layers.map((layer) => layer.unpacked),
		[true, true],
	);
	assert.equal((await images.inspect("multi:1")).manifests?.[0]?.platform, "linux/amd64");
	await assert.rejects(images.inspect("app:9"), refused("NOT_FOUND", /'app:9' does not exist/));

	users.push("hello");
	await images.remove("app:1");
	await assert.rejects(images.remove("app:2"), refused("CONFLICT", /is what hello runs/, "ImageInUse"));
	users.length = 0;
	await images.remove(`${local}/app@${image.document.digest}`);
	assert.equal(await repositories.getManifest("app", { tag: "2" }), undefined);
	assert.equal(await repositories.hasBlob("app", image.manifest.config.digest), false, "its own blobs are free");
	assert.equal(await repositories.hasBlob("app", image.manifest.layers[0]!.digest), true, "shared ones are not");
	assert.equal(rootfs.layers.size, 2);
	assert.ok(await blobs.stat(image.document.digest), "bytes are the collector's to take");
});

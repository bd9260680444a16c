import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { type ErrorCode, isSlipwayError } from "../../base/error.ts";
import { chunks } from "../../core/image/blob-store.contract.ts";
import type { Digest } from "../../core/image/digest.ts";
import { FakeBlobStore } from "../../core/image/fake-blob-store.ts";
import { mediaTypes } from "../../core/image/manifest.ts";
import { FakeRepositoryStore } from "../../core/repository/fake-repository-store.ts";
import { BlobPins } from "./blob-pins.ts";
import { Registry } from "./registry.ts";

const digestOf = (text: string): Digest => `sha256:${createHash("sha256").update(text).digest("hex")}`;

async function fixture(createOnPush = true) {
	const [blobs, repositories, pins] = [new FakeBlobStore(), new FakeRepositoryStore(), new BlobPins()];
	const registry = new Registry({ blobs, repositories, createOnPush, clock: { ...systemClock, now: () => 42 }, pins });
	const pushBlob = async (name: string, text: string) => {
		await registry.repositoryForPush(name);
		await blobs.put({ digest: digestOf(text) }, chunks(text));
		await repositories.linkBlob(name, digestOf(text));
		return { mediaType: "application/x", digest: digestOf(text), size: text.length };
	};
	return { blobs, repositories, pins, registry, pushBlob };
}

function refused(code: ErrorCode, reason?: string): (error: unknown) => boolean {
	return (error) => {
		assert.ok(isSlipwayError(error), `${error} is not a SlipwayError`);
		assert.deepEqual([error.code, error.reason], [code, reason]);
		return true;
	};
}

describe("Registry", () => {
	it("stores what a manifest says of itself, and reads it back", async () => {
		const { registry, pushBlob, repositories } = await fixture();
		const [config, layer] = [await pushBlob("a", "config"), await pushBlob("a", "the layer")];
		const subject = { mediaType: mediaTypes.ociManifest, digest: digestOf("later"), size: 5 };
		const document = { schemaVersion: 2, config, layers: [layer, layer], subject, annotations: { k: "v" } };
		const bytes = Buffer.from(JSON.stringify(document));
		const pushed = await registry.pushManifest("a", { tags: ["x", "y"], mediaType: mediaTypes.ociManifest, bytes });
		assert.deepEqual(pushed, {
			digest: digestOf(bytes.toString()),
			mediaType: mediaTypes.ociManifest,
			size: bytes.length,
			pushedMs: 42,
			references: [config.digest, layer.digest],
			imageSize: config.size + layer.size,
			subject: subject.digest,
			artifactType: "application/x",
			annotations: { k: "v" },
		});
		const read = await registry.readManifest("a", { tag: "y" });
		assert.deepEqual(read?.manifest, { ...pushed, tags: ["x", "y"] });
		assert.deepEqual(Buffer.from(read?.bytes ?? []), bytes);
		assert.equal(await registry.readManifest("a", { tag: "z" }), undefined);
		assert.equal((await repositories.getRepository("a"))?.createdMs, 42);
	});

	it("keeps the collector off what a push refers to while it checks, and no longer", async () => {
		const { registry, pushBlob, repositories, pins } = await fixture();
		const config = await pushBlob("a", "config");
		const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers: [] }));
		const { hasBlob } = repositories;
		let pinned = false;
		repositories.hasBlob = (name, digest) => {
			pinned = pins.isPinned(config.digest) && pins.isPinned(digestOf(bytes.toString()));
			return hasBlob.call(repositories, name, digest);
		};
		await registry.pushManifest("a", { tags: [], mediaType: mediaTypes.ociManifest, bytes });
		assert.equal(pinned, true);
		assert.equal(pins.isPinned(config.digest), false);
		await assert.rejects(
			registry.pushManifest("b", { tags: [], mediaType: mediaTypes.ociManifest, bytes }),
			refused("NOT_FOUND", "ManifestBlobUnknown"),
		);
		assert.equal(pins.isPinned(config.digest), false);
	});

	it("mounts only what is allowed and there", async () => {
		const { registry, pushBlob, repositories, blobs } = await fixture();
		const { digest } = await pushBlob("a", "config");
		await registry.repositoryForPush("b");
		assert.equal(await registry.mountBlob("b", digest, async () => false), false);
		assert.equal(await registry.mountBlob("b", digestOf("none"), async () => true), false);
		assert.equal(await repositories.hasBlob("b", digest), false);
		assert.equal(await registry.mountBlob("b", digest, async () => true), true);
		assert.equal(await repositories.hasBlob("b", digest), true);
		await blobs.delete(digest);
		assert.equal(await registry.mountBlob("b", digest, async () => true), false);
	});

	it("makes repositories on a push only where it may, and never ones with bad names", async () => {
		const closed = await fixture(false);
		await assert.rejects(closed.registry.repositoryForPush("a"), refused("NOT_FOUND", "RepositoryUnknown"));
		const open = await fixture(true);
		await assert.rejects(open.registry.repositoryForPush("../a"), refused("INVALID"));
		const made = await Promise.all([open.registry.repositoryForPush("a"), open.registry.repositoryForPush("a")]);
		assert.deepEqual(made[0], made[1]);
	});
});

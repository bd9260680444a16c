import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { type ErrorCode, isSlipwayError } from "../../base/error.ts";
import type { Digest } from "./digest.ts";
import type { PackedLayer, RootfsStore } from "./rootfs-store.ts";

export interface RootfsStoreContractOptions {
	/** Why the whole suite can't run here. */
	skip?: string | undefined;
}

/** Every RootfsStore passes this. `open` makes an empty store that may use the folder; the suite disposes of both. */
export function rootfsStoreContract(
	name: string,
	open: (folder: string) => Promise<RootfsStore & AsyncDisposable>,
	{ skip }: RootfsStoreContractOptions = {},
): void {
	describe(`RootfsStore contract: ${name}`, { skip: skip ?? false }, () => {
		let folder: string;
		let store: RootfsStore & AsyncDisposable;
		before(async () => {
			folder = await mkdtemp(join(tmpdir(), "slipway-rootfs-contract-"));
			store = await open(join(folder, "store"));
		});
		after(async () => {
			await store[Symbol.asyncDispose]();
			await rm(folder, { recursive: true, force: true });
		});
		const layer = (content: string) => packTestLayer(folder, content);

		it("unpacks a layer once and knows it from then on", async () => {
			const packed = await layer("one");
			assert.equal(await store.has(packed.diffId), false);
			const progress: number[] = [];
			const unpacked = await store.unpack(packed, { onProgress: (bytes) => progress.push(bytes) });
			assert.deepEqual(unpacked, { diffId: packed.diffId, size: 3, entries: 1 });
			assert.equal(progress.at(-1), packed.size);
			assert.ok(await store.has(packed.diffId));
			assert.deepEqual(await store.unpack({ ...packed, path: join(folder, "gone") }), unpacked);
			assert.deepEqual(
				(await store.list()).filter(({ diffId }) => diffId === packed.diffId),
				[unpacked],
			);
		});

		it("shares the work of concurrent calls", async () => {
			const packed = await layer("shared");
			const seen: number[][] = [[], [], []];
			const results = await Promise.all(
				seen.map((bytes) => store.unpack(packed, { onProgress: (read) => bytes.push(read) })),
			);
			for (const result of results) assert.deepEqual(result, results[0]);
			for (const bytes of seen) assert.equal(bytes.at(-1), packed.size);
		});

		it("refuses a layer without the announced digests and keeps nothing", async () => {
			const packed = await layer("digest");
			const other = (await layer("other")).digest;
			await assert.rejects(store.unpack({ ...packed, digest: other }), withCode("DIGEST_MISMATCH"));
			await assert.rejects(store.unpack({ ...packed, diffId: other }), withCode("DIGEST_MISMATCH"));
			await assert.rejects(store.unpack({ ...packed, size: packed.size + 1 }), withCode("DIGEST_MISMATCH"));
			assert.equal(await store.has(packed.diffId), false);
			assert.equal(await store.has(other), false);
			await store.unpack(packed);
		});

		it("refuses what is no layer", async () => {
			const packed = await layer("media type");
			await assert.rejects(store.unpack({ ...packed, mediaType: "text/plain" }), withCode("INVALID_IMAGE"));
			const bytes = Buffer.from("this is no gzip stream");
			const path = join(folder, "no-layer");
			await writeFile(path, bytes);
			await assert.rejects(
				store.unpack({ ...packed, path, digest: sha256(bytes), size: bytes.length }),
				withCode("INVALID_IMAGE"),
			);
			assert.equal(await store.has(packed.diffId), false);
		});

		it("leaves nothing when the caller aborts, and works again", async () => {
			const packed = await layer("abort");
			const reason = new Error("enough");
			await assert.rejects(store.unpack(packed, { signal: AbortSignal.abort(reason) }), reason);
			const controller = new AbortController();
			const running = store.unpack(packed, { signal: controller.signal });
			controller.abort(reason);
			await assert.rejects(running, reason);
			assert.equal(await store.has(packed.diffId), false);
			await store.unpack(packed);
			assert.ok(await store.has(packed.diffId));
		});

		it("goes on for the others when one caller aborts", async () => {
			const packed = await layer("abort one");
			const controller = new AbortController();
			const [first, second] = [store.unpack(packed, { signal: controller.signal }), store.unpack(packed)];
			controller.abort(new Error("enough"));
			await assert.rejects(first, /enough/);
			assert.equal((await second).diffId, packed.diffId);
		});

		it("gives the same path for the same layers while they are held", async () => {
			const [low, high] = [await layer("low"), await layer("high")];
			await Promise.all([store.unpack(low), store.unpack(high)]);
			const diffIds = [low.diffId, high.diffId];
			const [first, second] = await Promise.all([store.acquire(diffIds), store.acquire(diffIds)]);
			const turned = await store.acquire(diffIds.toReversed());
			assert.equal(second.path, first.path);
			assert.notEqual(turned.path, first.path);
			for (const rootfs of [first, second, turned]) await rootfs.release();
			const again = await store.acquire(diffIds);
			assert.equal(again.path, first.path);
			await again.release();
		});

		it("stacks no layer, one, and the same one twice", async () => {
			const packed = await layer("single");
			await store.unpack(packed);
			for (const diffIds of [[], [packed.diffId], [packed.diffId, packed.diffId]]) {
				const rootfs = await store.acquire(diffIds);
				assert.match(rootfs.path, /^\//);
				await rootfs.release();
			}
		});

		it("names the files of a folder, once for all layers", async () => {
			const [low, high] = [await layer("low files"), await layer("high files")];
			await Promise.all([store.unpack(low), store.unpack(high)]);
			const rootfs = await store.acquire([low.diffId, high.diffId]);
			assert.deepEqual(await rootfs.files("/"), ["/file"]);
			assert.deepEqual(await rootfs.files("/"), ["/file"]);
			assert.deepEqual(await rootfs.files("/opt/extensions"), []);
			assert.deepEqual(await rootfs.files("/file"), []);
			await rootfs.release();
		});

		it("does not stack layers that it does not have", async () => {
			const packed = await layer("never unpacked");
			await assert.rejects(store.acquire([packed.diffId]), withCode("NOT_FOUND"));
		});

		it("keeps the layers of a held root, and removes others", async () => {
			const packed = await layer("removed");
			await store.unpack(packed);
			const [first, second] = [await store.acquire([packed.diffId]), await store.acquire([packed.diffId])];
			await assert.rejects(store.remove(packed.diffId), withCode("CONFLICT"));
			await first.release();
			// One holder can't let go for another.
			await first.release();
			await assert.rejects(store.remove(packed.diffId), withCode("CONFLICT"));
			await second.release();
			await store.remove(packed.diffId);
			await store.remove(packed.diffId);
			assert.equal(await store.has(packed.diffId), false);
			await assert.rejects(store.acquire([packed.diffId]), withCode("NOT_FOUND"));
			await store.unpack(packed);
			assert.ok(await store.has(packed.diffId));
		});
	});
}

function withCode(code: ErrorCode) {
	return (error: unknown) => {
		assert.ok(isSlipwayError(error, code), `expected ${code}, got ${error}`);
		return true;
	};
}

function sha256(bytes: Buffer): Digest {
	return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** A gzip layer with one file, "file", that holds `content`. */
export async function packTestLayer(folder: string, content: string): Promise<PackedLayer> {
	const header = Buffer.alloc(512);
	const fields: [number, string][] = [
		[0, "file"],
		[100, "0000644\0"],
		[108, "0000000\0"],
		[116, "0000000\0"],
		[124, `${Buffer.byteLength(content).toString(8).padStart(11, "0")}\0`],
		[136, "00000000000\0"],
		[148, "        "],
		[156, "0"],
		[257, "ustar\x0000"],
	];
	for (const [at, text] of fields) header.write(text, at, "latin1");
	const sum = header.reduce((total, byte) => total + byte, 0);
	header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
	const padded = Buffer.alloc(Math.ceil(Buffer.byteLength(content) / 512) * 512);
	padded.write(content);
	const tar = Buffer.concat([header, padded, Buffer.alloc(1024)]);
	const blob = gzipSync(tar);
	const path = join(folder, sha256(blob).slice("sha256:".length));
	await writeFile(path, blob);
	const mediaType = "application/vnd.oci.image.layer.v1.tar+gzip";
	return { digest: sha256(blob), diffId: sha256(tar), mediaType, size: blob.length, path };
}

import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { isSlipwayError } from "../../base/error.ts";
import { layerLimits } from "../../core/image/layer-limits.ts";
import { compressionOf, readLayer } from "./layer-stream.ts";
import { packLayer, sha256, type TestCompression } from "./tar-builder.ts";

let folder: string;
before(() => {
	folder = mkdtempSync(join(tmpdir(), "slipway-layer-stream-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function read(
	content: Buffer,
	compression: TestCompression,
	changes: Parameters<typeof packLayer>[3] = {},
	limits = {},
) {
	const layer = packLayer(folder, content, compression, changes);
	const fd = openSync(layer.path, "r");
	const chunks: Buffer[] = [];
	try {
		await readLayer(
			{ fd, compression, size: layer.size, digestHex: layer.digest.slice(7), diffIdHex: layer.diffId.slice(7) },
			layerLimits(limits),
			(chunk) => chunks.push(Buffer.from(chunk)),
		);
	} finally {
		closeSync(fd);
	}
	return Buffer.concat(chunks);
}

const refused = (code: string, reason?: string) => (error: unknown) => {
	assert.ok(isSlipwayError(error), `${error}`);
	assert.deepEqual([error.code, error.reason], [code, reason]);
	return true;
};

/** Not compressible, and longer than the pieces that the reader takes. */
const content = Buffer.from(Array.from({ length: 1_500_000 }, (_, i) => (i * i * 2_654_435_761) >>> 24));

describe("readLayer", () => {
	for (const compression of ["none", "gzip", "zstd"] as const)
		it(`returns the content of a layer (${compression})`, async () => {
			assert.ok((await read(content, compression)).equals(content));
		});

	for (const [compression, pack] of [
		["gzip", gzipSync],
		["zstd", zstdCompressSync],
	] as const) {
		it(`joins several members (${compression})`, async () => {
			const blob = Buffer.concat([pack(content.subarray(0, 700_000)), pack(content.subarray(700_000))]);
			assert.ok((await read(content, compression, { blob })).equals(content));
		});

		for (const [what, garbage] of [
			["text", Buffer.from("garbage")],
			["zeros", Buffer.alloc(2000)],
			["much", Buffer.alloc(3_000_000, 7)],
			["one byte", Buffer.from([0x1f])],
		] as const)
			it(`refuses garbage after the stream (${compression}, ${what})`, async () => {
				const blob = Buffer.concat([pack(content), garbage]);
				await assert.rejects(read(content, compression, { blob }), (error: unknown) => {
					assert.ok(isSlipwayError(error, "INVALID_IMAGE"), `${error}`);
					assert.match(error.reason ?? "", /LayerTrailingData|LayerCompression|LayerTruncated/);
					return true;
				});
			});

		it(`refuses garbage wherever the pieces are cut (${compression})`, async () => {
			// The stream ends exactly with a piece of 256 KiB.
			for (const spare of [0, 1, 100]) {
				let length = 262_144 - spare - 200;
				let packed = pack(content.subarray(0, length));
				for (let i = 0; packed.length !== 262_144 - spare && i < 1000; i++) {
					length += 262_144 - spare - packed.length;
					packed = pack(content.subarray(0, length));
				}
				const blob = Buffer.concat([packed, Buffer.alloc(300_000)]);
				await assert.rejects(
					read(content.subarray(0, length), compression, { blob }),
					refused("INVALID_IMAGE", "LayerTrailingData"),
				);
			}
		});

		it(`refuses a stream that ends early (${compression})`, async () => {
			for (const cut of [1, 9, 500_000]) {
				const blob = pack(content).subarray(0, -cut);
				await assert.rejects(read(content, compression, { blob }), refused("INVALID_IMAGE", "LayerTruncated"));
			}
			await assert.rejects(
				read(content, compression, { blob: Buffer.alloc(0) }),
				refused("INVALID_IMAGE", "LayerTruncated"),
			);
		});

		it(`refuses a corrupt stream (${compression})`, async () => {
			for (const blob of [Buffer.from("this is no compressed stream"), flip(pack(content), 2), flip(pack(content), -3)])
				await assert.rejects(read(content, compression, { blob }), (error: unknown) => {
					assert.ok(isSlipwayError(error, "INVALID_IMAGE"), `${error}`);
					assert.match(error.reason ?? "", /LayerTruncated|LayerCompression/);
					return true;
				});
		});
	}

	it("says that the digest is wrong, even where the corruption shows first", async () => {
		const digest = sha256(Buffer.from("other"));
		await assert.rejects(read(content, "gzip", { digest }), refused("DIGEST_MISMATCH", "LayerDigestMismatch"));
		const blob = Buffer.concat([flip(gzipSync(content), 100), Buffer.alloc(1_000_000)]);
		await assert.rejects(read(content, "gzip", { digest, blob }), refused("DIGEST_MISMATCH", "LayerDigestMismatch"));
		await assert.rejects(read(content, "gzip", { size: 5 }), refused("DIGEST_MISMATCH", "LayerSizeMismatch"));
		const diffId = sha256(Buffer.from("other"));
		await assert.rejects(read(content, "gzip", { diffId }), refused("DIGEST_MISMATCH", "LayerDiffIdMismatch"));
	});

	it("stops at the expansion ratio, but not for small layers", async () => {
		const zeros = Buffer.alloc(3_000_000);
		const limits = { expansionFreeBytes: 1_000_000, expansionRatio: 200 };
		await assert.rejects(read(zeros, "gzip", {}, limits), refused("INVALID_IMAGE", "LayerLimitExpansionRatio"));
		await assert.rejects(read(zeros, "zstd", {}, limits), refused("INVALID_IMAGE", "LayerLimitExpansionRatio"));
		assert.equal((await read(zeros.subarray(0, 900_000), "gzip", {}, limits)).length, 900_000);
		assert.equal((await read(zeros, "gzip", {}, { ...limits, expansionRatio: 1100 })).length, 3_000_000);
	});

	it("stops at the size of the archive", async () => {
		const limits = { unpackedBytes: 100_000, entries: 10, paxBytes: 1000 };
		await assert.rejects(read(content, "none", {}, limits), refused("INVALID_IMAGE", "LayerLimitUnpackedBytes"));
	});

	it("knows the media types of layers", () => {
		assert.equal(compressionOf("application/vnd.oci.image.layer.v1.tar"), "none");
		assert.equal(compressionOf("application/vnd.oci.image.layer.v1.tar+gzip"), "gzip");
		assert.equal(compressionOf("application/vnd.oci.image.layer.v1.tar+zstd"), "zstd");
		assert.equal(compressionOf("application/vnd.docker.image.rootfs.diff.tar.gzip"), "gzip");
		assert.equal(compressionOf("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), "gzip");
		for (const other of ["", "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+xz"])
			assert.throws(() => compressionOf(other), refused("INVALID_IMAGE", "LayerMediaType"));
	});
});

function flip(bytes: Buffer, at: number): Buffer {
	const copy = Buffer.from(bytes);
	const index = at < 0 ? copy.length + at : at;
	copy[index] = copy[index]! ^ 0x55;
	return copy;
}

/** Reads a layer's blob, verifies it and takes its compression off, all while it streams. */
import { createHash } from "node:crypto";
import { readSync } from "node:fs";
import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from "node:zlib";
import { isSlipwayError, SlipwayError, systemCode } from "../../base/error.ts";
import { type LayerLimits, layerLimitError } from "../../core/image/layer-limits.ts";
import { blockSize, refuse } from "./tar-codec.ts";

export type Compression = "none" | "gzip" | "zstd";

const layerMediaType =
	/^application\/vnd\.(?:oci\.image\.layer(?:\.nondistributable)?\.v1\.tar|docker\.image\.rootfs\.(?:foreign\.)?diff\.tar)(?:[+.](gzip|zstd))?$/;

/** image-spec, media-types.md; Docker's image manifest v2 schema 2. INVALID_IMAGE for anything that is no layer. */
export function compressionOf(mediaType: string): Compression {
	const match = layerMediaType.exec(mediaType);
	if (!match) throw refuse("LayerMediaType", `Media type '${mediaType.slice(0, 200)}' is not one of a layer`);
	return (match[1] as "gzip" | "zstd" | undefined) ?? "none";
}

export interface LayerSource {
	/** Open for reading, at the start of the blob. */
	fd: number;
	compression: Compression;
	/** Compressed bytes, and their digest in hexadecimal. */
	size: number;
	digestHex: string;
	/** Of the tar stream. */
	diffIdHex: string;
}

/** Large enough that a call costs nothing beside its bytes, small enough to stay in a core's cache. */
const readBytes = 256 * 1024;
const inflateBytes = 512 * 1024;
/** A header, its padding and the end mark: what an entry costs besides its content. */
const entryOverheadBytes = 2 * blockSize;

/**
 * Calls `onChunk` with the tar stream's bytes (good only during the call) and `onProgress` with the compressed bytes read
 * so far. INVALID_IMAGE, DIGEST_MISMATCH, and whatever the callbacks throw. A blob that has not the announced bytes is a
 * DIGEST_MISMATCH even when decompression or the callback stumbled over it first.
 */
export async function readLayer(
	source: LayerSource,
	limits: LayerLimits,
	onChunk: (chunk: Buffer) => void,
	onProgress: (bytesRead: number) => void = () => {},
): Promise<void> {
	const blob = new VerifiedBlob(source);
	const tar = new BoundedTar(limits, source.size);
	const consume = (chunk: Buffer) => {
		tar.add(chunk);
		onChunk(chunk);
		onProgress(blob.bytesRead);
	};
	try {
		if (source.compression === "none") for (let chunk = blob.read(); chunk; chunk = blob.read()) consume(chunk);
		else await inflate(blob, source.compression, consume);
	} catch (error) {
		if (!isSlipwayError(error, "INVALID_IMAGE")) throw error;
		while (blob.read());
		blob.verify();
		throw error;
	}
	blob.verify();
	tar.verify(source.diffIdHex);
}

async function inflate(
	blob: VerifiedBlob,
	compression: "gzip" | "zstd",
	onChunk: (chunk: Buffer) => void,
): Promise<void> {
	const decoder: Gunzip | ZstdDecompress =
		compression === "gzip"
			? createGunzip({ chunkSize: inflateBytes })
			: createZstdDecompress({ chunkSize: inflateBytes });
	const sink = new Writable({
		highWaterMark: 2 * inflateBytes,
		write(chunk: Buffer, _encoding, done) {
			try {
				onChunk(chunk);
				done();
			} catch (error) {
				done(error as Error);
			}
		},
	});
	try {
		await pipeline(Readable.from(blob, { objectMode: true, highWaterMark: 2 }), decoder, sink);
	} catch (error) {
		throw decodeError(error, compression);
	}
	// The decoder stops without a word at bytes that start no further member. Nothing may hide behind a layer.
	if (decoder.bytesWritten !== blob.bytesRead || blob.read() !== undefined)
		throw refuse("LayerTrailingData", `Layer holds data after the end of its ${compression} stream`);
}

function decodeError(error: unknown, compression: string): unknown {
	const code = systemCode(error) ?? "";
	if (code === "Z_MEM_ERROR" || code === "ZSTD_error_memory_allocation")
		return new SlipwayError("EXHAUSTED", "The machine ran out of memory while unpacking a layer", { cause: error });
	if (code === "Z_BUF_ERROR") return refuse("LayerTruncated", `Layer's ${compression} stream ends too early`);
	if (!/^(Z_|ZSTD_|ERR_STREAM_PREMATURE_CLOSE)/.test(code)) return error;
	return refuse("LayerCompression", `Layer's ${compression} stream is corrupt: ${(error as Error).message}`);
}

/** Reads are synchronous: the blob is a local file, mostly in the page cache, and this process has nothing else to do. */
class VerifiedBlob implements Iterable<Buffer> {
	readonly #source: LayerSource;
	readonly #hash = createHash("sha256");
	bytesRead = 0;

	constructor(source: LayerSource) {
		this.#source = source;
	}

	read(): Buffer | undefined {
		// A new buffer each time: the decoder works on it while the next one is read.
		const buffer = Buffer.allocUnsafeSlow(readBytes);
		const bytes = readSync(this.#source.fd, buffer, 0, readBytes, null);
		if (bytes === 0) return undefined;
		const chunk = buffer.subarray(0, bytes);
		this.bytesRead += bytes;
		this.#hash.update(chunk);
		return chunk;
	}

	*[Symbol.iterator](): Iterator<Buffer> {
		for (let chunk = this.read(); chunk; chunk = this.read()) yield chunk;
	}

	verify(): void {
		const { size, digestHex } = this.#source;
		if (this.bytesRead !== size)
			throw new SlipwayError("DIGEST_MISMATCH", `Layer has ${this.bytesRead} bytes, not the announced ${size}`, {
				reason: "LayerSizeMismatch",
			});
		const actual = this.#hash.copy().digest("hex");
		if (actual !== digestHex)
			throw new SlipwayError("DIGEST_MISMATCH", `Layer has the digest sha256:${actual}, not sha256:${digestHex}`, {
				reason: "LayerDigestMismatch",
			});
	}
}

class BoundedTar {
	readonly #limits: LayerLimits;
	readonly #compressedBytes: number;
	readonly #hash = createHash("sha256");
	readonly #maxBytes: number;
	#bytes = 0;

	constructor(limits: LayerLimits, compressedBytes: number) {
		this.#limits = limits;
		this.#compressedBytes = compressedBytes;
		this.#maxBytes = limits.unpackedBytes + limits.entries * entryOverheadBytes + limits.paxBytes;
	}

	add(chunk: Buffer): void {
		this.#bytes += chunk.length;
		const { expansionFreeBytes, expansionRatio } = this.#limits;
		if (this.#bytes > this.#maxBytes)
			throw layerLimitError("unpackedBytes", this.#limits, `Layer's tar archive has ${this.#bytes} bytes or more`);
		if (this.#bytes > expansionFreeBytes && this.#bytes > expansionRatio * this.#compressedBytes)
			throw layerLimitError(
				"expansionRatio",
				this.#limits,
				`Layer's ${this.#compressedBytes} bytes expand to ${this.#bytes} or more, ${Math.round(this.#bytes / this.#compressedBytes)} for each`,
			);
		this.#hash.update(chunk);
	}

	verify(diffIdHex: string): void {
		const actual = this.#hash.digest("hex");
		if (actual !== diffIdHex)
			throw new SlipwayError(
				"DIGEST_MISMATCH",
				`Layer's content has the diffID sha256:${actual}, not sha256:${diffIdHex}`,
				{
					reason: "LayerDiffIdMismatch",
				},
			);
	}
}

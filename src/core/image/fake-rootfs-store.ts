import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { posix } from "node:path";
import { setImmediate } from "node:timers/promises";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { SlipwayError, systemCode } from "../../base/error.ts";
import { type Digest, digestHex } from "./digest.ts";
import type { PackedLayer, Rootfs, RootfsStore, UnpackedLayer, UnpackOptions } from "./rootfs-store.ts";

/**
 * Keeps layers in memory: verifies digests as the real one does, but looks at no more of the tar archive than counting
 * its entries and the names of its files, knows no whiteouts and no links, and mounts nothing. Paths are under /fake/rootfs and do not exist.
 */
export class FakeRootfsStore implements RootfsStore, AsyncDisposable {
	readonly #layers = new Map<Digest, UnpackedLayer>();
	/** Absolute paths of the regular files of each layer. */
	readonly #files = new Map<Digest, readonly string[]>();
	readonly #holders = new Map<string, { diffIds: readonly Digest[]; count: number }>();
	#nextFailure: unknown;

	/** The next unpack rejects with this. */
	failNext(error: unknown): void {
		this.#nextFailure = error;
	}

	/** Roots acquired and not released. */
	get held(): number {
		return [...this.#holders.values()].reduce((total, { count }) => total + count, 0);
	}

	async has(diffId: Digest): Promise<boolean> {
		return this.#layers.has(diffId);
	}

	async unpack(layer: PackedLayer, { onProgress, signal }: UnpackOptions = {}): Promise<UnpackedLayer> {
		signal?.throwIfAborted();
		const known = this.#layers.get(layer.diffId);
		if (known) return known;
		const failure = this.#nextFailure;
		this.#nextFailure = undefined;
		if (failure !== undefined) throw failure;
		const blob = await readBlob(layer.path);
		if (blob.length !== layer.size || sha256(blob) !== layer.digest)
			throw new SlipwayError("DIGEST_MISMATCH", `Layer has not the digest ${layer.digest}`);
		const tar = decompress(blob, layer.mediaType);
		if (sha256(tar) !== layer.diffId)
			throw new SlipwayError("DIGEST_MISMATCH", `Layer has not the diffID ${layer.diffId}`);
		await setImmediate();
		signal?.throwIfAborted();
		onProgress?.(layer.size);
		const unpacked = { diffId: layer.diffId, ...countEntries(tar) };
		this.#layers.set(layer.diffId, unpacked);
		this.#files.set(layer.diffId, regularFiles(tar));
		return unpacked;
	}

	async acquire(diffIds: readonly Digest[]): Promise<Rootfs> {
		for (const diffId of diffIds)
			if (!this.#layers.has(diffId)) throw new SlipwayError("NOT_FOUND", `Layer ${diffId} is not unpacked`);
		const path = `/fake/rootfs/${digestHex(sha256(Buffer.from(diffIds.join())))}`;
		const holder = this.#holders.get(path) ?? { diffIds: [...diffIds], count: 0 };
		this.#holders.set(path, holder);
		holder.count++;
		let held = true;
		return {
			path,
			files: async (folder) => {
				const all = diffIds.flatMap((diffId) => this.#files.get(diffId) ?? []);
				return [...new Set(all.filter((file) => posix.dirname(file) === posix.join("/", folder)))].sort();
			},
			release: async () => {
				if (held) holder.count--;
				held = false;
			},
		};
	}

	async remove(diffId: Digest): Promise<void> {
		if ([...this.#holders.values()].some(({ diffIds, count }) => count > 0 && diffIds.includes(diffId)))
			throw new SlipwayError("CONFLICT", `Layer ${diffId} is part of a mounted root`);
		this.#layers.delete(diffId);
	}

	async list(): Promise<UnpackedLayer[]> {
		return [...this.#layers.values()];
	}

	async [Symbol.asyncDispose](): Promise<void> {}
}

function sha256(bytes: Uint8Array): Digest {
	return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

async function readBlob(path: string): Promise<Buffer> {
	try {
		return await readFile(path);
	} catch (error) {
		if (systemCode(error) !== "ENOENT") throw error;
		throw new SlipwayError("NOT_FOUND", `The layer's blob is missing: '${path}'`, { cause: error });
	}
}

function decompress(blob: Buffer, mediaType: string): Buffer {
	try {
		if (/[+.]gzip$/.test(mediaType)) return gunzipSync(blob);
		if (mediaType.endsWith("+zstd")) return zstdDecompressSync(blob);
	} catch (error) {
		throw new SlipwayError("INVALID_IMAGE", "Layer's compressed stream is corrupt", {
			reason: "LayerCompression",
			cause: error,
		});
	}
	if (mediaType.endsWith(".tar")) return blob;
	throw new SlipwayError("INVALID_IMAGE", `Media type '${mediaType}' is not one of a layer`, {
		reason: "LayerMediaType",
	});
}

interface FakeEntry {
	name: string;
	type: string;
	size: number;
}

function* entriesOf(tar: Buffer): Generator<FakeEntry> {
	const text = (from: number, length: number) => tar.toString("latin1", from, from + length).split("\0")[0]!;
	for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
		const size = Number.parseInt(text(at + 124, 12), 8) || 0;
		yield { name: posix.join("/", text(at + 345, 155), text(at, 100)), type: text(at + 156, 1) || "0", size };
		at += 512 + Math.ceil(size / 512) * 512;
	}
}

function countEntries(tar: Buffer): { entries: number; size: number } {
	const entries = [...entriesOf(tar)];
	return { entries: entries.length, size: entries.reduce((total, { size }) => total + size, 0) };
}

function regularFiles(tar: Buffer): string[] {
	return [...entriesOf(tar)].flatMap(({ name, type }) => (type === "0" ? [name] : []));
}

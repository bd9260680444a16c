/** Images and archives made by hand, for tests. */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { systemClock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import type { BlobStore } from "../../core/image/blob-store.ts";
import type { Digest } from "../../core/image/digest.ts";
import { FakeBlobStore } from "../../core/image/fake-blob-store.ts";
import { type Descriptor, type ImageConfig, type Manifest, mediaTypes } from "../../core/image/manifest.ts";
import type { PackedLayer, Rootfs, RootfsStore, UnpackedLayer, UnpackOptions } from "../../core/image/rootfs-store.ts";
import type { RepositoryStore } from "../../core/repository/repository-store.ts";
import { keepImage, type ManifestDocument } from "./pull.ts";

export function digest(bytes: Uint8Array): Digest {
	return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

export interface TarFile {
	name: string;
	content?: Uint8Array | string;
	/** "0" by default; "1" hard link, "2" symbolic link, "5" folder. */
	type?: string;
	linkName?: string;
	/** Another size in the header than the content's. */
	size?: number;
}

export function tar(files: readonly TarFile[]): Buffer {
	const blocks = files.flatMap((file) => {
		const content = Buffer.from(file.content ?? "");
		const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
		return [tarHeader(file, file.size ?? content.length), content, padding];
	});
	return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

function tarHeader(file: TarFile, size: number): Buffer {
	const header = Buffer.alloc(512);
	header.write(file.name, 0, 100);
	header.write("0000644\0", 100);
	header.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
	header.fill(" ", 148, 156);
	header.write(file.type ?? "0", 156);
	header.write(file.linkName ?? "", 157, 100);
	header.write("ustar\0" + "00", 257);
	const sum = header.reduce((total, byte) => total + byte, 0);
	header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
	return header;
}

export interface MadeImage {
	document: ManifestDocument;
	manifest: Manifest;
	config: Buffer;
	/** Compressed blobs, lowest first. */
	layers: { tar: Buffer; blob: Buffer; diffId: Digest }[];
}

export function makeImage(
	options: {
		layers?: number;
		seed?: string;
		config?: Partial<ImageConfig>;
		manifest?: Partial<Manifest>;
		mediaType?: string;
	} = {},
): MadeImage {
	const layers = Array.from({ length: options.layers ?? 2 }, (_, i) => {
		const bytes = tar([{ name: `file${i}`, content: `${options.seed ?? "seed"} ${i}` }]);
		return { tar: bytes, blob: gzipSync(bytes), diffId: digest(bytes) };
	});
	const config = Buffer.from(
		JSON.stringify({
			architecture: "amd64",
			os: "linux",
			created: "2026-11-01T00:00:00Z",
			config: { Entrypoint: ["/app"], Cmd: ["serve"], Env: ["A=1", "B=x=y"], WorkingDir: "/work" },
			rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
			...options.config,
		}),
	);
	const descriptor = (mediaType: string, bytes: Buffer): Descriptor => ({
		mediaType,
		digest: digest(bytes),
		size: bytes.length,
	});
	const mediaType = options.mediaType ?? mediaTypes.ociManifest;
	const manifest: Manifest = {
		schemaVersion: 2,
		mediaType,
		config: descriptor(mediaTypes.ociConfig, config),
		layers: layers.map((layer) => descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer.blob)),
		...options.manifest,
	};
	const bytes = Buffer.from(JSON.stringify(manifest));
	return { document: { bytes, mediaType, digest: digest(bytes) }, manifest, config, layers };
}

export function makeIndex(children: { image: MadeImage; os?: string; architecture: string }[]): ManifestDocument {
	const manifests = children.map(({ image, os = "linux", architecture }) => ({
		mediaType: image.document.mediaType,
		digest: image.document.digest,
		size: image.document.bytes.length,
		platform: { os, architecture },
	}));
	const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
	return { bytes, mediaType: mediaTypes.ociIndex, digest: digest(bytes) };
}

/** The fake's blobs seem to be files. */
export function fakeBlobs(): FakeBlobStore & BlobStore {
	return Object.assign(new FakeBlobStore(), { localPath: (of: Digest) => `/blobs/${of}` });
}

export async function putBlob(blobs: BlobStore, bytes: Uint8Array): Promise<void> {
	await blobs.put({ digest: digest(bytes) }, [bytes] as never as AsyncIterable<Uint8Array>);
}

/** As if it had been pushed. */
export async function push(
	stores: { blobs: BlobStore; repositories: RepositoryStore },
	repository: string,
	tag: string | undefined,
	image: MadeImage | ManifestDocument,
): Promise<void> {
	const document = "document" in image ? image.document : image;
	const parts = "document" in image ? [image.config, ...image.layers.map((layer) => layer.blob)] : [];
	for (const bytes of parts) await putBlob(stores.blobs, bytes);
	const clock = { ...systemClock, now: () => 1000 };
	await keepImage(
		{ ...stores, clock },
		{ repository, tags: tag === undefined ? [] : [tag], document, blobs: parts.map(digest) },
	);
}

/** Unpacks nothing; remembers what it was asked for. */
export class FakeLayers implements RootfsStore {
	readonly layers = new Map<Digest, UnpackedLayer>();
	readonly unpacked: PackedLayer[] = [];
	/** What the next layers seem to hold. */
	layerSize = 10;
	running = 0;
	mostRunning = 0;
	beforeUnpack: (layer: PackedLayer, signal: AbortSignal | undefined) => Promise<void> = async () => {};

	async has(diffId: Digest): Promise<boolean> {
		return this.layers.has(diffId);
	}

	async unpack(layer: PackedLayer, options: UnpackOptions = {}): Promise<UnpackedLayer> {
		const known = this.layers.get(layer.diffId);
		if (known) return known;
		this.running++;
		this.mostRunning = Math.max(this.running, this.mostRunning);
		try {
			await this.beforeUnpack(layer, options.signal);
			options.signal?.throwIfAborted();
			options.onProgress?.(Math.floor(layer.size / 2));
			this.unpacked.push(layer);
			const unpacked = { diffId: layer.diffId, size: this.layerSize, entries: 1 };
			this.layers.set(layer.diffId, unpacked);
			return unpacked;
		} finally {
			this.running--;
		}
	}

	async acquire(): Promise<Rootfs> {
		throw new SlipwayError("UNSUPPORTED", "Nothing can be mounted");
	}

	async remove(diffId: Digest): Promise<void> {
		this.layers.delete(diffId);
	}

	async list(): Promise<UnpackedLayer[]> {
		return [...this.layers.values()];
	}
}

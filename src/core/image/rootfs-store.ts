import type { Digest } from "./digest.ts";

/**
 * Unpacked layers, shared between images by diffID, and read-only root file systems stacked from them.
 *
 * A layer is unpacked once, verified against its diffID while it streams, off the event loop, and visible only when it
 * is whole; a crash leaves nothing that a restart would take for a layer. What a layer may hold is in `LayerLimits`; a
 * layer that breaks a rule is refused with INVALID_IMAGE, a `reason` that names the rule, and nothing left behind.
 */
export interface RootfsStore {
	has(diffId: Digest): Promise<boolean>;
	/**
	 * Idempotent; concurrent calls for one diffID share the work. Layers of one image may be unpacked at the same time.
	 * INVALID_IMAGE, DIGEST_MISMATCH, EXHAUSTED. An abort leaves nothing.
	 */
	unpack(layer: PackedLayer, options?: UnpackOptions): Promise<UnpackedLayer>;
	/**
	 * The stacked root of an image, lowest layer first, mounted read-only; the same path for the same layers. Takes about
	 * a millisecond the first time and nothing after. Counted: `release` as often as `acquire`. NOT_FOUND when a layer is
	 * not unpacked.
	 */
	acquire(diffIds: readonly Digest[]): Promise<Rootfs>;
	/** Idempotent. CONFLICT while a mounted root uses the layer. */
	remove(diffId: Digest): Promise<void>;
	list(): Promise<UnpackedLayer[]>;
}

export interface PackedLayer {
	/** Of the compressed blob. */
	digest: Digest;
	/** Of the uncompressed tar stream (image-spec, config, rootfs.diff_ids). */
	diffId: Digest;
	/** application/vnd.oci.image.layer.v1.tar[+gzip|+zstd] or Docker's equivalent. */
	mediaType: string;
	/** Compressed bytes. */
	size: number;
	/** A local file that holds the compressed blob. */
	path: string;
}

export interface UnpackOptions {
	/** Called now and then with the compressed bytes read so far. */
	onProgress?: (bytesRead: number) => void;
	signal?: AbortSignal;
}

export interface UnpackedLayer {
	diffId: Digest;
	/** Bytes of file content. */
	size: number;
	entries: number;
}

export interface Rootfs {
	/** A directory, read-only, that a container may be started on. */
	readonly path: string;
	/**
	 * Absolute paths, sorted, of the files that stand directly in a folder of this root; [] when there is no such folder.
	 * Links are resolved inside of the root and never lead out of it. Kept after the first call. INVALID_IMAGE for a folder
	 * of more than 5,000 entries.
	 */
	files(folder: string): Promise<readonly string[]>;
	release(): Promise<void>;
}

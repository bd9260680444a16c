import type { Readable } from "node:stream";
import type { Digest } from "./digest.ts";

/**
 * Content-addressed bytes. A blob is immutable and named by its digest; it becomes visible only by a commit that found
 * its bytes to match, and from then on survives a crash (temporary file, fsync, rename, fsync of the folder).
 *
 * An upload session is a growing private file. Sessions survive a restart, are not visible as blobs, and expire when
 * nothing was appended for `uploadTtlMs`.
 */
export interface BlobStore {
	/** The blob's size in bytes, or undefined. */
	stat(digest: Digest): Promise<{ size: number } | undefined>;
	/** Streams the bytes `start` to `end`, both inclusive, all of them by default. NOT_FOUND. */
	open(digest: Digest, range?: { start?: number; end?: number }): Promise<Readable>;
	/** A path another process of this machine may read the blob from, or undefined where the store has none. */
	localPath(digest: Digest): string | undefined;
	/** Stores a whole stream as `expected`. Idempotent. DIGEST_MISMATCH leaves nothing; so does an abort. EXHAUSTED on a full disk. */
	put(
		expected: { digest: Digest; size?: number },
		source: AsyncIterable<Uint8Array>,
		signal?: AbortSignal,
	): Promise<void>;
	/** Idempotent. Callers make sure that nothing refers to the blob (engine/collect). */
	delete(digest: Digest): Promise<void>;
	list(): AsyncIterable<{ digest: Digest; size: number; modifiedMs: number }>;

	/** Starts a session and returns its id. */
	beginUpload(): Promise<string>;
	/** Bytes held so far. NOT_FOUND for an unknown or expired session. */
	uploadSize(id: string): Promise<number>;
	/**
	 * Appends at `offset`, which must be the session's size (INVALID otherwise). When the source breaks off, the bytes
	 * that arrived are kept and the session goes on from there. Returns the new size. One append at a time (CONFLICT).
	 */
	append(id: string, offset: number, source: AsyncIterable<Uint8Array>): Promise<number>;
	/** Verifies and publishes; ends the session. DIGEST_MISMATCH ends it too. */
	commitUpload(id: string, digest: Digest): Promise<void>;
	/** Ends the session and drops its bytes. NOT_FOUND. */
	cancelUpload(id: string): Promise<void>;
	/** Drops sessions idle for longer than the store's limit; returns how many. */
	expireUploads(now: number): Promise<number>;
}

import type { Readable } from "node:stream";
import type { Digest } from "./digest.ts";
import type { Reference } from "./reference.ts";

/** Reads images from another registry over the OCI distribution protocol, with its authentication challenges. */
export interface RemoteRegistry {
	/** The manifest or index bytes that the reference names, verified against the digest where one is known. NOT_FOUND, UNAUTHENTICATED, UNAVAILABLE. */
	fetchManifest(
		reference: Reference,
		signal?: AbortSignal,
	): Promise<{ bytes: Uint8Array; mediaType: string; digest: Digest }>;
	/** A blob's bytes; a broken transfer is taken up again where it stopped. The reader verifies the digest. */
	fetchBlob(reference: Reference, digest: Digest, size: number, signal?: AbortSignal): Promise<Readable>;
}

import { createHash } from "node:crypto";
import { SlipwayError } from "../../base/error.ts";
import type { BlobStore } from "../../core/image/blob-store.ts";
import { type Digest, digestAlgorithm } from "../../core/image/digest.ts";

/** A configuration of 127 layers with their history is some tens of KiB. */
export const maxConfigBytes = 4 * 1024 * 1024;

/** A small blob whole and verified, as a disk may have changed it. NOT_FOUND, TOO_LARGE, DIGEST_MISMATCH. */
export async function readBlob(blobs: BlobStore, digest: Digest, limit: number): Promise<Buffer> {
	const found = await blobs.stat(digest);
	if (!found) throw new SlipwayError("NOT_FOUND", `Blob '${digest}' does not exist`);
	if (found.size > limit) throw new SlipwayError("TOO_LARGE", `Blob '${digest}' has more than ${limit} bytes`);
	const chunks: Uint8Array[] = [];
	for await (const chunk of await blobs.open(digest)) chunks.push(chunk);
	const bytes = Buffer.concat(chunks);
	if (digestOf(bytes, digestAlgorithm(digest)) !== digest)
		throw new SlipwayError("DIGEST_MISMATCH", `Blob '${digest}' has changed on the disk`);
	return bytes;
}

export function digestOf(bytes: Uint8Array, algorithm: "sha256" | "sha512" = "sha256"): Digest {
	return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}

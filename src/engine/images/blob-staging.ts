import { createHash } from "node:crypto";
import { SlipwayError } from "../../base/error.ts";
import type { BlobStore } from "../../core/image/blob-store.ts";
import { type Digest, digestAlgorithm } from "../../core/image/digest.ts";
import type { BlobPins } from "./blob-pins.ts";

/**
 * Holds blobs back, verified but invisible, until all of a set are there. What is not committed when it is disposed
 * leaves nothing behind.
 */
export class BlobStaging implements AsyncDisposable {
	readonly #blobs: BlobStore;
	readonly #pins: BlobPins;
	/** Upload sessions by the digest that their bytes have. */
	readonly #staged = new Map<Digest, string>();
	/** Staged, or there before. */
	readonly #held = new Set<Digest>();
	readonly #releases: (() => void)[] = [];

	constructor(blobs: BlobStore, pins: BlobPins) {
		this.#blobs = blobs;
		this.#pins = pins;
	}

	/**
	 * Takes a blob in, or does not read it at all when it is there already. Without a digest the bytes tell it.
	 * DIGEST_MISMATCH; INVALID_IMAGE through the source.
	 */
	async stage(
		expected: { digest?: Digest | undefined; size: number; what: string },
		content: AsyncIterable<Uint8Array>,
	): Promise<Digest> {
		const { digest } = expected;
		if (digest) {
			if (this.#staged.has(digest)) return digest;
			this.#releases.push(await this.#pins.pin([digest]));
			const found = await this.#blobs.stat(digest);
			if (found?.size === expected.size) {
				this.#held.add(digest);
				return digest;
			}
			if (found) throw mismatch(`${expected.what} has ${expected.size} bytes, and ${digest} has ${found.size}`);
		}
		const session = await this.#blobs.beginUpload();
		const hash = createHash(digest ? digestAlgorithm(digest) : "sha256");
		try {
			const size = await this.#blobs.append(session, 0, hashing(hash, content));
			const actual = `${digest ? digestAlgorithm(digest) : "sha256"}:${hash.digest("hex")}` as Digest;
			if (digest && actual !== digest) throw mismatch(`${expected.what} has the digest ${actual}, and not ${digest}`);
			if (size !== expected.size) throw mismatch(`${expected.what} has ${size} bytes, and not ${expected.size}`);
			if (!digest) this.#releases.push(await this.#pins.pin([actual]));
			if (this.#staged.has(actual)) await this.#blobs.cancelUpload(session);
			else this.#staged.set(actual, session);
			this.#held.add(actual);
			return actual;
		} catch (error) {
			await this.#blobs.cancelUpload(session);
			throw error;
		}
	}

	has(digest: Digest): boolean {
		return this.#held.has(digest);
	}

	/** Publishes all. The blobs stay pinned until the staging is disposed. */
	async commit(): Promise<void> {
		for (const [digest, session] of this.#staged) {
			this.#staged.delete(digest);
			await this.#blobs.commitUpload(session, digest);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		try {
			for (const session of this.#staged.values()) await this.#blobs.cancelUpload(session);
		} finally {
			this.#staged.clear();
			for (const release of this.#releases.splice(0)) release();
		}
	}
}

async function* hashing(
	hash: ReturnType<typeof createHash>,
	content: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
	for await (const chunk of content) {
		hash.update(chunk);
		yield chunk;
	}
}

function mismatch(message: string): SlipwayError {
	return new SlipwayError("DIGEST_MISMATCH", message);
}

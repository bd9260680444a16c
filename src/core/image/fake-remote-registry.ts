import { Readable } from "node:stream";
import { SlipwayError } from "../../base/error.ts";
import type { Digest } from "./digest.ts";
import type { Reference } from "./reference.ts";
import type { RemoteRegistry } from "./remote-registry.ts";

/** A RemoteRegistry in memory, for tests. Manifests by `registry/repository:tag` or `@digest`. */
export class FakeRemoteRegistry implements RemoteRegistry {
	readonly manifests = new Map<string, { bytes: Uint8Array; mediaType: string; digest: Digest }>();
	readonly blobs = new Map<Digest, Uint8Array>();
	/** What was asked for, in order. */
	readonly asked: string[] = [];
	/** Thrown by every call when set. */
	failure: Error | undefined;
	/** Awaited before a blob's first byte. */
	beforeBlob: (digest: Digest, signal: AbortSignal | undefined) => Promise<void> = async () => {};
	openBlobs = 0;
	mostOpenBlobs = 0;

	async fetchManifest(reference: Reference): Promise<{ bytes: Uint8Array; mediaType: string; digest: Digest }> {
		const name = `${reference.registry}/${reference.repository}`;
		const key = reference.digest ? `${name}@${reference.digest}` : `${name}:${reference.tag ?? "latest"}`;
		this.asked.push(key);
		if (this.failure) throw this.failure;
		const found = this.manifests.get(key);
		if (!found) throw new SlipwayError("NOT_FOUND", `${key} does not exist`);
		return found;
	}

	async fetchBlob(_reference: Reference, digest: Digest, _size: number, signal?: AbortSignal): Promise<Readable> {
		this.asked.push(digest);
		if (this.failure) throw this.failure;
		const bytes = this.blobs.get(digest);
		if (!bytes) throw new SlipwayError("NOT_FOUND", `Blob ${digest} does not exist`);
		return Readable.from(this.#transfer(digest, bytes, signal), { objectMode: false });
	}

	async *#transfer(digest: Digest, bytes: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
		this.openBlobs++;
		this.mostOpenBlobs = Math.max(this.mostOpenBlobs, this.openBlobs);
		try {
			await this.beforeBlob(digest, signal);
			signal?.throwIfAborted();
			yield bytes;
		} finally {
			this.openBlobs--;
		}
	}
}

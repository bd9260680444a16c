import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { type Clock, systemClock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { type Ids, randomIds } from "../../base/ids.ts";
import type { BlobStore } from "./blob-store.ts";
import { type Digest, digestAlgorithm } from "./digest.ts";

interface FakeSession {
	bytes: Buffer;
	lastMs: number;
	busy: boolean;
}

/** A BlobStore in memory, for tests. `blobs` is open to them. */
export class FakeBlobStore implements BlobStore {
	readonly blobs = new Map<Digest, { bytes: Buffer; modifiedMs: number }>();
	readonly #sessions = new Map<string, FakeSession>();
	readonly #uploadTtlMs: number;
	readonly #clock: Clock;
	readonly #ids: Ids;

	constructor(options: { uploadTtlMs?: number; clock?: Clock; ids?: Ids } = {}) {
		this.#uploadTtlMs = options.uploadTtlMs ?? 24 * 60 * 60 * 1000;
		this.#clock = options.clock ?? systemClock;
		this.#ids = options.ids ?? randomIds;
	}

	async stat(digest: Digest): Promise<{ size: number } | undefined> {
		const blob = this.blobs.get(digest);
		return blob && { size: blob.bytes.length };
	}

	async open(digest: Digest, range: { start?: number; end?: number } = {}): Promise<Readable> {
		const blob = this.blobs.get(digest);
		if (!blob) throw new SlipwayError("NOT_FOUND", `Blob '${digest}' does not exist`);
		const size = blob.bytes.length;
		const { start = 0, end = size - 1 } = range;
		if ((range.start !== undefined || range.end !== undefined) && !(start >= 0 && start <= end && end < size))
			throw new SlipwayError("INVALID", `Range ${start} to ${end} is not inside the blob's ${size} bytes`);
		return Readable.from([blob.bytes.subarray(start, end + 1)], { objectMode: false });
	}

	localPath(): undefined {
		return undefined;
	}

	async put(
		expected: { digest: Digest; size?: number },
		source: AsyncIterable<Uint8Array>,
		signal?: AbortSignal,
	): Promise<void> {
		signal?.throwIfAborted();
		const aborted = new Promise<never>((_, reject) =>
			signal?.addEventListener("abort", () => reject(signal.reason), { once: true }),
		);
		aborted.catch(() => {});
		const bytes = await Promise.race([Array.fromAsync(source).then((parts) => Buffer.concat(parts)), aborted]);
		if (expected.size !== undefined && bytes.length !== expected.size)
			throw new SlipwayError("DIGEST_MISMATCH", `Blob has ${bytes.length} bytes instead of ${expected.size}`);
		this.#publish(bytes, expected.digest);
	}

	async delete(digest: Digest): Promise<void> {
		this.blobs.delete(digest);
	}

	async *list(): AsyncIterable<{ digest: Digest; size: number; modifiedMs: number }> {
		for (const [digest, { bytes, modifiedMs }] of this.blobs) yield { digest, size: bytes.length, modifiedMs };
	}

	async beginUpload(): Promise<string> {
		const id = this.#ids.uuid();
		this.#sessions.set(id, { bytes: Buffer.alloc(0), lastMs: this.#clock.now(), busy: false });
		return id;
	}

	async uploadSize(id: string): Promise<number> {
		return this.#session(id).bytes.length;
	}

	async append(id: string, offset: number, source: AsyncIterable<Uint8Array>): Promise<number> {
		const session = this.#idleSession(id);
		if (offset !== session.bytes.length)
			throw new SlipwayError("INVALID", `Upload holds ${session.bytes.length} bytes`, { reason: "UploadOffset" });
		session.busy = true;
		try {
			for await (const chunk of source) {
				if (this.#sessions.get(id) !== session) throw this.#unknown();
				session.bytes = Buffer.concat([session.bytes, chunk]);
			}
			return session.bytes.length;
		} finally {
			session.busy = false;
			session.lastMs = this.#clock.now();
		}
	}

	async commitUpload(id: string, digest: Digest): Promise<void> {
		const session = this.#idleSession(id);
		this.#sessions.delete(id);
		this.#publish(session.bytes, digest);
	}

	async cancelUpload(id: string): Promise<void> {
		this.#session(id);
		this.#sessions.delete(id);
	}

	async expireUploads(now: number): Promise<number> {
		const idle = [...this.#sessions].filter(([, session]) => !session.busy && this.#isExpired(session, now));
		for (const [id] of idle) this.#sessions.delete(id);
		return idle.length;
	}

	#publish(bytes: Buffer, digest: Digest): void {
		const algorithm = digestAlgorithm(digest);
		const actual = `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
		if (actual !== digest)
			throw new SlipwayError("DIGEST_MISMATCH", `Bytes have digest '${actual}' instead of '${digest}'`);
		this.blobs.set(digest, { bytes, modifiedMs: this.#clock.now() });
	}

	#isExpired(session: FakeSession, now: number): boolean {
		return now - session.lastMs > this.#uploadTtlMs;
	}

	#unknown(): SlipwayError {
		return new SlipwayError("NOT_FOUND", "Upload does not exist or has expired", { reason: "UploadUnknown" });
	}

	#session(id: string): FakeSession {
		const session = this.#sessions.get(id);
		if (!session || (!session.busy && this.#isExpired(session, this.#clock.now()))) throw this.#unknown();
		return session;
	}

	#idleSession(id: string): FakeSession {
		const session = this.#session(id);
		if (session.busy) throw new SlipwayError("CONFLICT", "Another request is writing to this upload");
		return session;
	}
}

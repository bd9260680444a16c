import { mkdir, open, opendir, readdir, rm, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type Clock, systemClock } from "../../base/clock.ts";
import { fromSystemError, SlipwayError, systemCode } from "../../base/error.ts";
import { type Ids, randomIds } from "../../base/ids.ts";
import type { BlobStore } from "../../core/image/blob-store.ts";
import { type Digest, digestAlgorithm, digestHex, isDigest } from "../../core/image/digest.ts";
import { publish, syncFolder } from "./durable.ts";
import { HashedFile } from "./hashed-file.ts";
import { abortable, limited } from "./source.ts";

export interface FsBlobStoreOptions {
	/** A folder of its own, made when missing. Owned by one process at a time (the daemon's lock). */
	root: string;
	/** Upload sessions idle for longer are dropped; a day by default, as a push may be taken up again tomorrow. */
	uploadTtlMs?: number;
	/** Open upload sessions, which survive a restart: past it `beginUpload` is THROTTLED. 1,000 by default. */
	maxUploads?: number;
	clock?: Clock;
	ids?: Ids;
}

interface UploadSession {
	file: HashedFile;
	/** When something was last appended, by the store's clock. */
	lastMs: number;
	/** An append or a commit is under way. */
	busy: boolean;
	/** Cancelled while an append was under way. */
	ended: boolean;
}

/** Fewer and larger reads than Node's 64 KiB; one chunk is what a slow reader holds in memory. */
const readChunkBytes = 256 * 1024;
const algorithms = ["sha256", "sha512"] as const;

/**
 * Blobs as files: `blobs/<algorithm>/<hex>` as in an OCI image layout, `uploads/<session>`, and `tmp/` for what has no
 * session. Hashing happens on the way through, 0.5 ms at most at a time; writes and fsync in libuv's threads.
 */
export class FsBlobStore implements BlobStore {
	readonly #root: string;
	readonly #uploadTtlMs: number;
	readonly #maxUploads: number;
	readonly #clock: Clock;
	readonly #ids: Ids;
	readonly #sessions = new Map<string, UploadSession>();

	private constructor(options: FsBlobStoreOptions) {
		this.#root = options.root;
		this.#uploadTtlMs = options.uploadTtlMs ?? 24 * 60 * 60 * 1000;
		this.#maxUploads = options.maxUploads ?? 1000;
		this.#clock = options.clock ?? systemClock;
		this.#ids = options.ids ?? randomIds;
	}

	/** Makes the folders, removes what a crash left in `tmp/`, and finds the sessions of earlier processes. EXHAUSTED. */
	static async open(options: FsBlobStoreOptions): Promise<FsBlobStore> {
		const store = new FsBlobStore(options);
		await diskErrors("opening the blob store", async () => {
			await rm(join(options.root, "tmp"), { recursive: true, force: true });
			for (const folder of ["tmp", "uploads", ...algorithms.map((name) => `blobs/${name}`)])
				await mkdir(join(options.root, folder), { recursive: true });
			await store.#recoverUploads();
		});
		return store;
	}

	async #recoverUploads(): Promise<void> {
		for (const id of await readdir(join(this.#root, "uploads"))) {
			const file = await HashedFile.recover(this.#uploadPath(id));
			const lastMs = (await stat(file.path)).mtimeMs;
			this.#sessions.set(id, { file, lastMs, busy: false, ended: false });
		}
	}

	async stat(digest: Digest): Promise<{ size: number } | undefined> {
		try {
			return { size: (await stat(this.#blobPath(digest))).size };
		} catch (error) {
			if (systemCode(error) === "ENOENT") return undefined;
			throw fromSystemError(error, "reading a blob");
		}
	}

	async open(digest: Digest, range: { start?: number; end?: number } = {}): Promise<Readable> {
		const file = await open(this.#blobPath(digest), "r").catch((error: unknown) => {
			if (systemCode(error) === "ENOENT") throw new SlipwayError("NOT_FOUND", `Blob '${digest}' does not exist`);
			throw fromSystemError(error, "reading a blob");
		});
		try {
			const { size } = await file.stat();
			const { start = 0, end = size - 1 } = range;
			const whole = range.start === undefined && range.end === undefined;
			if (!whole && !(start >= 0 && start <= end && end < size))
				throw new SlipwayError("INVALID", `Range ${start} to ${end} is not inside the blob's ${size} bytes`);
			if (size > 0) return file.createReadStream({ start, end, highWaterMark: readChunkBytes });
			await file.close();
			return Readable.from([]);
		} catch (error) {
			await file.close();
			throw error;
		}
	}

	localPath(digest: Digest): string {
		return this.#blobPath(digest);
	}

	/** A blob that is there already is read and verified all the same: only who has the bytes may say so. */
	async put(
		expected: { digest: Digest; size?: number },
		source: AsyncIterable<Uint8Array>,
		signal?: AbortSignal,
	): Promise<void> {
		const path = join(this.#root, "tmp", this.#ids.hex(16));
		await diskErrors("storing a blob", async () => {
			try {
				const file = await HashedFile.create(path, digestAlgorithm(expected.digest));
				await file.append(limited(abortable(source, signal), expected));
				if (expected.size !== undefined && file.size !== expected.size)
					throw mismatch(`Blob '${expected.digest}' has ${file.size} bytes instead of ${expected.size}`);
				await verify(file, expected.digest);
				signal?.throwIfAborted();
				// Replaces a blob that is there: its new age keeps a collector that runs right now from taking it.
				await publish(path, this.#blobPath(expected.digest));
			} catch (error) {
				await rm(path, { force: true });
				throw error;
			}
		});
	}

	async delete(digest: Digest): Promise<void> {
		const path = this.#blobPath(digest);
		await diskErrors("deleting a blob", () => rm(path, { force: true }));
	}

	async *list(): AsyncIterable<{ digest: Digest; size: number; modifiedMs: number }> {
		for (const algorithm of algorithms) {
			for await (const entry of await opendir(join(this.#root, "blobs", algorithm))) {
				const digest = `${algorithm}:${entry.name}`;
				if (!isDigest(digest)) continue;
				const found = await stat(this.#blobPath(digest)).catch((error: unknown) => {
					if (systemCode(error) === "ENOENT") return undefined; // deleted while we listed
					throw error;
				});
				if (found) yield { digest, size: found.size, modifiedMs: found.mtimeMs };
			}
		}
	}

	async beginUpload(): Promise<string> {
		if (this.#sessions.size >= this.#maxUploads) await this.expireUploads(this.#clock.now());
		if (this.#sessions.size >= this.#maxUploads)
			throw new SlipwayError("THROTTLED", `There are ${this.#maxUploads} upload sessions already`, {
				hint: "Finish or cancel some; idle ones expire",
			});
		const id = this.#ids.uuid();
		const file = await diskErrors("starting an upload", () => HashedFile.create(this.#uploadPath(id), "sha256"));
		this.#sessions.set(id, { file, lastMs: this.#clock.now(), busy: false, ended: false });
		return id;
	}

	async uploadSize(id: string): Promise<number> {
		return this.#session(id).file.size;
	}

	async append(id: string, offset: number, source: AsyncIterable<Uint8Array>): Promise<number> {
		const session = this.#idleSession(id);
		if (offset !== session.file.size)
			throw new SlipwayError("INVALID", `Upload holds ${session.file.size} bytes, so it can't go on at ${offset}`, {
				reason: "UploadOffset",
			});
		session.busy = true;
		try {
			await diskErrors("receiving an upload", () => session.file.append(whileOpen(id, session, source)));
			return session.file.size;
		} finally {
			session.busy = false;
			session.lastMs = this.#clock.now();
		}
	}

	async commitUpload(id: string, digest: Digest): Promise<void> {
		const session = this.#idleSession(id);
		session.busy = true;
		try {
			await diskErrors("committing an upload", async () => {
				await verify(session.file, digest);
				await publish(session.file.path, this.#blobPath(digest));
			});
			this.#sessions.delete(id);
		} catch (error) {
			const cancelled = session.ended;
			// After a failed fsync the kernel may hold pages that it will never write: nothing is left to build upon.
			await this.#drop(id, session);
			throw cancelled ? unknownUpload(id) : error;
		} finally {
			session.busy = false;
		}
	}

	async cancelUpload(id: string): Promise<void> {
		await this.#drop(id, this.#session(id));
	}

	async expireUploads(now: number): Promise<number> {
		let count = 0;
		for (const [id, session] of this.#sessions) {
			if (session.busy || !this.#isExpired(session, now)) continue;
			await this.#drop(id, session);
			count++;
		}
		if (count > 0) await syncFolder(join(this.#root, "uploads"));
		return count;
	}

	#isExpired(session: UploadSession, now: number): boolean {
		return now - session.lastMs > this.#uploadTtlMs;
	}

	async #drop(id: string, session: UploadSession): Promise<void> {
		session.ended = true;
		this.#sessions.delete(id);
		await unlink(session.file.path).catch((error: unknown) => {
			if (systemCode(error) !== "ENOENT") throw error;
		});
	}

	/** Ids are looked up, never made into a path: what the caller sends can't name a file. */
	#session(id: string): UploadSession {
		const session = this.#sessions.get(id);
		if (!session || (!session.busy && this.#isExpired(session, this.#clock.now()))) throw unknownUpload(id);
		return session;
	}

	#idleSession(id: string): UploadSession {
		const session = this.#session(id);
		if (session.busy)
			throw new SlipwayError("CONFLICT", "Another request is writing to this upload", { reason: "UploadBusy" });
		return session;
	}

	#blobPath(digest: Digest): string {
		if (!isDigest(digest)) throw new SlipwayError("INVALID", "Not a digest");
		return join(this.#root, "blobs", digestAlgorithm(digest), digestHex(digest));
	}

	#uploadPath(id: string): string {
		return join(this.#root, "uploads", id);
	}
}

function mismatch(message: string): SlipwayError {
	return new SlipwayError("DIGEST_MISMATCH", message);
}

function unknownUpload(id: string): SlipwayError {
	return new SlipwayError("NOT_FOUND", `Upload '${id.slice(0, 100)}' does not exist or has expired`, {
		reason: "UploadUnknown",
	});
}

async function verify(file: HashedFile, expected: Digest): Promise<void> {
	const actual = await file.digest(expected);
	if (actual !== expected) throw mismatch(`Bytes have digest '${actual}' instead of '${expected}'`);
}

async function* whileOpen(id: string, session: UploadSession, source: AsyncIterable<Uint8Array>) {
	for await (const chunk of source) {
		if (session.ended) throw unknownUpload(id);
		yield chunk;
	}
	if (session.ended) throw unknownUpload(id);
}

async function diskErrors<T>(doing: string, task: () => Promise<T>): Promise<T> {
	try {
		return await task();
	} catch (error) {
		throw fromSystemError(error, doing);
	}
}

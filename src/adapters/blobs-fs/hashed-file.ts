import { createHash, type Hash } from "node:crypto";
import { open, stat } from "node:fs/promises";
import { type Digest, digestAlgorithm } from "../../core/image/digest.ts";
import { writeAll } from "./durable.ts";
import { hashFile } from "./hash-file.ts";

/**
 * Bytes are hashed and written in slices of at most this size, with a turn of the event loop between them: SHA-256 of
 * 1 MiB takes 0.5 ms, so that a caller's huge buffer does not block the loop either (the bound is 10 ms).
 */
const sliceBytes = 1024 * 1024;

/**
 * A private file that only grows, and the running hash of what is in it. The hash lives in memory: where it was lost (a
 * restart), or is another algorithm's than the one asked for, the file is read again in a worker thread.
 */
export class HashedFile {
	readonly path: string;
	#size: number;
	readonly #hash: Hash | undefined;
	readonly #algorithm: string;

	private constructor(path: string, size: number, algorithm: string | undefined) {
		this.path = path;
		this.#size = size;
		this.#algorithm = algorithm ?? "";
		this.#hash = algorithm === undefined ? undefined : createHash(algorithm);
	}

	/** EEXIST when there is one already. */
	static async create(path: string, algorithm: "sha256" | "sha512"): Promise<HashedFile> {
		const file = await open(path, "wx", 0o644);
		await file.close();
		return new HashedFile(path, 0, algorithm);
	}

	static async recover(path: string): Promise<HashedFile> {
		return new HashedFile(path, (await stat(path)).size, undefined);
	}

	get size(): number {
		return this.#size;
	}

	/** Appends until the source ends. When it, or the disk, fails, what arrived whole is kept and the error is thrown. */
	async append(source: AsyncIterable<Uint8Array>): Promise<void> {
		const file = await open(this.path, "r+");
		try {
			for await (const chunk of source) {
				for (let from = 0; from < chunk.length; from += sliceBytes) {
					const slice = chunk.subarray(from, from + sliceBytes);
					await writeAll(file, slice, this.#size);
					this.#hash?.update(slice);
					this.#size += slice.length;
				}
			}
		} catch (error) {
			// A slice that was written in part is not in the hash.
			await file.truncate(this.#size);
			throw error;
		} finally {
			await file.close();
		}
	}

	/** The digest of everything appended so far, in the algorithm of `expected`. */
	async digest(algorithmOf: Digest): Promise<Digest> {
		const algorithm = digestAlgorithm(algorithmOf);
		const hex =
			this.#hash && this.#algorithm === algorithm
				? this.#hash.copy().digest("hex")
				: await hashFile(this.path, algorithm);
		return `${algorithm}:${hex}`;
	}
}

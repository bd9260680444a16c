/** The files inside an archive of images, whichever way it is packed: a tar file, a compressed one, or a folder. */
import { constants, createReadStream } from "node:fs";
import { type FileHandle, open, readlink, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { SlipwayError, systemCode } from "../../base/error.ts";
import {
	invalidArchive,
	isTarHeader,
	linkTarget,
	safeName,
	type TarEntry,
	type TarSource,
	tarEntries,
} from "../../core/image/archive-tar.ts";

/** One piece of a layer in memory. */
const pieceBytes = 256 * 1024;
/** Links that lead to links; `docker save` makes one step. */
const maxLinks = 8;
/** Documents of a compressed archive that are kept from the first pass, so that reading one needs no further pass. */
const maxKeptBytes = 64 * 1024;
const maxKeptTotal = 16 * 1024 * 1024;
/** What a compressed archive may grow to: a few images of Lambda's largest size. A bomb ends here. */
const maxDecompressedBytes = 64 * 1024 ** 3;

export interface ArchiveFile {
	/** Of the regular file itself, after links. */
	name: string;
	size: number;
}

/** Nothing of an archive is ever written under its own name, or held whole in memory. */
export interface ArchiveFiles extends AsyncDisposable {
	/** Looks a name up and follows links inside the archive. INVALID_IMAGE for one that leads outside. */
	find(name: string): Promise<ArchiveFile | undefined>;
	/** Passes each file once, in whichever order it comes; all of them, or INVALID_IMAGE. */
	stream(
		files: readonly ArchiveFile[],
		receive: (file: ArchiveFile, content: AsyncIterable<Uint8Array>) => Promise<void>,
		signal?: AbortSignal,
	): Promise<void>;
}

/** NOT_FOUND; INVALID_IMAGE for what is no archive. */
export async function openArchive(path: string, signal?: AbortSignal): Promise<ArchiveFiles> {
	const found = await stat(path).catch((error: unknown) => {
		if (systemCode(error) === "ENOENT" || systemCode(error) === "ENOTDIR")
			throw new SlipwayError("NOT_FOUND", `There is no file '${path}'`);
		throw error;
	});
	if (found.isDirectory()) return new FolderArchive(await realpath(path));
	if (!found.isFile()) throw invalidArchive(`'${path}' is neither a file nor a folder`);
	const handle = await open(path, "r");
	try {
		const { buffer, bytesRead } = await handle.read(Buffer.alloc(512), 0, 512, 0);
		const head = buffer.subarray(0, bytesRead);
		const compression = compressionOf(head);
		if (compression) {
			const kept = new Map<string, Buffer>();
			const table = await withStream(path, compression, signal, (source) => tableOf(source, kept));
			await handle.close();
			return new StreamArchive(path, compression, table, kept);
		}
		if (!isTarHeader(head)) throw invalidArchive(`'${path}' is neither a tar archive nor a gzip or zstd one`);
		return new FileArchive(handle, await tableOf(fileSource(handle)));
	} catch (error) {
		await handle.close();
		throw error;
	}
}

export type Compression = "gzip" | "zstd";

/** RFC 1952 2.3.1; RFC 8878 3.1.1. */
export function compressionOf(head: Uint8Array): Compression | undefined {
	if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
	if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return "zstd";
	return undefined;
}

type Table = ReadonlyMap<string, TarEntry>;

async function tableOf(source: TarSource, keep?: Map<string, Buffer>): Promise<Table> {
	const table = new Map<string, TarEntry>();
	let kept = 0;
	for await (const { consumed, ...entry } of tarEntries(source)) {
		// Two files of one name: which one is meant would depend on who reads.
		if (entry.type !== "folder" && table.has(entry.name))
			throw invalidArchive(`it holds '${entry.name}' twice`, "ArchiveDuplicateEntry");
		table.set(entry.name, entry);
		if (!keep || entry.type !== "file" || entry.size > maxKeptBytes || kept + entry.size > maxKeptTotal) continue;
		const content = await source.read(entry.size);
		consumed(content.length);
		kept += content.length;
		keep.set(entry.name, content);
	}
	return table;
}

function findIn(table: Table, asked: string): TarEntry | undefined {
	let name = safeName(asked);
	for (let links = 0; links <= maxLinks; links++) {
		const entry = table.get(name);
		if (entry === undefined || entry.type === "file") return entry;
		if (entry.type === "symlink") name = linkTarget(name, entry.linkName);
		else if (entry.type === "hardlink") name = safeName(entry.linkName);
		else throw invalidArchive(`its entry '${name}' is not a file`);
	}
	throw invalidArchive(`its entry '${asked}' is a link to a link without end`);
}

/** A tar file: the table is read once, by seeking from header to header, and then each file from its place. */
class FileArchive implements ArchiveFiles {
	readonly #handle: FileHandle;
	readonly #table: Table;

	constructor(handle: FileHandle, table: Table) {
		this.#handle = handle;
		this.#table = table;
	}

	async find(name: string): Promise<ArchiveFile | undefined> {
		return findIn(this.#table, name);
	}

	async stream(
		files: readonly ArchiveFile[],
		receive: (file: ArchiveFile, content: AsyncIterable<Uint8Array>) => Promise<void>,
		signal?: AbortSignal,
	): Promise<void> {
		for (const file of files) {
			signal?.throwIfAborted();
			const start = this.#table.get(file.name)?.offset ?? 0;
			await receive(file, pieces(this.#handle, start, file.size, signal));
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#handle.close();
	}
}

/** A compressed tar file can't seek: it is read through from the start, once for the table and once for each `stream`. */
class StreamArchive implements ArchiveFiles {
	readonly #path: string;
	readonly #compression: Compression;
	readonly #table: Table;
	readonly #kept: ReadonlyMap<string, Buffer>;

	constructor(path: string, compression: Compression, table: Table, kept: ReadonlyMap<string, Buffer>) {
		this.#path = path;
		this.#compression = compression;
		this.#table = table;
		this.#kept = kept;
	}

	async find(name: string): Promise<ArchiveFile | undefined> {
		return findIn(this.#table, name);
	}

	async stream(
		files: readonly ArchiveFile[],
		receive: (file: ArchiveFile, content: AsyncIterable<Uint8Array>) => Promise<void>,
		signal?: AbortSignal,
	): Promise<void> {
		const wanted = new Map(files.map((file) => [file.name, file]));
		for (const file of files) {
			const content = this.#kept.get(file.name);
			if (!content) continue;
			wanted.delete(file.name);
			await receive(file, single(content));
		}
		if (wanted.size === 0) return;
		await withStream(this.#path, this.#compression, signal, async (source) => {
			for await (const entry of tarEntries(source)) {
				const file = wanted.get(entry.name);
				if (!file || entry.type !== "file") continue;
				wanted.delete(entry.name);
				await receive(file, take(source, file.size, entry.consumed));
				if (wanted.size === 0) return;
			}
		});
		for (const name of wanted.keys()) throw invalidArchive(`it changed while it was read: '${name}' is gone`);
	}

	async [Symbol.asyncDispose](): Promise<void> {}
}

/** An OCI image layout in a folder. A link may not lead out of the folder, and a pipe does not hold us up. */
class FolderArchive implements ArchiveFiles {
	readonly #root: string;

	constructor(root: string) {
		this.#root = root;
	}

	async find(name: string): Promise<ArchiveFile | undefined> {
		const handle = await this.#open(name);
		if (!handle) return undefined;
		try {
			return { name: safeName(name), size: (await handle.stat()).size };
		} finally {
			await handle.close();
		}
	}

	async stream(
		files: readonly ArchiveFile[],
		receive: (file: ArchiveFile, content: AsyncIterable<Uint8Array>) => Promise<void>,
		signal?: AbortSignal,
	): Promise<void> {
		for (const file of files) {
			signal?.throwIfAborted();
			const handle = await this.#open(file.name);
			if (!handle) throw invalidArchive(`it changed while it was read: '${file.name}' is gone`);
			try {
				await receive(file, pieces(handle, 0, file.size, signal));
			} finally {
				await handle.close();
			}
		}
	}

	/** Opened first and checked after, so that no link can be swapped in between. */
	async #open(name: string): Promise<FileHandle | undefined> {
		let handle: FileHandle;
		try {
			handle = await open(join(this.#root, safeName(name)), constants.O_RDONLY | constants.O_NONBLOCK);
		} catch (error) {
			const code = systemCode(error);
			if (code === "ENOENT" || code === "ENOTDIR") return undefined;
			if (code === "ELOOP" || code === "ENXIO") throw invalidArchive(`its entry '${name}' is not a file`);
			throw error;
		}
		try {
			if (!(await handle.stat()).isFile()) throw invalidArchive(`its entry '${name}' is not a file`);
			const real = await readlink(`/proc/self/fd/${handle.fd}`);
			if (!real.startsWith(`${this.#root}/`))
				throw invalidArchive(`its link '${name}' leads outside of it`, "ArchivePathEscape");
			return handle;
		} catch (error) {
			await handle.close();
			throw error;
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {}
}

async function* single(content: Buffer): AsyncGenerator<Uint8Array> {
	yield content;
}

async function* pieces(
	handle: FileHandle,
	start: number,
	size: number,
	signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
	for (let done = 0; done < size; ) {
		signal?.throwIfAborted();
		const wanted = Math.min(pieceBytes, size - done);
		const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(wanted), 0, wanted, start + done);
		if (bytesRead === 0) throw invalidArchive("it is truncated", "ArchiveTruncated");
		done += bytesRead;
		yield buffer.subarray(0, bytesRead);
	}
}

function fileSource(handle: FileHandle): TarSource {
	let position = 0;
	return {
		async read(length) {
			const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
			position += bytesRead;
			return buffer.subarray(0, bytesRead);
		},
		async skip(length) {
			position += length;
		},
	};
}

async function* take(source: TarSource, size: number, consumed: (bytes: number) => void): AsyncGenerator<Uint8Array> {
	for (let done = 0; done < size; ) {
		const piece = await source.read(Math.min(pieceBytes, size - done));
		if (piece.length === 0) throw invalidArchive("it is truncated", "ArchiveTruncated");
		done += piece.length;
		consumed(piece.length);
		yield piece;
	}
}

async function withStream<T>(
	path: string,
	compression: Compression,
	signal: AbortSignal | undefined,
	use: (source: TarSource) => Promise<T>,
): Promise<T> {
	const file = createReadStream(path, { highWaterMark: pieceBytes });
	const decoder =
		compression === "gzip" ? createGunzip({ chunkSize: pieceBytes }) : createZstdDecompress({ chunkSize: pieceBytes });
	file.once("error", (error) => decoder.destroy(error));
	const onAbort = () => decoder.destroy(signal?.reason);
	signal?.addEventListener("abort", onAbort, { once: true });
	try {
		signal?.throwIfAborted();
		return await use(streamSource(file.pipe(decoder)));
	} catch (error) {
		signal?.throwIfAborted();
		const code = systemCode(error);
		if (code === "Z_BUF_ERROR") throw invalidArchive(`its ${compression} data is truncated`, "ArchiveTruncated");
		if (code?.startsWith("Z_") || code?.startsWith("ZSTD_"))
			throw invalidArchive(`its ${compression} data is damaged (${code})`, "ArchiveDamaged");
		throw error;
	} finally {
		signal?.removeEventListener("abort", onAbort);
		file.destroy();
		decoder.destroy();
	}
}

function streamSource(stream: Readable): TarSource {
	const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
	let rest: Buffer = Buffer.alloc(0);
	let total = 0;
	const refill = async (): Promise<boolean> => {
		const chunk = await chunks.next();
		if (chunk.done) return false;
		rest = chunk.value;
		total += rest.length;
		if (total > maxDecompressedBytes)
			throw invalidArchive(`it grows to more than ${maxDecompressedBytes} bytes`, "ArchiveTooLarge");
		return true;
	};
	const upTo = async (length: number): Promise<Buffer> => {
		if (rest.length === 0 && !(await refill())) return rest;
		const piece = rest.subarray(0, length);
		rest = rest.subarray(piece.length);
		return piece;
	};
	return {
		async read(length) {
			const parts: Buffer[] = [];
			for (let missing = length; missing > 0; ) {
				const piece = await upTo(missing);
				if (piece.length === 0) break;
				missing -= piece.length;
				parts.push(piece);
			}
			return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts);
		},
		async skip(length) {
			for (let missing = length; missing > 0; ) {
				const piece = await upTo(missing);
				if (piece.length === 0) throw invalidArchive("it is truncated", "ArchiveTruncated");
				missing -= piece.length;
			}
		},
	};
}

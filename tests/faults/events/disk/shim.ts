/** The layer of shim.c under a daemon: what power cuts, failing disks and clocks do, without any of them. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const pageBytes = 4096;
/** What a disk writes whole. */
const sectorBytes = 512;
const controlBytes = 24;
/** The databases; what else is in the home folder is made again, or named by its digest. */
const databases = ["events.db", "state.db"];

/** One file: as the kernel had it, as the disk has it, and the pages that were written since its last sync. */
interface Unsynced {
	name: string;
	now: Buffer;
	durable: Buffer;
	pages: number[];
}

export class DiskShim {
	readonly #folder: string;
	readonly #home: string;
	readonly #library: string;

	private constructor(folder: string, home: string, library: string) {
		this.#folder = folder;
		this.#home = home;
		this.#library = library;
	}

	/** `folder` is the shim's own, and goes with the caller's. */
	static async build(folder: string, home: string): Promise<DiskShim> {
		await mkdir(folder, { recursive: true });
		const library = join(folder, "shim.so");
		const source = join(import.meta.dirname, "shim.c");
		await run("gcc", ["-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"]);
		await writeFile(join(folder, "control"), Buffer.alloc(controlBytes));
		return new DiskShim(folder, home, library);
	}

	/** For the daemon's environment. */
	get env(): Record<string, string> {
		return {
			LD_PRELOAD: this.#library,
			SHIM_FOLDER: this.#folder,
			SHIM_FILES: databases.map((name) => join(this.#home, name)).join(":"),
		};
	}

	/** The daemon's wall clock is so many seconds ahead of the machine's. */
	async setClock(seconds: number): Promise<void> {
		const value = Buffer.alloc(8);
		value.writeBigInt64LE(BigInt(seconds));
		await this.#write(value, 0);
	}

	/** So many syncs, or writes, fail with EIO from now on. */
	async failSyncs(count: number): Promise<void> {
		await this.#write(int32(count), 8);
	}

	async failWrites(count: number): Promise<void> {
		await this.#write(int32(count), 12);
	}

	/** Each sync takes so many milliseconds more. */
	async delaySyncs(ms: number): Promise<void> {
		await this.#write(int32(ms), 16);
	}

	/**
	 * After the daemon was killed: the databases as a disk has them whose power went away. Of the pages that were not synced each
	 * is there, is not, or has some of its sectors. How many there were.
	 */
	async loseUnsynced(random: () => number): Promise<number> {
		return this.#change((file) => {
			const kept = file.pages.flatMap((page) => sectorsOf(page, random));
			return withSectors(file, kept);
		});
	}

	/**
	 * After the daemon was killed: all was written in order but for the last write, which ends at a random byte of what was not synced.
	 * How many pages were not synced.
	 */
	async tear(random: () => number): Promise<number> {
		return this.#change((file) => {
			const bytes = file.pages.length * pageBytes;
			let left = Math.floor(random() * bytes);
			const parts: [from: number, to: number][] = [];
			for (const page of file.pages) {
				const length = Math.min(pageBytes, left);
				left -= length;
				if (length > 0) parts.push([page * pageBytes, page * pageBytes + length]);
			}
			return withSectors(file, parts);
		});
	}

	async #change(of: (file: Unsynced) => Buffer): Promise<number> {
		let pages = 0;
		const names = (await readdir(this.#home)).filter((name) => databases.some((database) => name.startsWith(database)));
		for (const name of names) {
			const file = await this.#read(name);
			// Never synced: the disk does not know of it.
			if (!file) {
				await rm(join(this.#home, name));
				continue;
			}
			pages += file.pages.length;
			const after = of(file);
			await writeFile(join(this.#home, name), after);
			await writeFile(join(this.#folder, name), after);
			await writeFile(join(this.#folder, `${name}.dirty`), Buffer.alloc(dirtyBytes));
		}
		return pages;
	}

	async #read(name: string): Promise<Unsynced | undefined> {
		const copy = join(this.#folder, name);
		if (!existsSync(copy)) return undefined;
		const now = await readFile(join(this.#home, name));
		const dirty = await readFile(join(this.#folder, `${name}.dirty`));
		const pages = [...pagesOf(dirty)].filter((page) => page * pageBytes < now.length);
		return { name, now, durable: await readFile(copy), pages };
	}

	async #write(bytes: Buffer, at: number): Promise<void> {
		await using file = await open(join(this.#folder, "control"), "r+");
		await file.write(bytes, 0, bytes.length, at);
	}
}

/** DIRTY_PAGES / 8 of shim.c. */
const dirtyBytes = (1 << 22) / 8;

/** Bytes of a page that reached the disk: all, none or some of its sectors. */
function sectorsOf(page: number, random: () => number): [from: number, to: number][] {
	const fate = random();
	if (fate < 0.4) return [];
	if (fate < 0.8) return [[page * pageBytes, (page + 1) * pageBytes]];
	const sectors: [number, number][] = [];
	for (let at = page * pageBytes; at < (page + 1) * pageBytes; at += sectorBytes)
		if (random() < 0.5) sectors.push([at, at + sectorBytes]);
	return sectors;
}

function withSectors({ now, durable }: Unsynced, kept: readonly (readonly [from: number, to: number])[]): Buffer {
	// A file need not end with a sector.
	const parts = kept.filter(([from]) => from < now.length);
	let size = durable.length;
	for (const [, to] of parts) size = Math.max(size, Math.min(now.length, to));
	const after = Buffer.alloc(size);
	durable.copy(after);
	for (const [from, to] of parts) now.copy(after, from, from, to);
	return after;
}

function int32(value: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeInt32LE(value);
	return bytes;
}

function* pagesOf(bits: Buffer): Generator<number> {
	for (const [at, byte] of bits.entries())
		if (byte !== 0) for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) yield at * 8 + bit;
}

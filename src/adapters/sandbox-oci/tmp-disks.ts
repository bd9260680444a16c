import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { SlipwayError, systemCode } from "../../base/error.ts";
import type { KernelThread } from "./kernel-thread.ts";
import { runTool } from "./tool.ts";
import { type Pooling, WarmPool } from "./warm-pool.ts";

/** A mounted /tmp. */
export interface TmpDisk {
	path: string;
}

interface TmpDisksOptions {
	thread: KernelThread;
	/** On a real disk: templates, and for a moment the disks' own files. */
	diskFolder: string;
	/** Where the mount points are made. */
	mountFolder: string;
	pooling: Pooling;
}

const MIB = 1 << 20;
const BLOCK_BYTES = 4096;
/** A first guess at what ext4 keeps for itself (superblocks, group descriptors, inode tables); then it is measured. */
const OVERHEAD_SHARE = 0.016;
const OVERHEAD_MIB = 18;
/** Where the superblock is, and two fields in it (kernel: filesystems/ext4/super.rst). */
const SUPERBLOCK_AT = 1024;
const BLOCKS_COUNT_AT = 0x4;
const FREE_BLOCKS_COUNT_AT = 0xc;
/** Blocks that a mounted ext4 gives to no file: a fiftieth, at most so many (ext4_calculate_resv_clusters). */
const MAX_RESERVED_BLOCKS = 4096;
/** Of the file system's empty lost+found, which is removed. */
const LOST_FOUND_BLOCKS = 4;
/** In the names of files that are being made. Not the process id: in a container every daemon may have the same. */
const ours = randomUUID();
/** One pool a size; sizes beyond these are made when they are needed. */
const MAX_POOLS = 8;

/**
 * File systems for the sandboxes' /tmp: ext4 on a sparse file, so that the size holds, files cost disk and not the
 * sandbox's memory, and nothing is left when the last mount goes away. tmpfs where there are no loop devices.
 */
export class TmpDisks implements AsyncDisposable {
	readonly #options: TmpDisksOptions;
	readonly #pools = new Map<number, WarmPool<TmpDisk>>();
	readonly #templates = new Map<number, Promise<string>>();
	readonly #loopDevices = existsSync("/dev/loop-control");
	#nextNumber = 1;

	constructor(options: TmpDisksOptions) {
		this.#options = options;
		if (!this.#loopDevices)
			options.pooling.log.warn(
				"No loop devices here: /tmp of sandboxes is a tmpfs, which counts against their memory limit",
			);
	}

	prepare(sizeMiB: number): void {
		let pool = this.#pools.get(sizeMiB);
		if (!pool) {
			if (this.#pools.size === MAX_POOLS) return;
			pool = new WarmPool<TmpDisk>({
				...this.#options.pooling,
				name: `a /tmp of ${sizeMiB} MiB`,
				make: () => this.#make(sizeMiB),
				destroy: (disk) => this.remove(disk),
			});
			this.#pools.set(sizeMiB, pool);
		}
		pool.fill();
	}

	async take(sizeMiB: number): Promise<TmpDisk> {
		return this.#pools.get(sizeMiB)?.take() ?? (await this.#make(sizeMiB));
	}

	async remove(disk: TmpDisk): Promise<void> {
		await this.#options.thread.run("unmount", { targets: [disk.path] });
	}

	/** Removes what a process that was killed half-way left of its disks and templates. */
	async reap(): Promise<void> {
		const { diskFolder } = this.#options;
		const names = existsSync(diskFolder) ? await readdir(diskFolder) : [];
		const leftovers = names.filter((name) => !/^template-\d+\.img$/.test(name) && !name.includes(ours));
		for (const name of leftovers) await rm(join(diskFolder, name), { force: true });
	}

	/** For tests and measurements. */
	async settled(): Promise<void> {
		for (const pool of this.#pools.values()) await pool.settled();
	}

	async #make(sizeMiB: number): Promise<TmpDisk> {
		const { thread, diskFolder, mountFolder } = this.#options;
		const name = `${this.#nextNumber++}`;
		const path = join(mountFolder, name);
		if (!this.#loopDevices) {
			await thread.run("mountTmpfs", { target: path, options: `size=${sizeMiB}m,mode=1777` });
			return { path };
		}
		const template = await this.#template(sizeMiB);
		try {
			await thread.run("mountDisk", { template, file: join(diskFolder, `${ours}-${name}.img`), target: path });
		} catch (error) {
			await thread.run("unmount", { targets: [path] });
			throw outOfRoom(error);
		}
		return { path };
	}

	#template(sizeMiB: number): Promise<string> {
		let template = this.#templates.get(sizeMiB);
		if (!template) {
			template = makeTemplate(this.#options.diskFolder, sizeMiB);
			template.catch(() => this.#templates.delete(sizeMiB));
			this.#templates.set(sizeMiB, template);
		}
		return template;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all([...this.#pools.values()].map((pool) => pool[Symbol.asyncDispose]()));
	}
}

/** An empty file system, kept across restarts; visible under its name only when it is whole. */
async function makeTemplate(folder: string, sizeMiB: number): Promise<string> {
	const path = join(folder, `template-${sizeMiB}.img`);
	if (existsSync(path)) return path;
	await mkdir(folder, { recursive: true });
	const unfinished = `${path}.${ours}`;
	try {
		const wanted = sizeMiB * MIB;
		const guess = Math.ceil(wanted * (1 + OVERHEAD_SHARE)) + OVERHEAD_MIB * MIB;
		const available = await makeFileSystem(unfinished, guess);
		await makeFileSystem(unfinished, guess + wanted - available);
		await rename(unfinished, path);
	} finally {
		await rm(unfinished, { force: true });
	}
	return path;
}

/**
 * Returns the bytes that files find in it. No journal: a /tmp never outlives its machine's crash. Inode tables are zero
 * already in a sparse file.
 */
async function makeFileSystem(file: string, bytes: number): Promise<number> {
	const handle = await open(file, "w", 0o600);
	await handle.truncate(Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES).finally(() => handle.close());
	const features = "^has_journal,^resize_inode,uninit_bg";
	const args = [
		"-q",
		"-F",
		"-t",
		"ext4",
		"-b",
		`${BLOCK_BYTES}`,
		"-m",
		"0",
		"-O",
		features,
		"-E",
		"lazy_itable_init=1,nodiscard",
		file,
	];
	await runTool("mkfs.ext4", args);
	return availableBytes(file);
}

async function availableBytes(file: string): Promise<number> {
	const superblock = Buffer.alloc(1024);
	await using handle = await open(file, "r");
	await handle.read(superblock, 0, superblock.length, SUPERBLOCK_AT);
	const blocks = superblock.readUInt32LE(BLOCKS_COUNT_AT);
	const free = superblock.readUInt32LE(FREE_BLOCKS_COUNT_AT) + LOST_FOUND_BLOCKS;
	return (free - Math.min(Math.floor(blocks / 50), MAX_RESERVED_BLOCKS)) * BLOCK_BYTES;
}

function outOfRoom(error: unknown): unknown {
	const code = systemCode(error);
	if (code !== "ENOSPC" && code !== "EMFILE" && code !== "ENFILE" && code !== "ENOMEM") return error;
	return new SlipwayError("EXHAUSTED", `The machine has no room for another /tmp (${code})`, { cause: error });
}

import { chmodSync, closeSync, constants, fstatSync, mkdirSync, openSync } from "node:fs";
import { chmod, mkdir, readdir, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fromSystemError, SlipwayError, systemCode } from "../../base/error.ts";
import { MNT_DETACH, MS_NODEV, MS_NOSUID, mount, umount } from "../../base/syscall.ts";
import type { Volume, VolumeHost } from "../../core/workload/volume-host.ts";

export interface FsVolumeHostOptions {
	/** Of volumes that end with their instance: mount points, in the daemon's own mount namespace. */
	runFolder: string;
	/** Of volumes that outlive everything: one folder for each claim, on a real disk. */
	persistentFolder: string;
}

const idPattern = /^[a-z0-9-]{1,80}$/;
const claimPattern = /^[a-z0-9][a-z0-9.-]{0,126}$/;
const fileNamePattern = /^[A-Za-z0-9_.-]{1,253}$/;
/** Persistent volumes of one daemon: each is a folder in one folder. */
const maxClaims = 10_000;
/** Segments of a subPath, more than any manifest has. */
const maxDepth = 32;
/** Kubernetes' bound of a ConfigMap or Secret, bytes. */
const maxFilesBytes = 1 << 20;
/** What a tmpfs needs beside the contents of its files, MiB. */
const tmpfsOverheadMiB = 1;
/** A container's user may be any number. */
const folderMode = 0o777;
/** The descriptor only names what was found (O_PATH of <fcntl.h>, which Node has no name for), be it a link. */
const NAMED = 0o10000000 | constants.O_NOFOLLOW;
const PAGE_BYTES = 4096;

/** Volumes that are folders of the host: tmpfs where they end with their instance, the disk where they stay. */
export class FsVolumeHost implements VolumeHost {
	readonly #runFolder: string;
	readonly #persistentFolder: string;

	/** Removes what an earlier daemon left below `runFolder`. */
	static async open(options: FsVolumeHostOptions): Promise<FsVolumeHost> {
		for (const folder of [options.runFolder, options.persistentFolder])
			await mkdir(folder, { recursive: true, mode: 0o700 });
		for (const name of await readdir(options.runFolder)) await removeMountPoint(join(options.runFolder, name));
		return new FsVolumeHost(options);
	}

	private constructor({ runFolder, persistentFolder }: FsVolumeHostOptions) {
		this.#runFolder = runFolder;
		this.#persistentFolder = persistentFolder;
	}

	async emptyDir(id: string, sizeMiB: number): Promise<Volume> {
		return this.#tmpfs(id, sizeMiB, folderMode);
	}

	async files(id: string, files: Readonly<Record<string, string>>, mode: number): Promise<Volume> {
		const entries = Object.entries(files);
		for (const [name] of entries)
			if (!fileNamePattern.test(name) || name === "." || name === "..")
				throw new SlipwayError("INVALID", `File name "${name}" does not match ${fileNamePattern}`);
		const bytes = entries.reduce((total, [, text]) => total + Buffer.byteLength(text), 0);
		if (bytes > maxFilesBytes)
			throw new SlipwayError("INVALID", `The files of a volume have ${bytes} bytes; ${maxFilesBytes} are allowed`);
		// Each file takes whole pages.
		const pagesMiB = Math.ceil((bytes + entries.length * 4096) / 2 ** 20);
		const volume = this.#tmpfs(id, pagesMiB + tmpfsOverheadMiB, 0o755);
		try {
			for (const [name, text] of entries) {
				const path = join(volume.path, name);
				await writeFile(path, text, { flag: "wx" });
				await chmod(path, mode & 0o777);
			}
			return volume;
		} catch (error) {
			await volume[Symbol.asyncDispose]();
			throw fromSystemError(error, `writing the files of volume ${id}`);
		}
	}

	async persistent(claim: string): Promise<Volume> {
		if (!claimPattern.test(claim)) throw new SlipwayError("INVALID", `Claim "${claim}" does not match ${claimPattern}`);
		const path = join(this.#persistentFolder, claim);
		try {
			await mkdir(path);
			if ((await readdir(this.#persistentFolder)).length > maxClaims) {
				await rmdir(path);
				throw new SlipwayError("EXHAUSTED", `There are ${maxClaims} persistent volumes already`);
			}
			await chmod(path, folderMode);
		} catch (error) {
			if (systemCode(error) !== "EEXIST") throw fromSystemError(error, `making the persistent volume ${claim}`);
		}
		return volumeAt(path, async () => {});
	}

	/** What is left of a claim, with all that is in it. Idempotent. */
	async removePersistent(claim: string): Promise<void> {
		if (!claimPattern.test(claim)) throw new SlipwayError("INVALID", `Claim "${claim}" does not match ${claimPattern}`);
		await rm(join(this.#persistentFolder, claim), { recursive: true, force: true });
	}

	#tmpfs(id: string, sizeMiB: number, mode: number): Volume {
		if (!idPattern.test(id)) throw new SlipwayError("INVALID", `Volume id "${id}" does not match ${idPattern}`);
		const path = join(this.#runFolder, id);
		try {
			mkdirSync(path);
			const bytes = Math.max(1, Math.floor(sizeMiB)) * 2 ** 20;
			// Inodes of kernel memory outlive the container that made them: as many as there are pages, not half of the machine's.
			const data = `size=${bytes},nr_inodes=${bytes / PAGE_BYTES},mode=${mode.toString(8)}`;
			mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, data);
		} catch (error) {
			throw fromSystemError(error, `making the volume ${id}`);
		}
		return volumeAt(path, () => removeMountPoint(path));
	}
}

function volumeAt(path: string, dispose: () => Promise<void>): Volume {
	return {
		path,
		ensure: async (subPath) => ensureIn(path, subPath),
		[Symbol.asyncDispose]: dispose,
	};
}

/**
 * Links are refused, not followed: a container that has the volume may have made them (CVE-2017-1002101), also between two
 * calls of ours (CVE-2021-25741). So each step is from a folder that is held open.
 */
function ensureIn(root: string, subPath: string): void {
	const segments = subPath.split("/").filter((segment) => segment !== "" && segment !== ".");
	if (segments.includes("..") || segments.length > maxDepth || subPath.includes("\0"))
		throw new SlipwayError("INVALID", `Path "${subPath}" is not one within its volume`);
	let found = openSync(root, NAMED);
	try {
		for (const [at, segment] of segments.entries()) {
			const next = openOrMake(`/proc/self/fd/${found}/${segment}`);
			closeSync(found);
			found = next;
			const stat = fstatSync(found);
			if (!stat.isDirectory() && !(stat.isFile() && at === segments.length - 1))
				throw new SlipwayError("INVALID", `Path "${subPath}" of a volume leads over "${segment}", which is no folder`);
		}
	} catch (error) {
		throw fromSystemError(error, `making the folder ${subPath} of a volume`);
	} finally {
		closeSync(found);
	}
}

function openOrMake(path: string): number {
	let isNew = true;
	try {
		mkdirSync(path);
	} catch (error) {
		if (systemCode(error) !== "EEXIST") throw error;
		isNew = false;
	}
	const fd = openSync(path, NAMED);
	// What is there by now may be another's, but is in the volume: a link is not followed.
	if (isNew && fstatSync(fd).isDirectory()) chmodSync(`/proc/self/fd/${fd}`, folderMode);
	return fd;
}

async function removeMountPoint(path: string): Promise<void> {
	try {
		umount(path, MNT_DETACH);
	} catch (error) {
		// Nothing is mounted there: it went with the mount namespace of an earlier daemon.
		if (systemCode(error) !== "EINVAL" && systemCode(error) !== "ENOENT") throw error;
	}
	await rm(path, { recursive: true, force: true });
}

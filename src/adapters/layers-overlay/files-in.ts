import { closeSync, constants, type Dirent, fstatSync, openSync } from "node:fs";
import { opendir } from "node:fs/promises";
import { posix } from "node:path";
import { SlipwayError, systemCode } from "../../base/error.ts";
import { openInRoot } from "../../base/syscall.ts";

/** What a path may end in that leads to no file: nothing there, no folder on the way, or links in a circle. */
const nothing = ["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"];

/** More than any folder that a contract asks for has use for; looking at a link takes a few microseconds of the event loop. */
const maxEntries = 5_000;

/**
 * Absolute paths in `root`, sorted, of the files in one of its folders, and of the links there that lead to one in `root`.
 * INVALID_IMAGE for a folder of more than 5,000 entries.
 */
export async function filesIn(root: string, folder: string): Promise<readonly string[]> {
	const rootFd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
	try {
		const entries = await entriesOf(rootFd, folder);
		return entries
			.map((entry) => ({ entry, path: posix.join("/", folder, entry.name) }))
			.filter(({ entry, path }) => entry.isFile() || (entry.isSymbolicLink() && leadsToFile(rootFd, path)))
			.map(({ path }) => path)
			.sort();
	} finally {
		closeSync(rootFd);
	}
}

async function entriesOf(root: number, folder: string): Promise<Dirent[]> {
	const fd = open(root, folder);
	if (fd === undefined) return [];
	try {
		const entries: Dirent[] = [];
		for await (const entry of await opendir(`/proc/self/fd/${fd}`)) {
			if (entries.length === maxEntries)
				throw new SlipwayError("INVALID_IMAGE", `${folder} of the image has more than ${maxEntries} entries`);
			entries.push(entry);
		}
		return entries;
	} catch (error) {
		if (systemCode(error) === "ENOTDIR") return [];
		throw error;
	} finally {
		closeSync(fd);
	}
}

function leadsToFile(root: number, path: string): boolean {
	const fd = open(root, path);
	if (fd === undefined) return false;
	try {
		return fstatSync(fd).isFile();
	} finally {
		closeSync(fd);
	}
}

function open(root: number, path: string): number | undefined {
	try {
		return openInRoot(root, path);
	} catch (error) {
		if (nothing.includes(systemCode(error) ?? "")) return undefined;
		throw error;
	}
}

import {
	closeSync,
	constants,
	fstatSync,
	mkdirSync,
	openSync,
	readlinkSync,
	rmdirSync,
	type Stats,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { SlipwayError, systemCode } from "../../base/error.ts";
import {
	MNT_DETACH,
	MS_BIND,
	MS_NODEV,
	MS_NOSUID,
	MS_RDONLY,
	MS_REMOUNT,
	mount,
	mountFlags,
	openInRoot,
	umount,
} from "../../base/syscall.ts";
import type { SandboxMount } from "../../core/sandbox/sandbox-runtime.ts";
import { isPlatformPath, plainPath } from "../../core/sandbox/sandbox-spec.ts";

interface PlaceOptions {
	/** Where the sandbox's root is mounted on our side; what is mounted below it appears in the sandbox. */
	root: string;
	mounts: readonly SandboxMount[];
	/** A path that nobody has taken, not below `root`, for as long as this call takes. */
	workPath: string;
	/** Whether missing targets can be made: the root is then the sandbox's own. */
	makesTargets: boolean;
}

/** <fcntl.h>, which Node has no name for: the descriptor only names what was found. */
const O_PATH = 0o10000000;
/** EAGAIN: it was moved while it was looked up, again and again (openat2(2)). */
const notThere = new Set(["ENOENT", "ENOTDIR", "ELOOP", "EXDEV", "EAGAIN", "ENAMETOOLONG"]);

/**
 * Mounts folders and files of the host in a sandbox in which nothing runs yet. Every path is looked up with the sandbox's
 * root as its own (openat2(2), RESOLVE_IN_ROOT), so that no link leads out, and what was found is held by a descriptor.
 * Nothing is made outside of the sandbox's own root. INVALID for sources that are not there and targets that can't be.
 */
export function placeMounts({ root, mounts, workPath, makesTargets }: PlaceOptions): void {
	const rootFd = openSync(root, O_PATH | constants.O_DIRECTORY);
	try {
		const inOrder = [...mounts].sort((a, b) => depthOf(a.target) - depthOf(b.target));
		for (const mount of inOrder) place(mount, { root, rootFd, workPath, makesTargets });
	} finally {
		closeSync(rootFd);
	}
}

interface Place extends Omit<PlaceOptions, "mounts"> {
	rootFd: number;
}

/** So that a target inside of another's is mounted after it. */
function depthOf(path: string): number {
	return plainPath(path).split("/").length;
}

function place({ source, subPath, target, readOnly }: SandboxMount, place: Place): void {
	const sourceFd = openSource(source, subPath);
	try {
		const isFolder = fstatSync(sourceFd).isDirectory();
		const targetFd = openTarget(target, isFolder, place);
		try {
			mustFit(target, isFolder, targetFd, place.root);
			bind({ sourceFd, targetFd, isFolder, readOnly, workPath: place.workPath });
		} finally {
			closeSync(targetFd);
		}
	} finally {
		closeSync(sourceFd);
	}
}

function openSource(source: string, subPath = ""): number {
	try {
		const root = openSync(source, O_PATH);
		if (subPath === "") return root;
		try {
			// Another container may have the volume, and make links there while we look.
			return openInRoot(root, subPath);
		} finally {
			closeSync(root);
		}
	} catch (error) {
		const code = systemCode(error) ?? "";
		if (!notThere.has(code)) throw error;
		throw new SlipwayError("INVALID", `There is no ${join(source, subPath)} on the host to be mounted (${code})`, {
			cause: error,
		});
	}
}

function openTarget(target: string, isFolder: boolean, { rootFd, makesTargets }: Place): number {
	try {
		return openInRoot(rootFd, target);
	} catch (error) {
		if (systemCode(error) !== "ENOENT") throw unusable(target, error);
		if (!makesTargets)
			throw new SlipwayError("INVALID", `The image has no ${target} to mount on, and its root is read-only`, {
				hint: "Create it in the image, or let the root be writable",
			});
	}
	try {
		makeTarget(target, isFolder, rootFd);
		return openInRoot(rootFd, target);
	} catch (error) {
		throw unusable(target, error);
	}
}

function unusable(target: string, error: unknown): unknown {
	const code = systemCode(error);
	if (code !== "ENOTDIR" && code !== "ELOOP" && code !== "EEXIST" && code !== "ENOENT" && code !== "ENAMETOOLONG")
		return error;
	return new SlipwayError("INVALID", `${target} can't be mounted on (${code})`, { cause: error });
}

/** Folders of mode 0755, and at the end one more or an empty file, in the sandbox's own root. Follows links as the sandbox would. */
function makeTarget(target: string, isFolder: boolean, rootFd: number): void {
	const names = plainPath(target).slice(1).split("/");
	for (const [at, name] of names.entries()) {
		const path = `/${names.slice(0, at + 1).join("/")}`;
		if (isThere(rootFd, path)) continue;
		const parent = openInRoot(rootFd, `/${names.slice(0, at).join("/")}`);
		try {
			// A folder of another file system is a mount's, of the host's own files. (overlayfs has one number for all its folders.)
			if (fstatSync(parent).dev !== fstatSync(rootFd).dev)
				throw new SlipwayError("INVALID", `There is no ${path} to mount ${target} on, in what is mounted above it`);
			const made = `/proc/self/fd/${parent}/${name}`;
			if (isFolder || at < names.length - 1) mkdirSync(made, { mode: 0o755 });
			else writeFileSync(made, "", { flag: "wx", mode: 0o644 });
		} finally {
			closeSync(parent);
		}
	}
}

function isThere(rootFd: number, path: string): boolean {
	try {
		closeSync(openInRoot(rootFd, path));
		return true;
	} catch (error) {
		if (systemCode(error) === "ENOENT") return false;
		throw error;
	}
}

function mustFit(target: string, isFolder: boolean, targetFd: number, root: string): void {
	const stat: Stats = fstatSync(targetFd);
	if (isFolder !== stat.isDirectory() || (!isFolder && !stat.isFile())) {
		const [is, must] = isFolder ? ["no folder", "a folder"] : ["no file", "a file"];
		throw new SlipwayError("INVALID", `${target} is ${is} in the image, and ${must} is to be mounted on it`);
	}
	// Behind links it may be another than it is called.
	const real = readlinkSync(`/proc/self/fd/${targetFd}`);
	if (!real.startsWith(`${root}/`) || isPlatformPath(real.slice(root.length)))
		throw new SlipwayError("INVALID", `${target} of the image leads to what is the platform's`);
}

interface Bind {
	sourceFd: number;
	targetFd: number;
	isFolder: boolean;
	readOnly: boolean;
	workPath: string;
}

/** Set up where nobody sees it: what appears in the sandbox has its flags already. */
function bind({ sourceFd, targetFd, isFolder, readOnly, workPath }: Bind): void {
	if (isFolder) mkdirSync(workPath);
	else writeFileSync(workPath, "");
	try {
		mount(`/proc/self/fd/${sourceFd}`, workPath, "none", MS_BIND);
		try {
			// What the host's own mount is without, this one is too.
			const flags = mountFlags(sourceFd) | MS_NOSUID | MS_NODEV | (readOnly ? MS_RDONLY : 0n);
			mount("none", workPath, "none", MS_REMOUNT | MS_BIND | flags);
			mount(workPath, `/proc/self/fd/${targetFd}`, "none", MS_BIND);
		} finally {
			umount(workPath, MNT_DETACH);
		}
	} finally {
		// Not recursively: were it still mounted, it would be the host's files.
		if (isFolder) rmdirSync(workPath);
		else unlinkSync(workPath);
	}
}

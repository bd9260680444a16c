/**
 * Writes the entries of one layer below the process's root directory, in the form that overlayfs stacks.
 *
 * Runs in a process that has chrooted into the layer's folder, so that the kernel confines every path whatever happens
 * here. The checks below are a second wall and give refusals their names: no path leads through a symlink, and nothing
 * that exists changes its type. They can't race, for nothing else writes in the folder.
 *
 * All synchronous: an asynchronous call for each of a million entries would take several times as long.
 */
import * as fs from "node:fs";
import { SlipwayError, systemCode } from "../../base/error.ts";
import { type FileTime, futimens, lsetxattr, lutimens, mknod, startWriteback } from "../../base/syscall.ts";
import { type LayerLimits, layerLimitError } from "../../core/image/layer-limits.ts";
import { refuse, show, splitPath } from "./tar-codec.ts";
import type { TarEntry, TarSink } from "./tar-reader.ts";

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY, S_IFBLK, S_IFCHR, S_IFIFO } = fs.constants;

/** image-spec, layer.md, "Whiteouts". */
const whiteoutPrefix = ".wh.";
const opaqueMarker = ".wh..wh..opq";
/** Directories that the sandbox mounts on: a layer may hold them as directories only (CVE-2026-41579, "/dev symlink"). */
const mountpoints: ReadonlySet<string> = new Set(["dev", "proc", "sys"]);
const rootId = 0;
/** chown takes 2^32-1 as "leave as it is". */
const maxId = 0xffff_fffe;
/** What Linux's 32-bit dev_t of user space holds: 12 and 20 bits. */
const maxMajor = 0xfff;
const maxMinor = 0xf_ffff;
/** Directories known to be real ones; only a cache, emptied when full. */
const maxKnownDirectories = 16_384;
/** Rough cost of one remembered directory besides its strings. */
const directoryOverheadBytes = 100;
/** An inode without extra space for attributes has at least one block of 1 KiB for them; a refusal below that is a full disk. */
const maxXattrBytesOfFullDisk = 900;
/**
 * Bytes of one file that the disk is told to write at once: it works while the next are unpacked, and the sync at the end,
 * which everyone else's files on this file system wait for too, finds little left. Smaller files are better written together.
 */
const writebackBytes = 8 * 1024 ** 2;
const minWritebackBytes = 256 * 1024;

interface DirectoryFinish {
	mode: number;
	mtime: FileTime;
	xattrs: ReadonlyMap<string, string>;
}

export interface WrittenLayer {
	/** The root itself hides everything below: overlayfs has no mark for that, the mount leaves lower layers out. */
	opaqueRoot: boolean;
	/** Directories that had no entry of their own (byte strings): in the stack, a lower layer's own entry describes them. */
	impliedDirectories: string[];
}

export class EntryWriter implements TarSink {
	readonly #limits: LayerLimits;
	readonly #known = new Set<string>([""]);
	/** Modes and times that later entries would disturb: set by `finish`. */
	readonly #finish = new Map<string, DirectoryFinish>();
	readonly #implied = new Set<string>();
	#indexBytes = 0;
	#opaqueRoot = false;
	/** `waiting`: bytes that the disk was not told of. */
	#file: { fd: number; path: string; entry: TarEntry; waiting: number } | undefined;

	constructor(limits: LayerLimits) {
		this.#limits = limits;
	}

	begin(entry: TarEntry): void {
		const parts = splitPath(entry.path, "the path");
		const path = parts.join("/");
		if (path.length > this.#limits.pathBytes)
			throw layerLimitError("pathBytes", this.#limits, `Layer holds the path ${show(path)} of ${path.length} bytes`);
		if (entry.uid > maxId || entry.gid > maxId)
			throw refuse(
				"LayerOwner",
				`Layer holds ${show(path)} with the owner ${entry.uid}:${entry.gid}, more than ${maxId}`,
			);
		this.#checkXattrs(path, entry.xattrs);
		const name = parts.pop();
		if (name === undefined) return this.#root(entry);
		const parent = parts.join("/");
		if (parts.some((part) => part.startsWith(whiteoutPrefix)))
			throw refuse("LayerWhiteoutPath", `Layer holds ${show(path)} below a whiteout`);
		this.#ensureDirectory(parent);
		if (name.startsWith(whiteoutPrefix)) return this.#whiteout(entry, parent, name);
		if (mountpoints.has(path) && entry.type !== "directory")
			throw refuse("LayerMountpoint", `Layer holds ${show(`/${path}`)} as a ${entry.type}, not as a directory`);
		this.#create(entry, path);
	}

	data(chunk: Buffer, offset: number): void {
		const file = this.#file;
		if (file === undefined) return;
		for (let written = 0; written < chunk.length; )
			written += fs.writeSync(file.fd, chunk, written, chunk.length - written, offset + written);
		file.waiting += chunk.length;
		if (file.waiting < writebackBytes) return;
		startWriteback(file.fd);
		file.waiting = 0;
	}

	end(): void {
		if (this.#file === undefined) return;
		const { fd, path, entry, waiting } = this.#file;
		this.#file = undefined;
		try {
			// In this order: a write and a chown clear setuid bits and capabilities.
			if (entry.uid !== rootId || entry.gid !== rootId) fs.fchownSync(fd, entry.uid, entry.gid);
			if (entry.mode & 0o7000) fs.fchmodSync(fd, entry.mode);
			setXattrs(path, entry.xattrs);
			futimens(fd, entry.mtime);
			if (waiting >= minWritebackBytes) startWriteback(fd);
		} finally {
			fs.closeSync(fd);
		}
	}

	/** Sets what was put off. */
	finish(): WrittenLayer {
		for (const [path, { mode, mtime, xattrs }] of this.#finish) {
			if (mode & 0o7000) fs.chmodSync(native(path), mode);
			setXattrs(path, xattrs);
			lutimens(native(path), mtime);
		}
		const root = this.#finish.has("") ? [] : [""];
		return { opaqueRoot: this.#opaqueRoot, impliedDirectories: [...root, ...this.#implied] };
	}

	/** Closes what a refused entry left open. */
	[Symbol.dispose](): void {
		if (this.#file !== undefined) fs.closeSync(this.#file.fd);
		this.#file = undefined;
	}

	#root(entry: TarEntry): void {
		if (entry.type !== "directory")
			throw refuse("LayerPathInvalid", `Layer holds its root as a ${entry.type}, not as a directory`);
		this.#describeDirectory("", entry);
	}

	#create(entry: TarEntry, path: string): void {
		switch (entry.type) {
			case "directory":
				return this.#directory(entry, path);
			case "file": {
				const fd = this.#replacing(entry, path, () =>
					fs.openSync(native(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, entry.mode & 0o777),
				);
				this.#file = { fd, path, entry, waiting: 0 };
				if (entry.sparse) fs.ftruncateSync(fd, entry.size);
				return;
			}
			case "symlink":
				this.#replacing(entry, path, () => fs.symlinkSync(linkTarget(entry.linkPath, path), native(path)));
				break;
			case "hardlink":
				return this.#hardLink(entry, path);
			case "fifo":
				this.#replacing(entry, path, () => mknod(native(path), S_IFIFO | (entry.mode & 0o777), 0, 0));
				break;
			case "character":
			case "block":
				this.#device(entry, path);
		}
		// Not through a descriptor: opening a fifo or a device does something.
		if (entry.uid !== rootId || entry.gid !== rootId) fs.lchownSync(native(path), entry.uid, entry.gid);
		if (entry.type !== "symlink" && entry.mode & 0o7000) fs.chmodSync(native(path), entry.mode);
		setXattrs(path, entry.xattrs);
		lutimens(native(path), entry.mtime);
	}

	/**
	 * Device nodes are made as the layer says (image-spec, layer.md, "File Types"): they are inert, for sandboxes are
	 * mounted nodev, and hidden under /dev anyway.
	 */
	#device(entry: TarEntry, path: string): void {
		const { devMajor, devMinor, mode } = entry;
		if (devMajor > maxMajor || devMinor > maxMinor)
			throw refuse("LayerDeviceNumber", `Layer holds the device ${show(path)} with the number ${devMajor}:${devMinor}`);
		if (mode & 0o6000)
			throw refuse("LayerDeviceMode", `Layer holds the device ${show(path)} with a setuid or setgid bit`);
		if (entry.type === "character" && devMajor === 0 && devMinor === 0)
			throw refuse(
				"LayerDeviceNumber",
				`Layer holds ${show(path)} as device 0:0, which overlayfs takes for a whiteout`,
			);
		const kind = entry.type === "character" ? S_IFCHR : S_IFBLK;
		this.#replacing(entry, path, () => mknod(native(path), kind | (mode & 0o777), devMajor, devMinor));
	}

	#hardLink(entry: TarEntry, path: string): void {
		// Entry names are stripped of a leading slash, link names are not: an absolute one is refused (CVE-2026-23745).
		if (entry.linkPath.startsWith("/"))
			throw refuse(
				"LayerLinkAbsolute",
				`Layer holds the hard link ${show(path)} to the absolute path ${show(entry.linkPath)}`,
			);
		const parts = splitPath(entry.linkPath, "the hard link target");
		const target = parts.join("/");
		if (parts.length === 0 || target.length > this.#limits.pathBytes)
			throw refuse("LayerLinkTarget", `Layer holds the hard link ${show(path)} to ${show(entry.linkPath)}`);
		for (let depth = 1; depth < parts.length; depth++) {
			const stat = lstat(parts.slice(0, depth).join("/"));
			if (stat?.isSymbolicLink())
				throw refuse(
					"LayerLinkThroughSymlink",
					`Layer holds the hard link ${show(path)} through a symlink to ${show(target)}`,
				);
		}
		const stat = lstat(target);
		if (stat === undefined || isWhiteout(stat))
			throw refuse(
				"LayerLinkTarget",
				`Layer holds the hard link ${show(path)} to ${show(target)}, which it does not hold before`,
			);
		if (stat.isDirectory())
			throw refuse("LayerLinkTarget", `Layer holds the hard link ${show(path)} to the directory ${show(target)}`);
		if (path === target) return;
		const before = lstat(path);
		if (
			before !== undefined &&
			!isWhiteout(before) &&
			(before.mode & fs.constants.S_IFMT) !== (stat.mode & fs.constants.S_IFMT)
		)
			throw typeChange(path);
		if (before !== undefined) fs.unlinkSync(native(path));
		try {
			fs.linkSync(native(target), native(path));
		} catch (error) {
			if (systemCode(error) === "EMLINK")
				throw refuse("LayerLinkCount", `Layer holds more hard links to ${show(target)} than the file system takes`);
			throw error;
		}
	}

	#directory(entry: TarEntry, path: string): void {
		if (!this.#known.has(path)) this.#makeDirectory(path, entry.mode & 0o777);
		this.#describeDirectory(path, entry);
	}

	#describeDirectory(path: string, { mode, uid, gid, mtime, xattrs }: TarEntry): void {
		this.#implied.delete(path);
		fs.chownSync(native(path), uid, gid);
		// Setgid and default ACLs are passed on to children: they come last.
		fs.chmodSync(native(path), mode & 0o777);
		this.#addToIndex(path, xattrs);
		this.#finish.set(path, { mode, mtime, xattrs });
	}

	#checkXattrs(path: string, xattrs: ReadonlyMap<string, string>): void {
		let total = 0;
		for (const [name, value] of xattrs) total += name.length + value.length;
		if (total > this.#limits.xattrBytes)
			throw layerLimitError("xattrBytes", this.#limits, `Layer holds ${show(path)} with attributes of ${total} bytes`);
	}

	#addToIndex(path: string, xattrs: ReadonlyMap<string, string>): void {
		this.#indexBytes += path.length + directoryOverheadBytes;
		for (const [name, value] of xattrs) this.#indexBytes += name.length + value.length;
		if (this.#indexBytes > this.#limits.directoryIndexBytes)
			throw layerLimitError(
				"directoryIndexBytes",
				this.#limits,
				`Layer holds directories whose paths fill ${this.#indexBytes} bytes`,
			);
	}

	/** Makes sure that `path` is a directory that no symlink leads to; makes what is missing, as root's with 0755. */
	#ensureDirectory(path: string): void {
		if (this.#known.has(path)) return;
		const slash = path.lastIndexOf("/");
		this.#ensureDirectory(slash < 0 ? "" : path.slice(0, slash));
		if (this.#makeDirectory(path, 0o755)) {
			this.#addToIndex(path, new Map());
			this.#implied.add(path);
			this.#finish.set(path, { mode: 0o755, mtime: { seconds: 0, nanoseconds: 0 }, xattrs: new Map() });
		}
	}

	/** True when it was not there. A directory that replaces its own layer's whiteout hides what lower layers have. */
	#makeDirectory(path: string, mode: number): boolean {
		const stat = lstat(path);
		if (stat?.isSymbolicLink())
			throw refuse("LayerPathThroughSymlink", `Layer holds an entry through or in place of the symlink ${show(path)}`);
		if (stat !== undefined && !stat.isDirectory() && !isWhiteout(stat)) throw typeChange(path);
		if (!stat?.isDirectory()) {
			if (stat !== undefined) fs.unlinkSync(native(path));
			fs.mkdirSync(native(path), mode);
			if (stat !== undefined) setOpaque(path);
		}
		if (this.#known.size >= maxKnownDirectories) {
			this.#known.clear();
			this.#known.add("");
		}
		this.#known.add(path);
		return stat === undefined;
	}

	/** image-spec, layer.md: a whiteout hides what lower layers have, never what its own layer has, in either order. */
	#whiteout(entry: TarEntry, parent: string, name: string): void {
		const marker = parent === "" ? name : `${parent}/${name}`;
		if (entry.type !== "file" || entry.size > 0)
			throw refuse(
				"LayerWhiteoutType",
				`Layer holds the whiteout ${show(marker)} as something else than an empty file`,
			);
		if (name === opaqueMarker) {
			if (parent === "") this.#opaqueRoot = true;
			else setOpaque(parent);
			return;
		}
		const hidden = name.slice(whiteoutPrefix.length);
		// Also aufs's own files (".wh..wh.aufs", ".wh..wh.plnk"), which current builders leave out.
		if (hidden === "" || hidden === "." || hidden === ".." || hidden.startsWith(whiteoutPrefix))
			throw refuse(
				"LayerWhiteoutName",
				`Layer holds the whiteout ${show(marker)}, which names nothing that can be hidden`,
			);
		const path = parent === "" ? hidden : `${parent}/${hidden}`;
		const stat = lstat(path);
		if (stat === undefined) mknod(native(path), S_IFCHR, 0, 0);
		else if (stat.isDirectory()) setOpaque(path);
	}

	/** Makes something that may only be there as a whiteout or as the same kind of thing; the later of two entries wins. */
	#replacing<T>(entry: TarEntry, path: string, make: () => T): T {
		try {
			return make();
		} catch (error) {
			if (systemCode(error) !== "EEXIST") throw error;
		}
		const stat = lstat(path);
		if (stat !== undefined && !isWhiteout(stat) && !isType(stat, entry)) throw typeChange(path);
		fs.unlinkSync(native(path));
		return make();
	}
}

function typeChange(path: string): SlipwayError {
	return refuse("LayerTypeChange", `Layer holds ${show(path)} twice, as things of different types`);
}

function isType(stat: fs.Stats, { type }: TarEntry): boolean {
	switch (type) {
		case "file":
			return stat.isFile();
		case "symlink":
			return stat.isSymbolicLink();
		case "fifo":
			return stat.isFIFO();
		case "character":
			return stat.isCharacterDevice();
		case "block":
			return stat.isBlockDevice();
		default:
			return false;
	}
}

function isWhiteout(stat: fs.Stats): boolean {
	return stat.isCharacterDevice() && stat.rdev === 0;
}

function lstat(path: string): fs.Stats | undefined {
	return fs.lstatSync(native(path), { throwIfNoEntry: false });
}

/** A byte string as a path from the root, for Node and for system calls. */
function native(path: string): string | Buffer {
	return bytes(`/${path}`);
}

function bytes(text: string): string | Buffer {
	return /^[\x00-\x7f]*$/.test(text) ? text : Buffer.from(text, "latin1");
}

/** Any target is legal, absolute or climbing: it is only text, and sandboxes resolve it in their own root. */
function linkTarget(target: string, path: string): string | Buffer {
	if (target === "" || target.length > 4095 || target.includes("\0"))
		throw refuse("LayerLinkTarget", `Layer holds the symlink ${show(path)} with a target that no symlink can have`);
	return bytes(target);
}

function setOpaque(path: string): void {
	lsetxattr(native(path), "trusted.overlay.opaque", Buffer.from("y"));
}

/**
 * user.* and the capabilities of executables are content of an image, ACLs too. SELinux labels belong to the machine the
 * image was built on. trusted.* steers overlayfs (redirects, opaque marks) and never comes from outside.
 */
function setXattrs(path: string, xattrs: ReadonlyMap<string, string>): void {
	if (xattrs.size === 0) return;
	let total = 0;
	for (const [name, value] of xattrs) {
		if (name === "security.selinux") continue;
		if (
			!/^(user\.[\x21-\x7e]+$|security\.capability$|system\.posix_acl_(access|default)$)/.test(name) ||
			name.length > 255
		)
			throw refuse(
				"LayerXattrName",
				`Layer holds ${show(path)} with the attribute ${show(name)}, which a layer may not set`,
			);
		total += value.length;
		try {
			lsetxattr(native(path), name, Buffer.from(value, "latin1"));
		} catch (error) {
			throw xattrError(error, path, name, total);
		}
	}
}

function xattrError(error: unknown, path: string, name: string, total: number): unknown {
	const code = systemCode(error) ?? "";
	// ext4 answers ENOSPC when the inode and its block have no room left for attributes.
	const tooLarge = code === "E2BIG" || code === "ERANGE" || (code === "ENOSPC" && total > maxXattrBytesOfFullDisk);
	if (tooLarge)
		return refuse(
			"LayerXattrSize",
			`Layer holds ${show(path)} with attributes of ${total} bytes or more, which the file system can't hold`,
		);
	if (code === "EINVAL" || code === "EPERM")
		return refuse(
			"LayerXattrValue",
			`Layer holds ${show(path)} with a value of ${show(name)} that the kernel refuses (${code})`,
		);
	if (code === "ENOTSUP" || code === "EOPNOTSUPP")
		return new SlipwayError(
			"UNSUPPORTED",
			`The file system of the image store can't hold the attribute ${show(name)}`,
			{
				cause: error,
				hint: "Put the state folder on ext4 or XFS",
			},
		);
	return error;
}

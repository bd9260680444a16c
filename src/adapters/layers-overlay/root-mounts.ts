/** Mounts stacks of layers read-only, once for all who hold the same one, and keeps some mounted for the next cold start. */
import { createHash } from "node:crypto";
import { closeSync, constants, mkdirSync, openSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { SlipwayError, systemCode } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { MNT_DETACH, MS_NODEV, MS_NOSUID, MS_RDONLY, mount, umount } from "../../base/syscall.ts";
import type { Digest } from "../../core/image/digest.ts";
import type { Rootfs } from "../../core/image/rootfs-store.ts";
import { filesIn } from "./files-in.ts";
import { LayerStack, type StackedLayer, visibleLayers } from "./layer-stack.ts";
import { makeSkeleton } from "./skeleton.ts";

/** Docker's own limit; with the skeleton it keeps the option string of mount(2) below its 4096 bytes. */
export const maxLayers = 127;
/** Mounts that nobody holds but that stay: a cold start then finds its root mounted. */
const maxIdleRoots = 64;
/** Folders of one root whose files are remembered: a contract asks for one or two, always the same. */
const maxKnownFolders = 16;
/** linux/fcntl.h; Node does not export it. */
const O_PATH = 0o10000000;
/** No layer can steer overlayfs: those attributes are refused when it is unpacked, and not followed here. */
const options = "redirect_dir=nofollow,metacopy=off,index=off";

export interface RootLayer extends StackedLayer {
	diffId: Digest;
}

interface MountedRoot {
	folder: string;
	path: string;
	diffIds: readonly Digest[];
	/** Of the mounted file system: another one there says that it was unmounted. */
	device: number;
	holders: number;
	/** By folder: a root never changes. */
	files: Map<string, Promise<readonly string[]>>;
}

export class RootMounts implements Disposable {
	readonly #folder: string;
	readonly #log: Log;
	/** Idle ones in the order in which they became idle. */
	readonly #roots = new Map<string, MountedRoot>();

	/** `folder` is empty: what an earlier process left was taken away by `unmountBelow` and removed. */
	constructor(folder: string, log: Log) {
		this.#folder = folder;
		this.#log = log;
	}

	/** Lowest layer first. */
	acquire(layers: readonly RootLayer[]): Rootfs {
		const diffIds = layers.map(({ diffId }) => diffId);
		const key = createHash("sha256").update(diffIds.join("\n")).digest("hex").slice(0, 32);
		const root = this.#roots.get(key) ?? this.#mount(key, layers);
		if (deviceOf(root.path) !== root.device) this.#mountAgain(root, layers);
		root.holders++;
		let held = true;
		return {
			path: root.path,
			files: (folder) => filesOf(root, folder),
			release: async () => {
				if (held) this.#release(key, root);
				held = false;
			},
		};
	}

	/** Unmounts idle roots of the layer; false when somebody holds one. */
	free(diffId: Digest): boolean {
		const using = [...this.#roots].filter(([, root]) => root.diffIds.includes(diffId));
		if (using.some(([, root]) => root.holders > 0)) return false;
		for (const [key] of using) this.#unmount(key);
		return true;
	}

	[Symbol.dispose](): void {
		for (const [key, root] of this.#roots) {
			if (root.holders > 0)
				this.#log.warn("Root is unmounted while it is held", { path: root.path, holders: root.holders });
			this.#unmount(key);
		}
	}

	#release(key: string, root: MountedRoot): void {
		if (--root.holders > 0 || this.#roots.get(key) !== root) return;
		this.#roots.delete(key);
		this.#roots.set(key, root);
		const idle = [...this.#roots].filter(([, { holders }]) => holders === 0);
		for (const [oldest] of idle.slice(0, -maxIdleRoots)) this.#unmount(oldest);
	}

	#mount(key: string, layers: readonly RootLayer[]): MountedRoot {
		const folder = join(this.#folder, key);
		const path = join(folder, "root");
		try {
			mountStack(folder, path, layers);
		} catch (error) {
			rmSync(folder, { recursive: true, force: true });
			if (systemCode(error) !== "EPERM") throw error;
			throw new SlipwayError("UNAVAILABLE", "Mounting an image's layers is not permitted", {
				cause: error,
				hint: "Run the daemon as root",
			});
		}
		const root: MountedRoot = {
			folder,
			path,
			device: deviceOf(path),
			diffIds: layers.map(({ diffId }) => diffId),
			holders: 0,
			files: new Map(),
		};
		this.#roots.set(key, root);
		return root;
	}

	/** Somebody has unmounted it, or removed what it is made of: each start until the daemon's next one would fail. */
	#mountAgain(root: MountedRoot, layers: readonly RootLayer[]): void {
		this.#log.warn("A mounted root was taken away by another program; it is mounted again", { path: root.path });
		rmSync(root.folder, { recursive: true, force: true });
		mountStack(root.folder, root.path, layers);
		root.device = deviceOf(root.path);
		root.files.clear();
	}

	#unmount(key: string): void {
		const root = this.#roots.get(key)!;
		this.#roots.delete(key);
		unmount(root.path, this.#log);
		rmSync(root.folder, { recursive: true, force: true });
	}
}

/** -1 for a path that is not there. */
function deviceOf(path: string): number {
	return statSync(path, { throwIfNoEntry: false })?.dev ?? -1;
}

function filesOf(root: MountedRoot, folder: string): Promise<readonly string[]> {
	let files = root.files.get(folder);
	if (!files) {
		files = filesIn(root.path, folder);
		files.catch(() => root.files.delete(folder));
		if (root.files.size < maxKnownFolders) root.files.set(folder, files);
	}
	return files;
}

/**
 * Lower folders are named through a descriptor of a folder of symlinks, "/proc/self/fd/23/126": 127 full paths would not
 * fit into mount(2)'s page of options, nor may they hold commas and colons; and no thread has to change its directory.
 */
function mountStack(folder: string, path: string, layers: readonly RootLayer[]): void {
	const lower = join(folder, "lower");
	mkdirSync(path, { recursive: true });
	mkdirSync(lower);
	const skeleton = join(lower, "skeleton");
	makeSkeleton(skeleton, new LayerStack(layers), layers);
	const names = visibleLayers(layers).map((layer, index) => {
		symlinkSync(relative(lower, layer.folder), join(lower, `${index}`));
		return `${index}`;
	});
	if (names.length === 0) {
		// overlayfs wants two lower folders where there is no upper one.
		mkdirSync(join(lower, "empty"));
		names.push("empty");
	}
	const fd = openSync(lower, constants.O_RDONLY | constants.O_DIRECTORY | O_PATH);
	try {
		const lowers = [...names, "skeleton"].reverse().map((name) => `/proc/self/fd/${fd}/${name}`);
		mount("overlay", path, "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, `lowerdir=${lowers.join(":")},${options}`);
	} finally {
		closeSync(fd);
	}
}

function unmount(path: string, log: Log): void {
	try {
		umount(path);
	} catch (error) {
		// Somebody else has done it.
		if (systemCode(error) === "EINVAL" || systemCode(error) === "ENOENT") return;
		if (systemCode(error) !== "EBUSY") throw error;
		log.warn("Root is still in use; it goes when its last user does", { path });
		umount(path, MNT_DETACH);
	}
}

/** Detaches every mount below a folder, the latest first: what a process that was killed has left. Returns how many. */
export function unmountBelow(folder: string): number {
	const paths = readFileSync("/proc/self/mountinfo", "utf8")
		.split("\n")
		.map((line) =>
			(line.split(" ")[4] ?? "").replace(/\\([0-7]{3})/g, (_, code) => String.fromCharCode(Number.parseInt(code, 8))),
		)
		.filter((path) => path.startsWith(`${folder}/`));
	for (const path of paths.reverse()) umount(path, MNT_DETACH);
	return paths.length;
}

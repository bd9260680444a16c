/**
 * The highest layer of every root: it holds what a sandbox mounts on, so that the runtime never has to make anything in
 * the read-only root, and so that no image can put a symlink there and send a mount elsewhere (CVE-2026-41579, -31133).
 */
import { chmodSync, chownSync, mkdirSync, type Stats, writeFileSync } from "node:fs";
import { type FileTime, lsetxattr, lutimens } from "../../base/syscall.ts";
import { below, type LayerStack, type StackedLayer } from "./layer-stack.ts";

/** Empty whatever the image has there; modes as Linux distributions have them. */
const mountpoints: readonly { name: string; mode: number }[] = [
	{ name: "proc", mode: 0o555 },
	{ name: "sys", mode: 0o555 },
	{ name: "dev", mode: 0o755 },
	{ name: "tmp", mode: 0o1777 },
];
const files = ["hosts", "hostname", "resolv.conf"];
/** Past this many, directories that lack an entry of their own keep root's 0755: making them would block for too long. */
const maxRedescribed = 2000;

/** Makes the skeleton for a stack in the new folder `folder`. */
export function makeSkeleton(folder: string, stack: LayerStack, layers: readonly StackedLayer[]): void {
	const skeleton = new Skeleton(folder, stack);
	for (const { name, mode } of mountpoints) skeleton.mountpoint(name, mode);
	const etc = skeleton.etc();
	for (const name of files) {
		const path = below(folder, etc === "" ? name : `${etc}/${name}`);
		writeFileSync(path, "", { mode: 0o644 });
		chmodSync(path, 0o644);
	}
	let redescribed = 0;
	for (const layer of layers)
		for (const path of layer.impliedDirectories)
			if (redescribed < maxRedescribed && path !== "" && skeleton.redescribe(path)) redescribed++;
	skeleton.finish();
}

class Skeleton {
	readonly #folder: string;
	readonly #stack: LayerStack;
	/** Times come last: what is made below a directory changes them. */
	readonly #times = new Map<string, FileTime>();

	constructor(folder: string, stack: LayerStack) {
		this.#folder = folder;
		this.#stack = stack;
		mkdirSync(folder);
		this.#describe("", stack.find([])?.stat);
	}

	mountpoint(name: string, mode: number): void {
		const path = below(this.#folder, name);
		mkdirSync(path);
		chmodSync(path, mode);
		lsetxattr(path, "trusted.overlay.opaque", Buffer.from("y"));
	}

	/** The directory that /etc is, through symlinks within the image (Nix images have /etc -> /nix/store/…/etc). */
	etc(): string {
		const target = this.#stack.resolve("/etc");
		if (target?.found.stat.isDirectory() && !isHidden(target.parts)) {
			this.#directory(target.parts);
			return target.parts.join("/");
		}
		this.#make("etc", undefined);
		return "etc";
	}

	/** Gives a directory the owner and mode that a lower layer's own entry says, where the highest layer has none. */
	redescribe(path: string): boolean {
		const parts = path.split("/");
		if (isHidden(parts)) return false;
		const found = this.#stack.find(parts);
		if (!found?.misdescribed || !found.stat.isDirectory()) return false;
		this.#directory(parts);
		return true;
	}

	finish(): void {
		for (const [path, time] of this.#times) lutimens(below(this.#folder, path), time);
	}

	#directory(parts: readonly string[]): void {
		for (let depth = 1; depth <= parts.length; depth++) {
			const path = parts.slice(0, depth).join("/");
			if (!this.#times.has(path)) this.#make(path, this.#stack.find(parts.slice(0, depth))?.stat);
		}
	}

	#make(path: string, like: Stats | undefined): void {
		mkdirSync(below(this.#folder, path));
		this.#describe(path, like);
	}

	#describe(path: string, like: Stats | undefined): void {
		const native = below(this.#folder, path);
		chownSync(native, like?.uid ?? 0, like?.gid ?? 0);
		chmodSync(native, like ? like.mode & 0o7777 : 0o755);
		const ms = like?.mtimeMs ?? 0;
		const seconds = Math.floor(ms / 1000);
		this.#times.set(path, { seconds, nanoseconds: Math.min(999_999_999, Math.round((ms - seconds * 1000) * 1e6)) });
	}
}

function isHidden(parts: readonly string[]): boolean {
	return mountpoints.some(({ name }) => name === parts[0]);
}

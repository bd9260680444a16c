/**
 * Looks things up in a stack of unpacked layers as overlayfs would (kernel documentation, filesystems/overlayfs.rst,
 * "whiteouts and opaque directories"), without mounting it.
 */
import { lstatSync, readlinkSync, type Stats } from "node:fs";
import { lgetxattr } from "../../base/syscall.ts";

export interface StackedLayer {
	/** The layer's root. */
	folder: string;
	opaqueRoot: boolean;
	/** Directories (byte strings) that it holds only as parents of something else. */
	impliedDirectories: readonly string[];
}

export interface Found {
	/** Of the highest layer that has an entry of its own for the path. */
	stat: Stats;
	/** The highest layer that has the path has no entry of its own for it, but a lower one has. */
	misdescribed: boolean;
	/** A symlink's text, a byte string. */
	link: string | undefined;
}

/** What Linux follows before ELOOP. */
const maxSymlinks = 40;

export class LayerStack {
	/** Highest first. */
	readonly #layers: { folder: string; implied: ReadonlySet<string> }[];

	/** Lowest layer first; layers below an opaque root are left out. */
	constructor(layers: readonly StackedLayer[]) {
		this.#layers = visibleLayers(layers)
			.map(({ folder, impliedDirectories }) => ({ folder, implied: new Set(impliedDirectories) }))
			.reverse();
	}

	/** `parts` must not lead through a symlink. */
	find(parts: readonly string[]): Found | undefined {
		let layers = this.#layers.map((layer) => ({ layer, stat: lstatSync(layer.folder) }));
		for (let depth = 1; depth <= parts.length; depth++) {
			const path = parts.slice(0, depth).join("/");
			const next: typeof layers = [];
			for (const { layer } of layers) {
				const native = below(layer.folder, path);
				const stat = lstatSync(native, { throwIfNoEntry: false });
				if (stat === undefined) continue;
				if (stat.isCharacterDevice() && stat.rdev === 0) break;
				if (next.length > 0 && !stat.isDirectory()) break;
				next.push({ layer, stat });
				if (!stat.isDirectory() || lgetxattr(native, "trusted.overlay.opaque")?.toString() === "y") break;
			}
			layers = next;
			if (layers.length === 0 || (depth < parts.length && !layers[0]!.stat.isDirectory())) return undefined;
		}
		const path = parts.join("/");
		const highest = layers[0];
		if (highest === undefined) return undefined;
		const described = layers.find(({ layer }) => !layer.implied.has(path)) ?? highest;
		return {
			stat: described.stat,
			misdescribed: described !== highest,
			link: highest.stat.isSymbolicLink()
				? readlinkSync(below(highest.layer.folder, path), "buffer").toString("latin1")
				: undefined,
		};
	}

	/** Follows every symlink of an absolute path inside the stack; undefined when it leads nowhere. */
	resolve(path: string): { parts: string[]; found: Found } | undefined {
		const rest = path.split("/").reverse();
		const parts: string[] = [];
		let symlinks = 0;
		for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
			if (part === "" || part === ".") continue;
			if (part === "..") {
				parts.pop();
				continue;
			}
			const found = this.find([...parts, part]);
			if (found === undefined) return undefined;
			if (found.link === undefined) parts.push(part);
			else {
				if (++symlinks > maxSymlinks) return undefined;
				if (found.link.startsWith("/")) parts.length = 0;
				rest.push(...found.link.split("/").reverse());
			}
		}
		const found = this.find(parts);
		return found && { parts, found };
	}
}

/**
 * The layers that show, lowest first: from the highest opaque root on, and each once. A layer that comes twice (builders'
 * empty one does) counts at its higher place, where it holds all that it would add at the lower; overlayfs takes no
 * folder twice.
 */
export function visibleLayers<T extends StackedLayer>(layers: readonly T[]): T[] {
	const highestOpaque = layers.findLastIndex(({ opaqueRoot }) => opaqueRoot);
	return layers
		.slice(Math.max(0, highestOpaque))
		.filter((layer, index, all) => all.findLastIndex(({ folder }) => folder === layer.folder) === index);
}

/** A byte string below a folder, as bytes. */
export function below(folder: string, path: string): Buffer {
	return Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(path, "latin1")]);
}

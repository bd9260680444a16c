/**
 * Unpacked layers as folders, stacked by overlayfs. Needs root (chroot, mknod, trusted attributes, mount).
 *
 *     staging/N/{fs,layer.json}              being written; removed at the next start
 *     layers/sha256/HEX/{fs,layer.json}      whole layers, by diffID
 *     roots/KEY/{lower,root}                 mounted stacks; removed at the next start
 *     trash/N                                being removed
 *     cache/                                 compiled code of the unpacking process
 *
 * A layer is durable before it is visible: the child ends with syncfs(2), which flushes all its files at once (an fsync
 * for each would wait for the disk ten thousand times), then layer.json and both folders are fsynced around the rename.
 * A power cut at any point leaves a whole layer or an entry of staging/.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, open, readdir, readFile, realpath, rename } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fromSystemError, isSlipwayError, SlipwayError, systemCode } from "../../base/error.ts";
import { type Log, silentLog } from "../../base/log.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { type Digest, digestHex, isDigest } from "../../core/image/digest.ts";
import { type LayerLimits, layerLimits } from "../../core/image/layer-limits.ts";
import type { PackedLayer, Rootfs, RootfsStore, UnpackedLayer, UnpackOptions } from "../../core/image/rootfs-store.ts";
import { BackgroundGroup } from "./background-group.ts";
import { compressionOf } from "./layer-stream.ts";
import { maxLayers, RootMounts, unmountBelow } from "./root-mounts.ts";
import { SharedTask } from "./shared-task.ts";
import { type UnpackResult, unpackInChild } from "./unpack-process.ts";

export interface OverlayRootfsStoreOptions {
	/** The store's own folder, made if missing; on a local file system with trusted.* attributes (ext4, XFS, tmpfs). */
	root: string;
	limits?: Partial<LayerLimits>;
	log?: Log;
	/** Layers unpacked at once; as many as there are cores by default. */
	parallelism?: number;
}

type LayerRecord = UnpackResult & { diffId: Digest };

export class OverlayRootfsStore implements RootfsStore, AsyncDisposable {
	readonly #root: string;
	readonly #limits: LayerLimits;
	readonly #log: Log;
	readonly #slots: Semaphore;
	readonly #mounts: RootMounts;
	readonly #layers: Map<Digest, LayerRecord>;
	readonly #running = new Map<string, SharedTask<UnpackedLayer, number>>();
	readonly #background: BackgroundGroup;
	readonly #cleaning: Promise<void>;
	#staged = 0;
	#disposed: Promise<void> | undefined;

	/** Cleans up what a crash left. At most one open store a folder: the caller holds the lock. */
	static async open(options: OverlayRootfsStoreOptions): Promise<OverlayRootfsStore> {
		const limits = layerLimits(options.limits);
		const log = options.log ?? silentLog;
		await mkdir(options.root, { recursive: true, mode: 0o700 });
		const root = await realpath(options.root);
		const unmounted = unmountBelow(root);
		if (unmounted > 0) log.info("Unmounted roots that an earlier process left", { unmounted });
		await mkdir(join(root, "layers/sha256"), { recursive: true, mode: 0o700 });
		await mkdir(join(root, "trash"), { recursive: true });
		const layers = await loadLayers(root, log);
		for (const name of ["staging", "roots"]) await discard(root, name);
		for (const name of ["staging", "roots"]) await mkdir(join(root, name));
		return new OverlayRootfsStore(root, limits, log, options.parallelism ?? availableParallelism(), layers);
	}

	private constructor(
		root: string,
		limits: LayerLimits,
		log: Log,
		parallelism: number,
		layers: Map<Digest, LayerRecord>,
	) {
		this.#root = root;
		this.#limits = limits;
		this.#log = log;
		this.#slots = new Semaphore(parallelism);
		this.#layers = layers;
		this.#mounts = new RootMounts(join(root, "roots"), log);
		const hash = createHash("sha256").update(root).digest("hex").slice(0, 12);
		this.#background = BackgroundGroup.open(`slipway-unpack-${hash}`, log);
		// Not waited for: nothing looks there, and a large staging folder may take seconds.
		this.#cleaning = emptyTrash(root, this.#background).catch((error) =>
			log.warn("Could not empty the trash", { error }),
		);
	}

	async has(diffId: Digest): Promise<boolean> {
		return this.#layers.has(diffId);
	}

	async list(): Promise<UnpackedLayer[]> {
		return [...this.#layers.values()].map(describe);
	}

	async unpack(layer: PackedLayer, options: UnpackOptions = {}): Promise<UnpackedLayer> {
		if (this.#disposed) throw new SlipwayError("UNAVAILABLE", "The image store is closed");
		options.signal?.throwIfAborted();
		const known = this.#layers.get(layer.diffId);
		if (known) return describe(known);
		// By blob too: a wrong blob that claims to be this layer must not fail the right one.
		const key = `${layer.diffId} ${layer.digest} ${layer.mediaType} ${layer.size} ${layer.path}`;
		let task = this.#running.get(key);
		while (task?.aborted) {
			await task.settled;
			task = this.#running.get(key);
		}
		if (task === undefined) {
			task = new SharedTask((signal, report) => this.#slots.run(() => this.#unpack(layer, signal, report), signal));
			this.#running.set(key, task);
			task.settled.then(() => this.#running.delete(key));
		}
		return task.join(options.onProgress, options.signal);
	}

	async acquire(diffIds: readonly Digest[]): Promise<Rootfs> {
		if (this.#disposed) throw new SlipwayError("UNAVAILABLE", "The image store is closed");
		if (diffIds.length > maxLayers)
			throw new SlipwayError(
				"INVALID_IMAGE",
				`Image has ${diffIds.length} layers, more than the limit of ${maxLayers}`,
				{
					reason: "TooManyLayers",
				},
			);
		const layers = diffIds.map((diffId) => {
			const record = this.#layers.get(diffId);
			if (!record) throw new SlipwayError("NOT_FOUND", `Layer ${diffId} is not unpacked`);
			return { ...record, folder: join(this.#folder(diffId), "fs") };
		});
		return this.#mounts.acquire(layers);
	}

	async remove(diffId: Digest): Promise<void> {
		if (!this.#layers.has(diffId)) return;
		if (!this.#mounts.free(diffId)) throw new SlipwayError("CONFLICT", `Layer ${diffId} is part of a mounted root`);
		this.#layers.delete(diffId);
		const trash = await discard(this.#root, join("layers/sha256", digestHex(diffId)));
		await removeTree(trash, this.#background);
	}

	/** Ends what is being unpacked and unmounts every root. */
	[Symbol.asyncDispose](): Promise<void> {
		this.#disposed ??= this.#dispose();
		return this.#disposed;
	}

	async #dispose(): Promise<void> {
		const running = [...this.#running.values()];
		for (const task of running) task.abort(new SlipwayError("UNAVAILABLE", "The image store was closed"));
		await Promise.all(running.map((task) => task.settled));
		await this.#cleaning;
		this.#mounts[Symbol.dispose]();
		this.#background[Symbol.dispose]();
	}

	async #unpack(layer: PackedLayer, signal: AbortSignal, onProgress: (bytes: number) => void): Promise<UnpackedLayer> {
		const staging = join(this.#root, "staging", `${++this.#staged}`);
		const source = {
			compression: compressionOf(layer.mediaType),
			size: layer.size,
			digestHex: digestHex(layer.digest),
			diffIdHex: digestHex(layer.diffId),
		};
		try {
			const folder = join(staging, "fs");
			await mkdir(staging);
			await mkdir(folder, { mode: 0o755 });
			const job = { folder, layer: source, limits: this.#limits };
			const result = await unpackInChild(layer.path, job, join(this.#root, "cache"), {
				background: this.#background,
				onProgress,
				signal,
			});
			onProgress(layer.size);
			const { entries, size, opaqueRoot, impliedDirectories } = result;
			return await this.#publish(staging, { diffId: layer.diffId, entries, size, opaqueRoot, impliedDirectories });
		} catch (error) {
			await removeTree(staging, this.#background).catch((cleanup) =>
				this.#log.warn("Could not remove what is left of a refused layer; the next start does", {
					staging,
					error: cleanup,
				}),
			);
			const translated = fromSystemError(error, `unpacking the layer ${layer.digest}`);
			if (isSlipwayError(translated)) throw withLayer(translated, layer);
			throw translated;
		}
	}

	async #publish(staging: string, record: LayerRecord): Promise<UnpackedLayer> {
		await writeDurably(join(staging, "layer.json"), JSON.stringify(record));
		await syncFolder(staging);
		try {
			await rename(staging, this.#folder(record.diffId));
		} catch (error) {
			// Another blob with the same content was faster.
			const known = this.#layers.get(record.diffId);
			if (!known || !["ENOTEMPTY", "EEXIST"].includes(systemCode(error) ?? "")) throw error;
			await removeTree(staging, this.#background);
			return describe(known);
		}
		await syncFolder(join(this.#root, "layers/sha256"));
		this.#layers.set(record.diffId, record);
		return describe(record);
	}

	#folder(diffId: Digest): string {
		return join(this.#root, "layers/sha256", digestHex(diffId));
	}
}

function describe({ diffId, size, entries }: LayerRecord): UnpackedLayer {
	return { diffId, size, entries };
}

function withLayer(error: SlipwayError, layer: PackedLayer): SlipwayError {
	const { code, message, hint, reason } = error;
	return new SlipwayError(code, `${message} (layer ${layer.digest})`, {
		cause: error,
		...(hint && { hint }),
		...(reason && { reason }),
	});
}

async function loadLayers(root: string, log: Log): Promise<Map<Digest, LayerRecord>> {
	const layers = new Map<Digest, LayerRecord>();
	for (const hex of await readdir(join(root, "layers/sha256"))) {
		const diffId = `sha256:${hex}`;
		try {
			if (!isDigest(diffId)) throw new Error("its name is no digest");
			const record = JSON.parse(await readFile(join(root, "layers/sha256", hex, "layer.json"), "utf8")) as LayerRecord;
			if (record.diffId !== diffId || !Array.isArray(record.impliedDirectories)) throw new Error("layer.json is wrong");
			layers.set(diffId, record);
		} catch (error) {
			log.warn("Dropped what is not a whole layer", { name: hex, error });
			await discard(root, join("layers/sha256", hex));
		}
	}
	return layers;
}

let discarded = 0;

/** Moves a folder out of sight, in one step. Returns where to; nothing there is no error. */
async function discard(root: string, name: string): Promise<string> {
	const target = join(root, "trash", `${process.pid}-${Date.now()}-${++discarded}`);
	try {
		await rename(join(root, name), target);
	} catch (error) {
		if (systemCode(error) !== "ENOENT") throw error;
	}
	return target;
}

async function emptyTrash(root: string, background: BackgroundGroup): Promise<void> {
	for (const name of await readdir(join(root, "trash"))) await removeTree(join(root, "trash", name), background);
}

/**
 * By rm(1), in a process of its own: it walks by descriptors, so that paths longer than PATH_MAX do not stop it, and
 * Node's `rm` would take several turns of the event loop for each of a million files.
 */
function removeTree(path: string, background: BackgroundGroup): Promise<void> {
	return new Promise((resolve, reject) => {
		const child = spawn("rm", ["-rf", "--", path], { stdio: ["ignore", "ignore", "pipe"] });
		if (child.pid !== undefined) background.add(child.pid);
		let text = "";
		child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
			text = (text + chunk).slice(-1000);
		});
		child.on("error", reject);
		child.on("close", (code) => {
			if (code === 0) resolve();
			else reject(new SlipwayError("UNAVAILABLE", `Could not remove '${path}': ${text.trim()}`));
		});
	});
}

async function writeDurably(path: string, text: string): Promise<void> {
	await using file = await open(path, "wx", 0o600);
	await file.writeFile(text);
	await file.sync();
}

async function syncFolder(path: string): Promise<void> {
	await using folder = await open(path, "r");
	await folder.sync();
}

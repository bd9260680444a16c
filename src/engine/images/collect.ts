import type { Clock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { BlobStore } from "../../core/image/blob-store.ts";
import type { Digest } from "../../core/image/digest.ts";
import { manifestSchema, maxManifestBytes } from "../../core/image/manifest.ts";
import type { RootfsStore } from "../../core/image/rootfs-store.ts";
import type { RepositoryStore } from "../../core/repository/repository-store.ts";
import type { BlobPins } from "./blob-pins.ts";
import { readBlob } from "./read-blob.ts";

/** How long something must have gone unused: longer than any client takes from its first blob to its manifest. */
const defaultGraceMs = 60 * 60 * 1000;
const defaultIntervalMs = 10 * 60 * 1000;
/** Blobs removed in one step; whoever wants one of them meanwhile waits for the step, some milliseconds. */
const batchSize = 50;
/** Between two steps, so that a large collection never crowds out pushes and pulls. */
const pauseMs = 20;

export interface CollectionState {
	/** `modifiedMs`: of the last commit. */
	blobs: Iterable<{ digest: Digest; modifiedMs: number }>;
	/** `unusedSinceMs`: since when nothing has been seen to use it. */
	layers: Iterable<{ diffId: Digest; unusedSinceMs: number }>;
	/** Whether a repository, a function or an operation under way needs it. */
	isNeeded: (digest: Digest) => boolean;
}

/** What may go: nothing needs it, and nothing has for as long as the grace. */
export function collectable(
	state: CollectionState,
	now: number,
	graceMs: number,
): { blobs: Digest[]; layers: Digest[] } {
	const isOld = (sinceMs: number) => now - sinceMs >= graceMs;
	const blobs = [...state.blobs].filter(({ digest, modifiedMs }) => isOld(modifiedMs) && !state.isNeeded(digest));
	const layers = [...state.layers].filter(
		({ diffId, unusedSinceMs }) => isOld(unusedSinceMs) && !state.isNeeded(diffId),
	);
	return { blobs: blobs.map(({ digest }) => digest), layers: layers.map(({ diffId }) => diffId) };
}

export interface CollectorOptions {
	blobs: BlobStore;
	repositories: RepositoryStore;
	rootfs: RootfsStore;
	/** Shared with everything that makes something refer to a blob. */
	pins: BlobPins;
	/** The images of all functions (`Functions.imagesInUse`). Read anew before every removal. */
	inUse: () => Iterable<{ manifestDigest?: Digest | undefined; diffIds: readonly Digest[] }>;
	clock: Clock;
	log: Log;
	graceMs?: number;
}

export interface Collection {
	blobs: number;
	layers: number;
	uploads: number;
	/** Bytes of the blobs. */
	bytes: number;
}

/** Frees what nothing refers to: blobs, unpacked layers, upload sessions that nobody goes on with. */
export class Collector implements AsyncDisposable {
	readonly #options: CollectorOptions;
	readonly #graceMs: number;
	readonly #unusedSince = new Map<Digest, number>();
	/** Config and layers by manifest, of functions' images. */
	readonly #parts = new Map<Digest, readonly Digest[]>();
	readonly #stop = new AbortController();
	#running: Promise<Collection> | undefined;
	#cancel: () => void = () => {};

	constructor(options: CollectorOptions) {
		this.#options = options;
		this.#graceMs = options.graceMs ?? defaultGraceMs;
	}

	/** Collects now and then until disposed. */
	start(intervalMs = defaultIntervalMs): void {
		this.#cancel = this.#options.clock.after(intervalMs, () => {
			this.collect()
				.catch((error) => {
					if (!this.#stop.signal.aborted) this.#options.log.error("Unused images could not be collected", { error });
				})
				.finally(() => {
					if (!this.#stop.signal.aborted) this.start(intervalMs);
				});
		});
	}

	/** One collection at a time: a call while one is under way shares it. */
	collect(): Promise<Collection> {
		this.#running ??= this.#collect().finally(() => {
			this.#running = undefined;
		});
		return this.#running;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#cancel();
		this.#stop.abort(new Error("The collector is stopped"));
		await this.#running?.catch(() => {});
	}

	async #collect(): Promise<Collection> {
		const { blobs, clock, log } = this.#options;
		const startedMs = clock.monotonic();
		const collection: Collection = { blobs: 0, layers: 0, uploads: 0, bytes: 0 };
		collection.uploads = await blobs.expireUploads(clock.now());
		await this.#collectBlobs(collection);
		await this.#collectLayers(collection);
		const durationMs = Math.round(clock.monotonic() - startedMs);
		if (collection.blobs + collection.layers + collection.uploads > 0)
			log.info("Unused images collected", { ...collection, durationMs });
		return collection;
	}

	async #collectBlobs(collection: Collection): Promise<void> {
		const { blobs } = this.#options;
		let isNeeded = await this.#needed();
		let batch = new Map<Digest, { digest: Digest; size: number; modifiedMs: number }>();
		for await (const blob of blobs.list()) {
			this.#stop.signal.throwIfAborted();
			if (this.#choose({ blobs: [blob], layers: [], isNeeded }).blobs.length === 0) continue;
			batch.set(blob.digest, blob);
			if (batch.size < batchSize) continue;
			isNeeded = await this.#removeBlobs(batch, collection);
			batch = new Map();
			await this.#options.clock.sleep(pauseMs, this.#stop.signal);
		}
		await this.#removeBlobs(batch, collection);
	}

	/** Decides a second time, now that nobody new can come to rely on these blobs unseen. */
	async #removeBlobs(
		batch: ReadonlyMap<Digest, { digest: Digest; size: number; modifiedMs: number }>,
		collection: Collection,
	): Promise<(digest: Digest) => boolean> {
		let isNeeded = (_: Digest) => true;
		await this.#options.pins.removing([...batch.keys()], async (free) => {
			isNeeded = await this.#needed();
			const candidates = free.flatMap((digest) => batch.get(digest) ?? []);
			for (const digest of this.#choose({ blobs: candidates, layers: [], isNeeded }).blobs) {
				await this.#options.blobs.delete(digest);
				collection.blobs++;
				collection.bytes += batch.get(digest)?.size ?? 0;
			}
		});
		return isNeeded;
	}

	async #collectLayers(collection: Collection): Promise<void> {
		const { rootfs, pins, clock } = this.#options;
		const isNeeded = await this.#needed();
		const unused = (await rootfs.list()).map((layer) => layer.diffId).filter((diffId) => !isNeeded(diffId));
		const still = new Set(unused);
		for (const diffId of this.#unusedSince.keys()) if (!still.has(diffId)) this.#unusedSince.delete(diffId);
		for (const diffId of unused) if (!this.#unusedSince.has(diffId)) this.#unusedSince.set(diffId, clock.now());
		const layers = unused.map((diffId) => ({ diffId, unusedSinceMs: this.#unusedSince.get(diffId) ?? clock.now() }));
		for (const diffId of this.#choose({ blobs: [], layers, isNeeded }).layers) {
			this.#stop.signal.throwIfAborted();
			await pins.removing([diffId], async () => {
				if ((await this.#needed())(diffId)) return;
				if (await this.#removeLayer(diffId)) collection.layers++;
			});
			await clock.sleep(pauseMs, this.#stop.signal);
		}
	}

	/** False while a sandbox still runs on it. */
	async #removeLayer(diffId: Digest): Promise<boolean> {
		try {
			await this.#options.rootfs.remove(diffId);
			this.#unusedSince.delete(diffId);
			return true;
		} catch (error) {
			if (isSlipwayError(error, "CONFLICT")) return false;
			throw error;
		}
	}

	#choose(state: CollectionState): { blobs: Digest[]; layers: Digest[] } {
		return collectable(state, this.#options.clock.now(), this.#graceMs);
	}

	async #needed(): Promise<(digest: Digest) => boolean> {
		const { repositories, pins, inUse } = this.#options;
		const referenced = await repositories.referencedDigests();
		const used = [...inUse()];
		const manifests = new Set(used.flatMap(({ manifestDigest }) => manifestDigest ?? []));
		const needed = new Set<Digest>([...manifests, ...used.flatMap(({ diffIds }) => diffIds)]);
		for (const digest of this.#parts.keys()) if (!manifests.has(digest)) this.#parts.delete(digest);
		// An image that its repository has lost, and whose function still runs, keeps its bytes.
		for (const digest of manifests) for (const part of await this.#partsOf(digest)) needed.add(part);
		return (digest) => referenced.has(digest) || needed.has(digest) || pins.isPinned(digest);
	}

	async #partsOf(manifest: Digest): Promise<readonly Digest[]> {
		const known = this.#parts.get(manifest);
		if (known) return known;
		const parts = await this.#readParts(manifest);
		this.#parts.set(manifest, parts);
		return parts;
	}

	async #readParts(manifest: Digest): Promise<Digest[]> {
		try {
			const bytes = await readBlob(this.#options.blobs, manifest, maxManifestBytes);
			const { config, layers } = manifestSchema.parse(JSON.parse(bytes.toString("utf8")));
			return [config.digest, ...layers.map((layer) => layer.digest)];
		} catch (error) {
			// Then there is nothing to keep: the function runs on its unpacked layers.
			if (isSlipwayError(error, "NOT_FOUND")) return [];
			throw error;
		}
	}
}

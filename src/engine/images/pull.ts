import type { Clock } from "../../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { BlobStore } from "../../core/image/blob-store.ts";
import type { Digest } from "../../core/image/digest.ts";
import type { Descriptor, Manifest } from "../../core/image/manifest.ts";
import type { Reference } from "../../core/image/reference.ts";
import type { RemoteRegistry } from "../../core/image/remote-registry.ts";
import type { RepositoryStore } from "../../core/repository/repository-store.ts";
import type { BlobPins } from "./blob-pins.ts";
import { Progress } from "./progress.ts";
import { Registry } from "./registry.ts";
import { mirrorRepository } from "./repository-names.ts";
import type { ImageOptions } from "./types.ts";

/** Transfers at a time, over all images: as many as Docker's own default for downloads, rounded up to a power of two. */
const transfers = 4;

export interface ManifestDocument {
	bytes: Uint8Array;
	mediaType: string;
	digest: Digest;
}

/** Copies images of other registries into this one's store. */
export class Puller {
	readonly #stores: { blobs: BlobStore; repositories: RepositoryStore; clock: Clock };
	readonly #remote: RemoteRegistry;
	readonly #pins: BlobPins;
	readonly #clock: Clock;
	readonly #log: Log;
	readonly #transfers = new Semaphore(transfers);
	/** By digest: images that share a layer share its transfer. */
	readonly #underway = new Map<Digest, Promise<void>>();

	constructor(options: {
		blobs: BlobStore;
		repositories: RepositoryStore;
		remote: RemoteRegistry;
		pins: BlobPins;
		clock: Clock;
		log: Log;
	}) {
		this.#stores = options;
		this.#remote = options.remote;
		this.#pins = options.pins;
		this.#clock = options.clock;
		this.#log = options.log;
	}

	fetchManifest(reference: Reference, signal?: AbortSignal): Promise<ManifestDocument> {
		return this.#remote.fetchManifest(reference, signal);
	}

	/** Brings what is missing of an image here, and names it in its mirror repository once it is whole. */
	async pull(
		reference: Reference,
		document: ManifestDocument,
		manifest: Manifest,
		options: ImageOptions,
	): Promise<void> {
		const parts = [manifest.config, ...manifest.layers];
		const release = await this.#pins.pin([document.digest, ...parts.map((part) => part.digest)]);
		try {
			const startedMs = this.#clock.monotonic();
			await this.#fetchBlobs(reference, document.digest, parts, options);
			options.signal?.throwIfAborted();
			await keepImage(this.#stores, {
				repository: mirrorRepository(reference),
				tags: reference.tag === undefined || reference.digest !== undefined ? [] : [reference.tag],
				document,
				blobs: parts.map((part) => part.digest),
			});
			const durationMs = Math.round(this.#clock.monotonic() - startedMs);
			this.#log.info("Image pulled", { registry: reference.registry, repository: reference.repository, durationMs });
		} finally {
			release();
		}
	}

	async #fetchBlobs(reference: Reference, image: Digest, parts: Descriptor[], options: ImageOptions): Promise<void> {
		const unique = [...new Map(parts.map((part) => [part.digest, part])).values()];
		const total = unique.reduce((sum, part) => sum + part.size, 0);
		const progress = new Progress(this.#clock, { stage: "pull", digest: image, total }, options.onProgress);
		await allOrAbort(unique, options.signal, async (part, signal) => {
			await this.fetchBlob(reference, part, { progress, signal });
			progress.set(part.digest, part.size);
		});
	}

	/** Idempotent; concurrent calls for one digest share the transfer, each with its own abort. */
	async fetchBlob(
		reference: Reference,
		part: Descriptor,
		options: { progress?: Progress; signal?: AbortSignal | undefined } = {},
	): Promise<void> {
		for (;;) {
			options.signal?.throwIfAborted();
			const shared = this.#underway.get(part.digest);
			if (!shared) return this.#start(reference, part, options);
			try {
				return await shared;
			} catch (error) {
				// An error of the transfer is ours too; when only its owner has lost interest, we take over.
				if (isSlipwayError(error)) throw error;
			}
		}
	}

	async #start(
		reference: Reference,
		part: Descriptor,
		options: { progress?: Progress; signal?: AbortSignal | undefined },
	): Promise<void> {
		const transfer = this.#transfers.run(async () => {
			const found = await this.#stores.blobs.stat(part.digest);
			if (found) return checkSize(part, found.size);
			const source = await this.#remote.fetchBlob(reference, part.digest, part.size, options.signal);
			const counted = options.progress ? options.progress.counted(part.digest, source) : source;
			await this.#stores.blobs.put(part, counted, options.signal);
		}, options.signal);
		this.#underway.set(part.digest, transfer);
		try {
			await transfer;
		} finally {
			this.#underway.delete(part.digest);
		}
	}
}

/** Makes an image whose config and layers are in the blob store visible in a repository, which is made when missing. */
export async function keepImage(
	stores: { blobs: BlobStore; repositories: RepositoryStore; clock: Clock },
	image: { repository: string; tags: readonly string[]; document: ManifestDocument; blobs: Iterable<Digest> },
): Promise<void> {
	const { repository, tags, document } = image;
	const registry = new Registry({ ...stores, createOnPush: true });
	await registry.repositoryForPush(repository);
	for (const digest of new Set(image.blobs)) await stores.repositories.linkBlob(repository, digest);
	await registry.pushManifest(repository, { tags, ...document });
}

/** Runs a task for every item at once; when one fails the others are aborted, waited for, and its error is thrown. */
export async function allOrAbort<T>(
	items: readonly T[],
	signal: AbortSignal | undefined,
	task: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
	const stop = new AbortController();
	const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
	const errors: unknown[] = [];
	await Promise.all(
		items.map((item) =>
			task(item, both).catch((error: unknown) => {
				errors.push(error);
				stop.abort(error);
			}),
		),
	);
	signal?.throwIfAborted();
	if (errors.length > 0) throw errors[0];
}

export async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
	yield bytes;
}

function checkSize(part: Descriptor, size: number): void {
	if (size === part.size) return;
	throw new SlipwayError(
		"DIGEST_MISMATCH",
		`Blob ${part.digest} has ${size} bytes, and its descriptor says ${part.size}`,
		{
			reason: "SizeMismatch",
		},
	);
}

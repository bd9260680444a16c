import type { Clock } from "../../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { BlobStore } from "../../core/image/blob-store.ts";
import type { Digest } from "../../core/image/digest.ts";
import { indexMediaTypes, maxManifestBytes, parseImageConfig, parseManifest } from "../../core/image/manifest.ts";
import { formatReference, parseReference, type Reference } from "../../core/image/reference.ts";
import type { RemoteRegistry } from "../../core/image/remote-registry.ts";
import type { RootfsStore } from "../../core/image/rootfs-store.ts";
import type { RepositoryStore, StoredManifest } from "../../core/repository/repository-store.ts";
import { BlobPins } from "./blob-pins.ts";
import {
	architectureName,
	type CheckedImage,
	checkArchitecture,
	checkConfig,
	checkManifest,
	environment,
	imageOfIndex,
	isAttestation,
	maxImageBytes,
	missingBlob,
	missingImage,
	ociArchitecture,
	platformName,
	runnableImage,
	tooLarge,
} from "./check-image.ts";
import { type ArchiveImport, importArchive } from "./image-archive.ts";
import { Progress } from "./progress.ts";
import { allOrAbort, type ManifestDocument, Puller } from "./pull.ts";
import { maxConfigBytes, readBlob } from "./read-blob.ts";
import { allManifests, allRepositories, deleteImage } from "./repository-images.ts";
import { mirrorRepository } from "./repository-names.ts";
import type {
	Architecture,
	ImageDetail,
	ImageOptions,
	ImageSummary,
	ImportOptions,
	PullOptions,
	ResolvedImage,
	ResolveOptions,
} from "./types.ts";

export { localRegistryMatcher } from "./repository-names.ts";
export type * from "./types.ts";

/** Layers unpacked at a time, over all images: each is a process of its own that fills a core. */
const unpackers = 4;
/** Rows of `image ls`. */
const maxListed = 10_000;

export interface ImagesOptions {
	blobs: BlobStore;
	repositories: RepositoryStore;
	rootfs: RootfsStore;
	remote: RemoteRegistry;
	/** Whether a host in a reference is this registry (`localRegistryMatcher`). */
	isLocalRegistry: (host: string) => boolean;
	/** `host:port`, for references that name no registry and for those we make. */
	localRegistry: string;
	clock: Clock;
	log: Log;
	/** Shared with the collector and the registry front; one of its own by default. */
	pins?: BlobPins;
	/** OCI's name of the architecture that sandboxes have ("amd64"). */
	hostArchitecture?: string;
	/** What runs an image: names of functions, "service hello". */
	usedBy?: (manifestDigest: Digest) => readonly string[];
}

interface FoundImage {
	reference: Reference;
	document: ManifestDocument;
	/** Its manifest is in the repository store, and so is all that it refers to. */
	isHere: boolean;
}

/**
 * Images as functions see them: from a reference to an unpacked root. What comes from other registries is kept in a
 * mirror repository (`mirrorRepository`); the bytes of all are in the one blob store.
 */
export class Images {
	readonly pins: BlobPins;
	readonly #options: ImagesOptions;
	readonly #puller: Puller;
	readonly #hostArchitecture: string;
	readonly #unpackers = new Semaphore(unpackers);

	constructor(options: ImagesOptions) {
		this.#options = options;
		this.pins = options.pins ?? new BlobPins();
		this.#puller = new Puller({ ...options, pins: this.pins });
		this.#hostArchitecture = options.hostArchitecture ?? (process.arch === "x64" ? "amd64" : process.arch);
	}

	/**
	 * Finds the image, once, by digest, and checks that it can run here as a function of this architecture; fetches no
	 * layer. INVALID for a reference that is none; INVALID_IMAGE; UNAVAILABLE and UNAUTHENTICATED of another registry.
	 */
	async resolve(imageUri: string, architecture: Architecture, options: ResolveOptions = {}): Promise<ResolvedImage> {
		const named = await this.#find(imageUri, options.signal);
		const found = options.fromIndex ? await this.#fromIndex(named, architecture, options.signal) : named;
		const manifest = checkManifest(imageUri, found.document.bytes, found.document.mediaType);
		const release = await this.pins.pin([found.document.digest, manifest.config.digest]);
		try {
			return this.#resolved(found, await this.#check(imageUri, found, architecture, options.signal));
		} finally {
			release();
		}
	}

	/** `resolve`, and then everything a sandbox needs is on this machine and unpacked. Idempotent. Also EXHAUSTED, DIGEST_MISMATCH. */
	async prepare(imageUri: string, architecture: Architecture, options: ImageOptions = {}): Promise<ResolvedImage> {
		const found = await this.#find(imageUri, options.signal);
		const { digest } = found.document;
		const manifest = checkManifest(imageUri, found.document.bytes, found.document.mediaType);
		const blobs = [digest, manifest.config.digest, ...manifest.layers.map((layer) => layer.digest)];
		const releaseBlobs = await this.pins.pin(blobs);
		try {
			const checked = await this.#check(imageUri, found, architecture, options.signal);
			const releaseLayers = await this.pins.pin(checked.layers.map((layer) => layer.diffId));
			try {
				if (!found.isHere) await this.#puller.pull(found.reference, found.document, manifest, options);
				await this.#unpack(imageUri, digest, checked, options);
			} finally {
				releaseLayers();
			}
			return this.#resolved(found, checked);
		} finally {
			releaseBlobs();
		}
	}

	/** Copies an image of another registry here; of an index, the image of one architecture. INVALID for one of our own. */
	async pull(text: string, options: PullOptions = {}): Promise<{ reference: string; digest: Digest }> {
		const reference = parseReference(text, "docker.io");
		if (this.#options.isLocalRegistry(reference.registry))
			throw new SlipwayError("INVALID", `Image '${text}' is in this registry already`);
		const document = await this.#selected(reference, options);
		const manifest = checkManifest(text, document.bytes, document.mediaType);
		const target = { ...reference, tag: reference.tag ?? (reference.digest ? undefined : "latest") };
		await this.#puller.pull(target, document, manifest, options);
		return { reference: formatReference({ ...target, digest: document.digest }), digest: document.digest };
	}

	/** Adds the images of a `docker save` or OCI-layout archive (file or folder, also gzip or zstd). INVALID_IMAGE, DIGEST_MISMATCH, NOT_FOUND. */
	importArchive(path: string, options: ImportOptions = {}): Promise<ArchiveImport[]> {
		return importArchive(
			{ ...this.#options, pins: this.pins, repositoryOf: (reference) => this.#repositoryOf(reference) },
			path,
			{ ...options, architecture: ociArchitecture(options.architecture ?? this.architecture) },
		);
	}

	/** Every tag, and every manifest without one, by repository; the first 10,000. */
	async list(): Promise<ImageSummary[]> {
		const { repositories, localRegistry } = this.#options;
		const images: ImageSummary[] = [];
		for await (const repository of allRepositories(repositories))
			for await (const manifest of allManifests(repositories, repository)) {
				const { digest, mediaType, imageSize, pushedMs, tags = [] } = manifest;
				for (const tag of tags.length > 0 ? tags : [undefined]) {
					if (images.length === maxListed) return images;
					const name = { registry: localRegistry, repository, tag, digest: tag === undefined ? digest : undefined };
					images.push({
						reference: formatReference(name),
						repository,
						tag,
						digest,
						mediaType,
						size: imageSize,
						pushedMs,
					});
				}
			}
		return images;
	}

	/** NOT_FOUND, INVALID. */
	async inspect(text: string): Promise<ImageDetail> {
		const { blobs, usedBy } = this.#options;
		const { repository, manifest } = await this.#local(text);
		const { digest, mediaType, imageSize, pushedMs, tags = [] } = manifest;
		const parsed = parseManifest(await readBlob(blobs, digest, maxManifestBytes), mediaType);
		const common = {
			repository,
			tags,
			digest,
			mediaType,
			size: imageSize,
			pushedMs,
			usedBy: [...(usedBy?.(digest) ?? [])],
		};
		if (parsed.kind === "index") {
			const manifests = parsed.index.manifests.map((child) => ({
				digest: child.digest,
				platform: isAttestation(child) ? "attestation" : platformName(child),
				size: child.size,
			}));
			return { ...common, manifests };
		}
		const config = parseImageConfig(await readBlob(blobs, parsed.manifest.config.digest, maxConfigBytes));
		const { Entrypoint, Cmd, Env, WorkingDir, User, Labels } = config.config ?? {};
		const layers = parsed.manifest.layers.map(async (layer, i) => {
			const diffId = config.rootfs.diff_ids[i] ?? layer.digest;
			const unpacked = await this.#options.rootfs.has(diffId);
			return { digest: layer.digest, mediaType: layer.mediaType, size: layer.size, diffId, unpacked };
		});
		return {
			...common,
			image: {
				architecture: architectureName(config.architecture),
				os: config.os,
				created: config.created,
				entrypoint: Entrypoint ?? [],
				cmd: Cmd ?? [],
				env: environment(Env ?? []),
				workingDir: WorkingDir || "/",
				user: User ?? "",
				labels: Labels ?? {},
				layers: await Promise.all(layers),
			},
		};
	}

	/**
	 * By tag: drops the tag, and the image with its last one. By digest: drops the image with all its tags. NOT_FOUND;
	 * CONFLICT when the image would go and a function runs it.
	 */
	async remove(text: string): Promise<void> {
		const { repositories, usedBy } = this.#options;
		const { repository, reference, manifest } = await this.#local(text);
		const others = manifest.tags?.filter((tag) => tag !== reference.tag) ?? [];
		if (reference.tag !== undefined && reference.digest === undefined && others.length > 0)
			return repositories.deleteTag(repository, reference.tag);
		const users = usedBy?.(manifest.digest) ?? [];
		if (users.length > 0)
			throw new SlipwayError("CONFLICT", `Image '${text}' is what ${users.slice(0, 5).join(", ")} runs`, {
				reason: "ImageInUse",
				hint: "Delete what runs it, or have it run another image, first",
			});
		await deleteImage(repositories, repository, manifest.digest);
	}

	/** The repository of ours that a reference's images are kept in. */
	#repositoryOf(reference: Reference): string {
		return this.#options.isLocalRegistry(reference.registry) ? reference.repository : mirrorRepository(reference);
	}

	async #local(text: string): Promise<{ repository: string; reference: Reference; manifest: StoredManifest }> {
		const parsed = parseReference(text, this.#options.localRegistry);
		const reference = (parsed.digest ?? parsed.tag) ? parsed : { ...parsed, tag: "latest" };
		const repository = this.#repositoryOf(reference);
		const manifest = await this.#stored(repository, reference);
		if (!manifest)
			throw new SlipwayError("NOT_FOUND", `Image '${text}' does not exist`, {
				hint: "`slipway image ls` shows what does",
			});
		return { repository, reference, manifest };
	}

	#stored(repository: string, reference: Reference): Promise<StoredManifest | undefined> {
		const { digest, tag } = reference;
		return this.#options.repositories.getManifest(repository, digest ? { digest } : { tag: tag ?? "latest" });
	}

	async #find(imageUri: string, signal: AbortSignal | undefined): Promise<FoundImage> {
		const reference = parseImageUri(imageUri);
		if (this.#options.isLocalRegistry(reference.registry)) {
			const document = await this.#readStored(imageUri, reference.repository, reference);
			if (!document) throw missingImage(imageUri);
			return { reference, document, isHere: true };
		}
		const mirror = mirrorRepository(reference);
		if (reference.digest) {
			const document = await this.#readStored(imageUri, mirror, reference);
			if (document) return { reference, document, isHere: true };
		}
		try {
			return { reference, document: await this.#puller.fetchManifest(reference, signal), isHere: false };
		} catch (error) {
			if (isSlipwayError(error, "NOT_FOUND")) throw missingImage(imageUri);
			// Off line, an image that was pulled or imported under this very name serves.
			const document = isSlipwayError(error, "UNAVAILABLE") && (await this.#readStored(imageUri, mirror, reference));
			if (!document) throw error;
			this.#options.log.warn("A registry can't be reached; the copy of its image that is here is used", {
				imageUri,
				error,
			});
			return { reference, document, isHere: true };
		}
	}

	async #fromIndex(
		found: FoundImage,
		architecture: Architecture,
		signal: AbortSignal | undefined,
	): Promise<FoundImage> {
		const { bytes, mediaType } = found.document;
		// What is damaged is told by the check of every manifest.
		if (!indexMediaTypes.includes(mediaType)) return found;
		const parsed = parseManifest(bytes, mediaType);
		if (parsed.kind === "manifest") return found;
		const name = formatReference(found.reference);
		const digest = imageOfIndex(name, parsed.index, ociArchitecture(architecture));
		return this.#find(formatReference({ ...found.reference, tag: undefined, digest }), signal);
	}

	async #readStored(imageUri: string, repository: string, reference: Reference): Promise<ManifestDocument | undefined> {
		const stored = await this.#stored(repository, reference);
		if (!stored) return undefined;
		const bytes = await this.#readPart(imageUri, stored.digest, maxManifestBytes);
		return { bytes, mediaType: stored.mediaType, digest: stored.digest };
	}

	async #readPart(imageUri: string, digest: Digest, limit: number): Promise<Buffer> {
		try {
			return await readBlob(this.#options.blobs, digest, limit);
		} catch (error) {
			if (isSlipwayError(error, "NOT_FOUND")) throw missingBlob(imageUri, digest);
			if (isSlipwayError(error, "TOO_LARGE")) throw new SlipwayError("INVALID_IMAGE", error.message, { cause: error });
			throw error;
		}
	}

	async #check(
		imageUri: string,
		found: FoundImage,
		architecture: Architecture,
		signal: AbortSignal | undefined,
	): Promise<CheckedImage> {
		const manifest = checkManifest(imageUri, found.document.bytes, found.document.mediaType);
		if (!found.isHere) {
			if (manifest.config.size > maxConfigBytes)
				throw new SlipwayError(
					"INVALID_IMAGE",
					`The config of source image ${imageUri} has more than ${maxConfigBytes} bytes`,
				);
			await this.#puller.fetchBlob(found.reference, manifest.config, { signal });
		}
		const checked = checkConfig(
			imageUri,
			manifest,
			await this.#readPart(imageUri, manifest.config.digest, maxConfigBytes),
		);
		checkArchitecture(imageUri, checked.config.architecture, architecture, this.#hostArchitecture);
		return checked;
	}

	#resolved(found: FoundImage, checked: CheckedImage): ResolvedImage {
		const { registry, repository } = found.reference;
		const { digest } = found.document;
		const resolvedImageUri = formatReference({ registry, repository, tag: undefined, digest });
		return { resolvedImageUri, manifestDigest: digest, image: runnableImage(checked) };
	}

	async #unpack(imageUri: string, image: Digest, checked: CheckedImage, options: ImageOptions): Promise<void> {
		const { rootfs, blobs, clock } = this.#options;
		const layers = [...new Map(checked.layers.map((layer) => [layer.diffId, layer])).values()];
		const total = layers.reduce((sum, layer) => sum + layer.descriptor.size, 0);
		const progress = new Progress(clock, { stage: "unpack", digest: image, total }, options.onProgress);
		let unpackedBytes = 0;
		await allOrAbort(layers, options.signal, ({ descriptor, diffId }, signal) =>
			this.#unpackers.run(async () => {
				const { digest, mediaType, size } = descriptor;
				const found = await blobs.stat(digest);
				const path = blobs.localPath(digest);
				// A layer that is unpacked already is as good as its blob.
				if (!found && !(await rootfs.has(diffId))) throw missingBlob(imageUri, digest);
				if (path === undefined)
					throw new SlipwayError("UNSUPPORTED", "The blob store has no files to unpack layers from");
				const packed = { digest, diffId, mediaType, size, path };
				const onProgress = (bytes: number) => progress.set(diffId, bytes);
				const unpacked = await rootfs.unpack(packed, { onProgress, signal });
				progress.set(diffId, size);
				unpackedBytes += unpacked.size;
				if (unpackedBytes > maxImageBytes) throw tooLarge(imageUri);
			}, signal),
		);
	}

	/** The manifest that a reference means for one architecture. */
	async #selected(reference: Reference, options: PullOptions): Promise<ManifestDocument> {
		const document = await this.#puller.fetchManifest(reference, options.signal);
		const parsed = parseManifest(document.bytes, document.mediaType);
		if (parsed.kind === "manifest") return document;
		const wanted = ociArchitecture(options.architecture ?? this.architecture);
		const digest = imageOfIndex(formatReference(reference), parsed.index, wanted);
		return this.#puller.fetchManifest({ ...reference, tag: undefined, digest }, options.signal);
	}

	/** Of this machine. */
	get architecture(): Architecture {
		return this.#hostArchitecture === "arm64" ? "arm64" : "x86_64";
	}
}

/** Lambda's ImageUri: the registry is part of it. */
function parseImageUri(imageUri: string): Reference {
	try {
		return parseReference(imageUri);
	} catch (error) {
		if (!isSlipwayError(error)) throw error;
		throw new SlipwayError(
			"INVALID",
			`Source image ${imageUri.slice(0, 300)} is not valid. Provide a valid source image. (${error.message})`,
			{ cause: error, reason: "InvalidImageUri" },
		);
	}
}

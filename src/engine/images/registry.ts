/** Pushing and reading manifests: the rules that hold whichever front a manifest comes through (OCI, ECR, import). */
import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import type { Clock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import type { BlobStore } from "../../core/image/blob-store.ts";
import { type Digest, digestAlgorithm } from "../../core/image/digest.ts";
import {
	type Descriptor,
	indexMediaTypes,
	manifestMediaTypes,
	maxManifestBytes,
	type ParsedManifest,
	parseManifest,
} from "../../core/image/manifest.ts";
import { isRepositoryName } from "../../core/image/reference.ts";
import type { Repository, RepositoryStore, StoredManifest } from "../../core/repository/repository-store.ts";
import type { BlobPins } from "./blob-pins.ts";

export interface RegistryOptions {
	blobs: BlobStore;
	repositories: RepositoryStore;
	/** Whether a push to a repository that does not exist makes it. */
	createOnPush: boolean;
	clock: Clock;
	/** Shared with the collector, where there is one. */
	pins?: BlobPins;
}

export interface ManifestPush {
	/** Where it goes: under its digest always, and under each of these tags. */
	tags: readonly string[];
	/** The digest that the client named, if it did. */
	digest?: Digest;
	/** Without parameters; undefined takes the document's own `mediaType`. */
	mediaType: string | undefined;
	bytes: Uint8Array;
}

/** Look-ups under way at once while a manifest's references are checked. */
const concurrentChecks = 64;

export class Registry {
	readonly #blobs: BlobStore;
	readonly #repositories: RepositoryStore;
	readonly #createOnPush: boolean;
	readonly #clock: Clock;
	readonly #pins: BlobPins | undefined;

	constructor(options: RegistryOptions) {
		this.#blobs = options.blobs;
		this.#repositories = options.repositories;
		this.#createOnPush = options.createOnPush;
		this.#clock = options.clock;
		this.#pins = options.pins;
	}

	/** The repository to push to, made when it is missing and may be. NOT_FOUND with reason "RepositoryUnknown". */
	async repositoryForPush(name: string): Promise<Repository> {
		const found = await this.#repositories.getRepository(name);
		if (found) return found;
		if (!this.#createOnPush) throw unknownRepository(name);
		if (!isRepositoryName(name)) throw new SlipwayError("INVALID", `'${name.slice(0, 100)}' is not a repository name`);
		const repository: Repository = { name, createdMs: this.#clock.now(), tagMutability: "MUTABLE", tags: {} };
		await this.#repositories.createRepository(repository, { ifMissing: true });
		return (await this.#repositories.getRepository(name)) ?? repository;
	}

	/**
	 * Checks and stores a manifest or an index. INVALID (reason "AmbiguousManifest" among them), TOO_LARGE,
	 * DIGEST_MISMATCH, NOT_FOUND with reason "ManifestBlobUnknown" when something that it consists of is not in the
	 * repository, CONFLICT with reason "ImageTagAlreadyExists". With several tags, one that is refused leaves the ones
	 * before it in place.
	 */
	async pushManifest(name: string, push: ManifestPush): Promise<StoredManifest> {
		const { bytes } = push;
		const mediaType = push.mediaType ?? ownMediaType(bytes);
		const parsed = parseManifest(bytes, mediaType);
		const algorithm = push.digest ? digestAlgorithm(push.digest) : "sha256";
		const digest: Digest = `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
		if (push.digest && push.digest !== digest)
			throw new SlipwayError("DIGEST_MISMATCH", `Manifest has digest '${digest}' instead of '${push.digest}'`);
		await this.repositoryForPush(name);
		const manifest = describe(parsed, { digest, mediaType, size: bytes.length, pushedMs: this.#clock.now() });
		await this.#pinned([digest, ...manifest.references], async () => {
			await this.#requireParts(name, parsed);
			await this.#blobs.put({ digest, size: bytes.length }, oneChunk(bytes));
			if (push.tags.length === 0) await this.#repositories.putManifest(name, manifest);
			for (const tag of push.tags) await this.#repositories.putManifest(name, manifest, tag);
		});
		return manifest;
	}

	/**
	 * Makes a blob that the store holds visible in a repository as well. False when it is not there, or when `allowed`,
	 * asked while the blob can't be collected, says so.
	 */
	async mountBlob(name: string, digest: Digest, allowed: () => Promise<boolean>): Promise<boolean> {
		return this.#pinned([digest], async () => {
			if (!(await allowed()) || (await this.#blobs.stat(digest)) === undefined) return false;
			await this.#repositories.linkBlob(name, digest);
			return true;
		});
	}

	/** Undefined when the repository has no such manifest. Its bytes are at most 4 MiB, as they were pushed. */
	async readManifest(
		name: string,
		reference: { digest: Digest } | { tag: string },
	): Promise<{ manifest: StoredManifest; bytes: Uint8Array } | undefined> {
		const manifest = await this.#repositories.getManifest(name, reference);
		if (!manifest) return undefined;
		if (manifest.size > maxManifestBytes) throw new Error(`Stored manifest ${manifest.digest} is too large`);
		return { manifest, bytes: await buffer(await this.#blobs.open(manifest.digest)) };
	}

	/** Keeps the collector off the digests between the look at them and the row that refers to them. */
	async #pinned<T>(digests: readonly Digest[], task: () => Promise<T>): Promise<T> {
		const release = await this.#pins?.pin(digests);
		try {
			return await task();
		} finally {
			release?.();
		}
	}

	async #requireParts(name: string, parsed: ParsedManifest): Promise<void> {
		const present =
			parsed.kind === "index"
				? async (child: Descriptor) => {
						const found = await this.#repositories.getManifest(name, { digest: child.digest });
						// An index may list other things than manifests, such as a blob (image-spec, image-index, "manifests").
						return found !== undefined || (!isManifestType(child.mediaType) && this.#hasBlob(name, child));
					}
				: (blob: Descriptor) => this.#hasBlob(name, blob);
		const parts = required(parsed);
		for (let from = 0; from < parts.length; from += concurrentChecks) {
			const some = parts.slice(from, from + concurrentChecks);
			const found = await Promise.all(some.map(present));
			const missing = some[found.indexOf(false)];
			if (missing)
				throw new SlipwayError(
					"NOT_FOUND",
					`Manifest refers to '${missing.digest}', which the repository does not have`,
					{
						reason: "ManifestBlobUnknown",
						hint: "Push the blobs and the child manifests first",
					},
				);
		}
	}

	#hasBlob(name: string, descriptor: Descriptor): Promise<boolean> {
		return this.#repositories.hasBlob(name, descriptor.digest);
	}
}

function unknownRepository(name: string): SlipwayError {
	return new SlipwayError("NOT_FOUND", `Repository '${name}' does not exist`, {
		reason: "RepositoryUnknown",
		hint: `Create it first: aws ecr create-repository --repository-name ${name}`,
	});
}

function isManifestType(mediaType: string): boolean {
	return manifestMediaTypes.includes(mediaType) || indexMediaTypes.includes(mediaType);
}

/** Layers that a registry need not hold: image-spec "Non-Distributable Layers", and Docker's foreign layers. */
function isForeign(layer: Descriptor): boolean {
	return (
		layer.mediaType.startsWith("application/vnd.oci.image.layer.nondistributable.") ||
		layer.mediaType === "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	);
}

/** What has to be in the repository before the manifest is; each digest once. The subject may come later. */
function required(parsed: ParsedManifest): Descriptor[] {
	const all =
		parsed.kind === "index"
			? parsed.index.manifests
			: [parsed.manifest.config, ...parsed.manifest.layers.filter((layer) => !isForeign(layer))];
	return [...new Map(all.map((descriptor) => [descriptor.digest, descriptor])).values()];
}

function describe(
	parsed: ParsedManifest,
	known: Pick<StoredManifest, "digest" | "mediaType" | "size" | "pushedMs">,
): StoredManifest {
	const document = parsed.kind === "index" ? parsed.index : parsed.manifest;
	const parts = required(parsed);
	// distribution-spec, "Listing Referrers": an image without an artifactType has its config's media type for one.
	const artifactType =
		document.artifactType || (parsed.kind === "manifest" ? parsed.manifest.config.mediaType : undefined);
	return {
		...known,
		references: parts.map((part) => part.digest),
		imageSize: parsed.kind === "manifest" ? parts.reduce((sum, part) => sum + part.size, 0) : 0,
		...(document.subject ? { subject: document.subject.digest } : {}),
		...(artifactType ? { artifactType } : {}),
		...(document.annotations ? { annotations: document.annotations } : {}),
	};
}

/** For a client that sends no Content-Type; it SHOULD (distribution-spec, "Pushing Manifests"). */
function ownMediaType(bytes: Uint8Array): string {
	try {
		const document: unknown = JSON.parse(Buffer.from(bytes).toString());
		if (typeof document === "object" && document !== null && "mediaType" in document) return String(document.mediaType);
	} catch (cause) {
		throw new SlipwayError("INVALID", "Manifest is not JSON", { cause });
	}
	throw new SlipwayError("INVALID", "Manifest was sent without a media type, and has none of its own");
}

async function* oneChunk(bytes: Uint8Array): AsyncIterable<Uint8Array> {
	yield bytes;
}

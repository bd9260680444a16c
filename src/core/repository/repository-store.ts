import type { Digest } from "../image/digest.ts";

/**
 * What the registry knows beside the blobs: repositories, their manifests and tags. Manifest bytes live in the blob
 * store under the same digest. Every write is on the disk before it resolves. Bounds: a listing returns at most `limit` rows.
 * In a repository that does not exist, reads find nothing and writes are NOT_FOUND (reason "RepositoryUnknown").
 */
export interface RepositoryStore {
	/** ALREADY_EXISTS unless `ifMissing`. */
	createRepository(repository: Repository, options?: { ifMissing?: boolean }): Promise<void>;
	getRepository(name: string): Promise<Repository | undefined>;
	/** NOT_FOUND. */
	updateRepository(name: string, change: Partial<Omit<Repository, "name" | "createdMs">>): Promise<Repository>;
	/** Drops the repository with its manifests, tags and blob links. NOT_FOUND. */
	deleteRepository(name: string): Promise<void>;
	/** By name, after `after`. */
	listRepositories(page: { after?: string; limit: number }): Promise<Repository[]>;

	/** Adds or refreshes a manifest and points `tag` at it, in one commit. CONFLICT with reason "ImageTagAlreadyExists" when tags are immutable and the tag is another manifest's. */
	putManifest(repository: string, manifest: StoredManifest, tag?: string): Promise<void>;
	getManifest(repository: string, reference: { digest: Digest } | { tag: string }): Promise<StoredManifest | undefined>;
	/** Deletes the manifest and every tag on it. NOT_FOUND. */
	deleteManifest(repository: string, digest: Digest): Promise<void>;
	/** Deletes the tag only. NOT_FOUND. */
	deleteTag(repository: string, tag: string): Promise<void>;
	/** By digest, after `after`. */
	listManifests(repository: string, page: { after?: Digest; limit: number }): Promise<StoredManifest[]>;
	/** In ASCII order, after `after`. */
	listTags(repository: string, page: { after?: string; limit: number }): Promise<{ tag: string; digest: Digest }[]>;
	/** Manifests of the repository whose subject is `subject` (distribution-spec 1.1, "Listing Referrers"), by digest, after `after`; 10,000 unless told. */
	listReferrers(
		repository: string,
		subject: Digest,
		page?: { after?: Digest; limit: number },
	): Promise<StoredManifest[]>;

	/** A blob is visible in a repository only through a link; an upload or a mount makes one. Idempotent. */
	linkBlob(repository: string, digest: Digest): Promise<void>;
	hasBlob(repository: string, digest: Digest): Promise<boolean>;
	unlinkBlob(repository: string, digest: Digest): Promise<void>;
	/** Some repository that holds the blob, for a mount that names none. */
	findBlob(digest: Digest): Promise<string | undefined>;
	/** Every digest that any manifest or link refers to, for the collector. */
	referencedDigests(): Promise<Set<Digest>>;
}

export interface Repository {
	name: string;
	createdMs: number;
	/** ECR's imageTagMutability. */
	tagMutability: "MUTABLE" | "IMMUTABLE";
	tags: Record<string, string>;
}

export interface StoredManifest {
	digest: Digest;
	mediaType: string;
	size: number;
	pushedMs: number;
	/** Digests that must stay while this manifest does: config, layers, or child manifests. */
	references: Digest[];
	/** Bytes of the config and the layers, compressed. */
	imageSize: number;
	subject?: Digest;
	artifactType?: string;
	annotations?: Record<string, string>;
	/** Filled by reads. */
	tags?: string[];
}

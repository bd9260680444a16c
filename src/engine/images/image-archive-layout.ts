/** Finds the images in an archive and what belongs to each, before any layer is read. */
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import {
	type DockerArchiveImage,
	nameOf,
	parseDockerManifest,
	parseLayout,
	parseLayoutIndex,
} from "../../core/image/archive.ts";
import { invalidArchive } from "../../core/image/archive-tar.ts";
import { type Digest, digestAlgorithm, digestHex } from "../../core/image/digest.ts";
import {
	type Descriptor,
	type Manifest,
	maxManifestBytes,
	mediaTypes,
	type ParsedManifest,
	parseImageConfig,
	parseManifest,
} from "../../core/image/manifest.ts";
import type { BlobStaging } from "./blob-staging.ts";
import { isAttestation, maxLayers, platformName } from "./check-image.ts";
import { type ArchiveFile, type ArchiveFiles, compressionOf } from "./image-archive-file.ts";
import { type ManifestDocument, oneChunk } from "./pull.ts";
import { digestOf, maxConfigBytes } from "./read-blob.ts";

/** Manifests and indexes in one archive, and how deep indexes nest: BuildKit makes two levels. */
const maxManifests = 1_000;
const maxDepth = 4;

export interface ArchivedImage {
	/** As the archive has them: whole references, or tags alone. */
	names: string[];
	/** The manifest's; of an image that has none yet, the config's. */
	digest: Digest;
	parts: ArchivedPart[];
	/** Stages what is not in a file of its own. Called after every part was accepted. */
	finish(staging: BlobStaging): Promise<{ document: ManifestDocument; blobs: Digest[] }>;
}

export interface ArchivedPart {
	file: ArchiveFile;
	accept(staging: BlobStaging, content: AsyncIterable<Uint8Array>): Promise<void>;
}

/** INVALID_IMAGE, DIGEST_MISMATCH. Reads documents only, each bounded. */
export async function readArchivedImages(
	archive: ArchiveFiles,
	architecture: string,
	signal?: AbortSignal,
): Promise<ArchivedImage[]> {
	const reader = new ArchiveReader(archive, signal);
	const dockerManifest = await reader.document("manifest.json", maxManifestBytes);
	const index = await reader.document("index.json", maxManifestBytes);
	const top = index ? parseLayoutIndex(index) : [];
	if (dockerManifest) {
		const images = parseDockerManifest(dockerManifest);
		if (images.length === 0) throw invalidArchive("it holds no image");
		const known = await reader.byConfig(top);
		const archived: ArchivedImage[] = [];
		for (const image of images) archived.push(await reader.dockerImage(image, known));
		return archived;
	}
	const layout = await reader.document("oci-layout", 1024);
	if (!index || !layout)
		throw invalidArchive("it holds neither a manifest.json (docker save) nor an index.json (OCI layout)");
	parseLayout(layout);
	if (top.length === 0) throw invalidArchive("it holds no image");
	const images = new Map<Digest, ArchivedImage>();
	for (const descriptor of top) {
		const image = await reader.selected(descriptor, architecture);
		const name = nameOf(descriptor);
		const found = images.get(image.digest) ?? (await reader.ociImage(image, []));
		if (name !== undefined) found.names.push(name);
		images.set(image.digest, found);
	}
	return [...images.values()];
}

interface ReadManifest {
	digest: Digest;
	mediaType: string;
	bytes: Buffer;
	parsed: ParsedManifest;
}

class ArchiveReader {
	readonly #archive: ArchiveFiles;
	readonly #signal: AbortSignal | undefined;
	/** Of all images: a file may be a layer of several. */
	readonly #legacyLayers: LegacyLayer[] = [];
	#manifests = 0;

	constructor(archive: ArchiveFiles, signal: AbortSignal | undefined) {
		this.#archive = archive;
		this.#signal = signal;
	}

	/** A small file whole. INVALID_IMAGE past the limit. */
	async document(name: string, limit: number): Promise<Buffer | undefined> {
		const file = await this.#archive.find(name);
		return file && this.#read(file, limit);
	}

	/** The manifests that can be reached, by the digest of their config: what `docker save` puts beside its own manifest.json. */
	async byConfig(descriptors: readonly Descriptor[], depth = 0): Promise<Map<Digest, ReadManifest>> {
		const found = new Map<Digest, ReadManifest>();
		for (const descriptor of descriptors) {
			if (isAttestation(descriptor)) continue;
			const read = await this.#manifest(descriptor, depth);
			// Docker exports an index without the platforms that it does not have.
			if (!read) continue;
			if (read.parsed.kind === "manifest") found.set(read.parsed.manifest.config.digest, read);
			else
				for (const [config, child] of await this.byConfig(read.parsed.index.manifests, depth + 1))
					found.set(config, child);
		}
		return found;
	}

	/** The one image that a descriptor of index.json means on this architecture. */
	async selected(descriptor: Descriptor, architecture: string, depth = 0): Promise<ReadManifest> {
		const read = await this.#manifest(descriptor, depth);
		if (!read) throw invalidArchive(`the manifest ${descriptor.digest} is missing in it`, "ArchiveIncomplete");
		if (read.parsed.kind === "manifest") return read;
		const images = read.parsed.index.manifests.filter((child) => !isAttestation(child));
		const only = images.length === 1 ? images[0] : undefined;
		const fitting = images.find(({ platform }) => platform?.os === "linux" && platform.architecture === architecture);
		const child = fitting ?? only;
		if (child) return this.selected(child, architecture, depth + 1);
		throw new SlipwayError(
			"INVALID_IMAGE",
			`The archive has no image for linux/${architecture}, only for ${images.slice(0, 10).map(platformName).join(", ") || "nothing"}`,
			{ reason: "ArchitectureMismatch" },
		);
	}

	async ociImage(read: ReadManifest, names: string[]): Promise<ArchivedImage> {
		if (read.parsed.kind !== "manifest") throw invalidArchive(`${read.digest} is an index and not an image`);
		const { config, layers } = read.parsed.manifest;
		const descriptors = [...new Map([config, ...layers].map((part) => [part.digest, part])).values()];
		const parts: ArchivedPart[] = [];
		for (const descriptor of descriptors) {
			const file = await this.#required(blobName(descriptor.digest));
			if (file.size !== descriptor.size)
				throw new SlipwayError(
					"DIGEST_MISMATCH",
					`In the archive ${descriptor.digest} has ${file.size} bytes, and not ${descriptor.size}`,
				);
			const expected = { digest: descriptor.digest, size: descriptor.size, what: `The archive's '${file.name}'` };
			parts.push({ file, accept: async (staging, content) => void (await staging.stage(expected, content)) });
		}
		const { digest, mediaType, bytes } = read;
		return {
			names,
			digest,
			parts,
			finish: async (staging) => {
				await staging.stage({ digest, size: bytes.length, what: "The manifest" }, oneChunk(bytes));
				const blobs = descriptors.map((part) => part.digest);
				for (const blob of blobs)
					if (!staging.has(blob)) throw invalidArchive(`${blob} is missing in it`, "ArchiveIncomplete");
				return { document: { digest, mediaType, bytes }, blobs };
			},
		};
	}

	/** An image of manifest.json: as its OCI manifest says where there is one, put together from its files otherwise. */
	async dockerImage(image: DockerArchiveImage, known: ReadonlyMap<Digest, ReadManifest>): Promise<ArchivedImage> {
		const configFile = await this.#required(image.config);
		const bytes = await this.#read(configFile, maxConfigBytes);
		const digest = digestOf(bytes);
		const named = /([a-f0-9]{64})(\.json)?$/.exec(image.config)?.[1];
		if (named !== undefined && named !== digestHex(digest))
			throw new SlipwayError("DIGEST_MISMATCH", `The archive's '${image.config}' has the digest ${digest}`);
		const manifest = known.get(digest);
		if (manifest) return this.ociImage(manifest, image.repoTags);
		const { rootfs } = parseImageConfig(bytes);
		if (rootfs.diff_ids.length !== image.layers.length || image.layers.length > maxLayers)
			throw invalidArchive(
				`its manifest.json has ${image.layers.length} layers for '${image.config}', and the config ${rootfs.diff_ids.length} (at most ${maxLayers})`,
				"LayerCountMismatch",
			);
		const layers: LegacyLayer[] = [];
		for (const [i, name] of image.layers.entries())
			layers.push({ file: await this.#required(name), diffId: rootfs.diff_ids[i] as Digest, descriptor: undefined });
		this.#legacyLayers.push(...layers);
		return {
			names: image.repoTags,
			digest,
			parts: layers.map((layer) => ({
				file: layer.file,
				accept: (staging, content) => acceptLayer(staging, this.#legacyLayers, layer, content),
			})),
			finish: (staging) => finishDockerImage(staging, { digest, bytes }, layers),
		};
	}

	async #manifest(descriptor: Descriptor, depth: number): Promise<ReadManifest | undefined> {
		if (depth > maxDepth) throw invalidArchive(`its indexes nest deeper than ${maxDepth}`);
		if (++this.#manifests > maxManifests) throw invalidArchive(`it holds more than ${maxManifests} manifests`);
		const { digest, mediaType } = descriptor;
		const bytes = await this.document(blobName(digest), maxManifestBytes);
		if (!bytes) return undefined;
		if (bytes.length !== descriptor.size || digestOf(bytes, digestAlgorithm(digest)) !== digest)
			throw new SlipwayError(
				"DIGEST_MISMATCH",
				`The archive's manifest '${blobName(digest)}' does not have its digest and size`,
			);
		try {
			return { digest, mediaType, bytes, parsed: parseManifest(bytes, mediaType) };
		} catch (error) {
			if (isSlipwayError(error)) throw invalidArchive(error.message, error.reason);
			throw error;
		}
	}

	async #required(name: string): Promise<ArchiveFile> {
		const file = await this.#archive.find(name);
		if (!file) throw invalidArchive(`'${name.slice(0, 200)}' is missing in it`, "ArchiveIncomplete");
		return file;
	}

	async #read(file: ArchiveFile, limit: number): Promise<Buffer> {
		if (file.size > limit)
			throw invalidArchive(
				`its '${file.name}' has ${file.size} bytes, and ${limit} is the most`,
				"ArchiveDocumentTooLarge",
			);
		const chunks: Uint8Array[] = [];
		const receive = async (_: ArchiveFile, content: AsyncIterable<Uint8Array>) => {
			for await (const chunk of content) chunks.push(chunk);
		};
		await this.#archive.stream([file], receive, this.#signal);
		return Buffer.concat(chunks);
	}
}

interface LegacyLayer {
	file: ArchiveFile;
	diffId: Digest;
	/** Known when its bytes have been seen. */
	descriptor: Descriptor | undefined;
}

/** A layer of `docker save` is a tar file, whose digest is its diffID, or (other tools) a compressed one. */
async function acceptLayer(
	staging: BlobStaging,
	allLayers: readonly LegacyLayer[],
	layer: LegacyLayer,
	content: AsyncIterable<Uint8Array>,
): Promise<void> {
	const chunks = content[Symbol.asyncIterator]();
	const first = await chunks.next();
	const compression = first.done ? undefined : compressionOf(first.value);
	const what = `The archive's '${layer.file.name}'`;
	const digest = compression ? undefined : layer.diffId;
	const all = (async function* () {
		for (let chunk = first; !chunk.done; chunk = await chunks.next()) yield chunk.value;
	})();
	const actual = await staging.stage({ digest, size: layer.file.size, what }, all);
	await chunks.return?.();
	const mediaType = `application/vnd.oci.image.layer.v1.tar${compression ? `+${compression}` : ""}`;
	for (const other of allLayers) {
		if (other.file.name !== layer.file.name) continue;
		if (!compression && other.diffId !== actual)
			throw new SlipwayError(
				"DIGEST_MISMATCH",
				`${what} has the digest ${actual}, and the config says ${other.diffId}`,
			);
		other.descriptor = { mediaType, digest: actual, size: layer.file.size };
	}
}

async function finishDockerImage(
	staging: BlobStaging,
	config: { digest: Digest; bytes: Buffer },
	layers: readonly LegacyLayer[],
): Promise<{ document: ManifestDocument; blobs: Digest[] }> {
	const descriptors = layers.map((layer) => {
		if (!layer.descriptor) throw invalidArchive(`'${layer.file.name}' was not read`, "ArchiveIncomplete");
		return layer.descriptor;
	});
	const manifest: Manifest = {
		schemaVersion: 2,
		mediaType: mediaTypes.ociManifest,
		config: { mediaType: mediaTypes.ociConfig, digest: config.digest, size: config.bytes.length },
		layers: descriptors,
	};
	const bytes = Buffer.from(JSON.stringify(manifest));
	const digest = digestOf(bytes);
	await staging.stage({ digest: config.digest, size: config.bytes.length, what: "The config" }, oneChunk(config.bytes));
	await staging.stage({ digest, size: bytes.length, what: "The manifest" }, oneChunk(bytes));
	return {
		document: { digest, mediaType: mediaTypes.ociManifest, bytes },
		blobs: [config.digest, ...descriptors.map((descriptor) => descriptor.digest)],
	};
}

function blobName(digest: Digest): string {
	return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
}

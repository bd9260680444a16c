/** Brings the images of an archive into the registry: all of it or nothing. */
import type { Clock } from "../../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { BlobStore } from "../../core/image/blob-store.ts";
import type { Digest } from "../../core/image/digest.ts";
import { formatReference, isTag, parseReference, type Reference } from "../../core/image/reference.ts";
import type { RepositoryStore } from "../../core/repository/repository-store.ts";
import type { BlobPins } from "./blob-pins.ts";
import { BlobStaging } from "./blob-staging.ts";
import { openArchive } from "./image-archive-file.ts";
import { type ArchivedImage, readArchivedImages } from "./image-archive-layout.ts";
import { Progress } from "./progress.ts";
import { keepImage } from "./pull.ts";
import type { ImportOptions } from "./types.ts";

export interface ArchiveImport {
	references: string[];
	digest: Digest;
}

export interface ArchiveImportContext {
	blobs: BlobStore;
	repositories: RepositoryStore;
	pins: BlobPins;
	localRegistry: string;
	/** The repository of ours that a reference's images are kept in. */
	repositoryOf: (reference: Reference) => string;
	clock: Clock;
	log: Log;
}

interface Place {
	repository: string;
	tag: string;
	reference: string;
}

/** `architecture` is OCI's name; it chooses from an index. */
export async function importArchive(
	context: ArchiveImportContext,
	path: string,
	options: Omit<ImportOptions, "architecture"> & { architecture: string },
): Promise<ArchiveImport[]> {
	await using archive = await openArchive(path, options.signal);
	const images = await readArchivedImages(archive, options.architecture, options.signal);
	const places = images.map((image) => placesOf(context, image.names, options.repository));
	refuseClashes(places);
	const { blobs, pins, clock } = context;
	await using staging = new BlobStaging(blobs, pins);
	const parts = images.flatMap((image) => image.parts);
	const total = parts.reduce((sum, part) => sum + part.file.size, 0);
	const digest = images[0]?.digest;
	const report = digest && options.onProgress;
	const progress = report && new Progress(clock, { stage: "pull", digest, total }, report);
	const byName = new Map(parts.map((part) => [part.file.name, part]));
	const files = [...byName.values()].map((part) => part.file);
	await archive.stream(
		files,
		async (file, content) => {
			const part = byName.get(file.name);
			if (part) await part.accept(staging, progress ? progress.counted(file.name, content) : content);
		},
		options.signal,
	);
	const documents = [];
	for (const image of images) documents.push(await image.finish(staging));
	options.signal?.throwIfAborted();
	await staging.commit();
	const imported: ArchiveImport[] = [];
	for (const [i, { document, blobs: needed }] of documents.entries()) {
		for (const { repository, tag } of places[i] ?? [])
			await keepImage(context, { repository, tags: [tag], document, blobs: needed });
		imported.push({ references: (places[i] ?? []).map((place) => place.reference), digest: document.digest });
	}
	context.log.info("Archive imported", { path, images: imported.length, bytes: total });
	return imported;
}

/** Where an image goes: to the name that was asked for, or to each name the archive has for it. */
function placesOf(context: ArchiveImportContext, names: ArchivedImage["names"], asked: string | undefined): Place[] {
	const { localRegistry } = context;
	if (asked !== undefined) {
		const target = parseReference(asked, localRegistry);
		if (target.digest) throw new SlipwayError("INVALID", `'${asked}' can't name a digest: an import has its own`);
		const tags = target.tag ? [target.tag] : names.map(tagOf);
		return [...new Set(tags.length > 0 ? tags : ["latest"])].map((tag) => placeAt(context, { ...target, tag }));
	}
	const references = names.filter((name) => !isTag(name)).map((name) => parseName(name, localRegistry));
	if (references.length === 0)
		throw new SlipwayError("INVALID", "The archive names no repository for an image in it", {
			reason: "ArchiveWithoutName",
			hint: "Say which with --repository NAME[:TAG]",
		});
	return references.map((reference) => placeAt(context, { ...reference, tag: reference.tag ?? "latest" }));
}

/** The spec lets a name be a tag alone ("1.0"), which says nothing of the repository. */
function tagOf(name: string): string {
	if (isTag(name)) return name;
	return /:([^/:@]+)$/.exec(name)?.[1] ?? "latest";
}

function parseName(name: string, localRegistry: string): Reference {
	try {
		return { ...parseReference(name, localRegistry), digest: undefined };
	} catch (error) {
		if (!isSlipwayError(error)) throw error;
		throw new SlipwayError("INVALID_IMAGE", `The archive can't be imported: ${error.message}`, {
			reason: "InvalidArchive",
			cause: error,
			hint: "Say where it goes with --repository NAME[:TAG]",
		});
	}
}

function placeAt(context: ArchiveImportContext, reference: Reference & { tag: string }): Place {
	const repository = context.repositoryOf(reference);
	return { repository, tag: reference.tag, reference: formatReference({ ...reference, digest: undefined }) };
}

/** Two images under one tag: the second would take the first one's place unseen. */
function refuseClashes(places: readonly Place[][]): void {
	const seen = new Set<string>();
	for (const { repository, tag } of places.flat()) {
		const key = `${repository}:${tag}`;
		if (seen.has(key))
			throw new SlipwayError("INVALID", `The archive holds more than one image for '${key}'`, {
				reason: "ArchiveNameClash",
				hint: "Give --repository without a tag, or import them one by one",
			});
		seen.add(key);
	}
}

import type * as sdk from "@aws-sdk/client-ecr";
import { isSlipwayError } from "../../../../base/error.ts";
import type { BlobStore } from "../../../../core/image/blob-store.ts";
import { type Digest, isDigest } from "../../../../core/image/digest.ts";
import { indexMediaTypes, maxManifestBytes } from "../../../../core/image/manifest.ts";
import { isTag } from "../../../../core/image/reference.ts";
import type { RepositoryStore, StoredManifest } from "../../../../core/repository/repository-store.ts";
import { readBlob } from "../../../../engine/images/read-blob.ts";
import { allManifests, deleteImage } from "../../../../engine/images/repository-images.ts";
import { AwsError } from "../../errors.ts";
import { invalidParameter, pageSize, readToken, writeToken } from "./wire.ts";

/** ECR, imageIds of the batch operations. */
const maxImageIds = 100;
/** Rows that are read at a time while a filter looks for a page's worth. */
const scanRows = 500;

export interface ImageContext {
	blobs: BlobStore;
	repositories: RepositoryStore;
	repository: string;
	registryId: string;
}

type Failure = { failureCode: sdk.ImageFailureCode; failureReason: string };

export async function hasImages(repositories: RepositoryStore, repository: string): Promise<boolean> {
	return (await repositories.listManifests(repository, { limit: 1 })).length > 0;
}

export async function describeImages(
	context: ImageContext,
	input: Pick<sdk.DescribeImagesRequest, "imageIds" | "nextToken" | "maxResults" | "filter">,
): Promise<sdk.DescribeImagesResponse> {
	if (input.imageIds?.length) {
		if (input.nextToken !== undefined) throw invalidParameter("nextToken", "must not be given with imageIds");
		const found = new Map<Digest, StoredManifest>();
		for (const id of checkedIds(input.imageIds)) {
			const image = await lookUp(context, id);
			if ("failureCode" in image) throw imageNotFound(context, id);
			found.set(image.digest, image);
		}
		return { imageDetails: [...found.values()].map((image) => imageDetail(context, image)) };
	}
	const limit = pageSize(input.maxResults);
	const details: sdk.ImageDetail[] = [];
	let last: Digest | undefined;
	for await (const image of imagesFrom(context, input.nextToken, input.filter?.tagStatus)) {
		if (details.length === limit && last)
			return { imageDetails: details, nextToken: writeToken({ after: last, skip: 0 }) };
		details.push(imageDetail(context, image));
		last = image.digest;
	}
	return { imageDetails: details };
}

/** A row for each tag, and one for an image without. */
export async function listImages(
	context: ImageContext,
	input: Pick<sdk.ListImagesRequest, "nextToken" | "maxResults" | "filter">,
): Promise<sdk.ListImagesResponse> {
	const limit = pageSize(input.maxResults);
	const imageIds: sdk.ImageIdentifier[] = [];
	let after = input.nextToken === undefined ? "" : readToken(input.nextToken).after;
	let skip = input.nextToken === undefined ? 0 : readToken(input.nextToken).skip;
	for await (const image of imagesFrom(context, input.nextToken, input.filter?.tagStatus)) {
		const ids = identifiers(image);
		for (; skip < ids.length; skip++) {
			if (imageIds.length === limit) return { imageIds, nextToken: writeToken({ after, skip }) };
			imageIds.push(ids[skip] as sdk.ImageIdentifier);
		}
		after = image.digest;
		skip = 0;
	}
	return { imageIds };
}

export async function batchGetImage(
	context: ImageContext,
	ids: readonly sdk.ImageIdentifier[],
): Promise<sdk.BatchGetImageResponse> {
	const images: sdk.Image[] = [];
	const failures: sdk.ImageFailure[] = [];
	for (const id of checkedIds(ids)) {
		const image = await lookUp(context, id);
		if ("failureCode" in image) {
			failures.push({ imageId: id, ...image });
			continue;
		}
		const { registryId, repository } = context;
		const imageId = { imageDigest: image.digest, ...(id.imageTag === undefined ? {} : { imageTag: id.imageTag }) };
		const bytes = await readBlob(context.blobs, image.digest, maxManifestBytes);
		images.push({
			registryId,
			repositoryName: repository,
			imageId,
			imageManifest: bytes.toString("utf8"),
			imageManifestMediaType: image.mediaType,
		});
	}
	return { images, failures };
}

/** A tag loses its image only with the last one; a digest takes the image and all its tags. */
export async function batchDeleteImage(
	context: ImageContext,
	ids: readonly sdk.ImageIdentifier[],
): Promise<sdk.BatchDeleteImageResponse> {
	const imageIds: sdk.ImageIdentifier[] = [];
	const failures: sdk.ImageFailure[] = [];
	for (let todo = checkedIds(ids); todo.length > 0; ) {
		const held: sdk.ImageFailure[] = [];
		for (const id of todo) {
			const result = await deleteOne(context, id);
			if (!("failureCode" in result)) imageIds.push(...result.deleted);
			else if (result.failureCode === "ImageReferencedByManifestList") held.push({ imageId: id, ...result });
			else failures.push({ imageId: id, ...result });
		}
		// An index that went in the same request has freed the images that it held.
		const isStuck = held.length === todo.length;
		if (isStuck) failures.push(...held);
		todo = isStuck ? [] : held.map((failure) => failure.imageId ?? {});
	}
	return { imageIds, failures };
}

async function deleteOne(
	context: ImageContext,
	id: sdk.ImageIdentifier,
): Promise<{ deleted: sdk.ImageIdentifier[] } | Failure> {
	const { repositories, repository } = context;
	const image = await lookUp(context, id);
	if ("failureCode" in image) return image;
	const others = image.tags?.filter((tag) => tag !== id.imageTag) ?? [];
	try {
		if (id.imageTag !== undefined && id.imageDigest === undefined && others.length > 0) {
			await repositories.deleteTag(repository, id.imageTag);
			return { deleted: [{ imageDigest: image.digest, imageTag: id.imageTag }] };
		}
		const holder = await indexThatHolds(context, image.digest);
		if (holder)
			return {
				failureCode: "ImageReferencedByManifestList",
				failureReason: `Requested image referenced by manifest list: [${holder}]`,
			};
		await deleteImage(repositories, repository, image.digest);
	} catch (error) {
		if (isSlipwayError(error, "NOT_FOUND")) return missing;
		throw error;
	}
	return { deleted: identifiers(image) };
}

async function indexThatHolds(context: ImageContext, digest: Digest): Promise<Digest | undefined> {
	for await (const other of allManifests(context.repositories, context.repository))
		if (indexMediaTypes.includes(other.mediaType) && other.references.includes(digest)) return other.digest;
	return undefined;
}

const missing: Failure = { failureCode: "ImageNotFound", failureReason: "Requested image not found" };

async function lookUp(context: ImageContext, id: sdk.ImageIdentifier): Promise<StoredManifest | Failure> {
	const { repositories, repository } = context;
	const { imageDigest, imageTag } = id;
	if (imageDigest !== undefined && !isDigest(imageDigest))
		return {
			failureCode: "InvalidImageDigest",
			failureReason:
				"Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
		};
	if (imageTag !== undefined && !isTag(imageTag))
		return { failureCode: "InvalidImageTag", failureReason: "Invalid request parameters: image tag is not valid" };
	if (imageDigest === undefined && imageTag === undefined)
		return {
			failureCode: "MissingDigestAndTag",
			failureReason: "Invalid request parameters: both tag and digest cannot be null",
		};
	const reference = imageDigest === undefined ? { tag: imageTag ?? "" } : { digest: imageDigest };
	const found = await repositories.getManifest(repository, reference);
	if (!found) return missing;
	if (imageDigest !== undefined && imageTag !== undefined && !found.tags?.includes(imageTag))
		return {
			failureCode: "ImageTagDoesNotMatchDigest",
			failureReason: "Invalid request parameters: image tag does not match the image digest",
		};
	return found;
}

function checkedIds(ids: readonly sdk.ImageIdentifier[]): sdk.ImageIdentifier[] {
	if (ids.length === 0 || ids.length > maxImageIds)
		throw invalidParameter("imageIds", `Member must have length between 1 and ${maxImageIds}`);
	return [...ids];
}

async function* imagesFrom(
	context: ImageContext,
	nextToken: string | undefined,
	tagStatus: sdk.TagStatus | undefined,
): AsyncGenerator<StoredManifest> {
	let after = nextToken === undefined ? "" : readToken(nextToken).after;
	for (;;) {
		const page = { limit: scanRows, ...(isDigest(after) ? { after } : {}) };
		const rows = await context.repositories.listManifests(context.repository, page);
		for (const image of rows) {
			const isTagged = (image.tags?.length ?? 0) > 0;
			if (tagStatus === "TAGGED" ? isTagged : tagStatus === "UNTAGGED" ? !isTagged : true) yield image;
		}
		after = rows.at(-1)?.digest ?? "";
		if (rows.length < scanRows) return;
	}
}

function identifiers(image: StoredManifest): sdk.ImageIdentifier[] {
	const { digest, tags = [] } = image;
	if (tags.length === 0) return [{ imageDigest: digest }];
	return tags.map((imageTag) => ({ imageDigest: digest, imageTag }));
}

function imageDetail(context: ImageContext, image: StoredManifest): sdk.ImageDetail {
	return {
		registryId: context.registryId,
		repositoryName: context.repository,
		imageDigest: image.digest,
		...(image.tags?.length ? { imageTags: image.tags } : {}),
		imageSizeInBytes: image.imageSize,
		imagePushedAt: new Date(image.pushedMs),
		imageManifestMediaType: image.mediaType,
		...(image.artifactType === undefined ? {} : { artifactMediaType: image.artifactType }),
	};
}

function imageNotFound(context: ImageContext, id: sdk.ImageIdentifier): AwsError {
	const { imageDigest = "null", imageTag = "null" } = id;
	return new AwsError(
		"ImageNotFoundException",
		400,
		`The image with imageId {imageDigest:'${imageDigest}', imageTag:'${imageTag}'} does not exist within the repository with name '${context.repository}' in the registry with id '${context.registryId}'`,
	);
}

import type * as sdk from "@aws-sdk/client-ecr";
import type { Clock } from "../../../../base/clock.ts";
import { isSlipwayError, type SlipwayError } from "../../../../base/error.ts";
import { digestAlgorithm, isDigest } from "../../../../core/image/digest.ts";
import { isTag } from "../../../../core/image/reference.ts";
import { digestOf } from "../../../../engine/images/read-blob.ts";
import { Registry } from "../../../../engine/images/registry.ts";
import { AwsError } from "../../errors.ts";
import type { ImageContext } from "./images.ts";
import { invalidParameter } from "./wire.ts";

/** How a tag is put on an image that is there: BatchGetImage gives the manifest, PutImage takes it under another name. */
export async function putImage(
	context: ImageContext & { clock: Clock },
	input: Pick<sdk.PutImageRequest, "imageManifest" | "imageManifestMediaType" | "imageTag" | "imageDigest">,
): Promise<sdk.PutImageResponse> {
	const { repositories, repository, registryId } = context;
	const { imageManifest = "", imageTag, imageDigest } = input;
	if (imageTag !== undefined && !isTag(imageTag)) throw invalidParameter("imageTag", "it is not a tag");
	if (imageDigest !== undefined && !isDigest(imageDigest)) throw invalidParameter("imageDigest", "it is not a digest");
	const bytes = Buffer.from(imageManifest);
	const digest = digestOf(bytes, imageDigest ? digestAlgorithm(imageDigest) : "sha256");
	const present = await repositories.getManifest(repository, { digest });
	if (present && (imageTag === undefined || present.tags?.includes(imageTag)))
		throw new AwsError(
			"ImageAlreadyExistsException",
			400,
			`Image with digest '${digest}' and tag '${imageTag ?? "null"}' already exists in the repository with name '${repository}' in registry with id '${registryId}'`,
		);
	try {
		const stored = await new Registry({ ...context, createOnPush: false }).pushManifest(repository, {
			tags: imageTag === undefined ? [] : [imageTag],
			digest: imageDigest ?? digest,
			mediaType: input.imageManifestMediaType ?? present?.mediaType,
			bytes,
		});
		return {
			image: {
				registryId,
				repositoryName: repository,
				imageId: { imageDigest: stored.digest, ...(imageTag === undefined ? {} : { imageTag }) },
				imageManifest,
				imageManifestMediaType: stored.mediaType,
			},
		};
	} catch (error) {
		throw isSlipwayError(error) ? toAwsError(error, context, imageTag) : error;
	}
}

function toAwsError(error: SlipwayError, { repository }: ImageContext, tag: string | undefined): Error {
	if (error.reason === "ImageTagAlreadyExists")
		return new AwsError(
			"ImageTagAlreadyExistsException",
			400,
			`The image tag '${tag}' already exists in the '${repository}' repository and cannot be overwritten because the repository is immutable.`,
		);
	if (error.reason === "ManifestBlobUnknown") return new AwsError("LayersNotFoundException", 400, error.message);
	if (error.code === "DIGEST_MISMATCH") return new AwsError("ImageDigestDoesNotMatchException", 400, error.message);
	if (error.code === "INVALID" || error.code === "TOO_LARGE") return invalidParameter("imageManifest", error.message);
	return error;
}

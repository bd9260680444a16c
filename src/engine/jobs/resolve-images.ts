import { parseDigest } from "../../core/image/digest.ts";
import type { JobImage } from "../../core/job/container-workload.ts";
import type { ImageProgress } from "../../core/job/job.ts";
import type { Container } from "../../core/service/knative.ts";
import type { ImageInUse, JobsDeps } from "./types.ts";

/** What the containers' images are now, by the names in the manifest. INVALID_IMAGE, UNAVAILABLE, NOT_FOUND. */
export async function resolveImages(
	{ images, architecture }: Pick<JobsDeps, "images" | "architecture">,
	containers: readonly Container[],
): Promise<Record<string, JobImage>> {
	const names = [...new Set(containers.map(({ image }) => image))];
	const resolved = await Promise.all(
		names.map(async (name) => {
			const { resolvedImageUri, image } = await images.resolve(name, architecture, { fromIndex: true });
			return [name, { imageDigest: resolvedImageUri, image }] as const;
		}),
	);
	return Object.fromEntries(resolved);
}

/** Their files are on this machine afterwards. */
export async function prepareImages(
	{ images, architecture }: Pick<JobsDeps, "images" | "architecture">,
	resolved: Readonly<Record<string, JobImage>>,
	onProgress: (progress: ImageProgress) => void,
): Promise<void> {
	for (const { imageDigest: image } of Object.values(resolved))
		await images.prepare(image, architecture, {
			onProgress: ({ stage, done, total }) => onProgress({ stage, image, done, total }),
		});
}

export function imagesUsed(images: Readonly<Record<string, JobImage>>, user: string): ImageInUse[] {
	return Object.values(images).map(({ imageDigest, image: { diffIds } }) => ({
		manifestDigest: parseDigest(imageDigest.slice(imageDigest.indexOf("@") + 1)),
		diffIds,
		user,
	}));
}

export function imageDigests(images: Readonly<Record<string, JobImage>>): Record<string, string> {
	return Object.fromEntries(Object.entries(images).map(([name, { imageDigest }]) => [name, imageDigest]));
}

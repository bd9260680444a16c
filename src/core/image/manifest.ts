/** OCI image-spec 1.1 and Docker image manifest v2 schema 2: media types, shapes and the checks that make an image usable. */
import { z } from "zod";
import { SlipwayError } from "../../base/error.ts";
import { type Digest, isDigest } from "./digest.ts";

export const mediaTypes = {
	ociManifest: "application/vnd.oci.image.manifest.v1+json",
	ociIndex: "application/vnd.oci.image.index.v1+json",
	dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
	dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
	ociConfig: "application/vnd.oci.image.config.v1+json",
	dockerConfig: "application/vnd.docker.container.image.v1+json",
} as const;

export const manifestMediaTypes: readonly string[] = [mediaTypes.ociManifest, mediaTypes.dockerManifest];
export const indexMediaTypes: readonly string[] = [mediaTypes.ociIndex, mediaTypes.dockerList];

const digest = z.custom<Digest>((value) => typeof value === "string" && isDigest(value), "must be a sha256 digest");

export const platformSchema = z.looseObject({
	architecture: z.string(),
	os: z.string(),
	variant: z.string().optional(),
});
export type Platform = z.infer<typeof platformSchema>;

export const descriptorSchema = z.looseObject({
	mediaType: z.string().min(1).max(255),
	digest,
	size: z.int().nonnegative(),
	platform: platformSchema.optional(),
	annotations: z.record(z.string(), z.string()).optional(),
	artifactType: z.string().optional(),
});
export type Descriptor = z.infer<typeof descriptorSchema>;

export const manifestSchema = z.looseObject({
	schemaVersion: z.literal(2),
	mediaType: z.string().optional(),
	artifactType: z.string().optional(),
	config: descriptorSchema,
	layers: z.array(descriptorSchema),
	subject: descriptorSchema.optional(),
	annotations: z.record(z.string(), z.string()).optional(),
});
export type Manifest = z.infer<typeof manifestSchema>;

export const indexSchema = z.looseObject({
	schemaVersion: z.literal(2),
	mediaType: z.string().optional(),
	artifactType: z.string().optional(),
	manifests: z.array(descriptorSchema),
	subject: descriptorSchema.optional(),
	annotations: z.record(z.string(), z.string()).optional(),
});
export type Index = z.infer<typeof indexSchema>;

export const imageConfigSchema = z.looseObject({
	architecture: z.string(),
	os: z.string(),
	created: z.string().optional(),
	config: z
		.looseObject({
			User: z.string().optional(),
			Env: z.array(z.string()).nullish(),
			Entrypoint: z.array(z.string()).nullish(),
			Cmd: z.array(z.string()).nullish(),
			WorkingDir: z.string().optional(),
			Labels: z.record(z.string(), z.string()).nullish(),
			StopSignal: z.string().optional(),
			ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
		})
		.nullish(),
	rootfs: z.looseObject({ type: z.string(), diff_ids: z.array(digest) }),
});
export type ImageConfig = z.infer<typeof imageConfigSchema>;

export type ParsedManifest = { kind: "manifest"; manifest: Manifest } | { kind: "index"; index: Index };

/** The limit that the distribution-spec asks registries to take at least ("Pushing Manifests": 4 MiB). */
export const maxManifestBytes = 4 * 1024 * 1024;

/**
 * Parses manifest bytes under the media type they were sent with. A document that could be read as a manifest and as an
 * index, or whose own `mediaType` says something else, is refused (CVE-2021-41190).
 */
export function parseManifest(bytes: Uint8Array, mediaType: string): ParsedManifest {
	if (bytes.length > maxManifestBytes)
		throw new SlipwayError(
			"TOO_LARGE",
			`Manifest has ${bytes.length} bytes, more than the limit of ${maxManifestBytes}`,
		);
	const isIndex = indexMediaTypes.includes(mediaType);
	if (!isIndex && !manifestMediaTypes.includes(mediaType))
		throw new SlipwayError("INVALID", `Manifest media type '${mediaType}' is not supported`);
	const json = parseJson(bytes);
	if ("layers" in json && "manifests" in json)
		throw new SlipwayError(
			"INVALID",
			"Manifest holds both 'layers' and 'manifests': it must be an image or an index, not both",
			{
				reason: "AmbiguousManifest",
			},
		);
	if ("mediaType" in json && json.mediaType !== mediaType)
		throw new SlipwayError("INVALID", `Manifest says mediaType '${json.mediaType}' but was sent as '${mediaType}'`, {
			reason: "AmbiguousManifest",
		});
	const parsed = isIndex ? indexSchema.safeParse(json) : manifestSchema.safeParse(json);
	if (!parsed.success) throw new SlipwayError("INVALID", `Manifest is not valid: ${z.prettifyError(parsed.error)}`);
	return isIndex
		? { kind: "index", index: parsed.data as Index }
		: { kind: "manifest", manifest: parsed.data as Manifest };
}

export function parseImageConfig(bytes: Uint8Array): ImageConfig {
	const parsed = imageConfigSchema.safeParse(parseJson(bytes));
	if (!parsed.success)
		throw new SlipwayError("INVALID_IMAGE", `Image configuration is not valid: ${z.prettifyError(parsed.error)}`);
	return parsed.data;
}

function parseJson(bytes: Uint8Array): Record<string, unknown> {
	let value: unknown;
	try {
		value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
	} catch (error) {
		throw new SlipwayError("INVALID", `Document is not JSON: ${(error as Error).message}`, { cause: error });
	}
	if (typeof value !== "object" || value === null || Array.isArray(value))
		throw new SlipwayError("INVALID", "Document is not a JSON object");
	return value as Record<string, unknown>;
}

/** The documents of image archives: what `docker save` writes, and the OCI image layout (image-spec, "image-layout"). */
import { z } from "zod";
import { invalidArchive } from "./archive-tar.ts";
import { type Descriptor, descriptorSchema } from "./manifest.ts";

/** Names an archive gives its images: 1,000 are 200 KiB of names. */
const maxImages = 1_000;

const dockerManifestSchema = z
	.array(
		z.looseObject({
			Config: z.string().min(1).max(1024),
			RepoTags: z.array(z.string().max(1024)).max(maxImages).nullish(),
			Layers: z.array(z.string().min(1).max(1024)).nullish(),
		}),
	)
	.max(maxImages);

/** One image in `manifest.json`; paths are names of the archive. */
export interface DockerArchiveImage {
	config: string;
	repoTags: string[];
	layers: string[];
}

const layoutSchema = z.looseObject({ imageLayoutVersion: z.literal("1.0.0") });

const layoutIndexSchema = z.looseObject({
	schemaVersion: z.literal(2),
	manifests: z.array(descriptorSchema).max(maxImages),
});

export function parseDockerManifest(bytes: Uint8Array): DockerArchiveImage[] {
	return parse("manifest.json", dockerManifestSchema, bytes).map((image) => ({
		config: image.Config,
		repoTags: image.RepoTags ?? [],
		layers: image.Layers ?? [],
	}));
}

/** Checks `oci-layout`, which a reader must ("image-layout", "oci-layout file"). */
export function parseLayout(bytes: Uint8Array): void {
	parse("oci-layout", layoutSchema, bytes);
}

export function parseLayoutIndex(bytes: Uint8Array): Descriptor[] {
	return parse("index.json", layoutIndexSchema, bytes).manifests;
}

/** The name that a tool gave an image: containerd's whole reference, or the spec's, which may be a tag only. */
export function nameOf(descriptor: Descriptor): string | undefined {
	return (
		descriptor.annotations?.["io.containerd.image.name"] ??
		descriptor.annotations?.["org.opencontainers.image.ref.name"]
	);
}

function parse<T>(name: string, schema: z.ZodType<T>, bytes: Uint8Array): T {
	let json: unknown;
	try {
		json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
	} catch (error) {
		throw invalidArchive(`its ${name} is not JSON: ${(error as Error).message}`);
	}
	const parsed = schema.safeParse(json);
	if (!parsed.success) throw invalidArchive(`its ${name} is not valid: ${z.prettifyError(parsed.error)}`);
	return parsed.data;
}

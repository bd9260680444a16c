/** Whether an image can be a function's code, and what a sandbox needs of it. Pure; every refusal is INVALID_IMAGE. */
import { posix } from "node:path";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { RunnableImage } from "../../core/function/function.ts";
import type { Digest } from "../../core/image/digest.ts";
import {
	type Descriptor,
	type ImageConfig,
	type Index,
	type Manifest,
	mediaTypes,
	type ParsedManifest,
	parseImageConfig,
	parseManifest,
} from "../../core/image/manifest.ts";
import type { Architecture } from "./types.ts";

/** Lambda, "Container image code package size": uncompressed, all layers. */
export const maxImageBytes = 10 * 1024 ** 3;
/** What Docker's storage has always allowed, and Lambda with it; it also bounds the overlay's mount options. */
export const maxLayers = 127;

const configMediaTypes: readonly string[] = [mediaTypes.ociConfig, mediaTypes.dockerConfig];
const layerMediaTypes = new Set([
	"application/vnd.oci.image.layer.v1.tar",
	"application/vnd.oci.image.layer.v1.tar+gzip",
	"application/vnd.oci.image.layer.v1.tar+zstd",
	"application/vnd.docker.image.rootfs.diff.tar",
	"application/vnd.docker.image.rootfs.diff.tar.gzip",
	"application/vnd.docker.image.rootfs.diff.tar.zstd",
]);

const ociArchitectures: Record<Architecture, string> = { x86_64: "amd64", arm64: "arm64" };

export function ociArchitecture(architecture: Architecture): string {
	return ociArchitectures[architecture];
}

/** The cloud's name where it has one ("x86_64"), OCI's otherwise ("riscv64"). */
export function architectureName(ociName: string): string {
	return ociName === "amd64" ? "x86_64" : ociName;
}

export interface CheckedImage {
	config: ImageConfig;
	/** In order, lowest first. */
	layers: { descriptor: Descriptor; diffId: Digest }[];
	/** Compressed, of the layers and the config. */
	size: number;
}

export function missingImage(uri: string): SlipwayError {
	return new SlipwayError("INVALID_IMAGE", `Source image ${uri} does not exist. Provide a valid source image.`, {
		reason: "ImageNotFound",
		hint: "Push it first, and check the repository, the tag and the region (`slipway image ls`)",
	});
}

export function missingBlob(uri: string, digest: Digest): SlipwayError {
	return new SlipwayError("INVALID_IMAGE", `Source image ${uri} is not complete: its blob ${digest} does not exist.`, {
		reason: "BlobNotFound",
		hint: "Push it again",
	});
}

/** A function's image is one manifest. What an index holds decides the advice (lambda-contract 3.2). */
export function checkManifest(uri: string, bytes: Uint8Array, mediaType: string): Manifest {
	let parsed: ParsedManifest;
	try {
		parsed = parseManifest(bytes, mediaType);
	} catch (error) {
		if (!isSlipwayError(error)) throw error;
		throw unsupported(uri, error.message, { ...(error.reason ? { reason: error.reason } : {}), cause: error });
	}
	if (parsed.kind === "index") throw indexRefused(uri, parsed.index);
	const { config, layers } = parsed.manifest;
	if (!configMediaTypes.includes(config.mediaType))
		throw unsupported(uri, `its config is '${config.mediaType}', which is not an image's`);
	if (layers.length === 0 || layers.length > maxLayers)
		throw unsupported(uri, `it has ${layers.length} layers, and 1 to ${maxLayers} are possible`);
	for (const layer of layers)
		if (!layerMediaTypes.has(layer.mediaType))
			throw unsupported(uri, `its layer ${layer.digest} is '${layer.mediaType}', which is not a layer's`);
	if (sizeOf(parsed.manifest) > maxImageBytes) throw tooLarge(uri);
	return parsed.manifest;
}

export function checkConfig(uri: string, manifest: Manifest, bytes: Uint8Array): CheckedImage {
	const config = parseImageConfig(bytes);
	const diffIds = config.rootfs.diff_ids;
	if (config.os !== "linux")
		throw new SlipwayError(
			"INVALID_IMAGE",
			`Source image ${uri} is built for '${config.os}'; only linux can run here.`,
			{
				reason: "OsMismatch",
			},
		);
	if (diffIds.length !== manifest.layers.length)
		throw new SlipwayError(
			"INVALID_IMAGE",
			`Source image ${uri} has ${manifest.layers.length} layers in its manifest and ${diffIds.length} in its config.`,
			{ reason: "LayerCountMismatch" },
		);
	const { Entrypoint, Cmd, Env, WorkingDir, User } = config.config ?? {};
	for (const text of [...(Entrypoint ?? []), ...(Cmd ?? []), ...(Env ?? []), WorkingDir ?? "", User ?? ""])
		if (text.includes("\0"))
			throw unsupported(uri, "its config holds a zero byte where a program's arguments can't have one");
	const layers = manifest.layers.map((descriptor, i) => ({ descriptor, diffId: diffIds[i] as Digest }));
	return { config, layers, size: sizeOf(manifest) };
}

export function checkArchitecture(uri: string, image: string, asked: Architecture, host: string): void {
	const name = architectureName(image);
	if (name !== asked) {
		const hint =
			image === "amd64" || image === "arm64"
				? `Build it with 'docker build --platform linux/${ociArchitecture(asked)}', or create the function with '--architectures ${name}'`
				: `Build it with 'docker build --platform linux/${ociArchitecture(asked)}'`;
		throw new SlipwayError(
			"INVALID_IMAGE",
			`Source image ${uri} is built for ${name} (linux/${image}), and the function's architecture is ${asked} (linux/${ociArchitecture(asked)}). ${hint}.`,
			{ reason: "ArchitectureMismatch", hint },
		);
	}
	if (image !== host)
		throw new SlipwayError(
			"INVALID_IMAGE",
			`Source image ${uri} and the function are for ${asked} (linux/${image}), and this machine runs ${architectureName(host)} (linux/${host}).`,
			{ reason: "HostArchitectureMismatch", hint: `Build it with 'docker build --platform linux/${host}'` },
		);
}

export function tooLarge(uri: string): SlipwayError {
	return new SlipwayError(
		"INVALID_IMAGE",
		`Source image ${uri} is larger than 10 GB uncompressed, the most that a function's may be.`,
		{
			reason: "ImageTooLarge",
		},
	);
}

export function runnableImage({ config, layers, size }: CheckedImage): RunnableImage {
	const { Entrypoint, Cmd, Env, WorkingDir, User } = config.config ?? {};
	return {
		diffIds: layers.map((layer) => layer.diffId),
		entrypoint: Entrypoint ?? [],
		cmd: Cmd ?? [],
		env: environment(Env ?? []),
		workingDir: posix.resolve("/", WorkingDir || "/"),
		user: User ?? "",
		architecture: architectureName(config.architecture),
		size,
	};
}

/** image-spec, config, "Env": VARNAME=VARVALUE. What has no name is left out, as Docker does. */
export function environment(entries: readonly string[]): Record<string, string> {
	const pairs = entries.map((entry): [string, string] => {
		const equals = entry.indexOf("=");
		return equals < 0 ? [entry, ""] : [entry.slice(0, equals), entry.slice(equals + 1)];
	});
	return Object.fromEntries(pairs.filter(([name]) => name !== ""));
}

export function sizeOf(manifest: Manifest): number {
	return manifest.layers.reduce((sum, layer) => sum + layer.size, manifest.config.size);
}

/** BuildKit stores provenance and SBOMs as manifests of an "unknown/unknown" platform beside the image. */
export function isAttestation(descriptor: Descriptor): boolean {
	return (
		descriptor.annotations?.["vnd.docker.reference.type"] === "attestation-manifest" ||
		(descriptor.platform?.architecture === "unknown" && descriptor.platform.os === "unknown")
	);
}

export function platformName(descriptor: Descriptor): string {
	const { os, architecture, variant } = descriptor.platform ?? {};
	return os === undefined ? "unknown" : `${os}/${architecture}${variant ? `/${variant}` : ""}`;
}

/** The image of an index for `linux/ARCHITECTURE`. INVALID_IMAGE (reason "ArchitectureMismatch"). */
export function imageOfIndex(uri: string, index: Index, architecture: string): Digest {
	const images = index.manifests.filter((child) => !isAttestation(child));
	const child = images.find(({ platform }) => platform?.os === "linux" && platform.architecture === architecture);
	if (child) return child.digest;
	const there = images.slice(0, 10).map(platformName).join(", ") || "nothing";
	throw new SlipwayError("INVALID_IMAGE", `'${uri}' has no image for linux/${architecture}, only for ${there}`, {
		reason: "ArchitectureMismatch",
	});
}

function indexRefused(uri: string, index: Index): SlipwayError {
	const images = index.manifests.filter((descriptor) => !isAttestation(descriptor));
	const attestations = index.manifests.length - images.length;
	const holds = images.slice(0, 10).map(platformName).join(", ") || "no image";
	const beside = attestations > 0 ? ` with ${attestations} attestation${attestations > 1 ? "s" : ""}` : "";
	const platform = images.length === 1 && images[0]?.platform ? platformName(images[0]) : "linux/amd64";
	const advice = `Build it with 'docker buildx build --provenance=false --sbom=false --platform ${platform}' and push it again`;
	return unsupported(uri, `it is an image index (${holds}${beside}), and a function's image is a single manifest`, {
		reason: images.length > 1 ? "MultiArchitectureImage" : "ImageIndex",
		hint: advice,
	});
}

/** Begins with the cloud's own sentence, which people search for. */
function unsupported(
	uri: string,
	why: string,
	options: { reason?: string; hint?: string; cause?: unknown } = {},
): SlipwayError {
	const advice = options.hint === undefined ? "" : `. ${options.hint}`;
	return new SlipwayError(
		"INVALID_IMAGE",
		`The image manifest, config or layer media type for the source image ${uri} is not supported: ${why}${advice}.`,
		{ reason: "UnsupportedImage", ...options },
	);
}

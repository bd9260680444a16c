import type { RunnableImage } from "../../core/function/function.ts";
import type { Digest } from "../../core/image/digest.ts";

/** The names Lambda has for an image's architecture; OCI's are amd64 and arm64. */
export type Architecture = "x86_64" | "arm64";

/** How far an image has got. `digest` is the manifest's; `done` and `total` are bytes as they are stored, over all layers. */
export interface ImageProgress {
	stage: "pull" | "unpack";
	digest: Digest;
	done: number;
	total: number;
}

export interface ImageOptions {
	/** Called at most ten times a second, and once at the end of a stage. */
	onProgress?: (progress: ImageProgress) => void;
	signal?: AbortSignal;
}

export interface ResolveOptions extends ImageOptions {
	/** An index means its image for the architecture; without, an index is refused, as Lambda does. */
	fromIndex?: boolean;
}

export interface PullOptions extends ImageOptions {
	/** Which image of an index; this machine's by default. */
	architecture?: Architecture;
}

export interface ImportOptions extends PullOptions {
	/** `name` or `name:tag` in the local registry, in the place of the names that the archive gives. */
	repository?: string;
}

export interface ResolvedImage {
	/** `registry/repository@sha256:…`, the registry as the caller named it. */
	resolvedImageUri: string;
	manifestDigest: Digest;
	image: RunnableImage;
}

/** One row of `slipway image ls`: a tag, or a manifest without one. */
export interface ImageSummary {
	/** What create-function takes. */
	reference: string;
	repository: string;
	tag: string | undefined;
	digest: Digest;
	mediaType: string;
	/** Compressed bytes of the config and the layers; of an index, what the store says (0). */
	size: number;
	/** Milliseconds since the epoch. */
	pushedMs: number;
}

export interface LayerDetail {
	digest: Digest;
	mediaType: string;
	/** As stored. */
	size: number;
	diffId: Digest;
	/** Ready on the disk for a sandbox. */
	unpacked: boolean;
}

export interface ImageDetail {
	repository: string;
	tags: string[];
	digest: Digest;
	mediaType: string;
	size: number;
	pushedMs: number;
	/** Functions that run it. */
	usedBy: string[];
	/** Of a single image. */
	image?: {
		architecture: string;
		os: string;
		/** RFC 3339, as the builder wrote it. */
		created: string | undefined;
		entrypoint: string[];
		cmd: string[];
		env: Record<string, string>;
		workingDir: string;
		user: string;
		labels: Record<string, string>;
		layers: LayerDetail[];
	};
	/** Of an index. */
	manifests?: { digest: Digest; platform: string; size: number }[];
}

import type { RunnableImage } from "../../core/function/function.ts";
import type { Digest } from "../../core/image/digest.ts";

export interface ResolvedImage {
	/** `registry/repository@sha256:…` */
	resolvedImageUri: string;
	manifestDigest: Digest;
	image: RunnableImage;
}

export interface PrepareProgress {
	stage: "pull" | "unpack";
	/** Bytes. */
	done: number;
	total: number;
}

/** The part of images that functions need. */
export interface FunctionImages {
	/** Finds the image and checks that it can run here. INVALID_IMAGE, UNAVAILABLE. */
	resolve(
		imageUri: string,
		architecture: "x86_64" | "arm64",
		/** An index means its image for the architecture; without, it is refused, as Lambda does. */
		options?: { fromIndex?: boolean },
	): Promise<ResolvedImage>;
	/** Everything a sandbox needs is on this machine and unpacked afterwards. Idempotent. */
	prepare(
		imageUri: string,
		architecture: "x86_64" | "arm64",
		options?: { onProgress?: (progress: PrepareProgress) => void },
	): Promise<unknown>;
}

import { SlipwayError } from "../../base/error.ts";

/**
 * `sha256:` and 64, or `sha512:` and 128, lower-case hexadecimal characters: the two algorithms that the OCI image-spec
 * registers for general use (descriptor, "Registered algorithms"). Everything that we make ourselves is sha256.
 */
export type Digest = `sha256:${string}` | `sha512:${string}`;

const pattern = /^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

export function isDigest(text: string): text is Digest {
	return pattern.test(text);
}

export function parseDigest(text: string): Digest {
	if (isDigest(text)) return text;
	throw new SlipwayError(
		"INVALID",
		`Digest '${text.slice(0, 100)}' is not of the form sha256:<64 hexadecimal characters> (or sha512:<128>)`,
	);
}

/** The hexadecimal part. */
export function digestHex(digest: Digest): string {
	return digest.slice("sha256:".length);
}

/** The part before the colon, as node:crypto names it too. */
export function digestAlgorithm(digest: Digest): "sha256" | "sha512" {
	return digest.startsWith("sha256:") ? "sha256" : "sha512";
}

import { SlipwayError } from "../../base/error.ts";

/** What one layer may hold. Every limit stops the unpacking as soon as it is passed, whatever the headers promised. */
export interface LayerLimits {
	/** Bytes of file content in one layer; also the largest apparent size of one sparse file. */
	unpackedBytes: number;
	/** Tar entries, whiteouts included. */
	entries: number;
	/** Uncompressed bytes for each compressed one, looked at once `expansionFreeBytes` came out. */
	expansionRatio: number;
	/** Uncompressed bytes below which the ratio does not matter: a small layer of zeros is not an attack. */
	expansionFreeBytes: number;
	/** Bytes in the path of an entry, counted from the root. */
	pathBytes: number;
	/** Bytes of names and values of extended attributes of one entry. */
	xattrBytes: number;
	/** Bytes of PAX records that describe one entry, and of all global ones together. */
	paxBytes: number;
	/** Data extents of one sparse file. */
	sparseExtents: number;
	/** Bytes of paths and attributes of directories, which are kept in memory until the end (their times are set last). */
	directoryIndexBytes: number;
}

export const defaultLayerLimits: LayerLimits = {
	// The size of image that AWS Lambda takes.
	unpackedBytes: 10 * 1024 ** 3,
	// Generous for an image of 10 GiB: 10 KiB a file.
	entries: 1_000_000,
	// Deflate can't do more than 1032; program text does 3 to 5, logs and sparse data bases up to about 100.
	expansionRatio: 200,
	expansionFreeBytes: 64 * 1024 ** 2,
	// PATH_MAX, without the slash at the start and the NUL at the end.
	pathBytes: 4094,
	// XATTR_SIZE_MAX, the most that the kernel takes for one value.
	xattrBytes: 64 * 1024,
	paxBytes: 1024 ** 2,
	sparseExtents: 65_536,
	directoryIndexBytes: 128 * 1024 ** 2,
};

/** Defaults with changes; each must be a positive whole number. INVALID. */
export function layerLimits(changes: Partial<LayerLimits> = {}): LayerLimits {
	const limits = { ...defaultLayerLimits };
	for (const name of Object.keys(defaultLayerLimits) as (keyof LayerLimits)[]) {
		const value = changes[name] ?? defaultLayerLimits[name];
		if (!Number.isSafeInteger(value) || value <= 0)
			throw new SlipwayError("INVALID", `Layer limit '${name}' is ${value}, not a positive whole number`);
		limits[name] = value;
	}
	return limits;
}

/** The refusal for a layer that passes a limit: says which one, and how to raise it. */
export function layerLimitError(limit: keyof LayerLimits, limits: LayerLimits, what: string): SlipwayError {
	return new SlipwayError(
		"INVALID_IMAGE",
		`${what}, more than the limit of ${limits[limit]} (layer limit '${limit}')`,
		{
			reason: `LayerLimit${limit[0]?.toUpperCase()}${limit.slice(1)}`,
			hint: `Make the layer smaller, or raise '${limit}' in the layer limits of the configuration if you trust the image`,
		},
	);
}

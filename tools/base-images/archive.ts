import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { run } from "../run.ts";
import type { Recipe } from "./recipes.ts";

/** 6 is gzip's own default; higher costs much time for one or two per cent. */
const gzipLevel = 6;

/**
 * Packs a root file system's tar as a one-layer image into `archive`: an OCI layout (image-spec 1.1) that also carries
 * `docker save`'s manifest.json, so that `docker load`, `buildah pull docker-archive:` and OCI tools all take it.
 */
export async function packImage(rootTar: string, recipe: Recipe, archive: string): Promise<void> {
	const folder = `${archive}.layout`;
	const blobs = join(folder, "blobs", "sha256");
	await rm(folder, { recursive: true, force: true });
	await mkdir(blobs, { recursive: true });
	const layer = await packLayer(rootTar, blobs);
	const config = await writeBlob(blobs, {
		architecture: process.arch === "arm64" ? "arm64" : "amd64",
		os: "linux",
		config: recipe.config,
		rootfs: { type: "layers", diff_ids: [layer.diffId] },
		history: [{ created_by: `slipway stand-in base image ${recipe.folder}` }],
	});
	const manifest = await writeBlob(blobs, {
		schemaVersion: 2,
		mediaType: "application/vnd.oci.image.manifest.v1+json",
		config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config },
		layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: layer.digest, size: layer.size }],
	});
	const file = async (name: string, value: unknown) => await writeFile(join(folder, name), JSON.stringify(value));
	await file("oci-layout", { imageLayoutVersion: "1.0.0" });
	await file("index.json", {
		schemaVersion: 2,
		mediaType: "application/vnd.oci.image.index.v1+json",
		manifests: [
			{
				mediaType: "application/vnd.oci.image.manifest.v1+json",
				...manifest,
				annotations: { "io.containerd.image.name": recipe.name, "org.opencontainers.image.ref.name": recipe.name },
			},
		],
	});
	const path = (digest: string) => `blobs/sha256/${digest.slice("sha256:".length)}`;
	await file("manifest.json", [{ Config: path(config.digest), RepoTags: [recipe.name], Layers: [path(layer.digest)] }]);
	await run("tar", ["-C", folder, "-cf", `${archive}.part`, "."]);
	await rename(`${archive}.part`, archive);
	await rm(folder, { recursive: true });
}

async function packLayer(rootTar: string, blobs: string): Promise<{ digest: string; diffId: string; size: number }> {
	const unpacked = createHash("sha256");
	const packed = createHash("sha256");
	const part = join(blobs, "layer");
	await pipeline(
		createReadStream(rootTar),
		tee(unpacked),
		createGzip({ level: gzipLevel }),
		tee(packed),
		createWriteStream(part),
	);
	const hex = packed.digest("hex");
	await rename(part, join(blobs, hex));
	const { size } = await stat(join(blobs, hex));
	return { digest: `sha256:${hex}`, diffId: `sha256:${unpacked.digest("hex")}`, size };
}

function tee(hash: { update(chunk: Buffer): unknown }): Transform {
	return new Transform({
		transform(chunk, _encoding, done) {
			hash.update(chunk);
			done(null, chunk);
		},
	});
}

async function writeBlob(blobs: string, value: unknown): Promise<{ digest: string; size: number }> {
	const bytes = Buffer.from(JSON.stringify(value));
	const hex = createHash("sha256").update(bytes).digest("hex");
	await writeFile(join(blobs, hex), bytes);
	return { digest: `sha256:${hex}`, size: bytes.length };
}

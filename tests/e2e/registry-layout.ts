/** A minimal OCI image layout (image-spec, image-layout.md) with one gzipped layer, made on the spot. */
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

export interface OciLayout {
	/** Of the manifest. */
	digest: string;
	layerDigest: string;
}

export async function writeOciLayout(
	folder: string,
	options: {
		tag: string;
		files: Record<string, string | Buffer>;
		config?: Record<string, unknown>;
		architecture?: string;
	},
): Promise<OciLayout> {
	await mkdir(join(folder, "blobs", "sha256"), { recursive: true });
	const tar = makeTar(options.files);
	const layer = gzipSync(tar);
	const config = JSON.stringify({
		architecture: options.architecture ?? "amd64",
		os: "linux",
		config: options.config ?? { Entrypoint: ["/hello"] },
		rootfs: { type: "layers", diff_ids: [`sha256:${sha256(tar)}`] },
	});
	const manifest = JSON.stringify({
		schemaVersion: 2,
		mediaType: "application/vnd.oci.image.manifest.v1+json",
		config: await put(folder, "application/vnd.oci.image.config.v1+json", config),
		layers: [await put(folder, "application/vnd.oci.image.layer.v1.tar+gzip", layer)],
	});
	const entry = await put(folder, "application/vnd.oci.image.manifest.v1+json", manifest);
	const annotations = { "org.opencontainers.image.ref.name": options.tag };
	await writeFile(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
	await writeFile(
		join(folder, "index.json"),
		JSON.stringify({ schemaVersion: 2, manifests: [{ ...entry, annotations }] }),
	);
	return { digest: entry.digest, layerDigest: `sha256:${sha256(layer)}` };
}

async function put(folder: string, mediaType: string, content: string | Buffer) {
	const hex = sha256(content);
	await writeFile(join(folder, "blobs", "sha256", hex), content);
	return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(content) };
}

function sha256(content: string | Buffer): string {
	return createHash("sha256").update(content).digest("hex");
}

/** POSIX.1-1988 ustar: a header of 512 bytes and the content in blocks of 512, for each file; two empty blocks. */
export function makeTar(files: Record<string, string | Buffer>): Buffer {
	const parts: Buffer[] = [];
	for (const [name, text] of Object.entries(files)) {
		const content = typeof text === "string" ? Buffer.from(text) : text;
		const header = Buffer.alloc(512);
		header.write(name, 0, 100);
		header.write("0000755\0", 100);
		header.write("0000000\0", 108);
		header.write("0000000\0", 116);
		header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
		header.write("00000000000\0", 136);
		header.write("        0", 148);
		header.write("ustar\x0000", 257);
		const sum = header.reduce((total, byte) => total + byte, 0);
		header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
		parts.push(header, content, Buffer.alloc((512 - (content.length % 512)) % 512));
	}
	return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

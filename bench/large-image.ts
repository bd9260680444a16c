import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { copyFileSync, createReadStream, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { readExample } from "../tools/examples.ts";

export interface PackedFile {
	path: string;
	digest: string;
	size: number;
}

/** An image whose first layer is the static example and whose others are of some size, as files that can be pushed. */
export interface LargeImage extends Disposable {
	layers: (PackedFile & { diffId: string })[];
	config: PackedFile;
	unpackedBytes: number;
}

const layerCount = 4;
const fileBytes = 1_000_000;

/** Files of 1 MB, half of each random and half text: gzip makes a little more than half of them. */
export async function makeLargeImage(unpackedBytes: number): Promise<LargeImage> {
	const folder = mkdtempSync(join(tmpdir(), "slipway-bench-large-"));
	const dispose = () => rmSync(folder, { recursive: true, force: true });
	try {
		const layers = [await pack(folder, "program", await programFolder(folder))];
		for (let index = 0; index < layerCount; index++) {
			const source = join(folder, "files");
			mkdirSync(join(source, `data-${index}`), { recursive: true });
			for (let file = 0; file < unpackedBytes / layerCount / fileBytes; file++) {
				const half = randomBytes(fileBytes / 2);
				writeFileSync(
					join(source, `data-${index}`, `${file}.bin`),
					Buffer.concat([half, Buffer.alloc(fileBytes / 2, "slipway ")]),
				);
			}
			layers.push(await pack(folder, `layer-${index}`, source));
			rmSync(source, { recursive: true });
		}
		const config = {
			architecture: process.arch === "arm64" ? "arm64" : "amd64",
			os: "linux",
			config: { Entrypoint: ["/bootstrap"] },
			rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
		};
		const path = join(folder, "config.json");
		writeFileSync(path, JSON.stringify(config));
		const packed = { path, digest: await sha256(createReadStream(path)), size: statSync(path).size };
		return { layers, config: packed, unpackedBytes, [Symbol.dispose]: dispose };
	} catch (error) {
		dispose();
		throw error;
	}
}

async function programFolder(folder: string): Promise<string> {
	const source = join(folder, "program");
	mkdirSync(source);
	copyFileSync(join((await readExample("static")).folder, "bootstrap"), join(source, "bootstrap"));
	return source;
}

async function pack(folder: string, name: string, source: string): Promise<PackedFile & { diffId: string }> {
	const path = join(folder, `${name}.tar.gz`);
	execFileSync("sh", ["-c", 'tar -c --format=posix -C "$1" . | gzip -1 > "$2"', "sh", source, path]);
	const digest = await sha256(createReadStream(path));
	const diffId = await sha256(createReadStream(path).pipe(createGunzip()));
	return { path, digest, diffId, size: statSync(path).size };
}

async function sha256(bytes: NodeJS.ReadableStream): Promise<string> {
	const hash = createHash("sha256");
	await pipeline(bytes, hash);
	return `sha256:${hash.digest("hex")}`;
}

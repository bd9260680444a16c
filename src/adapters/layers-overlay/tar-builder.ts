/** Makes tar archives for tests, honest and evil ones: every field can be given as raw bytes. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { Digest } from "../../core/image/digest.ts";
import type { PackedLayer } from "../../core/image/rootfs-store.ts";

export interface TestEntry {
	/** Latin-1: one character a byte. */
	path: string;
	/** Tar's type flag; "0" by default, "5" when the path ends with a slash. */
	type?: string;
	mode?: number;
	uid?: number;
	gid?: number;
	mtime?: number;
	link?: string;
	content?: string | Buffer;
	/** The size field, when it shall differ from the content. Raw field bytes when a Buffer. */
	size?: number | Buffer;
	dev?: [major: number, minor: number];
	/** PAX records of a header before this entry. */
	pax?: Record<string, string>;
	/** Changes the finished header, before its checksum is made. */
	patch?: (header: Buffer) => void;
}

export function entry(options: TestEntry): Buffer {
	const { path, mode = 0o644, uid = 0, gid = 0, mtime = 1_700_000_000, link = "", dev = [0, 0] } = options;
	const content = Buffer.from(options.content ?? "");
	const header = Buffer.alloc(512);
	header.write(path.slice(0, 100), 0, "latin1");
	header.write(octal(mode, 8), 100);
	number(uid, 8).copy(header, 108);
	number(gid, 8).copy(header, 116);
	const size = options.size ?? content.length;
	(typeof size === "number" ? number(size, 12) : size).copy(header, 124);
	number(mtime, 12).copy(header, 136);
	header.write(options.type ?? (path.endsWith("/") ? "5" : "0"), 156, "latin1");
	header.write(link.slice(0, 100), 157, "latin1");
	header.write("ustar\x0000", 257, "latin1");
	number(dev[0], 8).copy(header, 329);
	number(dev[1], 8).copy(header, 337);
	options.patch?.(header);
	checksum(header);
	return Buffer.concat([options.pax ? pax(options.pax) : Buffer.alloc(0), header, padded(content)]);
}

/** A header with PAX records for the next entry ("x") or for all that follow ("g"). */
export function pax(records: Record<string, string> | Buffer, type = "x"): Buffer {
	const content = Buffer.isBuffer(records)
		? records
		: Buffer.concat(Object.entries(records).map(([key, value]) => paxRecord(key, value)));
	return entry({ path: "PaxHeaders/x", type, content });
}

export function paxRecord(key: string, value: string): Buffer {
	const rest = ` ${key}=${value}\n`;
	let length = rest.length;
	while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
	return Buffer.from(`${length}${rest}`, "latin1");
}

/** GNU's long path ("L") or link ("K") for the next entry. */
export function gnuLong(type: "L" | "K", name: string): Buffer {
	return entry({ path: "././@LongLink", type, content: Buffer.from(`${name}\0`, "latin1"), patch: gnuMagic });
}

export function gnuMagic(header: Buffer): void {
	header.write("ustar  \0", 257, "latin1");
}

export function tar(...parts: (TestEntry | Buffer)[]): Buffer {
	return Buffer.concat([...parts.map((part) => (Buffer.isBuffer(part) ? part : entry(part))), Buffer.alloc(1024)]);
}

export function checksum(header: Buffer): void {
	header.fill(32, 148, 156);
	let sum = 0;
	for (const byte of header.subarray(0, 512)) sum += byte;
	header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
}

export function padded(content: Buffer): Buffer {
	return Buffer.concat([content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

export function octal(value: number, width: number): string {
	return `${value.toString(8).padStart(width - 1, "0")}\0`;
}

/** Octal where it fits, base 256 otherwise. */
export function number(value: number, width: number): Buffer {
	const text = octal(value, width);
	return value >= 0 && text.length === width ? Buffer.from(text) : base256(BigInt(value), width);
}

export function base256(value: bigint, width: number): Buffer {
	const field = Buffer.alloc(width);
	let rest = BigInt.asUintN(width * 8, value);
	for (let i = width - 1; i >= 0; i--) {
		field[i] = Number(rest & 0xffn);
		rest >>= 8n;
	}
	field[0]! |= 0x80;
	return field;
}

export type TestCompression = "none" | "gzip" | "zstd";

export const layerMediaTypes: Record<TestCompression, string> = {
	none: "application/vnd.oci.image.layer.v1.tar",
	gzip: "application/vnd.oci.image.layer.v1.tar+gzip",
	zstd: "application/vnd.oci.image.layer.v1.tar+zstd",
};

/** Writes a layer's blob into `folder` and describes it, truthfully but for `changes`. */
export function packLayer(
	folder: string,
	archive: Buffer,
	compression: TestCompression = "gzip",
	changes: Partial<PackedLayer> & { blob?: Buffer } = {},
): PackedLayer {
	const pack = { none: (bytes: Buffer) => bytes, gzip: gzipSync, zstd: zstdCompressSync }[compression];
	const { blob = pack(archive), ...rest } = changes;
	const digest = sha256(blob);
	const path = join(folder, digest.slice(7));
	writeFileSync(path, blob);
	return { digest, diffId: sha256(archive), mediaType: layerMediaTypes[compression], size: blob.length, path, ...rest };
}

export function sha256(bytes: Buffer): Digest {
	return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

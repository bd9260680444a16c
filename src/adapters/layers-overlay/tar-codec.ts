/**
 * The parts of a tar archive that are text: the 512-byte header (POSIX ustar, GNU and v7), PAX records and sparse maps.
 * Pure functions over hostile bytes: each returns a value within its stated range or throws INVALID_IMAGE.
 * POSIX.1-2024 pax "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format", "Sparse Formats".
 *
 * Paths and PAX values are byte strings (one character a byte, "latin1"): Linux names are bytes, not Unicode, and two
 * names that differ in normalization only are two files.
 */
import { SlipwayError } from "../../base/error.ts";
import type { FileTime } from "../../base/syscall.ts";

export const blockSize = 512;

export interface TarHeader {
	path: string;
	mode: number;
	uid: number;
	gid: number;
	/** Bytes that follow in the archive. */
	size: number;
	mtime: FileTime;
	/** One character; "\0" is v7's regular file. */
	typeflag: string;
	linkPath: string;
	devMajor: number;
	devMinor: number;
	gnu: boolean;
}

/** A run of data in a sparse file. */
export interface Extent {
	offset: number;
	length: number;
}

export function refuse(reason: string, message: string): SlipwayError {
	return new SlipwayError("INVALID_IMAGE", message, { reason });
}

/** A byte string as shown in a message: escaped and cut. */
export function show(text: string): string {
	const utf8 = Buffer.from(text.slice(0, 200), "latin1").toString("utf8");
	return `'${utf8.replace(/[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]/g, "?")}${text.length > 200 ? "…" : ""}'`;
}

export function isZero(bytes: Buffer): boolean {
	for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false;
	return true;
}

export function parseHeader(block: Buffer): TarHeader {
	verifyChecksum(block);
	const magic = block.toString("latin1", 257, 265);
	const gnu = magic === "ustar  \0";
	const posix = magic.startsWith("ustar\0");
	const name = text(block, 0, 100);
	// GNU puts times where POSIX has the prefix.
	const prefix = posix ? text(block, 345, 155) : "";
	const typeflag = block.toString("latin1", 156, 157);
	const device = typeflag === "3" || typeflag === "4";
	return {
		path: prefix === "" ? name : `${prefix}/${name}`,
		mode: number(block, 100, 8, "mode") & 0o7777,
		uid: number(block, 108, 8, "uid"),
		gid: number(block, 116, 8, "gid"),
		size: number(block, 124, 12, "size"),
		mtime: { seconds: number(block, 136, 12, "mtime", Number.MIN_SAFE_INTEGER), nanoseconds: 0 },
		typeflag,
		linkPath: text(block, 157, 100),
		devMajor: device ? number(block, 329, 8, "devmajor") : 0,
		devMinor: device ? number(block, 337, 8, "devminor") : 0,
		gnu,
	};
}

function verifyChecksum(block: Buffer): void {
	const stored = number(block, 148, 8, "checksum");
	let unsigned = 0;
	for (let i = 0; i < blockSize; i++) unsigned += i >= 148 && i < 156 ? 32 : block[i]!;
	if (unsigned === stored) return;
	// Some old writers summed signed characters.
	let signed = 0;
	for (let i = 0; i < blockSize; i++) signed += i >= 148 && i < 156 ? 32 : (block[i]! << 24) >> 24;
	if (signed !== stored)
		throw refuse("LayerHeaderChecksum", "Layer is not a tar archive: an entry's header has a wrong checksum");
}

function text(block: Buffer, start: number, length: number): string {
	const end = block.indexOf(0, start);
	return block.toString("latin1", start, end < 0 || end > start + length ? start + length : end);
}

/** Octal digits between spaces and NULs, or GNU's base 256: first bit set, then a two's complement number. */
function number(block: Buffer, start: number, length: number, field: string, minimum = 0): number {
	const value = block[start]! & 0x80 ? base256(block, start, length) : octal(block, start, length);
	if (!Number.isSafeInteger(value) || value < minimum)
		throw refuse("LayerHeaderNumber", `Layer holds an entry whose ${field} is not a number in range`);
	return value;
}

function octal(block: Buffer, start: number, length: number): number {
	const end = start + length;
	let at = start;
	while (at < end && block[at] === 32) at++;
	let value = 0;
	for (; at < end; at++) {
		const digit = block[at]! - 48;
		if (digit < 0 || digit > 7) break;
		value = value * 8 + digit;
	}
	for (; at < end; at++) if (block[at] !== 32 && block[at] !== 0) return Number.NaN;
	return value;
}

function base256(block: Buffer, start: number, length: number): number {
	const negative = (block[start]! & 0x40) !== 0;
	let value = BigInt(block[start]! & 0x7f);
	for (let at = start + 1; at < start + length; at++) value = (value << 8n) | BigInt(block[at]!);
	if (negative) value -= 1n << BigInt(length * 8 - 1);
	const result = Number(value);
	return Number.isSafeInteger(result) ? result : Number.NaN;
}

/** PAX records, "LENGTH KEY=VALUE\n", in order: GNU's sparse 0.0 repeats keys. */
export function parsePax(bytes: Buffer): [key: string, value: string][] {
	const records: [string, string][] = [];
	const bad = (why: string) => refuse("LayerPaxRecord", `Layer holds a PAX record ${why}`);
	for (let at = 0; at < bytes.length; ) {
		const space = bytes.indexOf(32, at);
		const digits = space < 0 ? "" : bytes.toString("latin1", at, Math.min(space, at + 20));
		if (!/^[1-9][0-9]{0,9}$/.test(digits)) throw bad("without a valid length");
		const end = at + Number(digits);
		if (end > bytes.length || end <= space + 1) throw bad("whose length does not fit");
		if (bytes[end - 1] !== 10) throw bad("that does not end where its length says");
		const equals = bytes.indexOf(61, space + 1);
		if (equals < 0 || equals >= end || equals === space + 1) throw bad("without a key");
		const key = bytes.toString("latin1", space + 1, equals);
		if (key.includes("\0")) throw bad("with a NUL in its key");
		records.push([key, bytes.toString("latin1", equals + 1, end - 1)]);
		at = end;
	}
	return records;
}

/** A whole number from 0 to 2^53-1, as PAX writes them. */
export function paxNumber(key: string, value: string): number {
	const result = /^[0-9]{1,16}$/.test(value) ? Number(value) : Number.NaN;
	if (!Number.isSafeInteger(result)) throw refuse("LayerPaxNumber", `PAX record '${key}' holds ${show(value)}`);
	return result;
}

/** Seconds with a fraction of any length; digits past the nanosecond are dropped. */
export function paxTime(key: string, value: string): FileTime {
	const match = /^(-?)([0-9]{1,15})(?:\.([0-9]{0,30}))?$/.exec(value);
	if (!match) throw refuse("LayerPaxNumber", `PAX record '${key}' holds ${show(value)}`);
	const seconds = Number(match[2]);
	const nanoseconds = Number((match[3] ?? "").padEnd(9, "0").slice(0, 9));
	if (match[1] !== "-") return { seconds, nanoseconds };
	return nanoseconds === 0
		? { seconds: seconds === 0 ? 0 : -seconds, nanoseconds }
		: { seconds: -seconds - 1, nanoseconds: 1e9 - nanoseconds };
}

/** Old GNU: `count` pairs of 12-byte numbers from `start`; a pair that starts with NUL ends the list. */
export function parseOldSparse(block: Buffer, start: number, count: number, into: Extent[]): void {
	for (let i = 0; i < count; i++) {
		const at = start + i * 24;
		if (block[at] === 0) return;
		into.push({ offset: number(block, at, 12, "sparse offset"), length: number(block, at + 12, 12, "sparse length") });
	}
}

export function oldSparseRealSize(block: Buffer): number {
	return number(block, 483, 12, "sparse size");
}

/** PAX sparse 0.1: "offset,length,offset,length…". */
export function parseSparseList(value: string): Extent[] {
	if (value === "") return [];
	const numbers = value.split(",").map((part) => paxNumber("GNU.sparse.map", part));
	if (numbers.length % 2 !== 0) throw refuse("LayerSparseMap", "Sparse map holds an offset without a length");
	return Array.from({ length: numbers.length / 2 }, (_, i) => ({
		offset: numbers[2 * i]!,
		length: numbers[2 * i + 1]!,
	}));
}

/** Extents must lie in order, apart, inside the file, and hold exactly the bytes that the archive has for them. */
export function checkSparse(extents: readonly Extent[], realSize: number, storedBytes: number): void {
	const bad = (why: string) => refuse("LayerSparseMap", `Sparse map ${why}`);
	let end = 0;
	let bytes = 0;
	for (const { offset, length } of extents) {
		if (offset < end) throw bad("overlaps itself or is out of order");
		end = offset + length;
		if (end > realSize) throw bad("reaches past the end of its file");
		bytes += length;
	}
	if (bytes !== storedBytes) throw bad(`describes ${bytes} bytes of data where the archive has ${storedBytes}`);
}

/**
 * An entry's path as components from the root. Leading "/" and "./" are dropped, as containerd and docker do and some
 * builders need ("./usr/bin" is GNU tar's own spelling): inside the layer's folder there is no other root they could
 * mean. A ".." is refused wherever it stands: no builder writes one, and its meaning depends on symlinks.
 */
export function splitPath(path: string, what: string): string[] {
	if (path.includes("\0")) throw refuse("LayerPathNul", `Layer holds ${what} ${show(path)} with a NUL in it`);
	const parts: string[] = [];
	for (const part of path.split("/")) {
		if (part === "" || part === ".") continue;
		if (part === "..") throw refuse("LayerPathEscape", `Layer holds ${what} ${show(path)} with a '..' in it`);
		if (part.length > 255)
			throw refuse(
				"LayerNameTooLong",
				`Layer holds ${what} ${show(path)} with a name of ${part.length} bytes, more than 255`,
			);
		parts.push(part);
	}
	return parts;
}

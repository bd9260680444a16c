/**
 * Reads the table of a tar archive: POSIX ustar and pax (IEEE 1003.1, "pax Interchange Format"), and GNU's long names.
 * For archives of images, whose entries are read and never written out; layers are unpacked elsewhere.
 */
import { SlipwayError } from "../../base/error.ts";

const blockBytes = 512;
/** A pax header or a GNU name: paths of 4 KiB with room for other attributes. */
const maxExtensionBytes = 64 * 1024;
/** An archive holds three entries for each layer at most; a thousand images of 30 layers fit. */
const maxEntries = 100_000;

/** Where an archive's bytes come from: a file that can seek, or a stream that can't. */
export interface TarSource {
	/** Exactly `length` bytes, or fewer at the end. */
	read(length: number): Promise<Buffer>;
	skip(length: number): Promise<void>;
}

export interface TarEntry {
	/** Relative, without "." and ".."; ends without a slash. */
	name: string;
	type: "file" | "folder" | "hardlink" | "symlink" | "other";
	/** Bytes of content. */
	size: number;
	/** As written in the archive. */
	linkName: string;
	/** From the archive's first byte to the content's. */
	offset: number;
}

export function invalidArchive(why: string, reason = "InvalidArchive"): SlipwayError {
	return new SlipwayError("INVALID_IMAGE", `The archive can't be imported: ${why}`, { reason });
}

/** Whether a block is a tar header, by its checksum. */
export function isTarHeader(block: Buffer): boolean {
	return block.length === blockBytes && checksum(block) === readNumber(block, 148, 8);
}

/**
 * Yields the entries in order. After each the consumer may read from the source, and says how much it took through
 * `consumed`; the rest of the content is skipped. INVALID_IMAGE for what is not tar, truncated, or leads outside.
 */
export async function* tarEntries(
	source: TarSource,
): AsyncGenerator<TarEntry & { consumed: (bytes: number) => void }, void> {
	let offset = 0;
	let extension: { path?: string; linkpath?: string; size?: number } = {};
	for (let count = 0; ; ) {
		const block = await source.read(blockBytes);
		offset += block.length;
		// Two blocks of zeros end an archive; some writers leave them out.
		if (block.length === 0 || block.every((byte) => byte === 0)) return;
		if (!isTarHeader(block)) throw invalidArchive("it is truncated or damaged", "ArchiveTruncated");
		const header = readHeader(block);
		if (++count > maxEntries) throw invalidArchive(`it has more than ${maxEntries} entries`, "ArchiveTooManyEntries");
		if ("xLK".includes(header.flag)) {
			Object.assign(extension, await readExtension(source, header));
			await source.skip(padding(header.size));
			offset += header.size + padding(header.size);
			continue;
		}
		const size = header.hasContent ? (extension.size ?? header.size) : 0;
		let taken = 0;
		const rawName = extension.path ?? header.name;
		const name = safeName(rawName);
		if (header.flag !== "g" && name !== "")
			yield {
				name,
				type: typeOf(header.flag, rawName),
				size,
				linkName: extension.linkpath ?? header.linkName,
				offset,
				consumed: (bytes) => {
					taken += bytes;
				},
			};
		await source.skip(size - taken + padding(size));
		offset += size + padding(size);
		extension = {};
	}
}

/** An archive's path in the form in which it is looked up. INVALID_IMAGE when it leads outside. */
export function safeName(path: string): string {
	const parts = path.split("/").filter((part) => part !== "" && part !== ".");
	if (path.startsWith("/") || parts.includes("..") || path.includes("\0"))
		throw invalidArchive(`its entry '${path.slice(0, 200)}' leads outside of it`, "ArchivePathEscape");
	return parts.join("/");
}

/** The name that a symbolic link's target has in the archive. INVALID_IMAGE when it leads outside. */
export function linkTarget(name: string, target: string): string {
	if (target.startsWith("/")) throw leadsOutside(name, target);
	const parts = name.split("/").slice(0, -1);
	for (const part of target.split("/")) {
		if (part === "" || part === ".") continue;
		if (part !== "..") parts.push(part);
		else if (parts.pop() === undefined) throw leadsOutside(name, target);
	}
	return parts.join("/");
}

function leadsOutside(name: string, target: string): SlipwayError {
	return invalidArchive(`its link '${name}' leads outside of it, to '${target.slice(0, 200)}'`, "ArchivePathEscape");
}

/** Content is filled up to whole blocks. */
function padding(size: number): number {
	return (blockBytes - (size % blockBytes)) % blockBytes;
}

interface RawHeader {
	name: string;
	size: number;
	hasContent: boolean;
	flag: string;
	linkName: string;
}

function readHeader(block: Buffer): RawHeader {
	const flag = String.fromCharCode(block[156] ?? 0);
	const isPosix = readText(block, 257, 6).startsWith("ustar") && block[262] === 0;
	const prefix = isPosix ? readText(block, 345, 155) : "";
	const name = readText(block, 0, 100);
	const hasContent = flag === "\0" || "07xLKgS".includes(flag);
	const size = hasContent ? readNumber(block, 124, 12) : 0;
	if (!Number.isSafeInteger(size) || size < 0)
		throw invalidArchive("an entry's size is not a number", "ArchiveDamaged");
	return { name: prefix ? `${prefix}/${name}` : name, size, hasContent, flag, linkName: readText(block, 157, 100) };
}

function typeOf(flag: string, name: string): TarEntry["type"] {
	if (flag === "\0" || flag === "0" || flag === "7") return name.endsWith("/") ? "folder" : "file";
	if (flag === "1") return "hardlink";
	if (flag === "2") return "symlink";
	return flag === "5" ? "folder" : "other";
}

async function readExtension(
	source: TarSource,
	header: RawHeader,
): Promise<{ path?: string; linkpath?: string; size?: number }> {
	if (header.size > maxExtensionBytes)
		throw invalidArchive(`a name in it is longer than ${maxExtensionBytes} bytes`, "ArchiveDamaged");
	const bytes = await source.read(header.size);
	if (bytes.length < header.size) throw invalidArchive("it is truncated", "ArchiveTruncated");
	if (header.flag === "x") return readPax(bytes);
	const text = readText(bytes, 0, bytes.length);
	return header.flag === "L" ? { path: text } : { linkpath: text };
}

/** Records of "LENGTH KEY=VALUE\n", where the length counts the whole record. */
function readPax(bytes: Buffer): { path?: string; linkpath?: string; size?: number } {
	const found: { path?: string; linkpath?: string; size?: number } = {};
	for (let at = 0; at < bytes.length; ) {
		const space = bytes.indexOf(0x20, at);
		const length = Number(bytes.toString("latin1", at, space < 0 ? at : space));
		if (!Number.isInteger(length) || length < 5 || at + length > bytes.length)
			throw invalidArchive("a pax header in it is damaged", "ArchiveDamaged");
		const record = bytes.toString("utf8", space + 1, at + length - 1);
		const equals = record.indexOf("=");
		const key = record.slice(0, equals);
		const value = record.slice(equals + 1);
		if (key === "path" || key === "linkpath") found[key] = value;
		if (key === "size") found.size = paxSize(value);
		if (key.startsWith("GNU.sparse")) throw invalidArchive("it holds a sparse file", "ArchiveSparse");
		at += length;
	}
	return found;
}

function paxSize(value: string): number {
	const size = Number(value);
	if (!/^\d+$/.test(value) || !Number.isSafeInteger(size))
		throw invalidArchive("an entry's size is not a number", "ArchiveDamaged");
	return size;
}

function readText(bytes: Buffer, start: number, length: number): string {
	const end = bytes.indexOf(0, start);
	return bytes.toString("utf8", start, end < 0 || end > start + length ? start + length : end);
}

/** Octal text, or GNU's base-256 where the first bit is set. NaN for anything else. */
function readNumber(bytes: Buffer, start: number, length: number): number {
	const first = bytes[start] ?? 0;
	if ((first & 0x80) !== 0) {
		let value = first & 0x7f;
		for (let i = 1; i < length; i++) value = value * 256 + (bytes[start + i] ?? 0);
		return value;
	}
	const text = bytes
		.toString("latin1", start, start + length)
		.replace(/[\0 ]+$/g, "")
		.trim();
	return /^[0-7]*$/.test(text) ? Number.parseInt(text || "0", 8) : Number.NaN;
}

/** The sum of the header's bytes with the checksum's own taken as spaces. */
function checksum(block: Buffer): number {
	let sum = 0;
	for (let i = 0; i < blockBytes; i++) sum += i >= 148 && i < 156 ? 32 : (block[i] ?? 0);
	return sum;
}

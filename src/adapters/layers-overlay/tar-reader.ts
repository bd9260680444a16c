/**
 * A push parser for tar archives: bytes go in by `push`, in pieces of any size, and entries come out at the sink.
 * Synchronous, never holds file content, and strict: whatever it does not understand is INVALID_IMAGE.
 */
import { type LayerLimits, layerLimitError } from "../../core/image/layer-limits.ts";
import {
	blockSize,
	checkSparse,
	type Extent,
	isZero,
	oldSparseRealSize,
	parseHeader,
	parseOldSparse,
	parsePax,
	parseSparseList,
	paxNumber,
	paxTime,
	refuse,
	show,
	type TarHeader,
} from "./tar-codec.ts";

export type EntryType = "file" | "hardlink" | "symlink" | "character" | "block" | "directory" | "fifo";

export interface TarEntry extends Omit<TarHeader, "typeflag" | "gnu"> {
	type: EntryType;
	/** Names and values of extended attributes (PAX SCHILY.xattr.*), both byte strings. */
	xattrs: ReadonlyMap<string, string>;
	/** A sparse file: `size` is its apparent size then. */
	sparse: boolean;
}

export interface TarSink {
	/** Every entry, in order. `end` follows after its content. */
	begin(entry: TarEntry): void;
	/** Content at `offset` of a file; `chunk` is only good during the call. */
	data(chunk: Buffer, offset: number): void;
	end(): void;
}

const types: Readonly<Record<string, EntryType>> = {
	"0": "file",
	"\0": "file",
	// "Contiguous file" of high-performance systems: a regular file everywhere else (POSIX).
	"7": "file",
	S: "file",
	"1": "hardlink",
	"2": "symlink",
	"3": "character",
	"4": "block",
	"5": "directory",
	"6": "fifo",
};

/** Keys that describe one entry and make no sense for all of them. */
const localOnly = /^(path|linkpath|size|GNU\.sparse\..*)$/;

/** A number of a sparse 1.0 map with its newline. */
const maxSparseNumberBytes = 20;

interface Sparse {
	extents: Extent[];
	realSize: number;
}

export class TarReader {
	readonly #sink: TarSink;
	readonly #limits: LayerLimits;

	/** Reads exactly `#wanted` bytes, then calls `#then` with them. */
	#wanted = blockSize;
	#then: (bytes: Buffer) => void = this.#onHeader;
	#held: Buffer[] = [];
	#heldBytes = 0;

	/** Content that still comes, and the padding after it. While either is there nothing else is read. */
	#content = 0;
	#padding = 0;
	#extents: Extent[] | undefined;
	#extent = 0;
	#offset = 0;

	#zeroBlocks = 0;
	#global = new Map<string, string>();
	#globalBytes = 0;
	#records: [string, string][] = [];
	#recordBytes = 0;
	#longPath: string | undefined;
	#longLink: string | undefined;

	/** Entries so far. */
	entries = 0;
	/** Bytes of file content that entries so far hold in the archive. */
	contentBytes = 0;

	constructor(sink: TarSink, limits: LayerLimits) {
		this.#sink = sink;
		this.#limits = limits;
	}

	push(chunk: Buffer): void {
		let at = 0;
		while (at < chunk.length) {
			if (this.#content > 0) at += this.#pushContent(chunk, at);
			else if (this.#padding > 0) {
				const skip = Math.min(this.#padding, chunk.length - at);
				this.#padding -= skip;
				at += skip;
			} else if (this.#zeroBlocks >= 2) {
				if (!isZero(chunk.subarray(at)))
					throw refuse("LayerTrailingData", "Layer holds data after the end of its tar archive");
				return;
			} else at += this.#collect(chunk, at);
		}
	}

	/**
	 * To be called at the end of the input. An archive may end without its two zero blocks, as old builders' do; the
	 * diffID tells whether anything is missing. It may not end inside an entry.
	 */
	finish(): void {
		const between =
			this.#then === this.#onHeader && this.#heldBytes === 0 && this.#content === 0 && this.#padding === 0;
		if (!between || this.#hasPending()) throw refuse("LayerTruncated", "Layer's tar archive ends inside an entry");
	}

	#hasPending(): boolean {
		return this.#longPath !== undefined || this.#longLink !== undefined || this.#records.length > 0;
	}

	#collect(chunk: Buffer, at: number): number {
		const missing = this.#wanted - this.#heldBytes;
		const take = Math.min(missing, chunk.length - at);
		const piece = chunk.subarray(at, at + take);
		if (take === missing) {
			const whole = this.#heldBytes === 0 ? piece : Buffer.concat([...this.#held, piece]);
			this.#held = [];
			this.#heldBytes = 0;
			this.#then(whole);
		} else {
			this.#held.push(Buffer.from(piece));
			this.#heldBytes += take;
		}
		return take;
	}

	#want(bytes: number, then: (bytes: Buffer) => void): void {
		this.#wanted = bytes;
		this.#then = then;
	}

	#wantHeader(): void {
		this.#want(blockSize, this.#onHeader);
	}

	#onHeader(block: Buffer): void {
		if (block[0] === 0 && isZero(block)) {
			if (this.#hasPending()) throw refuse("LayerTruncated", "Layer's tar archive ends inside an entry");
			this.#zeroBlocks++;
			return;
		}
		if (this.#zeroBlocks > 0) throw refuse("LayerTrailingData", "Layer holds data after the end of its tar archive");
		const header = parseHeader(block);
		switch (header.typeflag) {
			case "x":
				return this.#wantRecords(header.size, (records) => this.#records.push(...records));
			case "g":
				return this.#wantRecords(header.size, (records) => this.#addGlobal(records));
			case "L":
				return this.#wantLongName(header.size, (name) => {
					this.#longPath = name;
				});
			case "K":
				return this.#wantLongName(header.size, (name) => {
					this.#longLink = name;
				});
			default:
				return this.#onEntry(header, block);
		}
	}

	/** The content of a header-like entry: bounded, and handed over without the padding. */
	#wantMeta(size: number, then: (bytes: Buffer) => void): void {
		const done = (bytes: Buffer) => {
			this.#wantHeader();
			this.#padding = padding(bytes.length);
			then(bytes);
		};
		if (size === 0) done(Buffer.alloc(0));
		else this.#want(size, done);
	}

	#wantRecords(size: number, then: (records: [string, string][]) => void): void {
		this.#recordBytes += size;
		if (this.#recordBytes + this.#globalBytes > this.#limits.paxBytes)
			throw layerLimitError(
				"paxBytes",
				this.#limits,
				`Layer holds PAX records of ${this.#recordBytes + this.#globalBytes} bytes`,
			);
		this.#wantMeta(size, (bytes) => then(parsePax(bytes)));
	}

	#wantLongName(size: number, then: (name: string) => void): void {
		// Terminated by a NUL that some writers leave out.
		if (size > this.#limits.pathBytes + 1)
			throw layerLimitError("pathBytes", this.#limits, `Layer holds a path of ${size} bytes`);
		this.#wantMeta(size, (bytes) => {
			const name = bytes.toString("latin1");
			then(name.endsWith("\0") ? name.slice(0, -1) : name);
		});
	}

	#addGlobal(records: [string, string][]): void {
		for (const [key, value] of records) {
			if (localOnly.test(key))
				throw refuse("LayerPaxGlobal", `Layer sets ${show(key)} for all entries at once by a global PAX header`);
			if (value === "") this.#global.delete(key);
			else this.#global.set(key, value);
		}
		this.#globalBytes += this.#recordBytes;
		this.#recordBytes = 0;
	}

	#onEntry(header: TarHeader, block: Buffer): void {
		if (++this.entries > this.#limits.entries)
			throw layerLimitError("entries", this.#limits, `Layer holds ${this.entries} entries or more`);
		const type = types[header.typeflag];
		if (type === undefined)
			throw refuse("LayerEntryType", `Layer holds ${show(header.path)} of the unknown type ${show(header.typeflag)}`);
		const entry: TarEntry = { ...header, type, xattrs: new Map(), sparse: false };
		if (this.#longPath !== undefined) entry.path = this.#longPath;
		if (this.#longLink !== undefined) entry.linkPath = this.#longLink;
		const sparse = this.#applyPax(entry);
		this.#records = [];
		this.#recordBytes = 0;
		this.#longPath = undefined;
		this.#longLink = undefined;
		// v7 has no type for directories.
		if (header.typeflag === "\0" && entry.path.endsWith("/")) entry.type = "directory";
		if (entry.type !== "file") {
			if (sparse !== undefined)
				throw refuse("LayerSparseMap", `Layer holds a sparse ${entry.type} ${show(entry.path)}`);
			// Go's reader (and so containerd and docker) knows that these have no content, whatever their size field says.
			entry.size = 0;
		}
		this.contentBytes += entry.size;
		if (this.contentBytes > this.#limits.unpackedBytes)
			throw layerLimitError("unpackedBytes", this.#limits, `Layer holds files of ${this.contentBytes} bytes or more`);
		if (header.typeflag === "S") this.#beginOldSparse(entry, block);
		else if (sparse === "1.0") this.#beginSparseMap(entry);
		else if (sparse !== undefined) this.#beginSparse(entry, entry.size, sparse);
		else this.#begin(entry, entry.size, undefined);
	}

	/** Puts the PAX records over the header's fields. Returns what they say about sparseness. */
	#applyPax(entry: TarEntry): Sparse | "1.0" | undefined {
		if (this.#records.length === 0 && this.#global.size === 0) return undefined;
		const xattrs = new Map<string, string>();
		entry.xattrs = xattrs;
		const sparse = new Map<string, string>();
		const extents: Extent[] = [];
		const removed = new Set(this.#records.map(([key]) => key));
		const records = [...[...this.#global].filter(([key]) => !removed.has(key)), ...this.#records];
		for (const [key, value] of records) {
			if (key.startsWith("GNU.sparse.")) {
				sparse.set(key, value);
				this.#addExtent(extents, key, value);
			} else if (key.startsWith("SCHILY.xattr.")) xattrs.set(key.slice("SCHILY.xattr.".length), value);
			else if (value !== "") applyRecord(entry, key, value);
		}
		if (sparse.size === 0) return undefined;
		return this.#paxSparse(entry, sparse, extents);
	}

	#addExtent(extents: Extent[], key: string, value: string): void {
		if (key === "GNU.sparse.offset") extents.push({ offset: paxNumber(key, value), length: -1 });
		if (key !== "GNU.sparse.numbytes") return;
		const last = extents.at(-1);
		if (last?.length !== -1) throw refuse("LayerSparseMap", "Sparse map holds a length without an offset");
		last.length = paxNumber(key, value);
		this.#checkExtentCount(extents.length);
	}

	/** GNU tar manual, "PAX Format, Versions 0.0, 0.1 and 1.0". */
	#paxSparse(entry: TarEntry, sparse: Map<string, string>, extents: Extent[]): Sparse | "1.0" | undefined {
		const name = sparse.get("GNU.sparse.name");
		if (name !== undefined) entry.path = name;
		const major = sparse.get("GNU.sparse.major");
		const minor = sparse.get("GNU.sparse.minor");
		const realSize = sparse.get("GNU.sparse.realsize") ?? sparse.get("GNU.sparse.size");
		if (realSize === undefined) throw refuse("LayerSparseMap", `Sparse file ${show(entry.path)} has no size`);
		const size = paxNumber("GNU.sparse.realsize", realSize);
		if (major === "1" && minor === "0") {
			this.#sparseRealSize = size;
			return "1.0";
		}
		if ((major ?? "0") !== "0") throw refuse("LayerSparseMap", `Sparse file ${show(entry.path)} has an unknown format`);
		if (extents.some(({ length }) => length < 0))
			throw refuse("LayerSparseMap", "Sparse map holds an offset without a length");
		const map = sparse.get("GNU.sparse.map");
		return { extents: map === undefined ? extents : parseSparseList(map), realSize: size };
	}
	#sparseRealSize = 0;

	#beginOldSparse(entry: TarEntry, block: Buffer): void {
		const sparse: Sparse = { extents: [], realSize: oldSparseRealSize(block) };
		parseOldSparse(block, 386, 4, sparse.extents);
		const next = (extension: Buffer) => {
			parseOldSparse(extension, 0, 21, sparse.extents);
			this.#checkExtentCount(sparse.extents.length);
			if (extension[504] !== 1) this.#beginSparse(entry, entry.size, sparse);
		};
		if (block[482] === 1) this.#want(blockSize, next);
		else this.#beginSparse(entry, entry.size, sparse);
	}

	/** PAX sparse 1.0: the map is decimal numbers, a line each, at the start of the content, padded to a block. */
	#beginSparseMap(entry: TarEntry): void {
		const sparse: Sparse = { extents: [], realSize: this.#sparseRealSize };
		let rest = "";
		const numbers: number[] = [];
		let mapBytes = 0;
		const next = (block: Buffer) => {
			mapBytes += blockSize;
			if (mapBytes > entry.size) throw refuse("LayerSparseMap", "Sparse map is longer than its entry");
			const lines = (rest + block.toString("latin1")).split("\n");
			rest = lines.pop() ?? "";
			if (rest.length > maxSparseNumberBytes && !wholeMap(numbers, lines))
				throw refuse("LayerSparseMap", "Sparse map holds a line that is no number");
			for (const line of lines) {
				if (numbers.length > 0 && numbers.length > 2 * numbers[0]!) break;
				numbers.push(paxNumber("GNU.sparse.map", line));
				if (numbers.length === 1) this.#checkExtentCount(numbers[0]!);
			}
			if (numbers.length === 0 || numbers.length <= 2 * numbers[0]!) return;
			for (let i = 1; i < numbers.length; i += 2) sparse.extents.push({ offset: numbers[i]!, length: numbers[i + 1]! });
			this.#beginSparse(entry, entry.size - mapBytes, sparse);
		};
		this.#want(blockSize, next);
	}

	#checkExtentCount(count: number): void {
		if (count > this.#limits.sparseExtents)
			throw layerLimitError("sparseExtents", this.#limits, `Layer holds a sparse file of ${count} extents or more`);
	}

	#beginSparse(entry: TarEntry, stored: number, { extents, realSize }: Sparse): void {
		this.#checkExtentCount(extents.length);
		checkSparse(extents, realSize, stored);
		if (realSize > this.#limits.unpackedBytes)
			throw layerLimitError("unpackedBytes", this.#limits, `Layer holds a sparse file of ${realSize} bytes`);
		entry.size = realSize;
		entry.sparse = true;
		this.#begin(entry, stored, extents);
	}

	#begin(entry: TarEntry, stored: number, extents: Extent[] | undefined): void {
		this.#wantHeader();
		this.#content = stored;
		this.#padding = padding(stored);
		this.#extents = extents;
		this.#extent = 0;
		this.#offset = 0;
		this.#sink.begin(entry);
		if (stored === 0) this.#sink.end();
	}

	#pushContent(chunk: Buffer, at: number): number {
		let take = Math.min(this.#content, chunk.length - at);
		if (this.#extents !== undefined) {
			let extent = this.#extents[this.#extent]!;
			while (this.#offset === extent.length) {
				extent = this.#extents[++this.#extent]!;
				this.#offset = 0;
			}
			take = Math.min(take, extent.length - this.#offset);
			this.#sink.data(chunk.subarray(at, at + take), extent.offset + this.#offset);
		} else this.#sink.data(chunk.subarray(at, at + take), this.#offset);
		this.#offset += take;
		this.#content -= take;
		if (this.#content === 0) this.#sink.end();
		return take;
	}
}

function padding(size: number): number {
	return (blockSize - (size % blockSize)) % blockSize;
}

/** Whether these lines complete the map: what follows then is padding, of any length. */
function wholeMap(numbers: readonly number[], lines: readonly string[]): boolean {
	const count = numbers[0] ?? Number(lines[0]);
	return numbers.length + lines.length > 2 * count;
}

function applyRecord(entry: TarEntry, key: string, value: string): void {
	switch (key) {
		case "path":
			entry.path = value;
			break;
		case "linkpath":
			entry.linkPath = value;
			break;
		case "size":
			entry.size = paxNumber(key, value);
			break;
		case "uid":
			entry.uid = paxNumber(key, value);
			break;
		case "gid":
			entry.gid = paxNumber(key, value);
			break;
		case "mtime":
			entry.mtime = paxTime(key, value);
	}
}

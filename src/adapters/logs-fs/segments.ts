import { type FileHandle, mkdir, open, readdir, readFile, rename, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../../base/error.ts";
import { indexSegment } from "./scan-segment.ts";
import { SegmentIndex } from "./segment-index.ts";

/** Bytes after which a new segment is begun. */
const segmentBytes = 8 * 1024 * 1024;
/** Milliseconds after which a new segment is begun, so that a quiet group's lines can expire: CloudWatch's shortest retention. */
const segmentMs = 24 * 60 * 60 * 1000;
const namePattern = /^(\d{15})-\d+\.ndjson$/;
const indexSuffix = ".index.json";

export interface Segment {
	path: string;
	startedMs: number;
	/** What has been written whole. */
	bytes: number;
	index: SegmentIndex;
}

interface KnownSegment {
	path: string;
	startedMs: number;
	bytes: number;
	/** Read when somebody first asks. */
	index: SegmentIndex | undefined;
}

/** The files of one group, named after the time they were begun so that names sort by age, each with an index beside it. */
export class Segments {
	readonly #folder: string;
	readonly #maxBytes: number;
	/** By age. The last one is open while `#file` is. */
	readonly #known: KnownSegment[] = [];
	#file: FileHandle | undefined;

	constructor(folder: string, maxBytes: number) {
		this.#folder = folder;
		this.#maxBytes = maxBytes;
	}

	async load(): Promise<void> {
		const names = await existing(() => readdir(this.#folder), []);
		for (const name of names.sort()) {
			const startedMs = namePattern.exec(name)?.[1];
			if (startedMs === undefined) continue;
			const path = join(this.#folder, name);
			this.#known.push({ path, startedMs: Number(startedMs), bytes: (await stat(path)).size, index: undefined });
		}
	}

	get firstMs(): number | undefined {
		return this.#known[0]?.startedMs;
	}

	get lastMs(): number | undefined {
		return this.#known.at(-1)?.startedMs;
	}

	get bytes(): number {
		return this.#known.reduce((sum, { bytes }) => sum + bytes, 0);
	}

	/** As they are now; what is written later is not in it. Those that are deleted meanwhile are missing when they are opened. */
	async list(): Promise<Segment[]> {
		const list: Segment[] = [];
		for (const segment of [...this.#known]) {
			const { path, startedMs, bytes } = segment;
			const index = await existing(() => this.#indexOf(segment), undefined);
			if (index && bytes > 0) list.push({ path, startedMs, bytes, index });
		}
		return list;
	}

	/** Appends whole lines, or none: after a failure nothing of them is there and they can be written again. */
	async write(text: string, index: SegmentIndex, nowMs: number): Promise<void> {
		if (this.#file && nowMs - this.lastMs! >= segmentMs) await this.seal();
		if (!this.#file) await this.#begin(nowMs);
		const segment = this.#known.at(-1)!;
		const data = Buffer.from(text);
		try {
			await this.#file!.appendFile(data);
		} catch (error) {
			await this.#takeBack(segment);
			throw error;
		}
		segment.index!.merge(index);
		segment.bytes += data.length;
		if (segment.bytes < segmentBytes) return;
		await this.seal();
		await this.#forgetOldest();
	}

	/** The next line begins a new segment. */
	async seal(): Promise<void> {
		const file = this.#file;
		this.#file = undefined;
		await file?.close();
		const segment = this.#known.at(-1);
		if (file && segment) await writeIndex(segment);
	}

	/** Deletes the segments whose every line is older than `beforeMs`. */
	async expire(beforeMs: number): Promise<void> {
		for (const segment of [...this.#known]) {
			const index = await existing(() => this.#indexOf(segment), undefined);
			if (index && index.maxMs >= beforeMs) continue;
			if (segment === this.#known.at(-1)) await this.seal();
			await this.#delete(segment);
		}
	}

	async #indexOf(segment: KnownSegment): Promise<SegmentIndex> {
		if (segment.index) return segment.index;
		const text = await existing(() => readFile(segment.path + indexSuffix, "utf8"), "");
		const stored = SegmentIndex.fromText(text, segment.bytes);
		// Of a crashed daemon or an earlier release.
		const index = stored ?? (await indexSegment(segment));
		segment.index ??= index;
		if (!stored) await writeIndex(segment);
		return segment.index;
	}

	/** Never an existing file: what is in it may end in half a line. */
	async #begin(nowMs: number): Promise<void> {
		await mkdir(this.#folder, { recursive: true });
		for (let startedMs = Math.max(nowMs, (this.lastMs ?? 0) + 1); ; startedMs++) {
			const path = join(this.#folder, `${String(startedMs).padStart(15, "0")}-${process.pid}.ndjson`);
			try {
				this.#file = await open(path, "ax");
				this.#known.push({ path, startedMs, bytes: 0, index: new SegmentIndex() });
				return;
			} catch (error) {
				if (systemCode(error) !== "EEXIST") throw error;
			}
		}
	}

	/** What a failed write has left of its lines goes, as they are tried again whole; the next segment starts clean. */
	async #takeBack(segment: KnownSegment): Promise<void> {
		const file = this.#file;
		this.#file = undefined;
		try {
			await file?.truncate(segment.bytes);
		} finally {
			await file?.close();
		}
	}

	async #forgetOldest(): Promise<void> {
		let bytes = 0;
		for (const segment of [...this.#known].reverse()) {
			bytes += segment.bytes;
			if (bytes > this.#maxBytes) await this.#delete(segment);
		}
	}

	async #delete(segment: KnownSegment): Promise<void> {
		await existing(() => unlink(segment.path), undefined);
		await existing(() => unlink(segment.path + indexSuffix), undefined);
		this.#known.splice(this.#known.indexOf(segment), 1);
	}
}

/** It can be made from the segment at any time: a disk without room for it is no reason to fail. */
async function writeIndex(segment: KnownSegment): Promise<void> {
	if (!segment.index || segment.bytes === 0) return;
	const path = segment.path + indexSuffix;
	try {
		await writeFile(`${path}.new`, segment.index.toText(segment.bytes));
		await rename(`${path}.new`, path);
	} catch (error) {
		if (!["ENOSPC", "EDQUOT", "ENOENT"].includes(systemCode(error) ?? "")) throw error;
	}
}

async function existing<T, Other>(read: () => Promise<T>, otherwise: Other): Promise<T | Other> {
	try {
		return await read();
	} catch (error) {
		if (systemCode(error) === "ENOENT") return otherwise;
		throw error;
	}
}

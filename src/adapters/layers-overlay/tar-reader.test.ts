import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { type LayerLimits, layerLimits } from "../../core/image/layer-limits.ts";
import {
	base256,
	checksum,
	entry,
	gnuLong,
	gnuMagic,
	number,
	padded,
	pax,
	paxRecord,
	type TestEntry,
	tar,
} from "./tar-builder.ts";
import { type TarEntry, TarReader, type TarSink } from "./tar-reader.ts";

interface Seen extends TarEntry {
	content: Buffer;
	ended: boolean;
}

class Recorder implements TarSink {
	readonly seen: Seen[] = [];
	begin(entry: TarEntry): void {
		this.seen.push({ ...entry, content: Buffer.alloc(Math.min(entry.size, 10_000_000)), ended: false });
	}
	data(chunk: Buffer, offset: number): void {
		const last = this.seen.at(-1)!;
		assert.equal(last.ended, false);
		assert.ok(offset + chunk.length <= last.size, "content past the size");
		chunk.copy(last.content, offset);
	}
	end(): void {
		assert.equal(this.seen.at(-1)!.ended, false);
		this.seen.at(-1)!.ended = true;
	}
}

function read(archive: Buffer, limits: Partial<LayerLimits> = {}, piece = archive.length): Seen[] {
	const recorder = new Recorder();
	const reader = new TarReader(recorder, layerLimits(limits));
	for (let at = 0; at < archive.length; at += piece) reader.push(archive.subarray(at, at + piece));
	reader.finish();
	for (const { ended } of recorder.seen) assert.ok(ended);
	return recorder.seen;
}

const reason = (name: string) => (error: unknown) => {
	assert.ok(isSlipwayError(error, "INVALID_IMAGE"), `${error}`);
	assert.equal(error.reason, name);
	return true;
};

const long = `${"directory/".repeat(30)}file`;

describe("TarReader", () => {
	it("reads the same entries however the bytes are cut", () => {
		const archive = tar(
			{ path: "dir/" },
			{ path: "dir/file", content: "x".repeat(1000) },
			gnuLong("L", long),
			{ path: "cut", content: "long" },
			{ path: "link", type: "2", link: "t", pax: { linkpath: "/target" } },
			oldSparse(
				[
					{ offset: 0, data: "ab" },
					{ offset: 1000, data: "cd" },
				],
				2000,
			),
		);
		const whole = read(archive);
		assert.deepEqual(
			whole.map(({ path, type, size }) => [path, type, size]),
			[
				["dir/", "directory", 0],
				["dir/file", "file", 1000],
				[long, "file", 4],
				["link", "symlink", 0],
				["sparse", "file", 2000],
			],
		);
		for (const piece of [1, 7, 511, 512, 513, 1024]) assert.deepEqual(read(archive, {}, piece), whole);
	});

	it("takes long names from GNU's entries, with and without a NUL at the end", () => {
		const archive = tar(
			gnuLong("K", `${long}-link`),
			gnuLong("L", long),
			{ path: "cut", type: "2" },
			{ path: "././@LongLink", type: "L", content: "unterminated" },
			{ path: "cut" },
			{ path: "own" },
		);
		const [first, second, third] = read(archive);
		assert.deepEqual([first?.path, first?.linkPath], [long, `${long}-link`]);
		assert.equal(second?.path, "unterminated");
		assert.equal(third?.path, "own");
	});

	it("puts PAX records over the header, local over global, for one entry", () => {
		const archive = tar(
			pax({ mtime: "5.25", uid: "7", "SCHILY.xattr.user.g": "global", comment: "ignored" }, "g"),
			{
				path: "short",
				pax: { path: `${long}\xff`, uid: "4294967294", gid: "8", "SCHILY.xattr.user.l": "\0\x01", atime: "1" },
			},
			{ path: "next" },
			pax({ mtime: "" }, "g"),
			{ path: "last", mtime: 9 },
		);
		const [first, next, last] = read(archive);
		assert.deepEqual([first?.path, first?.uid, first?.gid], [`${long}\xff`, 4_294_967_294, 8]);
		assert.deepEqual(first?.mtime, { seconds: 5, nanoseconds: 250_000_000 });
		assert.deepEqual(
			[...first!.xattrs],
			[
				["user.g", "global"],
				["user.l", "\0\x01"],
			],
		);
		assert.deepEqual([next?.path, next?.uid, next?.mtime.seconds], ["next", 7, 5]);
		assert.deepEqual(last?.mtime, { seconds: 9, nanoseconds: 0 });
	});

	it("takes the size from PAX", () => {
		const content = "content";
		const [file, next] = read(tar({ path: "a", size: 0, content, pax: { size: `${content.length}` } }, { path: "b" }));
		assert.equal(file?.content.toString(), content);
		assert.equal(next?.path, "b");
	});

	it("knows that links, directories and devices have no content, whatever their size", () => {
		const archive = tar(
			...["1", "2", "3", "4", "5", "6"].map((type): TestEntry => ({ path: "a", type, size: 4096, link: "b" })),
		);
		assert.deepEqual(
			read(archive).map(({ type, size }) => [type, size]),
			[
				["hardlink", 0],
				["symlink", 0],
				["character", 0],
				["block", 0],
				["directory", 0],
				["fifo", 0],
			],
		);
	});

	it("reads v7's types", () => {
		const archive = tar({ path: "dir/", type: "\0" }, { path: "file", type: "\0" }, { path: "contiguous", type: "7" });
		assert.deepEqual(
			read(archive).map(({ type }) => type),
			["directory", "file", "file"],
		);
	});

	it("takes an archive without its end mark, and with much of it", () => {
		assert.equal(read(entry({ path: "a", content: "b" })).length, 1);
		assert.equal(read(Buffer.alloc(0)).length, 0);
		assert.equal(read(Buffer.concat([tar({ path: "a" }), Buffer.alloc(100_000)])).length, 1);
	});

	it("refuses an archive that ends inside an entry", () => {
		const whole = entry({ path: "a", content: "b".repeat(600), pax: { comment: "c" } });
		for (const length of [1, 511, 512, 513, 1024, 1025, 1536, 1600, 2559]) {
			assert.throws(() => read(whole.subarray(0, length)), reason("LayerTruncated"), `${length}`);
		}
		assert.throws(() => read(tar(pax({ path: "b" }))), reason("LayerTruncated"));
		assert.throws(() => read(tar(gnuLong("L", "b"))), reason("LayerTruncated"));
	});

	it("refuses data after the end", () => {
		assert.throws(() => read(Buffer.concat([tar({ path: "a" }), entry({ path: "b" })])), reason("LayerTrailingData"));
		assert.throws(() => read(Buffer.concat([tar(), Buffer.from("x")])), reason("LayerTrailingData"));
		const one = Buffer.concat([entry({ path: "a" }), Buffer.alloc(512), entry({ path: "b" })]);
		assert.throws(() => read(one), reason("LayerTrailingData"));
	});

	it("refuses types it does not know", () => {
		for (const type of ["8", "9", "A", "D", "M", "N", "V", "X", "\xff", " "])
			assert.throws(() => read(tar({ path: "a", type })), reason("LayerEntryType"));
	});

	it("refuses global records that name one entry", () => {
		for (const key of ["path", "linkpath", "size", "GNU.sparse.map"])
			assert.throws(() => read(tar(pax({ [key]: "1" }, "g"), { path: "a" })), reason("LayerPaxGlobal"));
	});

	it("stops at its limits", () => {
		const files = [1, 2, 3].map((i) => ({ path: `${i}`, content: "x".repeat(100) }));
		assert.throws(() => read(tar(...files), { entries: 2 }), reason("LayerLimitEntries"));
		assert.throws(() => read(tar(...files), { unpackedBytes: 250 }), reason("LayerLimitUnpackedBytes"));
		const huge = { path: "a", size: base256(BigInt(Number.MAX_SAFE_INTEGER), 12) };
		assert.throws(() => read(tar(huge)), reason("LayerLimitUnpackedBytes"));
		const comment = pax({ comment: "c".repeat(600) });
		assert.throws(() => read(tar(comment, comment, { path: "a" }), { paxBytes: 1000 }), reason("LayerLimitPaxBytes"));
		const global = pax({ comment: "c".repeat(600) }, "g");
		assert.throws(() => read(tar(global, global), { paxBytes: 1000 }), reason("LayerLimitPaxBytes"));
		assert.equal(read(tar(comment, { path: "a" }, comment, { path: "b" }), { paxBytes: 1000 }).length, 2);
		assert.throws(
			() => read(tar(entry({ path: "x", type: "x", size: base256(2n ** 50n, 12) }))),
			reason("LayerLimitPaxBytes"),
		);
		assert.throws(() => read(tar(gnuLong("L", "x".repeat(5000)), { path: "a" })), reason("LayerLimitPathBytes"));
	});

	it("handles a million entries with a flat memory", () => {
		const one = entry({ path: "file" });
		const reader = new TarReader({ begin() {}, data() {}, end() {} }, layerLimits({ entries: 1_000_000 }));
		const many = Buffer.concat(Array.from({ length: 1000 }, () => one));
		for (let i = 0; i < 1000; i++) reader.push(many);
		assert.throws(() => reader.push(one), reason("LayerLimitEntries"));
	});
});

interface Piece {
	offset: number;
	data: string;
}

function oldSparse(pieces: Piece[], realSize: number): Buffer {
	const pairs = pieces.map(({ offset, data }) => Buffer.concat([number(offset, 12), number(data.length, 12)]));
	const extensions: Buffer[] = [];
	for (let at = 4; at < pairs.length; at += 21) {
		const block = Buffer.alloc(512);
		Buffer.concat(pairs.slice(at, at + 21)).copy(block);
		block[504] = at + 21 < pairs.length ? 1 : 0;
		extensions.push(block);
	}
	const data = Buffer.from(pieces.map(({ data }) => data).join(""));
	const header = entry({
		path: "sparse",
		type: "S",
		size: data.length,
		patch: (header) => {
			gnuMagic(header);
			Buffer.concat(pairs.slice(0, 4)).copy(header, 386);
			header[482] = extensions.length > 0 ? 1 : 0;
			number(realSize, 12).copy(header, 483);
		},
	});
	return Buffer.concat([header, ...extensions, padded(data)]);
}

/** PAX 0.0, 0.1 and 1.0. */
function paxSparse(version: "0.0" | "0.1" | "1.0", pieces: Piece[], realSize: number): Buffer {
	const data = pieces.map(({ data }) => data).join("");
	const numbers = pieces.flatMap(({ offset, data }) => [offset, data.length]);
	if (version === "1.0") {
		const map = padded(Buffer.from([pieces.length, ...numbers].map((n) => `${n}\n`).join("")));
		const records = {
			"GNU.sparse.major": "1",
			"GNU.sparse.minor": "0",
			"GNU.sparse.name": "sparse",
			"GNU.sparse.realsize": `${realSize}`,
		};
		return entry({ path: "GNUSparseFile.1/sparse", content: Buffer.concat([map, Buffer.from(data)]), pax: records });
	}
	const size = paxRecord("GNU.sparse.size", `${realSize}`);
	const map =
		version === "0.1"
			? [paxRecord("GNU.sparse.name", "sparse"), paxRecord("GNU.sparse.map", numbers.join(","))]
			: numbers.map((n, i) => paxRecord(i % 2 === 0 ? "GNU.sparse.offset" : "GNU.sparse.numbytes", `${n}`));
	return Buffer.concat([pax(Buffer.concat([size, ...map])), entry({ path: "sparse", content: data })]);
}

describe("sparse files", () => {
	const formats = {
		"old GNU": oldSparse,
		"PAX 0.0": (pieces: Piece[], size: number) => paxSparse("0.0", pieces, size),
		"PAX 0.1": (pieces: Piece[], size: number) => paxSparse("0.1", pieces, size),
		"PAX 1.0": (pieces: Piece[], size: number) => paxSparse("1.0", pieces, size),
	};
	for (const [name, make] of Object.entries(formats)) {
		it(`are laid out by their map (${name})`, () => {
			const pieces = Array.from({ length: 60 }, (_, i) => ({ offset: i * 1000, data: `piece ${i}` }));
			const expected = Buffer.alloc(100_000);
			for (const { offset, data } of pieces) expected.write(data, offset);
			for (const piece of [1_000_000, 100]) {
				const [file, next] = read(tar(make(pieces, 100_000), { path: "next", content: "n" }), {}, piece);
				assert.deepEqual([file?.path, file?.size, file?.sparse], ["sparse", 100_000, true]);
				assert.ok(file?.content.equals(expected));
				assert.equal(next?.content.toString(), "n");
			}
		});

		it(`may hold no data, or none at the end (${name})`, () => {
			assert.equal(read(tar(make([], 5000)))[0]?.size, 5000);
			const [file] = read(
				tar(
					make(
						[
							{ offset: 10, data: "x" },
							{ offset: 5000, data: "" },
						],
						5000,
					),
				),
			);
			assert.equal(file?.content[10], 120);
		});

		it(`are refused when their map is wrong (${name})`, () => {
			const bad = (pieces: Piece[], size: number, limits = {}, name = "LayerSparseMap") =>
				assert.throws(() => read(tar(make(pieces, size)), limits), reason(name));
			bad(
				[
					{ offset: 0, data: "aaaa" },
					{ offset: 3, data: "b" },
				],
				100,
			);
			bad(
				[
					{ offset: 10, data: "a" },
					{ offset: 0, data: "b" },
				],
				100,
			);
			bad([{ offset: 99, data: "aa" }], 100);
			bad([{ offset: 8_000_000_000, data: "a" }], 100);
			bad([], 1_000_000, { unpackedBytes: 1000 }, "LayerLimitUnpackedBytes");
			const many = Array.from({ length: 30 }, (_, i) => ({ offset: i, data: "a" }));
			bad(many, 100, { sparseExtents: 20 }, "LayerLimitSparseExtents");
		});
	}

	it("are refused when the map and the data differ, or the map has no end", () => {
		const records = { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "100" };
		for (const [content, name] of [
			["1\n0\n5\n", "LayerSparseMap"],
			[`999999999999\n${"0\n".repeat(300)}`, "LayerLimitSparseExtents"],
			["5\n0\n1\n", "LayerSparseMap"],
			["x\n", "LayerSparseMap"],
			[`-1\n${"0\n".repeat(300)}`, "LayerPaxNumber"],
			["1".repeat(600), "LayerSparseMap"],
			["", "LayerSparseMap"],
		] as const)
			assert.throws(
				() => read(tar({ path: "a", content: padded(Buffer.from(content)), pax: records })),
				reason(name),
				content.slice(0, 20),
			);
		const list = { "GNU.sparse.size": "100", "GNU.sparse.map": "0,5" };
		assert.throws(() => read(tar({ path: "a", content: "four", pax: list })), reason("LayerSparseMap"));
		assert.throws(() => read(tar({ path: "a", type: "5", pax: list })), reason("LayerSparseMap"));
		assert.throws(() => read(tar({ path: "a", pax: { "GNU.sparse.map": "0,0" } })), reason("LayerSparseMap"));
		const lonely = Buffer.concat([paxRecord("GNU.sparse.size", "9"), paxRecord("GNU.sparse.numbytes", "1")]);
		assert.throws(() => read(tar(pax(lonely), { path: "a", content: "x" })), reason("LayerSparseMap"));
	});
});

/** xorshift32: the same archives in every run. */
function random(seed: number): (below: number) => number {
	let state = seed;
	return (below) => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) % below;
	};
}

describe("mutated archives", () => {
	const seed = 20_240_229;
	const archives = 4000;

	it(`never do worse than a refusal (${archives} archives, seed ${seed})`, () => {
		const pick = random(seed);
		const valid = tar(
			{ path: "dir/" },
			{ path: "dir/file", content: "x".repeat(700), pax: { mtime: "1.5", "SCHILY.xattr.user.a": "b" } },
			pax({ comment: "global" }, "g"),
			gnuLong("L", long),
			{ path: "cut", content: "long" },
			{ path: "link", type: "2", link: "target" },
			{ path: "hard", type: "1", link: "dir/file" },
			paxSparse(
				"1.0",
				[
					{ offset: 5, data: "ab" },
					{ offset: 900, data: "cd" },
				],
				2000,
			),
			paxSparse("0.1", [{ offset: 5, data: "ab" }], 2000),
			oldSparse(
				Array.from({ length: 9 }, (_, i) => ({ offset: i * 10, data: "q" })),
				500,
			),
			{ path: "null", type: "3", dev: [1, 3] },
		);
		const headers: number[] = [];
		for (let at = 0; at < valid.length; at += 512)
			if (/^ustar/.test(valid.toString("latin1", at + 257, at + 262))) headers.push(at);
		let accepted = 0;
		for (let i = 0; i < archives; i++) {
			const archive = mutate(valid, headers, pick);
			try {
				read(archive, { unpackedBytes: 1_000_000 }, 1 + pick(2000));
				accepted++;
			} catch (error) {
				assert.ok(
					isSlipwayError(error, "INVALID_IMAGE") && error.reason,
					`archive ${i}: ${error instanceof Error ? error.stack : error}`,
				);
			}
		}
		assert.ok(accepted > 0 && accepted < archives, `${accepted} accepted`);
	});
});

function mutate(valid: Buffer, headers: number[], pick: (below: number) => number): Buffer {
	let archive = Buffer.from(valid);
	for (let changes = 1 + pick(4); changes > 0; changes--) {
		const at = pick(archive.length);
		const kind = pick(7);
		if (kind === 0) archive[at] = pick(256);
		else if (kind === 1) archive = Buffer.concat([archive.subarray(0, at), archive.subarray(at + pick(600))]);
		else if (kind === 2) archive = Buffer.concat([archive.subarray(0, at), archive.subarray(pick(archive.length))]);
		else if (kind === 3) archive[at] = "0123456789=\n ,\0/."[pick(17)]!.charCodeAt(0);
		else {
			// A header with one field changed and a right checksum.
			const header = headers[pick(headers.length)]!;
			if (header + 512 > archive.length) continue;
			const field = [0, 100, 108, 116, 124, 136, 156, 157, 329, 345, 386, 398, 482, 483][pick(14)]!;
			archive[header + field + pick(12)] = kind === 4 ? 48 + pick(8) : pick(256);
			checksum(archive.subarray(header, header + 512));
		}
	}
	return archive;
}

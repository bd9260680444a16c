import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { base256, entry, octal, paxRecord } from "./tar-builder.ts";
import {
	checkSparse,
	parseHeader,
	parsePax,
	parseSparseList,
	paxNumber,
	paxTime,
	show,
	splitPath,
} from "./tar-codec.ts";

const reason = (name: string) => (error: unknown) => {
	assert.ok(isSlipwayError(error, "INVALID_IMAGE"), `${error}`);
	assert.equal(error.reason, name);
	return true;
};

describe("tar header", () => {
	it("reads every field", () => {
		const header = parseHeader(
			entry({
				path: "dir/node",
				type: "3",
				mode: 0o6755,
				uid: 1000,
				gid: 2_000_000,
				mtime: 1_700_000_000,
				dev: [5, 300],
			}),
		);
		assert.deepEqual(header, {
			path: "dir/node",
			mode: 0o6755,
			uid: 1000,
			gid: 2_000_000,
			size: 0,
			mtime: { seconds: 1_700_000_000, nanoseconds: 0 },
			typeflag: "3",
			linkPath: "",
			devMajor: 5,
			devMinor: 300,
			gnu: false,
		});
	});

	it("joins POSIX's prefix, and leaves GNU's times alone", () => {
		const prefix = (header: Buffer) => header.write("some/prefix", 345);
		assert.equal(parseHeader(entry({ path: "name", patch: prefix })).path, "some/prefix/name");
		const gnu = (header: Buffer) => {
			prefix(header);
			header.write("ustar  \0", 257, "latin1");
		};
		assert.equal(parseHeader(entry({ path: "name", patch: gnu })).path, "name");
		const v7 = (header: Buffer) => {
			prefix(header);
			header.fill(0, 257, 265);
		};
		assert.equal(parseHeader(entry({ path: "name", patch: v7 })).path, "name");
	});

	it("takes names and links that fill their fields", () => {
		const name = "n".repeat(100);
		const header = parseHeader(entry({ path: name, type: "2", link: "l".repeat(100) }));
		assert.equal(header.path, name);
		assert.equal(header.linkPath, "l".repeat(100));
	});

	it("reads octal and base-256 numbers", () => {
		const size = (field: Buffer | string) =>
			parseHeader(entry({ path: "a", patch: (header) => header.write(field.toString("latin1"), 124, "latin1") })).size;
		assert.equal(size(octal(0o12345670, 12)), 0o12345670);
		assert.equal(size("777777777777"), 8 ** 12 - 1);
		assert.equal(size("        17 \0"), 15);
		assert.equal(size("\0".repeat(12)), 0);
		assert.equal(size(base256(2n ** 40n, 12)), 2 ** 40);
		assert.equal(size(base256(BigInt(Number.MAX_SAFE_INTEGER), 12)), Number.MAX_SAFE_INTEGER);
	});

	it("reads times before 1970", () => {
		const header = entry({ path: "a", patch: (header) => base256(-86_400n, 12).copy(header, 136) });
		assert.deepEqual(parseHeader(header).mtime, { seconds: -86_400, nanoseconds: 0 });
	});

	for (const [what, field] of [
		["negative", base256(-1n, 12)],
		["most negative", base256(-(2n ** 94n), 12)],
		["past 2^53", base256(2n ** 53n, 12)],
		["largest", Buffer.from(`\x80${"\xff".repeat(11)}`, "latin1")],
		["text", Buffer.from("12x45670000\0")],
		["signed", Buffer.from("-0000000001\0")],
		["digits after the end", Buffer.from("123\x00456\0\0\0\0\0")],
	] as const)
		it(`refuses a size that is ${what}`, () => {
			assert.throws(() => parseHeader(entry({ path: "a", size: field })), reason("LayerHeaderNumber"));
		});

	it("refuses a wrong checksum and takes the signed one", () => {
		const header = entry({ path: "a" });
		header[0] = 0x62;
		assert.throws(() => parseHeader(header), reason("LayerHeaderChecksum"));
		const signed = entry({ path: "\xe9" });
		const sum = signed
			.subarray(0, 512)
			.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : (byte << 24) >> 24), 0);
		signed.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
		assert.equal(parseHeader(signed).path, "\xe9");
	});
});

describe("PAX records", () => {
	it("are read as bytes, in order, with any character in the value", () => {
		const bytes = Buffer.concat([
			paxRecord("path", "a=b\nc\xc3\xa9"),
			paxRecord("SCHILY.xattr.user.x", "\0\xff"),
			paxRecord("path", ""),
		]);
		assert.deepEqual(parsePax(bytes), [
			["path", "a=b\nc\xc3\xa9"],
			["SCHILY.xattr.user.x", "\0\xff"],
			["path", ""],
		]);
		assert.deepEqual(parsePax(Buffer.alloc(0)), []);
	});

	for (const bad of [
		"path=a\n",
		"0 path=a\n",
		"-9 path=a\n",
		"+9 path=a\n",
		" 9 path=a\n",
		"09 path=a\n",
		"11 path=a\n",
		"8 path=a\n",
		"9 path=a ",
		"99999999999999999999 path=a\n",
		"3 \n",
		"6 =ab\n",
		"8 abcde\n",
		"9 pa\0h=a\n",
		"9",
		"2 ",
	])
		it(`are refused: ${JSON.stringify(bad)}`, () => {
			assert.throws(() => parsePax(Buffer.from(bad)), reason("LayerPaxRecord"));
		});

	it("hold numbers and times", () => {
		assert.equal(paxNumber("size", "0012"), 12);
		for (const bad of ["", "-1", "1e3", "0x10", " 1", "9007199254740992", "99999999999999999999"])
			assert.throws(() => paxNumber("size", bad), reason("LayerPaxNumber"));
		assert.deepEqual(paxTime("mtime", "1.5"), { seconds: 1, nanoseconds: 500_000_000 });
		assert.deepEqual(paxTime("mtime", "1700000000.1234567891"), { seconds: 1_700_000_000, nanoseconds: 123_456_789 });
		assert.deepEqual(paxTime("mtime", "-1.25"), { seconds: -2, nanoseconds: 750_000_000 });
		assert.deepEqual(paxTime("mtime", "-3"), { seconds: -3, nanoseconds: 0 });
		for (const bad of ["", ".", "1,5", "NaN", "1.2.3"])
			assert.throws(() => paxTime("mtime", bad), reason("LayerPaxNumber"));
	});
});

describe("sparse maps", () => {
	it("are lists of offsets and lengths", () => {
		assert.deepEqual(parseSparseList("0,10,20,5"), [
			{ offset: 0, length: 10 },
			{ offset: 20, length: 5 },
		]);
		assert.throws(() => parseSparseList("0,10,20"), reason("LayerSparseMap"));
		assert.throws(() => parseSparseList("0,-1"), reason("LayerPaxNumber"));
	});

	it("must be in order, apart, inside the file, and match the data", () => {
		checkSparse(
			[
				{ offset: 0, length: 10 },
				{ offset: 10, length: 5 },
				{ offset: 100, length: 0 },
			],
			100,
			15,
		);
		for (const [extents, size, stored] of [
			[
				[
					{ offset: 0, length: 10 },
					{ offset: 9, length: 5 },
				],
				100,
				15,
			],
			[
				[
					{ offset: 50, length: 10 },
					{ offset: 0, length: 5 },
				],
				100,
				15,
			],
			[[{ offset: 96, length: 5 }], 100, 5],
			[[{ offset: Number.MAX_SAFE_INTEGER, length: Number.MAX_SAFE_INTEGER }], 100, 5],
			[[{ offset: 0, length: 5 }], 100, 6],
			[[], 100, 1],
		] as const)
			assert.throws(() => checkSparse(extents, size, stored), reason("LayerSparseMap"));
	});
});

describe("paths", () => {
	it("lose what does not matter", () => {
		for (const path of ["usr/bin", "./usr/bin", "/usr/bin", "//usr//./bin/", "usr/bin/."])
			assert.deepEqual(splitPath(path, "it"), ["usr", "bin"]);
		assert.deepEqual(splitPath("./", "it"), []);
		assert.deepEqual(splitPath("..a/b../...", "it"), ["..a", "b..", "..."]);
	});

	it("never climb, hold no NUL and no name of more than 255 bytes", () => {
		for (const path of ["..", "../a", "a/..", "a/../b", "/../a", "./../../etc/passwd"])
			assert.throws(() => splitPath(path, "it"), reason("LayerPathEscape"));
		assert.throws(() => splitPath("a\0b", "it"), reason("LayerPathNul"));
		assert.throws(() => splitPath(`a/${"n".repeat(256)}`, "it"), reason("LayerNameTooLong"));
	});

	it("are shown without control and direction characters", () => {
		assert.equal(show("a\x1b[31m\n\xe2\x80\xaeb"), "'a?[31m??b'");
		assert.equal(show("x".repeat(300)).length, 203);
	});
});

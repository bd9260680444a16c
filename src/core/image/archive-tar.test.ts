import assert from "node:assert/strict";
import { test } from "node:test";
import { SlipwayError } from "../../base/error.ts";
import { isTarHeader, linkTarget, safeName, type TarSource, tarEntries } from "./archive-tar.ts";

interface File {
	name: string;
	flag?: string;
	content?: string;
	linkName?: string;
	size?: string;
}

function archive(files: File[]): Buffer {
	const blocks = files.flatMap(({ name, flag = "0", content = "", linkName = "", size }) => {
		const header = Buffer.alloc(512);
		header.write(name, 0, 100);
		header.write(size ?? `${Buffer.byteLength(content).toString(8).padStart(11, "0")}\0`, 124, "latin1");
		header.fill(" ", 148, 156);
		header.write(flag, 156);
		header.write(linkName, 157, 100);
		header.write("ustar\0" + "00", 257);
		header.write(
			`${header
				.reduce((sum, byte) => sum + byte, 0)
				.toString(8)
				.padStart(6, "0")}\0 `,
			148,
		);
		const padded = Buffer.alloc(Math.ceil(Buffer.byteLength(content) / 512) * 512);
		padded.write(content);
		return [header, padded];
	});
	return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

function from(bytes: Buffer): TarSource {
	let at = 0;
	return {
		read: async (length) => {
			at += length;
			return bytes.subarray(at - length, at);
		},
		skip: async (length) => {
			at += length;
		},
	};
}

async function read(bytes: Buffer) {
	const source = from(bytes);
	const entries = [];
	for await (const { consumed, ...entry } of tarEntries(source)) {
		const content = entry.type === "file" ? (await source.read(entry.size)).toString() : "";
		consumed(content.length);
		assert.ok(entry.type !== "file" || bytes.toString("utf8", entry.offset, entry.offset + entry.size) === content);
		entries.push({ name: entry.name, type: entry.type, content, linkName: entry.linkName });
	}
	return entries;
}

function pax(records: Record<string, string>): string {
	return Object.entries(records)
		.map(([key, value]) => {
			const body = ` ${key}=${value}\n`;
			let length = body.length + 1;
			while (`${length}${body}`.length !== length) length = `${length}${body}`.length;
			return `${length}${body}`;
		})
		.join("");
}

test("reads files, folders, links and long names of every kind", async () => {
	const long = `${"d/".repeat(80)}layer.tar`;
	const entries = await read(
		archive([
			{ name: "./", flag: "5" },
			{ name: "blobs/", flag: "5" },
			{ name: "./a.json", content: "hello" },
			{ name: "empty" },
			{ name: "x", flag: "2", linkName: "../a.json" },
			{ name: "y", flag: "1", linkName: "a.json" },
			{ name: "pax", flag: "x", content: pax({ path: long, mtime: "1.5", size: "3" }) },
			{ name: "short", content: "abc" },
			{ name: "g", flag: "g", content: pax({ comment: "x" }) },
			{ name: "././@LongLink", flag: "L", content: `${long}2\0` },
			{ name: "short", content: "def".repeat(400) },
			{ name: "././@LongLink", flag: "K", content: `${long}\0` },
			{ name: "z", flag: "2", linkName: "short" },
			{ name: "fifo", flag: "6" },
		]),
	);
	assert.deepEqual(
		entries.map(({ name, type, content }) => [name, type, content.length]),
		[
			["blobs", "folder", 0],
			["a.json", "file", 5],
			["empty", "file", 0],
			["x", "symlink", 0],
			["y", "hardlink", 0],
			[long, "file", 3],
			[`${long}2`, "file", 1200],
			["z", "symlink", 0],
			["fifo", "other", 0],
		],
	);
	assert.equal(entries[7]?.linkName, long);
});

test("refuses what leads outside, is damaged or does not end", async () => {
	const refused = (bytes: Buffer, reason: string) =>
		assert.rejects(read(bytes), (error: unknown) => {
			assert.ok(error instanceof SlipwayError, String(error));
			assert.equal(error.code, "INVALID_IMAGE");
			assert.equal(error.reason, reason, error.message);
			return true;
		});
	for (const name of ["../x", "/etc/passwd", "a/../../x", "a/.."])
		await refused(archive([{ name, content: "x" }]), "ArchivePathEscape");
	await refused(
		archive([{ name: "p", flag: "x", content: pax({ path: "../x" }) }, { name: "a" }]),
		"ArchivePathEscape",
	);
	await refused(archive([{ name: "a", size: "77777777777\xff" }]), "ArchiveDamaged");
	await refused(archive([{ name: "p", flag: "x", content: pax({ size: "-1" }) }, { name: "a" }]), "ArchiveDamaged");
	await refused(archive([{ name: "p", flag: "x", content: pax({ size: "1e300" }) }, { name: "a" }]), "ArchiveDamaged");
	await refused(archive([{ name: "p", flag: "x", content: "99999 path=x\n" }, { name: "a" }]), "ArchiveDamaged");
	await refused(archive([{ name: "p", flag: "x", content: "x".repeat(70_000) }]), "ArchiveDamaged");
	await refused(
		archive([{ name: "p", flag: "x", content: pax({ "GNU.sparse.major": "1" }) }, { name: "a" }]),
		"ArchiveSparse",
	);
	await refused(
		Buffer.concat([archive([{ name: "a", content: "x" }]).subarray(0, 1024), Buffer.from("rubbish")]),
		"ArchiveTruncated",
	);
	await refused(archive([{ name: "a", flag: "L", content: "x".repeat(600) }]).subarray(0, 700), "ArchiveTruncated");
	assert.equal(isTarHeader(Buffer.alloc(10)), false);
	assert.equal(isTarHeader(Buffer.alloc(512, 65)), false);
});

test("random damage never ends in anything but a SlipwayError", async () => {
	const good = archive([
		{ name: "a/b", content: "x".repeat(700) },
		{ name: "p", flag: "x", content: pax({ path: "y" }) },
		{ name: "c" },
	]);
	let seed = 7;
	const random = (below: number) => {
		seed = (seed * 1103515245 + 12345) % 2147483648;
		return seed % below;
	};
	for (let round = 0; round < 3000; round++) {
		const bytes = Buffer.from(good);
		for (let i = random(4); i >= 0; i--) bytes[random(bytes.length)] = random(256);
		// A valid checksum lets the damage through to the fields.
		for (const start of [0, 1536, 2560]) {
			const block = bytes.subarray(start, start + 512);
			block.fill(" ", 148, 156);
			block.write(
				`${block
					.reduce((sum, byte) => sum + byte, 0)
					.toString(8)
					.padStart(6, "0")}\0 `,
				148,
			);
		}
		await read(bytes.subarray(0, random(10) === 0 ? random(bytes.length) : bytes.length)).catch((error: unknown) => {
			if (!(error instanceof SlipwayError) && !(error instanceof assert.AssertionError))
				throw new Error(`round ${round}`, { cause: error });
		});
	}
});

test("names are looked up inside the archive only", () => {
	assert.equal(safeName("./a//b/."), "a/b");
	assert.equal(linkTarget("abc/layer.tar", "../def/layer.tar"), "def/layer.tar");
	for (const target of ["/etc/passwd", "../../x", "../abc/../../x"])
		assert.throws(() => linkTarget("abc/layer.tar", target), /leads outside/, target);
});

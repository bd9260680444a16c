/** What honest layers become on the disk, and what is left of those that were interrupted. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { lgetxattr, mount, umount } from "../../base/syscall.ts";
import type { PackedLayer } from "../../core/image/rootfs-store.ts";
import { OverlayRootfsStore } from "./overlay-rootfs-store.ts";
import { entry, gnuLong, packLayer, pax, type TestCompression, type TestEntry, tar } from "./tar-builder.ts";

const skip = process.getuid?.() === 0 ? false : "needs root (chroot, mknod, mount)";

describe("unpacked layers", { skip }, () => {
	let folder: string;
	let root: string;
	let store: OverlayRootfsStore;
	before(async () => {
		folder = mkdtempSync(join(tmpdir(), "slipway-layers-"));
		root = join(folder, "store");
		store = await OverlayRootfsStore.open({ root });
	});
	after(async () => {
		await store[Symbol.asyncDispose]();
		rmSync(folder, { recursive: true, force: true });
	});

	async function unpack(parts: (TestEntry | Buffer)[], compression: TestCompression = "gzip") {
		const layer = packLayer(folder, tar(...parts), compression);
		const unpacked = await store.unpack(layer);
		return { unpacked, at: (path: string) => join(root, "layers/sha256", layer.diffId.slice(7), "fs", path) };
	}
	const isWhiteout = (path: string) => lstatSync(path).isCharacterDevice() && lstatSync(path).rdev === 0;
	const isOpaque = (path: string) => lgetxattr(path, "trusted.overlay.opaque")?.toString() === "y";
	const inode = (path: string) => {
		const { mode, uid, gid, mtimeMs } = lstatSync(path);
		return { mode: mode & 0o7777, uid, gid, mtimeMs };
	};

	for (const compression of ["none", "gzip", "zstd"] as const)
		it(`hold files, directories and links with their owners, modes and times (${compression})`, async () => {
			const { unpacked, at } = await unpack(
				[
					{ path: "./", mode: 0o755, mtime: 100 },
					{ path: "./bin/", mode: 0o2775, uid: 1, gid: 50, mtime: 200 },
					{ path: "./bin/su", mode: 0o4755, uid: 0, gid: 42, mtime: 300, content: `#!${compression}` },
					{ path: "bin/own", mode: 0o600, uid: 1000, gid: 1000, mtime: 400, pax: { mtime: "1700000000.123456789" } },
					{ path: "/bin/hard", type: "1", link: "./bin/su" },
					{ path: "absolute", type: "2", link: "/bin/su", uid: 7, gid: 8, mtime: 500 },
					{ path: "climbing", type: "2", link: "../../../etc/passwd" },
					{ path: "tmp/", mode: 0o1777 },
					{ path: "shut/", mode: 0, mtime: 600 },
					{ path: "shut/inside", mode: 0, mtime: 700, content: "x" },
				],
				compression,
			);
			assert.deepEqual([unpacked.entries, unpacked.size], [10, `#!${compression}`.length + 1]);
			assert.deepEqual(inode(at("")), { mode: 0o755, uid: 0, gid: 0, mtimeMs: 100_000 });
			assert.deepEqual(inode(at("bin")), { mode: 0o2775, uid: 1, gid: 50, mtimeMs: 200_000 });
			assert.deepEqual(inode(at("bin/su")), { mode: 0o4755, uid: 0, gid: 42, mtimeMs: 300_000 });
			assert.equal(lstatSync(at("bin/own"), { bigint: true }).mtimeNs, 1_700_000_000_123_456_789n);
			assert.deepEqual({ ...inode(at("bin/own")), mtimeMs: 0 }, { mode: 0o600, uid: 1000, gid: 1000, mtimeMs: 0 });
			assert.equal(readFileSync(at("bin/hard"), "utf8"), `#!${compression}`);
			assert.equal(lstatSync(at("bin/hard")).ino, lstatSync(at("bin/su")).ino);
			assert.equal(readlinkSync(at("absolute")), "/bin/su");
			assert.deepEqual({ ...inode(at("absolute")), mode: 0 }, { mode: 0, uid: 7, gid: 8, mtimeMs: 500_000 });
			assert.equal(readlinkSync(at("climbing")), "../../../etc/passwd");
			assert.equal(inode(at("tmp")).mode, 0o1777);
			assert.deepEqual(inode(at("shut")), { mode: 0, uid: 0, gid: 0, mtimeMs: 600_000 });
			assert.equal(readFileSync(at("shut/inside"), "utf8"), "x");
		});

	it("turn whiteouts into overlayfs's form, in either order with what their own layer has", async () => {
		const { at } = await unpack([
			{ path: "a/" },
			{ path: "a/.wh.gone" },
			{ path: "a/.wh.file" },
			{ path: "a/file", content: "new" },
			{ path: "a/.wh.dir" },
			{ path: "a/dir/" },
			{ path: "a/.wh.implied" },
			{ path: "a/implied/child" },
			{ path: "a/before", content: "kept" },
			{ path: "a/.wh.before" },
			{ path: "a/dirbefore/child" },
			{ path: "a/.wh.dirbefore" },
			{ path: "opaque/.wh..wh..opq" },
			{ path: "opaque/child" },
			{ path: ".wh.rootgone" },
			{ path: ".wh.dev" },
		]);
		for (const path of ["a/gone", "rootgone", "dev"]) assert.ok(isWhiteout(at(path)), path);
		assert.equal(readFileSync(at("a/file"), "utf8"), "new");
		assert.equal(readFileSync(at("a/before"), "utf8"), "kept");
		for (const path of ["a/dir", "a/implied", "a/dirbefore", "opaque"]) assert.ok(isOpaque(at(path)), path);
		assert.ok(!isOpaque(at("a")));
		assert.deepEqual(readdirSync(at("opaque")), ["child"]);
	});

	it("hold devices, fifos and attributes", async () => {
		const capability = Buffer.from("0100000200040000000000000000000000000000", "hex").toString("latin1");
		const { at } = await unpack([
			{ path: "dev/" },
			{ path: "dev/null", type: "3", mode: 0o666, dev: [1, 3] },
			{ path: "dev/disk", type: "4", mode: 0o660, gid: 6, dev: [8, 300] },
			{ path: "dev/fifo", type: "6", mode: 0o640 },
			{
				path: "ping",
				mode: 0o755,
				uid: 5,
				pax: { "SCHILY.xattr.security.capability": capability, "SCHILY.xattr.user.mime": "a\0b" },
			},
			{ path: "labelled", pax: { "SCHILY.xattr.security.selinux": "system_u:object_r:bin_t:s0" } },
			{ path: "folder/", pax: { "SCHILY.xattr.user.dir": "d" } },
		]);
		assert.ok(lstatSync(at("dev/null")).isCharacterDevice());
		assert.equal(lstatSync(at("dev/null")).rdev, (1 << 8) | 3);
		assert.equal(lstatSync(at("dev/null")).mode & 0o777, 0o666);
		assert.ok(lstatSync(at("dev/disk")).isBlockDevice());
		assert.equal(lstatSync(at("dev/disk")).rdev, (8 << 8) | (300 & 0xff) | ((300 & ~0xff) << 12));
		assert.ok(lstatSync(at("dev/fifo")).isFIFO());
		assert.equal(lgetxattr(at("ping"), "security.capability")?.toString("latin1"), capability);
		assert.equal(lgetxattr(at("ping"), "user.mime")?.toString("latin1"), "a\0b");
		assert.equal(lgetxattr(at("labelled"), "security.selinux"), undefined);
		assert.equal(lgetxattr(at("folder"), "user.dir")?.toString(), "d");
	});

	it("hold names as bytes", async () => {
		const deep = `${"long-directory-name/".repeat(150)}file`;
		const composed = Buffer.from("caf\u00e9").toString("latin1");
		const decomposed = Buffer.from("cafe\u0301").toString("latin1");
		const { at } = await unpack([
			{ path: composed, content: "composed" },
			{ path: decomposed, content: "decomposed" },
			{ path: "CASE", content: "upper" },
			{ path: "case", content: "lower" },
			{ path: "\xff\xfe/", mode: 0o700 },
			{ path: "\xff\xfe/\x80", content: "no UTF-8", pax: { "SCHILY.xattr.user.x": "y" } },
			{ path: "link\xff", type: "2", link: "\xff\xfe/\x80" },
			{ path: "new\nline \x1b[31m", content: "control" },
			gnuLong("L", deep),
			{ path: "cut", content: "deep" },
			{ path: "n", content: "n", pax: { path: "n".repeat(255) } },
		]);
		assert.equal(readFileSync(at("caf\u00e9"), "utf8"), "composed");
		assert.equal(readFileSync(at("cafe\u0301"), "utf8"), "decomposed");
		assert.equal(readFileSync(at("CASE"), "utf8") + readFileSync(at("case"), "utf8"), "upperlower");
		const raw = Buffer.concat([Buffer.from(at("")), Buffer.from("/\xff\xfe/\x80", "latin1")]);
		assert.equal(readFileSync(raw, "utf8"), "no UTF-8");
		assert.equal(lgetxattr(raw, "user.x")?.toString(), "y");
		const link = Buffer.concat([Buffer.from(at("")), Buffer.from("/link\xff", "latin1")]);
		assert.equal(readlinkSync(link, "buffer").toString("latin1"), "\xff\xfe/\x80");
		assert.equal(readFileSync(at(deep), "utf8"), "deep");
		assert.equal(readFileSync(at("n".repeat(255)), "utf8"), "n");
	});

	it("hold sparse files sparsely", async () => {
		const size = 50_000_000;
		const { unpacked, at } = await unpack([
			{
				path: "sparse",
				content: "data",
				pax: { "GNU.sparse.size": `${size}`, "GNU.sparse.map": `40000000,4,${size},0` },
			},
		]);
		assert.equal(lstatSync(at("sparse")).size, size);
		assert.ok(lstatSync(at("sparse")).blocks * 512 < 1_000_000);
		assert.equal(readFileSync(at("sparse")).toString("latin1", 40_000_000, 40_000_004), "data");
		assert.equal(unpacked.size, 4);
	});

	it("keep the later of two entries of the same kind", async () => {
		const { at } = await unpack([
			{ path: "file", content: "a longer first content", mode: 0o600 },
			{ path: "other", type: "1", link: "file" },
			{ path: "file", content: "second", mode: 0o644 },
			{ path: "link", type: "2", link: "first" },
			{ path: "link", type: "2", link: "second" },
			{ path: "dir/", mode: 0o700 },
			{ path: "dir/child" },
			{ path: "dir/", mode: 0o750, mtime: 5 },
		]);
		assert.equal(readFileSync(at("file"), "utf8"), "second");
		assert.equal(readFileSync(at("other"), "utf8"), "a longer first content");
		assert.equal(readlinkSync(at("link")), "second");
		assert.deepEqual(inode(at("dir")), { mode: 0o750, uid: 0, gid: 0, mtimeMs: 5000 });
		assert.deepEqual(readdirSync(at("dir")), ["child"]);
	});

	it("are what GNU tar makes of an archive of its own", async () => {
		const source = join(folder, "source");
		mkdirSync(join(source, "a/b"), { recursive: true });
		writeFileSync(join(source, "a/b/file"), "x".repeat(3_000_000));
		execFileSync("sh", [
			"-ec",
			"cd $0/a; ln b/file hard; ln -s ../gone soft; mkfifo fifo; truncate -s 5M hole; printf end >> hole; chmod 1770 b; chown -h 12:34 soft hole; touch -hd 1999-01-02T03:04:05.678 soft; for i in $(seq 300); do echo $i > b/$i; done",
			source,
		]);
		const listing = (path: string) =>
			execFileSync(
				"sh",
				[
					"-ec",
					`cd "$0"; find . -mindepth 1 -printf '%P %y %m %U %G %s %T@ %l %n\\n' | sort; find . -type f -exec sha256sum {} + | sort`,
					path,
				],
				{ encoding: "utf8" },
			);
		for (const format of ["gnu", "posix"]) {
			const archive = execFileSync("tar", ["-C", source, "--sparse", "-c", `--format=${format}`, "."], {
				maxBuffer: 1e8,
			});
			const layer = packLayer(folder, archive, "zstd");
			await store.unpack(layer);
			const cut = format === "gnu" ? (text: string) => text.replace(/\.\d{10} /g, " ") : (text: string) => text;
			assert.equal(cut(listing(join(root, "layers/sha256", layer.diffId.slice(7), "fs"))), cut(listing(source)));
			await store.remove(layer.diffId);
		}
	});

	it("are still there for the next process, without what was not finished", async () => {
		const own = join(folder, "restart");
		const layer = packLayer(folder, tar({ path: "kept", content: "kept" }));
		{
			await using first = await OverlayRootfsStore.open({ root: own });
			await first.unpack(layer);
		}
		mkdirSync(join(own, "staging/1/fs/half"), { recursive: true });
		mkdirSync(join(own, "layers/sha256", "0".repeat(64), "fs"), { recursive: true });
		writeFileSync(join(own, "layers/sha256", "0".repeat(64), "layer.json"), '{"diffId":');
		{
			await using second = await OverlayRootfsStore.open({ root: own });
			assert.deepEqual(await second.list(), [{ diffId: layer.diffId, size: 4, entries: 1 }]);
			assert.deepEqual(readdirSync(join(own, "staging")), []);
			assert.deepEqual(readdirSync(join(own, "layers/sha256")), [layer.diffId.slice(7)]);
		}
		assert.deepEqual(readdirSync(join(own, "trash")), []);
	});

	it("are not made when the caller or the store goes in the middle", async () => {
		const big = Buffer.alloc(60_000_000, "some text that is not only one byte ");
		const layer = packLayer(folder, tar({ path: "big", content: big }), "none");
		const own = join(folder, "abort");
		await using other = await OverlayRootfsStore.open({ root: own });
		const controller = new AbortController();
		const aborted = other.unpack(layer, {
			signal: controller.signal,
			onProgress: () => controller.abort(new Error("enough")),
		});
		await assert.rejects(aborted, /enough/);
		assert.deepEqual(readdirSync(join(own, "staging")), []);
		const closed = assert.rejects(
			other.unpack(layer, { onProgress: () => void other[Symbol.asyncDispose]() }),
			(error: unknown) => isSlipwayError(error, "UNAVAILABLE"),
		);
		await closed;
		assert.deepEqual(readdirSync(join(own, "staging")), []);
		assert.deepEqual(readdirSync(join(own, "layers/sha256")), []);
	});

	it("leave nothing on a full disk", async () => {
		const small = join(folder, "small");
		mkdirSync(small);
		mount("tmpfs", small, "tmpfs", 0n, "size=3m,nr_inodes=200");
		try {
			await using full = await OverlayRootfsStore.open({ root: small });
			const content = Buffer.alloc(8_000_000, "content ");
			const large = packLayer(folder, tar({ path: "large", content }));
			const many = packLayer(folder, tar(...Array.from({ length: 500 }, (_, i) => ({ path: `${i}` }))));
			for (const layer of [large, many]) {
				await assert.rejects(full.unpack(layer), (error: unknown) => isSlipwayError(error, "EXHAUSTED"));
				assert.deepEqual(readdirSync(join(small, "staging")), []);
				assert.equal(await full.has(layer.diffId), false);
			}
			await full.unpack(packLayer(folder, tar({ path: "fits", content: content.subarray(0, 1_000_000) })));
		} finally {
			umount(small);
		}
	});

	it("need a flat memory and keep the event loop free", async () => {
		const piece = Buffer.alloc(40_000_000);
		for (let i = 0; i < piece.length; i += 4) piece.writeUInt32LE((i * 2_654_435_761) >>> 0, i);
		const layer = packLayer(folder, tar(...[1, 2, 3].map((i) => ({ path: `${i}`, content: piece }))), "zstd");
		let longest = 0;
		let last = performance.now();
		const timer = setInterval(() => {
			longest = Math.max(longest, performance.now() - last);
			last = performance.now();
		}, 5);
		let peakKiB = 0;
		await store.unpack(layer, { onProgress: () => (peakKiB = Math.max(peakKiB, largestChildKiB())) });
		clearInterval(timer);
		assert.ok(longest < 150, `${longest} ms`);
		assert.ok(peakKiB < 200_000, `${peakKiB} KiB`);
		await store.remove(layer.diffId);
	});

	it("refuse what they are told not to be", async () => {
		const good = packLayer(folder, tar({ path: "a" }, pax({ comment: "c" }), entry({ path: "b" })));
		const cases: [Partial<PackedLayer>, string][] = [
			[{ digest: `sha256:${"1".repeat(64)}` }, "LayerDigestMismatch"],
			[{ diffId: `sha256:${"1".repeat(64)}` }, "LayerDiffIdMismatch"],
			[{ size: 1 }, "LayerSizeMismatch"],
		];
		for (const [changes, reason] of cases)
			await assert.rejects(
				store.unpack({ ...good, ...changes }),
				(error: unknown) => isSlipwayError(error, "DIGEST_MISMATCH") && error.reason === reason,
			);
		await assert.rejects(store.unpack({ ...good, path: join(folder, "missing") }), (error: unknown) =>
			isSlipwayError(error, "NOT_FOUND"),
		);
		assert.deepEqual(readdirSync(join(root, "staging")), []);
	});
});

/** Highest resident memory of this process's children, KiB. */
function largestChildKiB(): number {
	const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ").filter(Boolean);
	const peaks = children.map((pid) => {
		try {
			return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
		} catch {
			return 0; // It has just ended.
		}
	});
	return Math.max(0, ...peaks);
}

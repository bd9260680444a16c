/** Hand-made layers that try to get out of their folder or to wear the machine down. Each must be refused by name. */
import assert from "node:assert/strict";
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import type { LayerLimits } from "../../core/image/layer-limits.ts";
import { OverlayRootfsStore } from "./overlay-rootfs-store.ts";
import { entry, gnuLong, packLayer, pax, type TestEntry, tar } from "./tar-builder.ts";

const skip = process.getuid?.() === 0 ? false : "needs root (chroot, mknod)";

interface Case {
	name: string;
	reason: string;
	parts: (TestEntry | Buffer)[];
	limits?: Partial<LayerLimits>;
}

const canary = "/tmp/slipway-canary";
const cases: Case[] = [
	// Paths.
	{ name: "'..' at the start", reason: "LayerPathEscape", parts: [{ path: "../escaped" }] },
	{ name: "'..' in the middle", reason: "LayerPathEscape", parts: [{ path: "a/" }, { path: "a/../../escaped" }] },
	{ name: "'..' at the end", reason: "LayerPathEscape", parts: [{ path: "a/..", type: "5" }] },
	{ name: "'..' after a slash", reason: "LayerPathEscape", parts: [{ path: "/../../escaped" }] },
	{ name: "'..' in a GNU long name", reason: "LayerPathEscape", parts: [gnuLong("L", "../escaped"), { path: "fine" }] },
	{
		name: "'..' in a PAX path",
		reason: "LayerPathEscape",
		parts: [{ path: "fine", pax: { path: "a/../../escaped" } }],
	},
	{
		name: "'..' in a sparse name",
		reason: "LayerPathEscape",
		parts: [{ path: "fine", pax: { "GNU.sparse.name": "../e", "GNU.sparse.size": "0" } }],
	},
	{ name: "NUL in a PAX path", reason: "LayerPathNul", parts: [{ path: "fine", pax: { path: "a\0b" } }] },
	{ name: "name of 256 bytes", reason: "LayerNameTooLong", parts: [{ path: "a", pax: { path: "n".repeat(256) } }] },
	{
		name: "name of 128 two-byte characters",
		reason: "LayerNameTooLong",
		parts: [{ path: "a", pax: { path: "\xc3\xa9".repeat(128) } }],
	},
	{
		name: "path of 4097 bytes",
		reason: "LayerLimitPathBytes",
		parts: [{ path: "a", pax: { path: "d/".repeat(2049) } }],
	},
	{
		name: "GNU path of a megabyte",
		reason: "LayerLimitPathBytes",
		parts: [gnuLong("L", "d/".repeat(500_000)), { path: "a" }],
	},
	{ name: "root as a symlink", reason: "LayerPathInvalid", parts: [{ path: "./", type: "2", link: "/" }] },
	{ name: "root as a file", reason: "LayerPathInvalid", parts: [{ path: "/", type: "0" }] },
	// Through symlinks.
	{
		name: "file below a symlink to outside",
		reason: "LayerPathThroughSymlink",
		parts: [
			{ path: "out", type: "2", link: "/tmp" },
			{ path: "out/slipway-canary", content: "evil" },
		],
	},
	{
		name: "file below a climbing symlink",
		reason: "LayerPathThroughSymlink",
		parts: [
			{ path: "out", type: "2", link: "../../../../../../../tmp" },
			{ path: "out/slipway-canary", content: "evil" },
		],
	},
	{
		name: "file below a symlink inside",
		reason: "LayerPathThroughSymlink",
		parts: [{ path: "a/" }, { path: "b", type: "2", link: "a" }, { path: "b/file" }],
	},
	{
		name: "directory in place of a symlink",
		reason: "LayerPathThroughSymlink",
		parts: [{ path: "out", type: "2", link: "/tmp" }, { path: "out/" }],
	},
	{
		name: "whiteout below a symlink",
		reason: "LayerPathThroughSymlink",
		parts: [{ path: "out", type: "2", link: "/tmp" }, { path: "out/.wh.slipway-canary" }],
	},
	{
		name: "opaque marker below a symlink",
		reason: "LayerPathThroughSymlink",
		parts: [{ path: "out", type: "2", link: "/tmp" }, { path: "out/.wh..wh..opq" }],
	},
	{
		name: "device below a symlink",
		reason: "LayerPathThroughSymlink",
		parts: [
			{ path: "out", type: "2", link: "/dev" },
			{ path: "out/evil", type: "3", dev: [1, 3] },
		],
	},
	// Things that become others.
	{
		name: "file that becomes a symlink",
		reason: "LayerTypeChange",
		parts: [{ path: "a" }, { path: "a", type: "2", link: "/tmp" }],
	},
	{
		name: "symlink that becomes a file",
		reason: "LayerTypeChange",
		parts: [
			{ path: "a", type: "2", link: canary },
			{ path: "a", content: "evil" },
		],
	},
	{
		name: "directory that becomes a symlink",
		reason: "LayerTypeChange",
		parts: [{ path: "a/" }, { path: "a", type: "2", link: "/tmp" }, { path: "a/slipway-canary", content: "evil" }],
	},
	{ name: "directory that becomes a file", reason: "LayerTypeChange", parts: [{ path: "a/" }, { path: "a" }] },
	{
		name: "directory that becomes a hard link",
		reason: "LayerTypeChange",
		parts: [{ path: "a/" }, { path: "f" }, { path: "a", type: "1", link: "f" }],
	},
	{ name: "file that becomes a directory", reason: "LayerTypeChange", parts: [{ path: "a" }, { path: "a/b" }] },
	{
		name: "fifo that becomes a file",
		reason: "LayerTypeChange",
		parts: [
			{ path: "a", type: "6" },
			{ path: "a", content: "x" },
		],
	},
	{
		name: "device that becomes a file",
		reason: "LayerTypeChange",
		parts: [
			{ path: "a", type: "3", dev: [1, 3] },
			{ path: "a", content: "x" },
		],
	},
	// Hard links.
	{
		name: "hard link outside",
		reason: "LayerPathEscape",
		parts: [{ path: "a", type: "1", link: "../../../../../../tmp/slipway-canary" }],
	},
	{
		name: "hard link to an absolute path",
		reason: "LayerLinkAbsolute",
		parts: [{ path: "a", type: "1", link: canary }],
	},
	{
		name: "hard link through a symlink",
		reason: "LayerLinkThroughSymlink",
		parts: [
			{ path: "out", type: "2", link: "/tmp" },
			{ path: "a", type: "1", link: "out/slipway-canary" },
		],
	},
	{
		name: "hard link through a symlink inside",
		reason: "LayerLinkThroughSymlink",
		parts: [{ path: "d/f" }, { path: "s", type: "2", link: "d" }, { path: "a", type: "1", link: "s/f" }],
	},
	{
		name: "hard link to what is not there",
		reason: "LayerLinkTarget",
		parts: [{ path: "a", type: "1", link: "later" }, { path: "later" }],
	},
	{
		name: "hard link to a directory",
		reason: "LayerLinkTarget",
		parts: [{ path: "d/" }, { path: "a", type: "1", link: "d" }],
	},
	{
		name: "hard link to a whiteout",
		reason: "LayerLinkTarget",
		parts: [{ path: ".wh.f" }, { path: "a", type: "1", link: "f" }],
	},
	{ name: "hard link to the root", reason: "LayerLinkTarget", parts: [{ path: "a", type: "1", link: "." }] },
	{ name: "hard link to nothing", reason: "LayerLinkTarget", parts: [{ path: "a", type: "1", link: "" }] },
	// Symlinks.
	{ name: "symlink to nothing", reason: "LayerLinkTarget", parts: [{ path: "a", type: "2", link: "" }] },
	{
		name: "symlink of 4096 bytes",
		reason: "LayerLinkTarget",
		parts: [{ path: "a", type: "2", pax: { linkpath: "x".repeat(4096) } }],
	},
	{
		name: "symlink with a NUL",
		reason: "LayerLinkTarget",
		parts: [{ path: "a", type: "2", pax: { linkpath: "a\0b" } }],
	},
	// Mountpoints.
	...["dev", "proc", "sys"].map((name) => ({
		name: `/${name} as a symlink`,
		reason: "LayerMountpoint",
		parts: [{ path: `./${name}`, type: "2", link: "/tmp" }],
	})),
	{ name: "/dev as a file", reason: "LayerMountpoint", parts: [{ path: "/dev" }] },
	{
		name: "/proc as a hard link",
		reason: "LayerMountpoint",
		parts: [{ path: "a" }, { path: "proc", type: "1", link: "a" }],
	},
	{
		name: "/dev as a directory, then a symlink",
		reason: "LayerMountpoint",
		parts: [{ path: "dev/" }, { path: "dev", type: "2", link: "/tmp" }],
	},
	// Whiteouts.
	{ name: "whiteout of nothing", reason: "LayerWhiteoutName", parts: [{ path: "a/.wh." }] },
	{ name: "whiteout of '.'", reason: "LayerWhiteoutName", parts: [{ path: "a/.wh.." }] },
	{ name: "whiteout of '..'", reason: "LayerWhiteoutName", parts: [{ path: "a/.wh..." }] },
	{ name: "whiteout of '..' in the root", reason: "LayerWhiteoutName", parts: [{ path: ".wh..." }] },
	{ name: "whiteout of a whiteout", reason: "LayerWhiteoutName", parts: [{ path: ".wh..wh.a" }] },
	{ name: "aufs's own files", reason: "LayerWhiteoutName", parts: [{ path: ".wh..wh.aufs" }] },
	{ name: "whiteout with a slash", reason: "LayerWhiteoutPath", parts: [{ path: ".wh.a/b" }] },
	{ name: "whiteout of a path that climbs", reason: "LayerPathEscape", parts: [{ path: ".wh.a/../../b" }] },
	{ name: "file below the opaque marker", reason: "LayerWhiteoutPath", parts: [{ path: "a/.wh..wh..opq/b" }] },
	{ name: "opaque marker as a directory", reason: "LayerWhiteoutType", parts: [{ path: "a/.wh..wh..opq/" }] },
	{
		name: "opaque marker as a symlink",
		reason: "LayerWhiteoutType",
		parts: [{ path: "a/.wh..wh..opq", type: "2", link: "/" }],
	},
	{
		name: "opaque marker with content",
		reason: "LayerWhiteoutType",
		parts: [{ path: "a/.wh..wh..opq", content: "x" }],
	},
	{
		name: "whiteout as a hard link",
		reason: "LayerWhiteoutType",
		parts: [{ path: "a" }, { path: ".wh.b", type: "1", link: "a" }],
	},
	{
		name: "device that overlayfs takes for a whiteout",
		reason: "LayerDeviceNumber",
		parts: [{ path: "etc/passwd", type: "3", dev: [0, 0] }],
	},
	{
		name: "overlayfs's opaque attribute",
		reason: "LayerXattrName",
		parts: [{ path: "a/", pax: { "SCHILY.xattr.trusted.overlay.opaque": "y" } }],
	},
	{
		name: "overlayfs's redirect",
		reason: "LayerXattrName",
		parts: [{ path: "a/", pax: { "SCHILY.xattr.trusted.overlay.redirect": "/../../etc" } }],
	},
	{
		name: "overlayfs's redirect for all",
		reason: "LayerXattrName",
		parts: [pax({ "SCHILY.xattr.trusted.overlay.redirect": "/etc" }, "g"), { path: "a" }],
	},
	// Devices, owners, attributes.
	{ name: "setuid device", reason: "LayerDeviceMode", parts: [{ path: "a", type: "3", mode: 0o4666, dev: [1, 3] }] },
	{
		name: "setgid block device",
		reason: "LayerDeviceMode",
		parts: [{ path: "a", type: "4", mode: 0o2666, dev: [8, 0] }],
	},
	{
		name: "device with a major number over 12 bits",
		reason: "LayerDeviceNumber",
		parts: [{ path: "a", type: "3", dev: [4096, 1] }],
	},
	{
		name: "device with a minor number over 20 bits",
		reason: "LayerDeviceNumber",
		parts: [{ path: "a", type: "4", dev: [1, 2 ** 20] }],
	},
	{ name: "negative device number", reason: "LayerHeaderNumber", parts: [{ path: "a", type: "4", dev: [-1, 1] }] },
	{ name: "owner 2^32-1", reason: "LayerOwner", parts: [{ path: "a", uid: 0xffff_ffff }] },
	{ name: "owner over 32 bits", reason: "LayerOwner", parts: [{ path: "a", pax: { gid: "4294967296" } }] },
	{
		name: "attribute of the machine",
		reason: "LayerXattrName",
		parts: [{ path: "a", pax: { "SCHILY.xattr.security.evm": "x" } }],
	},
	{
		name: "capabilities that are none",
		reason: "LayerXattrValue",
		parts: [{ path: "a", pax: { "SCHILY.xattr.security.capability": "x" } }],
	},
	{
		name: "attributes over the limit",
		reason: "LayerLimitXattrBytes",
		parts: [{ path: "a", pax: { "SCHILY.xattr.user.a": "x".repeat(70_000) } }],
	},
	// Sizes and counts.
	{
		name: "entries over the limit",
		reason: "LayerLimitEntries",
		parts: [{ path: "a" }, { path: "b" }, { path: "c" }],
		limits: { entries: 2 },
	},
	{
		name: "files over the limit",
		reason: "LayerLimitUnpackedBytes",
		parts: [
			{ path: "a", content: "x".repeat(600) },
			{ path: "b", content: "x".repeat(600) },
		],
		limits: { unpackedBytes: 1000 },
	},
	{
		name: "directories over the limit",
		reason: "LayerLimitDirectoryIndexBytes",
		parts: Array.from({ length: 20 }, (_, i) => ({ path: `directory${i}/` })),
		limits: { directoryIndexBytes: 1000 },
	},
	{
		name: "bomb",
		reason: "LayerLimitExpansionRatio",
		parts: [{ path: "zeros", content: Buffer.alloc(5_000_000) }],
		limits: { expansionFreeBytes: 1_000_000 },
	},
	{
		name: "sparse file over the limit",
		reason: "LayerLimitUnpackedBytes",
		parts: [{ path: "a", pax: { "GNU.sparse.size": "99999999999999", "GNU.sparse.map": "" } }],
	},
	{ name: "archive cut in a file", reason: "LayerTruncated", parts: [entry({ path: "a", size: 100_000 })] },
	{ name: "unknown type", reason: "LayerEntryType", parts: [{ path: "a", type: "V" }] },
];

describe("evil layers", { skip }, () => {
	let folder: string;
	before(() => {
		folder = mkdtempSync(join(tmpdir(), "slipway-evil-"));
		writeFileSync(canary, "canary");
	});
	after(() => {
		rmSync(folder, { recursive: true, force: true });
		rmSync(canary, { force: true });
	});

	/** Stores differ in their limits, and share their folder: none leaves anything in it. A good part comes first, so that there is something to leave behind. */
	async function refused({ parts, reason, limits }: Case): Promise<void> {
		const root = join(folder, "store");
		await using store = await OverlayRootfsStore.open({ root, ...(limits && { limits }) });
		const archive = limits?.entries
			? tar(...parts)
			: tar({ path: "good/" }, { path: "good/file", content: "good" }, ...parts);
		const layer = packLayer(folder, reason === "LayerTruncated" ? archive.subarray(0, -1024) : archive);
		await assert.rejects(store.unpack(layer), (error: unknown) => {
			assert.ok(isSlipwayError(error), `${error instanceof Error ? error.stack : error}`);
			assert.deepEqual([error.code, error.reason], ["INVALID_IMAGE", reason], error.message);
			assert.ok(error.message.includes(layer.digest));
			return true;
		});
		assert.equal(await store.has(layer.diffId), false);
		assert.deepEqual(readdirSync(join(root, "staging")), []);
		assert.deepEqual(readdirSync(join(root, "layers/sha256")), []);
		assert.equal(readFileSync(canary, "utf8"), "canary");
		assert.equal(lstatSync(canary).nlink, 1);
		for (const escaped of [join(root, "escaped"), join(root, "staging/escaped"), "/escaped"])
			assert.ok(!existsSync(escaped));
	}

	for (const evil of cases) it(`are refused: ${evil.name}`, () => refused(evil));
});

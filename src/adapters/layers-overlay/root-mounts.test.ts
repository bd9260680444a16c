/** What a sandbox finds in a stacked root. Mounts are made in this process's own mount namespace and taken away again. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
	existsSync,
	lstatSync,
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
import type { Digest } from "../../core/image/digest.ts";
import { OverlayRootfsStore } from "./overlay-rootfs-store.ts";
import { packLayer, type TestEntry, tar } from "./tar-builder.ts";

const skip = process.getuid?.() === 0 ? false : "needs root (mount)";

describe("stacked roots", { skip }, () => {
	let folder: string;
	let store: OverlayRootfsStore;
	before(async () => {
		folder = mkdtempSync(join(tmpdir(), "slipway-roots,with:odd\\name-"));
		store = await OverlayRootfsStore.open({ root: join(folder, "store") });
	});
	after(async () => {
		await store[Symbol.asyncDispose]();
		assert.deepEqual(mountsBelow(folder), []);
		rmSync(folder, { recursive: true, force: true });
	});

	async function unpack(...parts: TestEntry[]): Promise<Digest> {
		return (await store.unpack(packLayer(folder, tar(...parts), "none"))).diffId;
	}

	/** Stacks layers, lowest first, and looks at them. */
	async function stacked(
		layers: Digest[],
		look: (at: (path: string) => string) => void | Promise<void>,
	): Promise<void> {
		const rootfs = await store.acquire(layers);
		try {
			await look((path) => join(rootfs.path, path));
		} finally {
			await rootfs.release();
		}
	}

	const mode = (path: string) => lstatSync(path).mode & 0o7777;
	const text = (path: string) => readFileSync(path, "utf8");

	function hasMountpoints(at: (path: string) => string): void {
		for (const [name, bits] of [
			["proc", 0o555],
			["sys", 0o555],
			["dev", 0o755],
			["tmp", 0o1777],
		] as const) {
			const stat = lstatSync(at(name));
			assert.ok(stat.isDirectory(), name);
			assert.deepEqual([stat.mode & 0o7777, stat.uid, stat.gid], [bits, 0, 0], name);
			assert.deepEqual(readdirSync(at(name)), [], name);
		}
	}

	it("are read-only, nodev and nosuid", async () => {
		await stacked([await unpack({ path: "file", content: "x" })], (at) => {
			assert.throws(() => writeFileSync(at("file"), "y"), /EROFS/);
			const options = execFileSync("findmnt", ["-no", "OPTIONS", at("")], { encoding: "utf8" });
			for (const option of ["ro", "nodev", "nosuid"]) assert.ok(options.split(/[,\n]/).includes(option), options);
		});
	});

	it("are mounted again when another program has unmounted them", async () => {
		const layers = [await unpack({ path: "kept", content: "x" })];
		const first = await store.acquire(layers);
		execFileSync("umount", ["-l", first.path]);
		await stacked(layers, (at) => assert.equal(text(at("kept")), "x"));
		execFileSync("umount", ["-l", first.path]);
		await first.release();
		await stacked(layers, (at) => assert.equal(text(at("kept")), "x"));
	});

	it("let higher layers replace and hide what lower ones have", async () => {
		const low = await unpack(
			{ path: "a/keep", content: "low" },
			{ path: "a/gone" },
			{ path: "a/changed", content: "low" },
			{ path: "b/hidden" },
			{ path: "c/x" },
		);
		const high = await unpack(
			{ path: "a/.wh.gone" },
			{ path: "a/changed", content: "high" },
			{ path: "b/.wh..wh..opq" },
			{ path: "b/new" },
			{ path: ".wh.c" },
		);
		await stacked([low, high], (at) => {
			assert.deepEqual(readdirSync(at("a")), ["changed", "keep"]);
			assert.equal(text(at("a/changed")) + text(at("a/keep")), "highlow");
			assert.deepEqual(readdirSync(at("b")), ["new"]);
			assert.ok(!existsSync(at("c")));
		});
		await stacked([high, low], (at) => assert.deepEqual(readdirSync(at("a")), ["changed", "gone", "keep"]));
	});

	it("name the files of a folder, through links that stay inside and no others", async () => {
		writeFileSync(join(folder, "outside"), "x");
		const low = await unpack(
			{ path: "opt/extensions/b", mode: 0o755 },
			{ path: "opt/extensions/gone" },
			{ path: "opt/extensions/folder/file" },
			{ path: "bin/tool" },
		);
		const high = await unpack(
			{ path: "opt/extensions/a" },
			{ path: "opt/extensions/.wh.gone" },
			{ path: "opt/extensions/inside", type: "2", link: "/bin/tool" },
			{ path: "opt/extensions/above", type: "2", link: "../../../../../../bin/tool" },
			{ path: "opt/extensions/outside", type: "2", link: join(folder, "outside") },
			{ path: "opt/extensions/circle", type: "2", link: "circle" },
			{ path: "opt/extensions/to-folder", type: "2", link: "/bin" },
			{ path: "linked", type: "2", link: "/opt/extensions" },
		);
		const rootfs = await store.acquire([low, high]);
		const names = ["a", "above", "b", "inside"];
		assert.deepEqual(
			await rootfs.files("/opt/extensions"),
			names.map((name) => `/opt/extensions/${name}`),
		);
		assert.equal(await rootfs.files("/opt/extensions"), await rootfs.files("/opt/extensions"));
		assert.deepEqual(
			await rootfs.files("/linked"),
			names.map((name) => `/linked/${name}`),
		);
		for (const nowhere of ["/nowhere", "/opt/extensions/a", "/opt/extensions/circle", folder])
			assert.deepEqual(await rootfs.files(nowhere), [], nowhere);
		await rootfs.release();
	});

	it("list no folder of more files than anybody has use for", async () => {
		const links = Array.from(
			{ length: 5001 },
			(_, i) => ({ path: `opt/${i}`, type: "2", link: "/etc/passwd" }) as const,
		);
		const rootfs = await store.acquire([await unpack({ path: "opt/" }, ...links)]);
		await assert.rejects(rootfs.files("/opt"), /more than 5000 entries/);
		await rootfs.release();
	});

	it("leave out what an opaque root hides", async () => {
		const low = await unpack({ path: "low" }, { path: "etc/", mode: 0o700 }, { path: "etc/low" });
		const high = await unpack({ path: ".wh..wh..opq" }, { path: "high" });
		await stacked([low, high], (at) => {
			assert.ok(existsSync(at("high")));
			assert.ok(!existsSync(at("low")));
			assert.deepEqual(readdirSync(at("etc")), ["hostname", "hosts", "resolv.conf"]);
		});
	});

	it("hold everything that a sandbox mounts on, whatever the image has", async () => {
		const evil = await unpack(
			{ path: "dev/" },
			{ path: "dev/pts", type: "2", link: "/tmp" },
			{ path: "dev/null", type: "2", link: "/etc/passwd" },
			{ path: "proc/" },
			{ path: "proc/sys", type: "2", link: "/" },
			{ path: "sys/", mode: 0o777, uid: 1000 },
			{ path: "tmp", type: "2", link: "/etc" },
			{ path: "etc/", mode: 0o755 },
			{ path: "etc/hosts", type: "2", link: "/root/.ssh/authorized_keys" },
			{ path: "etc/resolv.conf/", mode: 0o755 },
			{ path: "etc/passwd", content: "root" },
		);
		for (const layers of [[], [evil], [await unpack({ path: ".wh.dev" }, { path: ".wh.etc" }, { path: ".wh.tmp" })]])
			await stacked(layers, (at) => {
				hasMountpoints(at);
				assert.equal(mode(at("etc")), 0o755);
				for (const name of ["hosts", "hostname", "resolv.conf"]) {
					assert.ok(lstatSync(at(`etc/${name}`)).isFile(), name);
					assert.equal(mode(at(`etc/${name}`)), 0o644);
				}
			});
		await stacked([evil], (at) => assert.equal(text(at("etc/passwd")), "root"));
	});

	it("keep the owner, mode and time of the image's own root and /etc", async () => {
		const layer = await unpack(
			{ path: "./", mode: 0o711, uid: 3, mtime: 50 },
			{ path: "etc/", mode: 0o2750, uid: 1, gid: 2, mtime: 60 },
		);
		await stacked([layer, await unpack({ path: "other" })], (at) => {
			const [root, etc] = [lstatSync(at("")), lstatSync(at("etc"))];
			assert.deepEqual([root.mode & 0o7777, root.uid, root.mtimeMs], [0o711, 3, 50_000]);
			assert.deepEqual([etc.mode & 0o7777, etc.uid, etc.gid, etc.mtimeMs], [0o2750, 1, 2, 60_000]);
		});
	});

	it("follow an /etc that is a symlink, inside the image only", async () => {
		const nix = await unpack(
			{ path: "nix/store/etc-1/", mode: 0o555, mtime: 7 },
			{ path: "nix/store/etc-1/passwd", content: "nix" },
			{ path: "nix/current", type: "2", link: "../nix/store" },
			{ path: "etc", type: "2", link: "/nix/current/etc-1" },
		);
		await stacked([nix], (at) => {
			assert.equal(readlinkSync(at("etc")), "/nix/current/etc-1");
			assert.deepEqual(readdirSync(at("nix/store/etc-1")), ["hostname", "hosts", "passwd", "resolv.conf"]);
			assert.equal(mode(at("nix/store/etc-1")), 0o555);
		});
		for (const target of ["/nowhere", "etc", "../../../../../../etc2", "/tmp/etc", "/dev"]) {
			const layer = await unpack({ path: "etc", type: "2", link: target }, { path: "tmp/etc/" }, { path: "dev/" });
			await stacked([layer], (at) => {
				assert.ok(lstatSync(at("etc")).isDirectory(), target);
				assert.deepEqual(readdirSync(at("etc")), ["hostname", "hosts", "resolv.conf"]);
				hasMountpoints(at);
			});
		}
		await stacked([await unpack({ path: "etc", content: "a file" })], (at) =>
			assert.ok(lstatSync(at("etc")).isDirectory()),
		);
	});

	it("describe a directory by the layer that has an entry for it", async () => {
		const low = await unpack(
			{ path: "home/", mode: 0o711, uid: 9 },
			{ path: "home/user/", mode: 0o700, uid: 1000, gid: 1000, mtime: 70 },
			{ path: "opt/", mode: 0o700 },
		);
		const high = await unpack({ path: "home/user/.profile", uid: 1000 }, { path: "opt/" }, { path: "opt/x" });
		await stacked([low, high], (at) => {
			const stat = lstatSync(at("home/user"));
			assert.deepEqual([stat.mode & 0o7777, stat.uid, stat.gid, stat.mtimeMs], [0o700, 1000, 1000, 70_000]);
			assert.deepEqual([mode(at("home")), lstatSync(at("home")).uid], [0o711, 9]);
			assert.deepEqual(readdirSync(at("home/user")), [".profile"]);
			assert.equal(mode(at("opt")), 0o644);
		});
	});

	it("take 127 layers, each with a folder of its own and a shared one", async () => {
		const layers: Digest[] = [];
		const small = await OverlayRootfsStore.open({ root: join(folder, "many") });
		try {
			for (let i = 0; i < 127; i++) {
				const layer = packLayer(
					folder,
					tar({ path: `own${i}/file`, content: `${i}` }, { path: "shared/" }, { path: "shared/top", content: `${i}` }),
					"none",
				);
				layers.push(layer.diffId);
				// A hundred processes would take long: what is tested is the mount.
				if (i < 2) await small.unpack(layer);
				else {
					const base = join(folder, "many/layers/sha256");
					execFileSync("cp", ["-a", join(base, layers[1]!.slice(7)), join(base, layer.diffId.slice(7))]);
					execFileSync("mv", [
						join(base, layer.diffId.slice(7), "fs/own1"),
						join(base, layer.diffId.slice(7), `fs/own${i}`),
					]);
					writeFileSync(join(base, layer.diffId.slice(7), "fs/shared/top"), `${i}`);
					const record = JSON.parse(text(join(base, layer.diffId.slice(7), "layer.json")));
					writeFileSync(
						join(base, layer.diffId.slice(7), "layer.json"),
						JSON.stringify({ ...record, diffId: layer.diffId }),
					);
				}
			}
		} finally {
			await small[Symbol.asyncDispose]();
		}
		await using many = await OverlayRootfsStore.open({ root: join(folder, "many") });
		for (const count of [100, 127]) {
			const rootfs = await many.acquire(layers.slice(0, count));
			assert.equal(readdirSync(rootfs.path).filter((name) => name.startsWith("own")).length, count);
			assert.equal(text(join(rootfs.path, "shared/top")), `${count - 1}`);
			await rootfs.release();
		}
		const tooMany = many.acquire([...layers, layers[0]!]);
		await assert.rejects(
			tooMany,
			(error: unknown) => isSlipwayError(error, "INVALID_IMAGE") && error.reason === "TooManyLayers",
		);
	});

	it("stay mounted for the next one, but no more than 64 of them", async () => {
		const layers = await Promise.all(["x", "y", "z", "u", "v"].map((path) => unpack({ path })));
		const held = await store.acquire(layers);
		const before = mountsBelow(folder).length;
		let stacks = 0;
		for (const a of layers)
			for (const b of layers)
				for (const c of layers) if (stacks++ < 90) await (await store.acquire([a, b, c].slice(0, 3))).release();
		assert.ok(mountsBelow(folder).length <= Math.max(before, 65));
		assert.ok(existsSync(join(held.path, "x")));
		const again = await store.acquire(layers);
		assert.equal(again.path, held.path);
		await again.release();
		await held.release();
	});

	it("are taken away when a process left them mounted", async () => {
		const root = join(folder, "crash");
		const layer = packLayer(folder, tar({ path: "crash" }));
		const script = `
			const { OverlayRootfsStore } = await import(${JSON.stringify(new URL("./overlay-rootfs-store.ts", import.meta.url).href)});
			const store = await OverlayRootfsStore.open({ root: ${JSON.stringify(root)} });
			await store.unpack(${JSON.stringify(layer)});
			console.log((await store.acquire([${JSON.stringify(layer.diffId)}])).path);
			process.kill(process.pid, "SIGKILL");`;
		assert.throws(
			() =>
				execFileSync(process.execPath, ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script], {
					stdio: "pipe",
				}),
			/SIGKILL|Command failed/,
		);
		assert.equal(mountsBelow(root).length, 1);
		await using store = await OverlayRootfsStore.open({ root });
		assert.equal(mountsBelow(root).length, 0);
		assert.deepEqual(readdirSync(join(root, "roots")), []);
		assert.ok(await store.has(layer.diffId));
	});
});

function mountsBelow(folder: string): string[] {
	const escaped = folder.replaceAll("\\", "\\134");
	return readFileSync("/proc/self/mountinfo", "utf8")
		.split("\n")
		.filter((line) => line.split(" ")[4]?.startsWith(`${escaped}/`));
}

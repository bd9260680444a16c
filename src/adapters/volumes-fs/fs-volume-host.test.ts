import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { isSlipwayError } from "../../base/error.ts";
import { volumeHostContract } from "../../core/workload/volume-host.contract.ts";
import { FsVolumeHost } from "./fs-volume-host.ts";

const isInvalid = (error: unknown) => isSlipwayError(error, "INVALID");

if (process.getuid?.() !== 0) test("FsVolumeHost", { skip: "needs root" });
else {
	const folder = mkdtempSync(join(tmpdir(), "slipway-volumes-"));
	const options = { runFolder: join(folder, "run"), persistentFolder: join(folder, "volumes") };
	after(() => rmSync(folder, { recursive: true, force: true }));
	volumeHostContract("fs", async () => ({
		volumes: await FsVolumeHost.open(options),
		[Symbol.asyncDispose]: async () => {},
	}));

	describe("FsVolumeHost", () => {
		test("an emptyDir holds no more than its size and is gone with its disposal", async () => {
			const volumes = await FsVolumeHost.open(options);
			const volume = await volumes.emptyDir("small-0", 1);
			assert.equal(statSync(volume.path).mode & 0o7777, 0o777);
			writeFileSync(join(volume.path, "fits"), Buffer.alloc(500_000));
			assert.throws(() => writeFileSync(join(volume.path, "big"), Buffer.alloc(1_000_000)), { code: "ENOSPC" });
			const empty = (count: number) => {
				for (let at = 0; at < count; at++) writeFileSync(join(volume.path, `empty-${at}`), "");
			};
			assert.throws(() => empty(300), { code: "ENOSPC" }, "inodes are memory too");
			await volume[Symbol.asyncDispose]();
			assert.ok(!existsSync(volume.path));
		});

		test("files have their contents and mode, and names that are one segment", async () => {
			const volumes = await FsVolumeHost.open(options);
			await using volume = await volumes.files("files-0", { key: "secret", "a.conf": "x=1\n" }, 0o440);
			assert.equal(readFileSync(join(volume.path, "key"), "utf8"), "secret");
			assert.equal(statSync(join(volume.path, "a.conf")).mode & 0o7777, 0o440);
			for (const name of ["../x", "a/b", "..", ""])
				await assert.rejects(volumes.files("files-1", { [name]: "" }, 0o444), isInvalid);
			await assert.rejects(volumes.files("files-1", { big: "x".repeat(2 ** 20 + 1) }, 0o444), isInvalid);
			assert.deepEqual(readdirSync(options.runFolder), ["files-0"]);
		});

		test("a claim keeps its files, and its name can't lead anywhere else", async () => {
			const volumes = await FsVolumeHost.open(options);
			{
				await using volume = await volumes.persistent("kept");
				writeFileSync(join(volume.path, "file"), "here");
			}
			await using again = await (await FsVolumeHost.open(options)).persistent("kept");
			assert.equal(readFileSync(join(again.path, "file"), "utf8"), "here");
			for (const claim of ["..", "a/b", "", ".x", "A"]) await assert.rejects(volumes.persistent(claim), isInvalid);
			await volumes.removePersistent("kept");
			assert.ok(!existsSync(again.path));
		});

		test("a link that a container made is not followed", async () => {
			const volumes = await FsVolumeHost.open(options);
			await using volume = await volumes.emptyDir("link-0", 1);
			symlinkSync("/", join(volume.path, "root"));
			for (const path of ["root/etc", "root"]) await assert.rejects(volume.ensure(path), isInvalid);
			mkdirSync(join(volume.path, "again"));
			symlinkSync("root", join(volume.path, "again/loop"));
			await assert.rejects(volume.ensure("again/loop"), isInvalid);
			writeFileSync(join(volume.path, "again/file"), "");
			await volume.ensure("again/file");
			await assert.rejects(volume.ensure("again/file/more"), isInvalid);
			await volume.ensure("again/new");
			assert.equal(statSync(join(volume.path, "again/new")).mode & 0o7777, 0o777);
		});

		test("a container that puts links in the way while folders are made gets none outside", async () => {
			const volumes = await FsVolumeHost.open(options);
			await using volume = await volumes.emptyDir("race-0", 1);
			const outside = join(folder, "outside");
			mkdirSync(outside, { mode: 0o700 });
			const swapping = `cd ${volume.path}; while :; do rm -rf a; ln -s ${outside} a; rm a; mkdir a; done`;
			const attacker = spawn("sh", ["-c", swapping], { stdio: "ignore" });
			try {
				for (let round = 0; round < 2000; round++) {
					await volume.ensure("a/b").catch(() => {});
					if (round % 50 === 0) await setImmediate();
				}
			} finally {
				attacker.kill("SIGKILL");
				await once(attacker, "exit");
			}
			assert.deepEqual([readdirSync(outside), statSync(outside).mode & 0o7777], [[], 0o700]);
		});

		test("what an earlier daemon left is removed", async () => {
			const volumes = await FsVolumeHost.open(options);
			const left = await volumes.emptyDir("left-0", 1);
			writeFileSync(join(left.path, "file"), "");
			await FsVolumeHost.open(options);
			assert.deepEqual(readdirSync(options.runFolder), []);
		});
	});
}

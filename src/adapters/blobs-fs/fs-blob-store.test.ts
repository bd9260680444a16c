import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { longestTurn } from "../../base/testing/longest-turn.ts";
import { blobStoreContract, chunks, code, digestOf } from "../../core/image/blob-store.contract.ts";
import { FsBlobStore } from "./fs-blob-store.ts";

async function temporary(): Promise<{ root: string } & AsyncDisposable> {
	const root = await mkdtemp(join(tmpdir(), "slipway-blobs-"));
	return { root, [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }) };
}

blobStoreContract("fs", async () => {
	const folder = await temporary();
	let now = Date.now();
	const clock = { ...systemClock, now: () => now };
	const store = await FsBlobStore.open({ root: folder.root, uploadTtlMs: 60_000, clock });
	return {
		store,
		uploadTtlMs: 60_000,
		advance: (ms) => (now += ms),
		[Symbol.asyncDispose]: folder[Symbol.asyncDispose],
	};
});

describe("FsBlobStore", () => {
	it("takes an upload up again after a restart, and verifies it", async () => {
		await using folder = await temporary();
		const first = await FsBlobStore.open({ root: folder.root });
		const [good, bad] = [await first.beginUpload(), await first.beginUpload()];
		await first.append(good, 0, chunks("hel"));
		await first.append(bad, 0, chunks("hxl"));

		const second = await FsBlobStore.open({ root: folder.root });
		assert.equal(await second.uploadSize(good), 3);
		for (const id of [good, bad]) await second.append(id, 3, chunks("lo"));
		await second.commitUpload(good, digestOf("hello"));
		await assert.rejects(second.commitUpload(bad, digestOf("hello!")), code("DIGEST_MISMATCH"));
		assert.deepEqual(await second.stat(digestOf("hello")), { size: 5 });
		assert.deepEqual(await readdir(join(folder.root, "uploads")), []);
	});

	it("forgets what a crash left half-done", async () => {
		await using folder = await temporary();
		await FsBlobStore.open({ root: folder.root });
		await writeFile(join(folder.root, "tmp", "torn"), "half a blo");
		const store = await FsBlobStore.open({ root: folder.root });
		assert.deepEqual(await readdir(join(folder.root, "tmp")), []);
		assert.deepEqual(await Array.fromAsync(store.list()), []);
	});

	it("expires sessions of earlier processes by their age", async () => {
		await using folder = await temporary();
		const id = await (await FsBlobStore.open({ root: folder.root })).beginUpload();
		const clock = { ...systemClock, now: () => Date.now() + 3_600_000 };
		const store = await FsBlobStore.open({ root: folder.root, uploadTtlMs: 1_800_000, clock });
		await assert.rejects(store.uploadSize(id), code("NOT_FOUND"));
		assert.equal(await store.expireUploads(clock.now()), 1);
		await assert.rejects(stat(join(folder.root, "uploads", id)), { code: "ENOENT" });
	});

	it("bounds the sessions", async () => {
		await using folder = await temporary();
		const store = await FsBlobStore.open({ root: folder.root, maxUploads: 2 });
		const id = await store.beginUpload();
		await store.beginUpload();
		await assert.rejects(store.beginUpload(), code("THROTTLED"));
		await store.cancelUpload(id);
		await store.beginUpload();
	});

	it("holds the event loop for a part of the time that hashing a huge buffer takes, while it stores four of them", async (t) => {
		await using folder = await temporary();
		const store = await FsBlobStore.open({ root: folder.root });
		const part = Buffer.alloc(64 * 1024 * 1024, 7);
		const digest = digestOf(Buffer.concat([part, part, part, part]));
		const digestOf512 = digestOf(part, "sha512");
		await store.put({ digest: digestOf("warm") }, chunks("warm"));
		const before = process.threadCpuUsage();
		digestOf(part);
		const { user, system } = process.threadCpuUsage(before);
		const hashingMs = (user + system) / 1000;
		const ms = await longestTurn(async () => {
			await store.put({ digest }, chunks2(part, 4));
			const id = await store.beginUpload();
			await store.append(id, 0, chunks2(part, 1));
			await store.commitUpload(id, digestOf512); // another algorithm: hashed again, in a worker
		});
		t.diagnostic(`longest turn ${ms.toFixed(1)} ms, hashing one of the buffers ${hashingMs.toFixed(1)} ms`);
		assert.ok(ms < hashingMs / 2, `a turn of the event loop took ${ms.toFixed(1)} ms of ${hashingMs.toFixed(1)}`);
	});
});

/** Without the copy that `chunks` makes, which would itself block. */
async function* chunks2(part: Buffer, times: number) {
	for (let i = 0; i < times; i++) yield part;
}

const isRoot = process.getuid?.() === 0;
describe("FsBlobStore on a full disk", { skip: isRoot ? false : "needs root to mount a small tmpfs" }, () => {
	it("is EXHAUSTED, shows nothing, keeps the session, and works on when there is room again", async () => {
		await using folder = await temporary();
		execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder.root]);
		try {
			const store = await FsBlobStore.open({ root: folder.root });
			const big = Buffer.alloc(3 * 1024 * 1024, 1);
			await assert.rejects(store.put({ digest: digestOf(big) }, chunks(big)), code("EXHAUSTED"));
			assert.deepEqual(await Array.fromAsync(store.list()), []);
			assert.deepEqual(await readdir(join(folder.root, "tmp")), []);

			const id = await store.beginUpload();
			const half = Buffer.alloc(512 * 1024, 2);
			await store.append(id, 0, chunks(half));
			await assert.rejects(store.append(id, half.length, chunks(half, half)), code("EXHAUSTED"));
			const held = await store.uploadSize(id);
			execFileSync("mount", ["-o", "remount,size=4m", folder.root]);
			await store.append(id, held, chunks(Buffer.alloc(half.length * 3 - held, 2)));
			await store.commitUpload(id, digestOf(Buffer.alloc(half.length * 3, 2)));
		} finally {
			execFileSync("umount", [folder.root]);
		}
	});
});

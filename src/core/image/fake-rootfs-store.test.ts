import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { FakeRootfsStore } from "./fake-rootfs-store.ts";
import { packTestLayer, rootfsStoreContract } from "./rootfs-store.contract.ts";

rootfsStoreContract("FakeRootfsStore", async () => new FakeRootfsStore());

it("fails on demand and counts what is held", async () => {
	const folder = await mkdtemp(join(tmpdir(), "slipway-fake-rootfs-"));
	try {
		const store = new FakeRootfsStore();
		const layer = await packTestLayer(folder, "content");
		store.failNext(new Error("as told"));
		await assert.rejects(store.unpack(layer), /as told/);
		await store.unpack(layer);
		const rootfs = await store.acquire([layer.diffId]);
		assert.equal(store.held, 1);
		await rootfs.release();
		assert.equal(store.held, 0);
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
});

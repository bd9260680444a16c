/** Everything that is on the disk: records, messages, blobs, unpacked layers, logs. */
import { join } from "node:path";
import { FsBlobStore } from "../adapters/blobs-fs/fs-blob-store.ts";
import { OverlayRootfsStore } from "../adapters/layers-overlay/overlay-rootfs-store.ts";
import { FsLogStore } from "../adapters/logs-fs/fs-log-store.ts";
import { SqliteMessageLog } from "../adapters/message-log-sqlite/sqlite-message-log.ts";
import { SqliteStore } from "../adapters/store-sqlite/sqlite-store.ts";
import type { Lifetime } from "../base/lifetime.ts";
import type { WireInput } from "./daemon.ts";

export type Storage = Awaited<ReturnType<typeof openStorage>>;

export async function openStorage({ config, clock, ids, log }: WireInput, lifetime: Lifetime) {
	const folder = (name: string) => join(config.home, name);
	const store = lifetime.use(await SqliteStore.open({ path: folder("state.db") }));
	const messages = lifetime.use(await SqliteMessageLog.open({ path: folder("events.db"), clock, log }));
	const blobs = await FsBlobStore.open({ root: folder("blobs"), uploadTtlMs: config.uploadTtlMs, clock, ids });
	const { maxBytes, maxEntries, maxRatio } = config.layers;
	const limits = { unpackedBytes: maxBytes, entries: maxEntries, expansionRatio: maxRatio };
	const rootfs = await OverlayRootfsStore.open({ root: folder("layers"), limits, log });
	lifetime.use(rootfs);
	const logs = lifetime.use(
		await FsLogStore.open({ root: folder("logs"), clock, log, maxGroupBytes: config.logGroupMaxBytes }),
	);
	return { store, messages, blobs, rootfs, logs };
}

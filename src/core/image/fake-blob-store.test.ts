import { systemClock } from "../../base/clock.ts";
import { blobStoreContract } from "./blob-store.contract.ts";
import { FakeBlobStore } from "./fake-blob-store.ts";

blobStoreContract("fake", async () => {
	let now = 1_000_000;
	const store = new FakeBlobStore({ uploadTtlMs: 1000, clock: { ...systemClock, now: () => now } });
	return { store, uploadTtlMs: 1000, advance: (ms) => (now += ms), async [Symbol.asyncDispose]() {} };
});

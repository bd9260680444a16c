import type { Digest } from "../../core/image/digest.ts";

/**
 * Keeps the collector off blobs and layers that somebody is about to refer to. Who pins a digest before looking whether
 * it is there, and releases it once something refers to it, may rely on what it saw: the collector takes no pinned
 * digest, and a removal that had begun is waited for.
 */
export class BlobPins {
	readonly #pinned = new Map<Digest, number>();
	readonly #removing = new Map<Digest, Promise<unknown>>();

	/** Counted. The returned function releases, once. */
	async pin(digests: Iterable<Digest>): Promise<() => void> {
		const held = [...new Set(digests)];
		for (const digest of held) this.#pinned.set(digest, (this.#pinned.get(digest) ?? 0) + 1);
		await Promise.all(held.map((digest) => this.#removing.get(digest)));
		return () => {
			for (const digest of held.splice(0)) {
				const count = (this.#pinned.get(digest) ?? 1) - 1;
				if (count === 0) this.#pinned.delete(digest);
				else this.#pinned.set(digest, count);
			}
		};
	}

	isPinned(digest: Digest): boolean {
		return this.#pinned.has(digest);
	}

	/** Calls `remove` with those that are not pinned; whoever pins one of them meanwhile waits for its end. */
	async removing(digests: readonly Digest[], remove: (free: readonly Digest[]) => Promise<void>): Promise<void> {
		const free = digests.filter((digest) => !this.#pinned.has(digest) && !this.#removing.has(digest));
		if (free.length === 0) return;
		const { promise, resolve } = Promise.withResolvers<void>();
		for (const digest of free) this.#removing.set(digest, promise);
		try {
			await remove(free);
		} finally {
			for (const digest of free) this.#removing.delete(digest);
			resolve();
		}
	}
}

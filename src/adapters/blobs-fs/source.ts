import { SlipwayError } from "../../base/error.ts";
import type { Digest } from "../../core/image/digest.ts";

/** The source, until the signal aborts: also while the source itself has nothing to say. */
export async function* abortable(source: AsyncIterable<Uint8Array>, signal?: AbortSignal): AsyncIterable<Uint8Array> {
	if (!signal) return yield* source;
	signal.throwIfAborted();
	const aborted = Promise.withResolvers<never>();
	aborted.promise.catch(() => {}); // awaited through the race below only
	const onAbort = () => aborted.reject(signal.reason);
	signal.addEventListener("abort", onAbort, { once: true });
	const iterator = source[Symbol.asyncIterator]();
	try {
		for (;;) {
			const result = await Promise.race([iterator.next(), aborted.promise]);
			if (result.done) return;
			yield result.value;
		}
	} finally {
		signal.removeEventListener("abort", onAbort);
		// Not awaited: a generator that waits for its peer answers `return` only after the peer does.
		iterator.return?.().then(undefined, () => {});
	}
}

/** Stops a source that is longer than announced before it fills the disk. */
export async function* limited(
	source: AsyncIterable<Uint8Array>,
	expected: { digest: Digest; size?: number },
): AsyncIterable<Uint8Array> {
	let total = 0;
	for await (const chunk of source) {
		total += chunk.length;
		if (expected.size !== undefined && total > expected.size)
			throw new SlipwayError("DIGEST_MISMATCH", `Blob '${expected.digest}' has more than ${expected.size} bytes`);
		yield chunk;
	}
}

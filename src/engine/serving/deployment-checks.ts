import type { Clock } from "../../base/clock.ts";
import type { SlipwayError } from "../../base/error.ts";

interface Check {
	resolve: () => void;
	reject: (error: unknown) => void;
}

/** Who waits for a revision's first ready instance, to learn whether it can be deployed. */
export class DeploymentChecks {
	readonly #checks = new Set<Check>();

	get size(): number {
		return this.#checks.size;
	}

	/** Rejects with what `fail` is told, with the signal's reason, or as `late` says after so many milliseconds. */
	async wait(clock: Clock, signal: AbortSignal | undefined, limit: { ms: number; late: () => SlipwayError }) {
		signal?.throwIfAborted();
		const { promise, resolve, reject } = Promise.withResolvers<void>();
		const check = { resolve, reject };
		this.#checks.add(check);
		const onAbort = () => reject(signal?.reason);
		signal?.addEventListener("abort", onAbort, { once: true });
		const cancel = clock.after(limit.ms, () => reject(limit.late()));
		try {
			await promise;
		} finally {
			cancel();
			signal?.removeEventListener("abort", onAbort);
			this.#checks.delete(check);
		}
	}

	pass(): void {
		for (const { resolve } of this.#checks) resolve();
	}

	/** How many there were. */
	fail(error: unknown): number {
		for (const { reject } of this.#checks) reject(error);
		return this.#checks.size;
	}
}

import type { Clock } from "../../base/clock.ts";

/** What holds idle sandboxes: a function's pool. */
export interface Freezable {
	/** Freezes those last used at `beforeMs`, monotonic, or earlier. Returns the earliest last use of those left, undefined when none is. */
	freezeIdle(beforeMs: number): number | undefined;
}

/**
 * Freezes sandboxes soon after they became idle, as the cloud does at once. One timer for all of them, armed only while
 * there is something to freeze: a sandbox that gets event after event costs a look at it each `afterMs`, and no freeze.
 */
export class IdleFreezer {
	readonly #clock: Clock;
	readonly #afterMs: number;
	readonly #thawed = new Set<Freezable>();
	#cancel: (() => void) | undefined;
	#stopped = false;

	constructor(clock: Clock, afterMs: number) {
		this.#clock = clock;
		this.#afterMs = afterMs;
	}

	/** A sandbox of it has become idle just now. */
	onIdle(pool: Freezable): void {
		this.#thawed.add(pool);
		if (this.#cancel === undefined) this.#arm(this.#afterMs);
	}

	stop(): void {
		this.#stopped = true;
		this.#cancel?.();
	}

	#arm(ms: number): void {
		if (this.#stopped) return;
		this.#cancel = this.#clock.after(ms, () => {
			this.#cancel = undefined;
			this.#freeze();
		});
	}

	#freeze(): void {
		const now = this.#clock.monotonic();
		let next = Number.POSITIVE_INFINITY;
		for (const pool of this.#thawed) {
			const left = pool.freezeIdle(now - this.#afterMs);
			if (left === undefined) this.#thawed.delete(pool);
			else next = Math.min(next, left);
		}
		if (this.#thawed.size > 0) this.#arm(Math.max(1, next + this.#afterMs - now));
	}
}

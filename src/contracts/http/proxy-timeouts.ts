/** The times that a revision gives a request (Knative's timeoutSeconds, responseStartTimeoutSeconds, idleTimeoutSeconds), on one timer. */
import type { Clock } from "../../base/clock.ts";
import type { ServiceRevision } from "../../core/service/service-revision.ts";

export type OnTimeout = (which: "timeout" | "response start timeout" | "idle timeout") => void;

export class ProxyTimeouts {
	readonly #clock: Clock;
	readonly #onTimeout: OnTimeout;
	readonly #dueAt: number;
	readonly #startDueAt: number;
	readonly #idleMs: number | undefined;
	#begun = false;
	#lastByteAt: number;
	#cancel: () => void = () => {};

	/** `spentMs`: of its time, before it got here. */
	constructor(
		clock: Clock,
		{ timeoutMs, responseStartTimeoutMs, idleTimeoutMs }: ServiceRevision,
		spentMs: number,
		onTimeout: OnTimeout,
	) {
		const now = clock.monotonic();
		this.#clock = clock;
		this.#onTimeout = onTimeout;
		this.#dueAt = now + Math.max(0, timeoutMs - spentMs);
		this.#startDueAt = now + (responseStartTimeoutMs > 0 ? responseStartTimeoutMs : Number.POSITIVE_INFINITY);
		this.#idleMs = idleTimeoutMs || undefined;
		this.#lastByteAt = now;
		this.#arm(now);
	}

	/** A byte of the answer, or through the tunnel. */
	byte(): void {
		this.#begun = true;
		if (this.#idleMs !== undefined) this.#lastByteAt = this.#clock.monotonic();
	}

	end(): void {
		this.#cancel();
	}

	/** What has passed since is looked at when the timer fires: nothing is set anew for each byte. */
	#arm(now: number): void {
		const idle = this.#idleMs === undefined ? Number.POSITIVE_INFINITY : this.#lastByteAt + this.#idleMs;
		const start = this.#begun ? Number.POSITIVE_INFINITY : this.#startDueAt;
		this.#cancel = this.#clock.after(Math.min(this.#dueAt, start, idle) - now, this.#fire);
	}

	#fire = (): void => {
		const now = this.#clock.monotonic();
		if (now >= this.#dueAt) this.#onTimeout("timeout");
		else if (!this.#begun && now >= this.#startDueAt) this.#onTimeout("response start timeout");
		else if (this.#idleMs !== undefined && now >= this.#lastByteAt + this.#idleMs) this.#onTimeout("idle timeout");
		else this.#arm(now);
	};
}

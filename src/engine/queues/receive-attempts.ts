import type { Clock } from "../../base/clock.ts";

/** "You can retry a failed receive with the same attempt id for 5 minutes." */
const windowMs = 300_000;
/** Attempts that are remembered over all queues; each is up to ten leases of some 100 bytes. The oldest is forgotten. */
const maxAttempts = 10_000;

export interface AttemptedLease {
	messageId: string;
	token: string;
}

/** What receives with a ReceiveRequestAttemptId got, so that one whose answer was lost can be asked again. In memory: a new daemon knows of none. */
export class ReceiveAttempts {
	readonly #clock: Pick<Clock, "monotonic">;
	readonly #attempts = new Map<string, { leases: AttemptedLease[]; untilMs: number }>();

	constructor(clock: Pick<Clock, "monotonic">) {
		this.#clock = clock;
	}

	remember(queue: string, attemptId: string, leases: AttemptedLease[]): void {
		this.#attempts.delete(keyOf(queue, attemptId));
		this.#attempts.set(keyOf(queue, attemptId), { leases, untilMs: this.#clock.monotonic() + windowMs });
		for (const [key, { untilMs }] of this.#attempts) {
			if (this.#attempts.size <= maxAttempts && untilMs > this.#clock.monotonic()) break;
			this.#attempts.delete(key);
		}
	}

	find(queue: string, attemptId: string): AttemptedLease[] | undefined {
		const attempt = this.#attempts.get(keyOf(queue, attemptId));
		return attempt && attempt.untilMs > this.#clock.monotonic() ? attempt.leases : undefined;
	}

	forget(queue: string, attemptId: string): void {
		this.#attempts.delete(keyOf(queue, attemptId));
	}
}

function keyOf(queue: string, attemptId: string): string {
	return `${queue}\n${attemptId}`;
}

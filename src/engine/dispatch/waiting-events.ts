import type { Clock } from "../../base/clock.ts";
import { Queue } from "../../base/queue.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import { throttled } from "./concurrency-ledger.ts";

/** An event that no sandbox has yet. Whoever gets it answers it, once. */
export interface WaitingEvent {
	request: InvocationRequest;
	/** When it came, on the monotonic clock. */
	sinceAt: number;
	resolve: (result: InvocationResult | Promise<InvocationResult>) => void;
	reject: (error: unknown) => void;
}

/** Milliseconds an event may wait for a sandbox when the machine has no room for another one. */
const maxWaitMs = 30_000;
/** Events that may wait for sandboxes of one revision; the account's concurrency bounds it below this anyway. */
const maxWaiting = 10_000;

/** The events that wait for a sandbox of one revision: first come, first served, and none for ever. */
export class WaitingEvents {
	readonly #clock: Clock;
	/** One has waited too long, and was told. */
	readonly #onGivenUp: () => void;
	readonly #queue = new Queue<WaitingEvent & { cancelLimit: () => void }>();

	constructor(clock: Clock, onGivenUp: () => void) {
		this.#clock = clock;
		this.#onGivenUp = onGivenUp;
	}

	get size(): number {
		return this.#queue.size;
	}

	/** Settles as the event does; THROTTLED when too many wait, or it has waited too long. */
	add(request: InvocationRequest, sinceAt: number): Promise<InvocationResult> {
		if (this.#queue.size >= maxWaiting) throw throttled("ConcurrentInvocationLimitExceeded");
		return new Promise((resolve, reject) => {
			const cancelLimit = this.#clock.after(maxWaitMs, () => {
				this.#queue.remove(entry);
				reject(throttled("ConcurrentInvocationLimitExceeded"));
				this.#onGivenUp();
			});
			const entry = this.#queue.push({ request, sinceAt, cancelLimit, resolve, reject });
		});
	}

	/** Removes and returns the one that came first. */
	takeFirst(): WaitingEvent | undefined {
		const event = this.#queue.shift();
		event?.cancelLimit();
		return event;
	}

	/** The last to come is told to come again after so many milliseconds. */
	throttleLast(waitMs: number): void {
		const event = this.#queue.pop();
		event?.cancelLimit();
		event?.reject(throttled("FunctionInvocationRateLimitExceeded", waitMs));
	}
}

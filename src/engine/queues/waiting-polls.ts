import type { Clock } from "../../base/clock.ts";
import { Queue, type QueueEntry } from "../../base/queue.ts";
import type { MessageLog } from "../../core/message-log/message-log.ts";
import { queueError } from "../../core/queue/queue-error.ts";
import { queueLanes } from "../../core/queue/queue-name.ts";

/** Polls that wait at one time, over all queues: each holds a connection and some kilobytes. */
export const maxWaitingPolls = 10_000;

interface Lane {
	/** Polls that sleep, oldest first. */
	sleeping: Queue<() => void>;
	/** Polls under way, asleep or not. */
	polls: number;
	/** Rises whenever something may have become ready. */
	version: number;
}

export interface Wait {
	/** Milliseconds until the first message. */
	waitMs: number;
	signal?: AbortSignal | undefined;
}

/** Long polls: each message that becomes ready wakes one of those who wait for it, and who got some wakes the next. */
export class WaitingPolls {
	readonly #clock: Pick<Clock, "monotonic" | "after">;
	readonly #lanes = new Map<string, Lane>();
	readonly #unwatch: () => void;
	#waiting = 0;
	#stopped = false;

	constructor(log: Pick<MessageLog, "watch">, clock: Pick<Clock, "monotonic" | "after">) {
		this.#clock = clock;
		this.#unwatch = log.watch(queueLanes, (lane) => this.#onReady(lane));
	}

	/** What `lease` gives, as soon as it gives something or the wait is over. RequestThrottled past the bound of waiting polls. */
	async poll<T>(name: string, { waitMs, signal }: Wait, lease: () => Promise<T[]>): Promise<T[]> {
		if (waitMs <= 0 || this.#stopped) return lease();
		if (this.#waiting >= maxWaitingPolls)
			throw queueError("RequestThrottled", `More than ${maxWaitingPolls} long polls are waiting`);
		const lane = this.#lanes.getOrInsertComputed(name, () => ({ sleeping: new Queue(), polls: 0, version: 0 }));
		lane.polls++;
		this.#waiting++;
		try {
			return await this.#pollLane(lane, { waitMs, signal }, lease);
		} finally {
			this.#waiting--;
			if (--lane.polls === 0) this.#lanes.delete(name);
		}
	}

	async #pollLane<T>(lane: Lane, { waitMs, signal }: Wait, lease: () => Promise<T[]>): Promise<T[]> {
		const endsAt = this.#clock.monotonic() + waitMs;
		for (;;) {
			const { version } = lane;
			const leased = await lease().catch((error: unknown) => {
				wakeNext(lane);
				throw error;
			});
			const leftMs = endsAt - this.#clock.monotonic();
			if (leased.length > 0 || leftMs <= 0 || this.#stopped || signal?.aborted) {
				// Others may find more: what became ready has woken this one only.
				if (leased.length > 0 || lane.version !== version) wakeNext(lane);
				return leased;
			}
			if (lane.version === version) await this.#sleep(lane, leftMs, signal);
			if (signal?.aborted) {
				wakeNext(lane);
				return [];
			}
		}
	}

	#sleep(lane: Lane, ms: number, signal: AbortSignal | undefined): Promise<void> {
		return new Promise((resolve) => {
			let entry: QueueEntry<() => void>;
			const wake = () => {
				lane.sleeping.remove(entry);
				cancel();
				signal?.removeEventListener("abort", wake);
				resolve();
			};
			entry = lane.sleeping.push(wake);
			const cancel = this.#clock.after(ms, wake);
			signal?.addEventListener("abort", wake);
		});
	}

	#onReady(name: string): void {
		const lane = this.#lanes.get(name);
		if (!lane) return;
		lane.version++;
		wakeNext(lane);
	}

	/** Every poll answers what it has, now and from now on. */
	stop(): void {
		this.#stopped = true;
		this.#unwatch();
		for (const { sleeping } of this.#lanes.values()) while (sleeping.size > 0) sleeping.first?.();
	}
}

function wakeNext(lane: Lane): void {
	lane.sleeping.first?.();
}

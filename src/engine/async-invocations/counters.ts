/** What has become of asynchronous events since the daemon's start. */
export interface AsyncCounts {
	/** Durable, and answered 202 or settled at their source. */
	accepted: number;
	succeeded: number;
	/** Given up: out of retries, too old, or never to be run. */
	failed: number;
	/** Attempts that failed in the function and are followed by another. */
	retried: number;
	/** Of the failed: too old. */
	expired: number;
	/** Attempts that found no concurrency, and such that the platform failed: neither uses up a retry. */
	throttled: number;
	systemErrors: number;
	/** Of the failed: given to a dead-letter queue or an on-failure destination. */
	deadLettered: number;
	/** Of a function, version or alias that is gone. */
	dropped: number;
	/** Records that a destination or dead-letter queue did not get: it is gone, full, or they are too large. */
	destinationFailures: number;
}

export class AsyncCounters {
	readonly #functions = new Map<string, AsyncCounts>();

	/** Of functions that are there: `forget` comes with their deletion. */
	add(name: string, what: keyof AsyncCounts): void {
		const counts = this.#functions.get(name) ?? none();
		this.#functions.set(name, counts);
		counts[what]++;
	}

	forget(name: string): void {
		this.#functions.delete(name);
	}

	list(): ({ function: string } & AsyncCounts)[] {
		return [...this.#functions].map(([name, counts]) => ({ function: name, ...counts }));
	}
}

function none(): AsyncCounts {
	return {
		accepted: 0,
		succeeded: 0,
		failed: 0,
		retried: 0,
		expired: 0,
		throttled: 0,
		systemErrors: 0,
		deadLettered: 0,
		dropped: 0,
		destinationFailures: 0,
	};
}

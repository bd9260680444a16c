import type { BatchResult } from "./protocol.ts";

/** Upper bounds of the histogram of commits, in seconds: a good disk's flush to a very bad one's. */
export const commitBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5] as const;

export interface LogStats {
	/** Transactions that wrote something. */
	commits: number;
	/** Calls that shared them, and those that only read. */
	calls: number;
	/** Seconds that COMMIT took, with its flush. `buckets`: cumulative counts for each of `commitBuckets`. */
	commitSeconds: { buckets: number[]; sum: number; count: number };
	/** Damaged messages that were set aside since the log was opened. */
	faults: number;
	/** Times the disk failed and the file was opened anew. */
	recoveries: number;
	fileBytes: number;
	walBytes: number;
	/** Calls that wait for their commit. */
	pending: number;
}

/** What the log has done since it was opened. */
export class CommitStats {
	#commits = 0;
	#calls = 0;
	#seconds = 0;
	#faults = 0;
	#recoveries = 0;
	readonly #buckets = commitBuckets.map(() => 0);

	add(result: BatchResult, calls: number): void {
		this.#calls += calls;
		this.#faults += result.faults.length;
		if (result.recovered) this.#recoveries++;
		if (result.commitMs === undefined) return;
		const seconds = result.commitMs / 1000;
		this.#commits++;
		this.#seconds += seconds;
		for (const [index, bound] of commitBuckets.entries())
			if (seconds <= bound) this.#buckets[index] = (this.#buckets[index] ?? 0) + 1;
	}

	read(now: Pick<LogStats, "fileBytes" | "walBytes" | "pending">): LogStats {
		return {
			commits: this.#commits,
			calls: this.#calls,
			commitSeconds: { buckets: [...this.#buckets], sum: this.#seconds, count: this.#commits },
			faults: this.#faults,
			recoveries: this.#recoveries,
			...now,
		};
	}
}

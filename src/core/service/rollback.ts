/** Whether a new revision is so bad that the traffic has to go back: pure, from what both revisions have answered. */
export interface RollbackBounds {
	/** Share of requests that may fail (answers of 500 and above, no answer at all), 0 to 1. */
	errorRate: number | undefined;
	/** 95th percentile of an answer's duration, milliseconds. */
	latencyP95Ms: number | undefined;
	/** A new revision is judged for this long after it got its first traffic, milliseconds. */
	windowMs: number;
}

/** Since the rollout began. Cumulative. */
export interface RevisionObservation {
	requests: number;
	failures: number;
	/** Requests by duration: `upToMs` ascending, the last one Infinity; `count` of each alone. */
	latency: readonly { upToMs: number; count: number }[];
}

export interface RollbackQuestion {
	bounds: RollbackBounds;
	/** When the new revision got its first traffic, milliseconds since the epoch. */
	sinceMs: number;
	nowMs: number;
	current: RevisionObservation;
	/** Of the revision that would get the traffic: undefined when nothing is known of it. */
	previous: RevisionObservation | undefined;
}

export type RollbackDecision =
	/** Not enough has been seen. */
	| { decision: "watch" }
	/** The window is over. */
	| { decision: "trust" }
	| { decision: "rollback"; reason: "ErrorRateExceeded" | "LatencyExceeded"; message: string };

/** Fewer say nothing: one failure of ten may be chance. */
const leastRequests = 20;

/**
 * Going back has to help: a previous revision that has enough requests of its own to be judged, and breaks the same bound by
 * as much, does not get the traffic.
 */
export function decideRollback({ bounds, sinceMs, nowMs, current, previous }: RollbackQuestion): RollbackDecision {
	if (current.requests >= leastRequests) {
		const known = previous && previous.requests >= leastRequests ? previous : undefined;
		const rate = errorRate(current);
		if (bounds.errorRate !== undefined && rate > bounds.errorRate && !(known && errorRate(known) >= rate))
			return {
				decision: "rollback",
				reason: "ErrorRateExceeded",
				message: `${current.failures} of ${current.requests} requests failed (${percent(rate)}); the bound is ${percent(bounds.errorRate)}`,
			};
		const p95 = percentile95(current);
		if (bounds.latencyP95Ms !== undefined && p95 > bounds.latencyP95Ms && !(known && percentile95(known) >= p95))
			return {
				decision: "rollback",
				reason: "LatencyExceeded",
				message: `95 % of ${current.requests} requests took up to ${Math.round(p95)} ms; the bound is ${bounds.latencyP95Ms} ms`,
			};
	}
	return { decision: nowMs - sinceMs >= bounds.windowMs ? "trust" : "watch" };
}

function errorRate({ requests, failures }: RevisionObservation): number {
	return requests === 0 ? 0 : failures / requests;
}

/** Within a bucket as if its requests were spread evenly; in the last, open one, its lower end. */
export function percentile95({ latency }: RevisionObservation): number {
	const total = latency.reduce((sum, { count }) => sum + count, 0);
	if (total === 0) return 0;
	let below = 0;
	let from = 0;
	for (const { upToMs, count } of latency) {
		if (count > 0 && below + count >= 0.95 * total) {
			if (upToMs === Number.POSITIVE_INFINITY) return from;
			return from + ((0.95 * total - below) / count) * (upToMs - from);
		}
		below += count;
		from = upToMs;
	}
	return from;
}

function percent(rate: number): string {
	return `${Math.round(rate * 1000) / 10} %`;
}

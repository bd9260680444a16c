import type { RequestOutcome } from "../../core/service/request-admission.ts";
import { type Bounds, Histogram } from "../dispatch/histogram.ts";

/** Upper bounds of latencies, milliseconds: 1 ms to Cloud Run's longest request. */
const latencyBounds: Bounds = [
	1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 3_600_000,
];
/** From here on an answer is the service's own failure. */
const firstServerError = 500;

/** What a revision has done since it is served; counts only grow. */
export class RevisionUsage {
	requests = 0;
	/** Answers of 5xx, and requests that the container failed without one. */
	failures = 0;
	/** Clients that went away before their answer began. */
	aborted = 0;
	/** Requests that waited for an instance to start. */
	coldStarts = 0;
	/** Instances that were started, and starts that failed. */
	starts = 0;
	failedStarts = 0;
	/** Requests that got no instance: a full queue, no time left, a revision that does not start. */
	refused = 0;
	/** In the container, of those that it answered. */
	readonly latencyMs = new Histogram(latencyBounds);

	onOutcome({ status, durationMs, failure, unanswered = false }: RequestOutcome): void {
		// The client sees nothing of an instance that has just died: no reason to roll its revision back.
		if (unanswered) return;
		this.requests++;
		if (failure !== undefined || (status !== undefined && status >= firstServerError)) this.failures++;
		else if (status === undefined) this.aborted++;
		if (status !== undefined) this.latencyMs.observe(durationMs);
	}
}

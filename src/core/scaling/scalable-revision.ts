import type { ScalingSettings } from "../service/scaling-settings.ts";

/** What the autoscaler sees of a revision and does to it. `settings` and `reachable` are read anew each second. */
export interface ScalableRevision {
	readonly settings: ScalingSettings;
	/**
	 * Whether a route leads to it: min-scale does not hold for one that nothing leads to. A revision that is still on its way to Ready
	 * counts as reachable (Knative's routing state "pending").
	 */
	readonly reachable: boolean;
	/** Milliseconds until instances that do not get ready are given up, 30 s on top; absent: 600,000 (Knative's progress-deadline). */
	readonly progressDeadlineMs?: number;
	/** What happened since the last call; asked once a second and when poked, never twice in the same instant. */
	observe(): ScaleObservation;
	/** So many instances from now on: more are started at once, of too many the idle go first and nothing is cut. */
	scaleTo(count: number): void;
}

export interface ScaleObservation {
	/** Instances that can take requests now. */
	ready: number;
	/** Instances asked for that are on their way. */
	starting: number;
	/** Requests in instances and waiting for one, averaged over the time since the last call (time-weighted: two of 500 ms within a second are 1). */
	concurrency: number;
	/** Requests that arrived since the last call. */
	requests: number;
	/** Of the concurrency now. */
	waiting: number;
}

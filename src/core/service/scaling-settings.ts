/**
 * What the autoscaler is told of one revision: autoscaling.knative.dev/… annotations over the installation's defaults
 * (knative/serving config-autoscaler); made by `scalingSettings` of scaling-annotations.ts. All windows in milliseconds.
 */
export interface ScalingSettings {
	metric: "concurrency" | "rps";
	/** What one instance is meant to carry before utilization: the target annotation, or containerConcurrency, or the default. */
	totalTarget: number;
	/** 0.7 is 70 %. */
	targetUtilization: number;
	/** 0: no bound. */
	minScale: number;
	/** 0: no bound. */
	maxScale: number;
	/** No instance at all, and no request gets one (Cloud Run's manual scaling with a count of 0). Absent: false. */
	disabled?: boolean;
	/** A minimum until so many were ready once. */
	initialScale: number;
	/** At least 1; the least number that a start from zero makes. */
	activationScale: number;
	scaleDownDelayMs: number;
	stableWindowMs: number;
	panicWindowMs: number;
	/** 2 is 200 %. */
	panicThreshold: number;
	maxScaleUpRate: number;
	maxScaleDownRate: number;
	scaleToZero: boolean;
	/** How long instances stay after the decision for zero, however long podRetentionMs is. */
	scaleToZeroGraceMs: number;
	/** The same for one revision's last instance; the longer of the two holds. */
	podRetentionMs: number;
	/** -1: unlimited. Only its effect on what is reported: requests always pass through the daemon. */
	targetBurstCapacity: number;
	aggregation: "linear" | "weighted-exponential";
}

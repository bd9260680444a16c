import type { ServiceProfile } from "./service-revision.ts";

/** What holds where no annotation says otherwise: the keys of Knative's config-autoscaler, in our units. */
export interface ScalingDefaults {
	enableScaleToZero: boolean;
	/** Load of an instance whose concurrency has no limit. */
	concurrencyTarget: number;
	rpsTarget: number;
	/** 0.7 is 70 %. */
	targetUtilization: number;
	targetBurstCapacity: number;
	stableWindowMs: number;
	/** Percent of the stable window. */
	panicWindowPercentage: number;
	panicThresholdPercentage: number;
	maxScaleUpRate: number;
	maxScaleDownRate: number;
	scaleToZeroGraceMs: number;
	podRetentionMs: number;
	scaleDownDelayMs: number;
	initialScale: number;
	allowZeroInitialScale: boolean;
	minScale: number;
	/** 0: no bound. */
	maxScale: number;
	/** Above which no revision may set its max-scale, which must then be set; 0: no limit. */
	maxScaleLimit: number;
}

/** knative/serving v0.51 pkg/autoscaler/config/config.go. */
const knative: ScalingDefaults = {
	enableScaleToZero: true,
	concurrencyTarget: 100,
	rpsTarget: 200,
	targetUtilization: 0.7,
	targetBurstCapacity: 211,
	stableWindowMs: 60_000,
	panicWindowPercentage: 10,
	panicThresholdPercentage: 200,
	maxScaleUpRate: 1000,
	maxScaleDownRate: 2,
	scaleToZeroGraceMs: 30_000,
	podRetentionMs: 0,
	scaleDownDelayMs: 0,
	initialScale: 1,
	allowZeroInitialScale: false,
	minScale: 0,
	maxScale: 0,
	maxScaleLimit: 0,
};

/** The defaults of each profile. Cloud Run: https://cloud.google.com/run/docs/about-instance-autoscaling. */
export const defaultScaling: Readonly<Record<ServiceProfile, Readonly<ScalingDefaults>>> = {
	knative,
	cloudrun: { ...knative, targetUtilization: 0.6, maxScale: 100 },
};

/** What annotations may say (knative/serving v0.51 pkg/apis/autoscaling). Times in milliseconds, ends included. */
export const scalingBounds = {
	scale: { least: 0, most: 2 ** 31 - 1 },
	activationScale: { least: 2, most: 2 ** 31 - 1 },
	target: { least: 0.01 },
	targetUtilizationPercentage: { least: 1, most: 100 },
	panicWindowPercentage: { least: 1, most: 100 },
	panicThresholdPercentage: { least: 110, most: 1000 },
	windowMs: { least: 6000, most: 3_600_000 },
	podRetentionMs: { least: 0, most: 3_600_000 },
	scaleDownDelayMs: { least: 0, most: 3_600_000 },
	/** Cloud Run's fraction of the concurrency (gcloud run deploy --scaling-concurrency-target). */
	concurrencyTargetFraction: { least: 0.1, most: 0.95 },
} as const;

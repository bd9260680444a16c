import type { ScalingSettings } from "../service/scaling-settings.ts";

/** 0: no bound. */
export interface ScaleBounds {
	min: number;
	max: number;
}

/**
 * What holds of a revision's bounds now. min-scale is for revisions that a route leads to; initial-scale is a minimum until so many were
 * ready once (knative/serving v0.51 pkg/reconciler/autoscaling/kpa/scaler.go, `scale`).
 */
export function scaleBounds(
	settings: ScalingSettings,
	revision: { reachable: boolean; initialized: boolean },
): ScaleBounds {
	const min = revision.reachable ? settings.minScale : 0;
	const initial = !revision.initialized && revision.reachable && settings.initialScale > 1 ? settings.initialScale : 0;
	return { min: Math.max(min, initial), max: settings.maxScale };
}

/** The minimum is the stronger one: an initial-scale above max-scale is reached. */
export function applyBounds({ min, max }: ScaleBounds, count: number): number {
	if (count < min) return min;
	return max > 0 && count > max ? max : count;
}

/** Instances that a revision is made with, before anything is known of its load. */
export function firstScale(settings: ScalingSettings, reachable: boolean): number {
	return Math.max(settings.initialScale, reachable ? settings.minScale : 0);
}

/** Ready instances from which on a revision counts as active (kpa.go, `activeThreshold`); 0: it may be active with none. */
export function activeFrom(settings: ScalingSettings, revision: { reachable: boolean; initialized: boolean }): number {
	const min = revision.reachable ? settings.minScale : 0;
	return Math.max(min, revision.initialized ? 1 : settings.initialScale);
}

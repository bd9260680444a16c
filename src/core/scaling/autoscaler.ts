import type { ScalingSettings } from "../service/scaling-settings.ts";
import { type DelayWindow, delayed } from "./delay-window.ts";

/** Milliseconds from one decision to the next, and from one observation to the next (Knative's tickInterval and scrapeTickInterval). */
export const decisionIntervalMs = 2000;
export const observationIntervalMs = 1000;

/** Less than this no instance is asked to carry (Knative's TargetMin). */
const leastTarget = 0.01;
/** Instances are counted in 32 bits on the wire. */
const mostInstances = 2 ** 31 - 1;

/** What the autoscaler remembers of a revision from one decision to the next, beside the windows of its load. */
export interface AutoscalerState {
	/** When the load was last over the panic threshold; undefined outside of panic mode. */
	readonly panicSinceMs: number | undefined;
	/** The most instances wanted since panic began; panic mode never goes below. */
	readonly panicPeak: number;
	/** With scale-down-delay only. */
	readonly recent: DelayWindow;
}

export interface LoadObservation {
	/** Instances that can take requests now. */
	ready: number;
	reachable: boolean;
	/** Of the metric that the settings name, over all instances; undefined when nothing was recorded within the stable window. */
	load: { stable: number; panic: number } | undefined;
}

export interface ScaleDecision {
	state: AutoscalerState;
	/** Before bounds and scale to zero; undefined: there is nothing to decide on, and what is wanted stays as it was. */
	desired: number | undefined;
	/**
	 * Room that is left above the target burst capacity; below zero Knative keeps its activator in the path. Here everything always passes
	 * through the daemon, so that it is reported and steers nothing.
	 */
	excessBurstCapacity: number | undefined;
	panicking: boolean;
	reason: DecisionReason;
}

export type DecisionReason =
	/** Nothing was observed yet. */
	| "NoData"
	/** The average over the stable window. */
	| "Stable"
	/** The greater of both windows' averages, or the most since panic began. */
	| "Panic"
	/** Kept from falling by scale-down-delay. */
	| "ScaleDownDelay";

/** Load that one instance is meant to have. */
export function targetLoad(settings: ScalingSettings): number {
	return Math.max(leastTarget, settings.totalTarget * settings.targetUtilization);
}

/**
 * A revision that is found with more than one instance begins in panic mode: the windows are empty after a restart, and what runs must
 * not be stopped on the evidence of the first second.
 */
export function initialState(ready: number, nowMs: number): AutoscalerState {
	return { panicSinceMs: ready > 1 ? nowMs : undefined, panicPeak: ready, recent: [] };
}

/**
 * Knative's pod autoscaler, one step of it (knative/serving v0.51 pkg/autoscaler/scaling/autoscaler.go, `Scale`). `nowMs` is monotonic.
 *
 * Example: target 100 at 70 %, 3 ready, averages of 350 (stable) and 420 (panic): 5 from the stable window, 6 from the panic window,
 * 6 / 3 = 2 reaches the threshold of 200 %: panic mode, 6 instances.
 */
export function decide(
	settings: ScalingSettings,
	state: AutoscalerState,
	observation: LoadObservation,
	nowMs: number,
): ScaleDecision {
	const { load } = observation;
	if (load === undefined) {
		const panicking = state.panicSinceMs !== undefined;
		return { state, desired: undefined, excessBurstCapacity: undefined, panicking, reason: "NoData" };
	}
	const ready = Math.max(1, observation.ready);
	const needed = { stable: neededFor(load.stable, settings), panic: neededFor(load.panic, settings) };
	const stable = limited(needed.stable, ready, observation.reachable, settings);
	const panic = limited(needed.panic, ready, observation.reachable, settings);
	const panicSinceMs = panicSince(settings, state, needed.panic / ready >= settings.panicThreshold, nowMs);
	const excessBurstCapacity = burstCapacity(settings, observation.ready, load.panic);

	if (panicSinceMs === undefined) {
		const held = holdBack(settings, { panicSinceMs, panicPeak: 0, recent: state.recent }, stable, observation, nowMs);
		return {
			...held,
			excessBurstCapacity,
			panicking: false,
			reason: held.desired > stable ? "ScaleDownDelay" : "Stable",
		};
	}
	const panicPeak = Math.max(state.panicPeak, stable, panic);
	const held = holdBack(settings, { panicSinceMs, panicPeak, recent: state.recent }, panicPeak, observation, nowMs);
	return {
		...held,
		excessBurstCapacity,
		panicking: true,
		reason: held.desired > panicPeak ? "ScaleDownDelay" : "Panic",
	};
}

function neededFor(load: number, settings: ScalingSettings): number {
	return Math.ceil(load / targetLoad(settings));
}

/** Within what the rates allow from the instances there are, and not below activation-scale while there is any load. */
function limited(needed: number, ready: number, reachable: boolean, settings: ScalingSettings): number {
	// Rounded up, so that a rate near 1 still lets one more through; rounded down, so that it still lets one go.
	const most = Math.min(mostInstances, Math.ceil(settings.maxScaleUpRate * ready));
	const least = reachable ? Math.floor(ready / settings.maxScaleDownRate) : 0;
	const within = Math.min(Math.max(needed, least), most);
	return needed > 0 && settings.activationScale > 1 ? Math.max(within, settings.activationScale) : within;
}

/** Panic begins over the threshold, is extended by each decision over it, and ends a stable window after the last of these. */
function panicSince(
	settings: ScalingSettings,
	state: AutoscalerState,
	overThreshold: boolean,
	nowMs: number,
): number | undefined {
	if (overThreshold) return nowMs;
	const { panicSinceMs } = state;
	return panicSinceMs !== undefined && panicSinceMs + settings.stableWindowMs < nowMs ? undefined : panicSinceMs;
}

function holdBack(
	settings: ScalingSettings,
	state: AutoscalerState,
	desired: number,
	observation: LoadObservation,
	nowMs: number,
): { state: AutoscalerState; desired: number } {
	if (!observation.reachable || settings.scaleDownDelayMs === 0) return { state, desired };
	const { window, greatest } = delayed(state.recent, desired, settings.scaleDownDelayMs, nowMs);
	return { state: { ...state, recent: window }, desired: greatest };
}

/** By the instances that are ready, which may be none, and by the panic window, whose value is the load right now. */
function burstCapacity(settings: ScalingSettings, ready: number, load: number): number {
	if (settings.targetBurstCapacity === 0) return 0;
	if (settings.targetBurstCapacity < 0) return -1;
	return Math.floor(ready * settings.totalTarget - settings.targetBurstCapacity - load);
}

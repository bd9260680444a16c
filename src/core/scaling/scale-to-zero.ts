import type { ScalingSettings } from "../service/scaling-settings.ts";
import { activeFrom } from "./scale-bounds.ts";

/**
 * How a revision goes to zero (knative/serving v0.51 pkg/reconciler/autoscaling/kpa: scaler.go `handleScaleToZero`, kpa.go
 * `computeActiveCondition`): it is active for a stable window at least, then inactive, with its instances still there, for the longer
 * of grace and retention; then they go.
 *
 * Knative waits for the grace because every router has to learn that requests go to the activator from now on; those that were sent to a
 * stopped pod in between would be lost. It cuts the wait short once its activator has been in the path for that long. Here all requests pass
 * through the daemon, which holds them at zero: none can be lost and there is nothing to wait for. The setting stays, with Knative's
 * meaning, for whom the last instance's memory is worth a while longer; at 0 the instances go as soon as the revision is inactive.
 */
export interface ActivationState {
	readonly phase: "activating" | "active" | "inactive";
	/** Monotonic milliseconds at which the phase began. */
	readonly sinceMs: number;
	/** As many instances as initial-scale (or min-scale) asks for were ready once. */
	readonly initialized: boolean;
	/** It became inactive because its instances did not get ready in time. */
	readonly timedOut: boolean;
}

/** Milliseconds over a revision's progress deadline until its instances are given up, so that its failure is reported first. */
const activationTimeoutBufferMs = 30_000;

export interface ZeroDecision {
	/** Undefined: not known yet. 0 makes the revision inactive, whether or not its instances go now. */
	want: number | undefined;
	/** Whether instances are started or stopped for it now. */
	apply: boolean;
	reason: ZeroReason | undefined;
}

export type ZeroReason =
	/** scale-to-zero is off: one instance stays. */
	| "ScaleToZeroOff"
	/** The first instances are still on their way. */
	| "Activating"
	| "ActivationTimedOut"
	/** Active for less than a stable window. */
	| "StableWindow"
	/** Grace or retention runs. */
	| "Retention"
	| "NoTraffic";

/** What becomes of `desired` (which is within its bounds) when it is 0; anything else stands. */
export function decideZero(
	settings: ScalingSettings,
	activation: ActivationState,
	revision: { desired: number; reachable: boolean; progressDeadlineMs: number },
	nowMs: number,
): ZeroDecision {
	if (revision.desired !== 0) return { want: revision.desired, apply: true, reason: undefined };
	if (!settings.scaleToZero) return { want: 1, apply: true, reason: "ScaleToZeroOff" };
	const forMs = nowMs - activation.sinceMs;
	switch (activation.phase) {
		case "activating":
			return forMs > revision.progressDeadlineMs + activationTimeoutBufferMs
				? { want: 0, apply: true, reason: "ActivationTimedOut" }
				: { want: undefined, apply: false, reason: "Activating" };
		case "active":
			return forMs >= settings.stableWindowMs
				? { want: 0, apply: false, reason: "Retention" }
				: { want: 1, apply: true, reason: "StableWindow" };
		case "inactive": {
			// Nobody asks for a revision again that no route leads to.
			const retentionMs = revision.reachable ? settings.podRetentionMs : 0;
			return forMs >= Math.max(settings.scaleToZeroGraceMs, retentionMs)
				? { want: 0, apply: true, reason: "NoTraffic" }
				: { want: 0, apply: false, reason: "Retention" };
		}
	}
}

/** The phase after a decision. */
export function nextActivation(
	settings: ScalingSettings,
	activation: ActivationState,
	revision: { want: number | undefined; ready: number; reachable: boolean },
	nowMs: number,
): ActivationState {
	const { want, ready, reachable } = revision;
	const threshold = activeFrom(settings, { reachable, initialized: activation.initialized });
	const initialized = activation.initialized || ready >= threshold;
	const to = (phase: ActivationState["phase"], timedOut = false): ActivationState => {
		if (phase === activation.phase)
			return initialized === activation.initialized ? activation : { ...activation, initialized };
		return { phase, sinceMs: nowMs, initialized, timedOut };
	};
	if (want === 0 || threshold === 0) return to("inactive", activation.phase === "activating" && threshold > 0);
	// Without data what was inactive stays so.
	if (want === undefined && activation.phase === "inactive") return to("inactive");
	return to(ready < threshold ? "activating" : "active");
}

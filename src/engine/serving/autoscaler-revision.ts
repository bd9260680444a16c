import { assert } from "../../base/error.ts";
import {
	type AutoscalerState,
	type DecisionReason,
	decide,
	decisionIntervalMs,
	initialState,
	observationIntervalMs,
} from "../../core/scaling/autoscaler.ts";
import { MetricWindow } from "../../core/scaling/metric-window.ts";
import type { ScalableRevision, ScaleObservation } from "../../core/scaling/scalable-revision.ts";
import { applyBounds, firstScale, scaleBounds } from "../../core/scaling/scale-bounds.ts";
import { type ActivationState, decideZero, nextActivation, type ZeroReason } from "../../core/scaling/scale-to-zero.ts";

/** Milliseconds of a second that must have been seen for it to count: one request that is there for the last moment is no load of 1. */
const leastObservedMs = 500;
/** Milliseconds between two decisions that pokes ask for, while there are instances: each waiting request may poke. */
const pokeIntervalMs = 100;
/** Knative's progress-deadline. */
const defaultProgressDeadlineMs = 600_000;

export type ScaleReason =
	| DecisionReason
	| ZeroReason
	| "MinScale"
	| "MaxScale"
	| "InitialScale"
	| "FromZero"
	/** The settings allow no instance. */
	| "Disabled";

export interface Scaling {
	/** What was last asked of the revision. */
	count: number;
	reason: ScaleReason;
}

/** One revision's part of the autoscaler: its windows, its state, and what was asked of it. Times are monotonic milliseconds. */
export class ScaledRevision {
	readonly #revision: ScalableRevision;
	readonly #windows: { stable: MetricWindow; panic: MetricWindow };
	#state: AutoscalerState;
	#activation: ActivationState;
	#observation: ScaleObservation;
	#load: { stable: number; panic: number } | undefined;
	/** Of the last decision, before bounds and scale to zero; undefined: none yet. */
	#desired: number | undefined;
	#burstCapacity: number | undefined;
	#count: number;
	#reason: ScaleReason = "NoData";
	#decisionReason: ScaleReason = "NoData";

	/** Since the last second that was recorded: concurrency × ms, requests, ms. */
	#seen = { concurrencyMs: 0, requests: 0, ms: 0 };
	#observedMs: number;
	/** The second that was last recorded ended here; undefined since it slept. */
	#recordedMs: number | undefined;
	#nextDecisionMs = Number.NEGATIVE_INFINITY;
	#pokedMs = Number.NEGATIVE_INFINITY;

	/** `initialized`: it once had the instances that initial-scale asks for, in this or an earlier life of the daemon. */
	constructor(revision: ScalableRevision, initialized: boolean, nowMs: number) {
		const { settings } = revision;
		this.#revision = revision;
		this.#windows = {
			stable: new MetricWindow(settings.stableWindowMs, settings.aggregation),
			panic: new MetricWindow(settings.panicWindowMs, settings.aggregation),
		};
		this.#observation = observed(revision);
		this.#observedMs = nowMs;
		const { ready, starting } = this.#observation;
		this.#state = initialState(ready, nowMs);
		this.#count = ready + starting;
		const phase = !initialized ? "activating" : ready > 0 ? "active" : "inactive";
		this.#activation = { phase, sinceMs: nowMs, initialized, timedOut: false };
	}

	get observation(): ScaleObservation {
		return this.#observation;
	}

	get load(): { stable: number; panic: number } | undefined {
		return this.#load;
	}

	get activation(): ActivationState {
		return this.#activation;
	}

	get panicking(): boolean {
		return this.#state.panicSinceMs !== undefined;
	}

	get excessBurstCapacity(): number | undefined {
		return this.#burstCapacity;
	}

	get scaling(): Scaling {
		return { count: this.#count, reason: this.#reason };
	}

	/** Nothing is there, nothing is wanted and nothing asks: it needs no observing until it is poked. */
	get asleep(): boolean {
		const { ready, starting, concurrency, requests, waiting } = this.#observation;
		return (
			this.#activation.phase === "inactive" &&
			this.#count === 0 &&
			ready + starting + concurrency + requests + waiting === 0
		);
	}

	/** The instances it begins with. */
	begin(nowMs: number): void {
		const { settings, reachable } = this.#revision;
		if (!this.#activation.initialized && !settings.disabled) {
			this.#decisionReason = "InitialScale";
			this.#apply(Math.max(this.#count, firstScale(settings, reachable)), "InitialScale");
		}
		this.reconcile(nowMs);
	}

	/** `tickMs` is when this tick was due, `seconds` how many have passed since the last one: more than one when the daemon was held up. */
	tick(tickMs: number, seconds: number, nowMs: number): void {
		this.#observe(nowMs);
		this.#record(tickMs, seconds);
		const { concurrency, requests, waiting } = this.#observation;
		const wakes = this.#desired === 0 && concurrency + requests + waiting > 0;
		const known = this.#recordedMs === tickMs;
		if (known && (wakes || tickMs >= this.#nextDecisionMs)) {
			this.#nextDecisionMs = tickMs + decisionIntervalMs;
			this.#decide(nowMs);
		}
		this.reconcile(nowMs);
	}

	/** After it has slept: what the revision averaged over that time says nothing. */
	wake(nowMs: number): void {
		this.#observation = observed(this.#revision);
		this.#observedMs = nowMs;
		this.#seen = { concurrencyMs: 0, requests: this.#observation.requests, ms: 0 };
		this.#recordedMs = undefined;
		this.#nextDecisionMs = Number.NEGATIVE_INFINITY;
	}

	/** A request waits: from zero to something at once, whatever the windows say; else the next decision is made now. */
	poke(nowMs: number): void {
		const fromZero = this.#count === 0 || this.#desired === 0;
		if (!fromZero && nowMs - this.#pokedMs < pokeIntervalMs) return;
		this.#pokedMs = nowMs;
		this.#observe(nowMs);
		this.#decide(nowMs);
		const least = Math.max(1, this.#revision.settings.activationScale);
		if (fromZero && (this.#desired ?? 0) < least) {
			this.#desired = least;
			this.#decisionReason = "FromZero";
		}
		this.reconcile(nowMs);
	}

	/** Applies bounds and scale to zero to the last decision. */
	reconcile(nowMs: number): void {
		const { settings, reachable, progressDeadlineMs = defaultProgressDeadlineMs } = this.#revision;
		if (settings.disabled) return this.#switchOff(nowMs);
		const bounds = scaleBounds(settings, { reachable, initialized: this.#activation.initialized });
		const decided = this.#desired ?? this.#count;
		const desired = applyBounds(bounds, decided);
		const zero = decideZero(settings, this.#activation, { desired, reachable, progressDeadlineMs }, nowMs);
		const { ready } = this.#observation;
		this.#activation = nextActivation(settings, this.#activation, { want: zero.want, ready, reachable }, nowMs);
		const gone = zero.want === 0 && this.#count === 0 && zero.reason === "Retention";
		const reason = gone ? "NoTraffic" : (zero.reason ?? this.#boundReason(decided, desired));
		if (zero.apply && zero.want !== undefined) this.#apply(zero.want, reason);
		else this.#reason = reason;
	}

	/** When it is switched on again, it is as one that nobody has asked for. */
	#switchOff(nowMs: number): void {
		this.#desired = 0;
		if (this.#activation.phase !== "inactive")
			this.#activation = { ...this.#activation, phase: "inactive", sinceMs: nowMs, timedOut: false };
		this.#apply(0, "Disabled");
	}

	#boundReason(decided: number, desired: number): ScaleReason {
		if (desired === decided) return this.#decisionReason;
		if (desired < decided) return "MaxScale";
		return desired > this.#revision.settings.minScale ? "InitialScale" : "MinScale";
	}

	#apply(count: number, reason: ScaleReason): void {
		// Not before it has worked: what throws is tried again with the next tick.
		if (count !== this.#count) this.#revision.scaleTo(count);
		this.#count = count;
		this.#reason = reason;
	}

	#observe(nowMs: number): void {
		const ms = nowMs - this.#observedMs;
		// Nothing has an average over no time.
		if (ms <= 0) return;
		this.#observation = observed(this.#revision);
		this.#observedMs = nowMs;
		this.#seen.concurrencyMs += this.#observation.concurrency * ms;
		this.#seen.requests += this.#observation.requests;
		this.#seen.ms += ms;
	}

	/** Seconds that the daemon missed get the average too: it is what was measured over all of them. */
	#record(tickMs: number, seconds: number): void {
		const { concurrencyMs, requests, ms } = this.#seen;
		if (ms < leastObservedMs) return;
		const { metric, stableWindowMs } = this.#revision.settings;
		const value = metric === "rps" ? (requests / ms) * 1000 : concurrencyMs / ms;
		const lived = Math.max(1, Math.min(seconds, Math.round(ms / observationIntervalMs)));
		const recorded = Math.min(lived, Math.ceil(stableWindowMs / observationIntervalMs));
		for (let ago = recorded - 1; ago >= 0; ago--) {
			this.#windows.stable.record(tickMs - ago * observationIntervalMs, value);
			this.#windows.panic.record(tickMs - ago * observationIntervalMs, value);
		}
		this.#recordedMs = tickMs;
		this.#seen = { concurrencyMs: 0, requests: 0, ms: 0 };
	}

	#decide(nowMs: number): void {
		const { stable, panic } = this.#windows;
		// As of the last second that is complete: the one that runs would count as zero.
		const atMs = this.#recordedMs ?? nowMs;
		this.#load = stable.isEmpty(atMs) ? undefined : { stable: stable.average(atMs), panic: panic.average(atMs) };
		const { settings, reachable } = this.#revision;
		const observation = { ready: this.#observation.ready, reachable, load: this.#load };
		const decision = decide(settings, this.#state, observation, nowMs);
		this.#state = decision.state;
		this.#burstCapacity = decision.excessBurstCapacity;
		if (decision.desired === undefined) return;
		this.#desired = decision.desired;
		this.#decisionReason = decision.reason;
	}
}

function observed(revision: ScalableRevision): ScaleObservation {
	const observation = revision.observe();
	const { ready, starting, concurrency, requests, waiting } = observation;
	const right = Math.min(ready, starting, concurrency, requests, waiting) >= 0;
	assert(
		right && Number.isFinite(ready + starting + concurrency + requests + waiting),
		`a revision observed ${ready} ready, ${starting} starting, a concurrency of ${concurrency}, ${requests} requests, ${waiting} waiting`,
	);
	return observation;
}

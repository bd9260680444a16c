import type { Clock } from "../../base/clock.ts";
import { assert } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { observationIntervalMs } from "../../core/scaling/autoscaler.ts";
import type { ScalableRevision } from "../../core/scaling/scalable-revision.ts";
import { ScaledRevision, type ScaleReason } from "./autoscaler-revision.ts";

export interface AutoscalerOptions {
	clock: Clock;
	log: Log;
}

export interface AutoscalerStatus {
	/** Instances that the revision was last told to have. */
	desired: number;
	/** Of these ready, when last observed. */
	actual: number;
	starting: number;
	panicking: boolean;
	/** Averages of the revision's metric (concurrency or requests per second) over both windows; undefined until there are any. */
	stableConcurrency: number | undefined;
	panicConcurrency: number | undefined;
	/** Room above the target burst capacity; below zero there is less than that. */
	excessBurstCapacity: number | undefined;
	/** Knative's condition "Active": Unknown, True, False. */
	phase: "activating" | "active" | "inactive";
	/** Inactive because its instances did not get ready in time. */
	timedOut: boolean;
	/** initial-scale was reached once; to be given to `add` after a restart of the daemon. */
	initialized: boolean;
	/** Milliseconds since the epoch at which `desired` became what it is. */
	since: number;
	/** Why `desired` is what it is. */
	reason: ScaleReason;
}

export interface ScaleEvent {
	id: string;
	from: number;
	to: number;
	reason: ScaleReason;
	panicking: boolean;
}

interface Entry {
	id: string;
	scaler: ScaledRevision;
	since: number;
	/** Its last turn failed: the next failures are not logged again. */
	failing: boolean;
	/** In a turn of its own: what it calls may poke. */
	busy: boolean;
}

/**
 * Drives the scaling of all revisions: observes each one every second, decides every two seconds and when poked (core/scaling/autoscaler).
 * One timer for all of them, and none while every revision is at zero and unasked for. A revision whose calls throw keeps its scale, is
 * logged once, and does not stop the others.
 */
export class Autoscaler implements AsyncDisposable {
	readonly #clock: Clock;
	readonly #log: Log;
	readonly #entries = new Map<string, Entry>();
	readonly #awake = new Set<Entry>();
	readonly #listeners = new Set<(event: ScaleEvent) => void>();
	/** When the last tick was due; whole milliseconds, so that ticks are seconds apart to the last bit. */
	#tickMs = 0;
	#cancelTimer: (() => void) | undefined;
	#closed = false;

	constructor({ clock, log }: AutoscalerOptions) {
		this.#clock = clock;
		this.#log = log;
	}

	/**
	 * From now on `revision` is scaled. One that is not `initialized` gets its initial-scale at once (one instance at least, unless
	 * that is 0); one that is gets its min-scale. Throws what its `observe` throws.
	 */
	add(id: string, revision: ScalableRevision, { initialized = false }: { initialized?: boolean } = {}): void {
		assert(!this.#closed, "the autoscaler is closed");
		assert(!this.#entries.has(id), `revision ${id} is scaled already`);
		const scaler = new ScaledRevision(revision, initialized, this.#clock.monotonic());
		const entry: Entry = { id, scaler, since: this.#clock.now(), failing: false, busy: false };
		this.#entries.set(id, entry);
		this.#turn(entry, () => scaler.begin(this.#clock.monotonic()));
		if (!scaler.asleep) this.#keepAwake(entry);
	}

	/** It is not scaled any more; its instances stay as they are. */
	remove(id: string): void {
		const entry = this.#entries.get(id);
		if (!entry) return;
		this.#entries.delete(id);
		this.#awake.delete(entry);
		if (this.#awake.size === 0) this.#stopTimer();
	}

	/** A request waits for an instance of it. Cheap: may be called for each one. */
	poke(id: string): void {
		this.#now(id, (scaler) => scaler.poke(this.#clock.monotonic()));
	}

	/** Whether it is reachable, or its settings, have changed: bounds are applied anew. */
	reconcile(id: string): void {
		this.#now(id, (scaler) => scaler.reconcile(this.#clock.monotonic()));
	}

	status(id: string): AutoscalerStatus | undefined {
		const entry = this.#entries.get(id);
		if (!entry) return undefined;
		const { scaler } = entry;
		const { phase, timedOut, initialized } = scaler.activation;
		return {
			desired: scaler.scaling.count,
			actual: scaler.observation.ready,
			starting: scaler.observation.starting,
			panicking: scaler.panicking,
			stableConcurrency: scaler.load?.stable,
			panicConcurrency: scaler.load?.panic,
			excessBurstCapacity: scaler.excessBurstCapacity,
			phase,
			timedOut,
			initialized,
			since: entry.since,
			reason: scaler.scaling.reason,
		};
	}

	/** Called after each change of a revision's scale. The returned function ends it. */
	onScale(listener: (event: ScaleEvent) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#closed = true;
		this.#stopTimer();
		this.#awake.clear();
		this.#entries.clear();
		this.#listeners.clear();
	}

	#now(id: string, act: (scaler: ScaledRevision) => void): void {
		const entry = this.#entries.get(id);
		// What is in its turn is awake: its next tick sees what this poke is about.
		if (!entry || entry.busy) return;
		const { scaler } = entry;
		this.#turn(entry, () => {
			const slept = !this.#awake.has(entry);
			this.#keepAwake(entry);
			if (slept) scaler.wake(this.#clock.monotonic());
			act(scaler);
		});
	}

	#turn(entry: Entry, act: () => void): void {
		const from = entry.scaler.scaling.count;
		entry.busy = true;
		try {
			act();
			entry.failing = false;
		} catch (error) {
			if (!entry.failing) this.#log.error("A revision could not be scaled", { revision: entry.id, error });
			entry.failing = true;
		} finally {
			entry.busy = false;
		}
		const { count, reason } = entry.scaler.scaling;
		if (count !== from)
			this.#changed(entry, { id: entry.id, from, to: count, reason, panicking: entry.scaler.panicking });
	}

	#changed(entry: Entry, event: ScaleEvent): void {
		entry.since = this.#clock.now();
		this.#log.debug("Scaled a revision", { ...event });
		for (const listener of this.#listeners)
			try {
				listener(event);
			} catch (error) {
				this.#log.error("A listener to scaling failed", { revision: event.id, error });
			}
	}

	#keepAwake(entry: Entry): void {
		this.#awake.add(entry);
		if (this.#cancelTimer) return;
		this.#tickMs = Math.floor(this.#clock.monotonic());
		this.#startTimer();
	}

	#startTimer(): void {
		const dueMs = this.#tickMs + observationIntervalMs;
		this.#cancelTimer = this.#clock.after(Math.max(0, dueMs - this.#clock.monotonic()), () => this.#tick());
	}

	#stopTimer(): void {
		this.#cancelTimer?.();
		this.#cancelTimer = undefined;
	}

	#tick(): void {
		const nowMs = this.#clock.monotonic();
		const seconds = Math.max(1, Math.floor((nowMs - this.#tickMs) / observationIntervalMs));
		this.#tickMs += seconds * observationIntervalMs;
		for (const entry of this.#awake) {
			this.#turn(entry, () => entry.scaler.tick(this.#tickMs, seconds, nowMs));
			if (!entry.failing && entry.scaler.asleep) this.#awake.delete(entry);
		}
		this.#cancelTimer = undefined;
		if (this.#awake.size > 0) this.#startTimer();
	}
}

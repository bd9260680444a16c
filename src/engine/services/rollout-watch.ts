import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { decideRollback, type RevisionObservation, type RollbackDecision } from "../../core/service/rollback.ts";
import { rollbackBounds } from "../../core/service/service-annotations.ts";
import type { ServiceServing } from "./ports.ts";
import { keyOf, type ServiceRecord } from "./records.ts";

/** Between two looks at a revision that is being judged, milliseconds: a bad one hurts for as long. */
const lookEveryMs = 1000;
/** Before a step that could not be saved is tried again, milliseconds. */
const retryMs = 1000;

export interface RolloutWatchDeps {
	clock: Clock;
	log: Log;
	serving: Pick<ServiceServing, "usage">;
	/** As it is now. */
	find: (namespace: string, name: string) => ServiceRecord | undefined;
	/** Time for the rollout's next step. */
	step: (record: ServiceRecord) => Promise<unknown>;
	/** What the judgement of its probation is: to trust or to roll back. */
	decided: (record: ServiceRecord, decision: RollbackDecision) => Promise<unknown>;
}

/** Takes the steps of gradual rollouts when they are due, and looks at new revisions that are being judged. */
export class RolloutWatch {
	readonly #deps: RolloutWatchDeps;
	readonly #timers = new Map<string, () => void>();
	/** What both revisions had answered when the judging began. */
	readonly #baselines = new Map<string, { revision: string; current: Seen; previous: Seen }>();
	#stopped = false;

	constructor(deps: RolloutWatchDeps) {
		this.#deps = deps;
	}

	/** After each change of a service. */
	follow(record: ServiceRecord): void {
		const { namespace, name } = record.metadata;
		const key = keyOf(namespace, name);
		this.#timers.get(key)?.();
		this.#timers.delete(key);
		const { probation, rollout } = record.routing;
		if (!probation) this.#baselines.delete(key);
		else if (this.#baselines.get(key)?.revision !== probation.revision)
			this.#baselines.set(key, {
				revision: probation.revision,
				current: this.#seen(namespace, probation.revision),
				previous: this.#seen(namespace, probation.previous),
			});
		const stepInMs = rollout?.step ? rollout.step.nextMs - this.#deps.clock.now() : Number.POSITIVE_INFINITY;
		const dueInMs = Math.min(stepInMs, probation ? lookEveryMs : Number.POSITIVE_INFINITY);
		if (dueInMs !== Number.POSITIVE_INFINITY) this.#after(key, Math.max(0, dueInMs), namespace, name);
	}

	forget(namespace: string, name: string): void {
		const key = keyOf(namespace, name);
		this.#timers.get(key)?.();
		this.#timers.delete(key);
		this.#baselines.delete(key);
	}

	stop(): void {
		this.#stopped = true;
		for (const cancel of this.#timers.values()) cancel();
		this.#timers.clear();
	}

	#after(key: string, ms: number, namespace: string, name: string): void {
		if (this.#stopped) return;
		this.#timers.set(
			key,
			this.#deps.clock.after(ms, () => {
				void this.#look(key, namespace, name);
			}),
		);
	}

	async #look(key: string, namespace: string, name: string): Promise<void> {
		const { find, clock, log } = this.#deps;
		const record = find(namespace, name);
		if (!record || this.#stopped) return;
		try {
			const decision = this.#judge(record, key);
			if (decision && decision.decision !== "watch") await this.#deps.decided(record, decision);
			else if (record.routing.rollout?.step && record.routing.rollout.step.nextMs <= clock.now())
				await this.#deps.step(record);
			else this.follow(record);
		} catch (error) {
			log.error("A rollout could not go on; it is tried again", { error, namespace, service: name });
			this.#after(key, retryMs, namespace, name);
		}
	}

	#judge(record: ServiceRecord, key: string): RollbackDecision | undefined {
		const { probation, rollout } = record.routing;
		const bounds = rollbackBounds(record.metadata.annotations);
		const baseline = this.#baselines.get(key);
		if (!probation || !baseline) return undefined;
		if (!bounds) return { decision: "trust" };
		const { namespace } = record.metadata;
		const nowMs = this.#deps.clock.now();
		return decideRollback({
			bounds,
			// The window begins when the last step has been taken.
			sinceMs: rollout?.step ? nowMs : probation.sinceMs,
			nowMs,
			current: since(this.#seen(namespace, probation.revision), baseline.current) ?? nothing,
			previous: since(this.#seen(namespace, probation.previous), baseline.previous),
		});
	}

	#seen(namespace: string, name: string): Seen {
		return this.#deps.serving.usage({ namespace, name });
	}
}

type Seen = RevisionObservation | undefined;
const nothing: RevisionObservation = { requests: 0, failures: 0, latency: [] };

/** Of cumulative counts, what came after `before`. */
function since(now: Seen, before: Seen): Seen {
	if (!now || !before || now.requests < before.requests) return now;
	return {
		requests: now.requests - before.requests,
		failures: now.failures - before.failures,
		latency: now.latency.map(({ upToMs, count }, index) => ({
			upToMs,
			count: count - (before.latency[index]?.count ?? 0),
		})),
	};
}

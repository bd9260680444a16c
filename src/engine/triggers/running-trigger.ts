import type { Clock } from "../../base/clock.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { Targets } from "../../core/delivery/target.ts";
import { type CompiledPattern, compilePattern } from "../../core/event-pattern/event-pattern.ts";
import type { BrokerMessage, Verdict } from "../../core/event-source/event-source.ts";
import type { LeasedMessage, LogChange, MessageLog } from "../../core/message-log/message-log.ts";
import { filterView, type Origin } from "../../core/trigger/event-shape.ts";
import type { Trigger, TriggerCounters, TriggerStatus } from "../../core/trigger/trigger.ts";
import type { Connections } from "./connections.ts";
import { Direct } from "./direct.ts";
import { Intake } from "./intake.ts";
import { deliverFromLane } from "./lane-delivery.ts";
import { SourceLoop } from "./source-loop.ts";
import { type Invoke, TriggerTarget } from "./trigger-target.ts";

export interface RunningTriggerDeps {
	log: MessageLog;
	clock: Clock;
	ids: Ids;
	logger: Log;
	targets: Targets;
	connections: Connections;
	invoke: Invoke;
	random: () => number;
	region: string;
	accountId: string;
	/** Of a function's recursion setting; "Terminate" where nobody says anything. */
	recursiveLoop?: ((name: string) => "Allow" | "Terminate" | undefined) | undefined;
}

/** One trigger as it is declared now, with its source when it is on. */
export class RunningTrigger {
	readonly trigger: Trigger;
	readonly arn: string;
	readonly counters: TriggerCounters;
	readonly #deps: RunningTriggerDeps;
	readonly #target: TriggerTarget;
	readonly #filter: CompiledPattern | undefined;
	readonly #taker: Intake | Direct;
	readonly #sinceMs: number;
	#loop: SourceLoop | undefined;

	constructor(deps: RunningTriggerDeps, trigger: Trigger, counters: TriggerCounters) {
		const { region, accountId, connections, targets, invoke, clock } = deps;
		this.#deps = deps;
		this.trigger = trigger;
		this.counters = counters;
		this.arn = `arn:slipway:triggers:${region}:${accountId}:trigger/${trigger.name}`;
		this.#filter = trigger.filter && compilePattern(trigger.filter);
		const direct = trigger.delivery === "direct";
		const { connection, ...source } = trigger.source;
		const origin: Origin = {
			kind: connections.kindOf(connection) ?? "rabbitmq",
			arn: this.arn,
			vhost: connections.vhostOf(connection),
			place: source.queue ?? source.stream ?? source.table ?? source.slot ?? "",
		};
		const itemFailures = direct && trigger.batch.itemFailures === true;
		const batched = direct && (trigger.batch.size > 1 || itemFailures);
		const { ids, recursiveLoop } = deps;
		const how = { targets, invoke, clock, ids, recursiveLoop };
		this.#target = new TriggerTarget({ target: trigger.target, origin, batched, itemFailures, ...how });
		const parts = { ...deps, trigger, counters, arn: this.arn, target: this.#target };
		this.#taker = direct ? new Direct(parts) : new Intake(parts);
		this.#sinceMs = clock.now();
	}

	start(): void {
		const { trigger, counters } = this;
		if (!trigger.enabled || this.#loop) return;
		const { connection, ...options } = trigger.source;
		const { connections, clock, logger, random } = this.#deps;
		this.#loop = new SourceLoop({
			name: trigger.name,
			prefetch: trigger.prefetch,
			clock,
			logger,
			random,
			source: () => connections.source(connection, trigger.name, withDefaults(options, trigger.name)),
			onMessage: (message, stopping) => this.#take(message, stopping),
			onReconnect: () => {
				counters.reconnects++;
			},
		});
		this.#loop.start();
	}

	/** What is in hand is answered or goes back to the broker. */
	async stop(): Promise<void> {
		const loop = this.#loop;
		this.#loop = undefined;
		await loop?.stop();
		if (this.#taker instanceof Direct) this.#taker.abandon();
	}

	deliver(message: LeasedMessage, signal: AbortSignal): Promise<LogChange[]> {
		const { clock, targets } = this.#deps;
		const { trigger, arn, counters } = this;
		return deliverFromLane({ clock, trigger, arn, target: this.#target, targets, counters }, message, signal);
	}

	status(): TriggerStatus {
		const { name } = this.trigger;
		const off = { message: undefined, sinceMs: this.#sinceMs, nextAttemptMs: undefined, inHand: 0 };
		const state = this.#loop?.state ?? { ...off, state: this.trigger.enabled ? "connecting" : "disabled" };
		return { name, ...state, counters: { ...this.counters } };
	}

	async #take(message: BrokerMessage, stopping: AbortSignal): Promise<Verdict> {
		this.counters.received++;
		try {
			if (this.#filter && !this.#filter.matches(filterView(message))) {
				this.counters.filtered++;
				return { verdict: "acknowledge" };
			}
			const verdict = await this.#taker.take(message, stopping);
			if (verdict.verdict === "reject") this.#tellRejected(message, verdict.reason);
			return verdict;
		} catch (error) {
			// A bug of ours must not lose it: the broker gives it again, when somebody has had the time to look.
			this.#deps.logger.error("A message of a trigger could not be taken", { trigger: this.trigger.name, error });
			await this.#deps.clock.sleep(releaseDelayMs, stopping).catch(() => {});
			this.counters.released++;
			return { verdict: "release" };
		}
	}

	/** Not every broker keeps what is rejected: RabbitMQ drops it where the queue has no dead-letter exchange. */
	#tellRejected({ id, subject }: BrokerMessage, reason: string): void {
		const text = "A message of a trigger was rejected: it is where its broker keeps dead letters, if that is set up";
		this.#deps.logger.warn(text, { trigger: this.trigger.name, id, subject, reason });
	}
}

/** Milliseconds before one that failed for no good reason goes back: it comes again at once. */
const releaseDelayMs = 5000;

/** Consumers are named after the trigger, so that two of one stream each get all of it. */
function withDefaults(options: Readonly<Record<string, string>>, name: string): Record<string, string> {
	return { durable: `slipway-${name}`, group: `slipway-${name}`, ...options };
}

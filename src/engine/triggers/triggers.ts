import { SlipwayError } from "../../base/error.ts";
import { defaultLaneSettings } from "../../core/message-log/message-log.ts";
import type { ResourceStore } from "../../core/resource/resource-store.ts";
import { readTrigger } from "../../core/trigger/read-trigger.ts";
import {
	type Trigger,
	type TriggerCounters,
	type TriggerStatus,
	triggerKind,
	triggerLane,
	triggerLanes,
} from "../../core/trigger/trigger.ts";
import { LaneConsumers } from "../delivery/lane-consumers.ts";
import { RunningTrigger, type RunningTriggerDeps } from "./running-trigger.ts";

export interface TriggersDeps extends RunningTriggerDeps {
	store: ResourceStore;
}

/** Each has two connections at most and `prefetch` messages in memory. */
const maxTriggers = 500;

/** Native triggers: what takes messages of brokers outside and hands them to targets here. One change after the other. */
export class Triggers implements AsyncDisposable {
	readonly #deps: TriggersDeps;
	readonly #running = new Map<string, RunningTrigger>();
	readonly #consumers: LaneConsumers;
	#last: Promise<unknown> = Promise.resolve();
	#started = false;

	/** Reads what is stored; nothing is taken before `start`. */
	static async open(deps: TriggersDeps): Promise<Triggers> {
		const triggers = new Triggers(deps);
		for (const { name, document } of await deps.store.list(triggerKind))
			triggers.#running.set(name, new RunningTrigger(deps, document as Trigger, newCounters()));
		return triggers;
	}

	private constructor(deps: TriggersDeps) {
		this.#deps = deps;
		const { log, clock, logger } = deps;
		this.#consumers = new LaneConsumers(
			{ log, clock, logger },
			{
				prefix: triggerLanes,
				concurrency: (lane) => this.#concurrency(lane),
				handle: async (message, signal) => {
					const running = this.#running.get(message.lane.slice(triggerLanes.length));
					if (running) return running.deliver(message, signal);
					throw new SlipwayError("NOT_FOUND", `There is no trigger for ${message.lane}`);
				},
			},
		);
		deps.connections.addUser(
			(connection) =>
				[...this.#running.values()].find(({ trigger }) => trigger.source.connection === connection)?.trigger.name,
			(connection) => this.#reconnect(connection),
		);
	}

	/** Connects the sources and begins to deliver. */
	start(): void {
		this.#started = true;
		this.#consumers.start();
		for (const running of this.#running.values()) running.start();
	}

	/** Makes or replaces it. INVALID with every field that is wrong, NOT_FOUND for the target, EXHAUSTED. */
	apply(document: unknown): Promise<Trigger> {
		return this.#change(() => this.#apply(document));
	}

	/** NOT_FOUND. */
	get(name: string): Trigger {
		return this.#require(name).trigger;
	}

	/** By name. */
	list(): Trigger[] {
		return [...this.#running.values()].map(({ trigger }) => trigger).sort((a, b) => (a.name < b.name ? -1 : 1));
	}

	/** NOT_FOUND. With what waits in its lane; its dead letters stay. */
	remove(name: string): Promise<void> {
		return this.#change(async () => {
			const running = this.#require(name);
			await running.stop();
			await this.#deps.store.commit([{ change: "delete", kind: triggerKind, namespace: "", name }]);
			this.#running.delete(name);
			await this.#deps.log.removeLane(triggerLane(name));
		});
	}

	/** No more is taken of the broker or delivered, until `resume`. NOT_FOUND. */
	pause(name: string): Promise<Trigger> {
		return this.#change(() => this.#apply({ ...this.get(name), enabled: false }));
	}

	/** NOT_FOUND. */
	resume(name: string): Promise<Trigger> {
		return this.#change(() => this.#apply({ ...this.get(name), enabled: true }));
	}

	/** NOT_FOUND. Counters are since the start of the process. */
	status(name: string): TriggerStatus {
		return this.#require(name).status();
	}

	/** By name. */
	statuses(): TriggerStatus[] {
		return this.list().map(({ name }) => this.status(name));
	}

	/** Takes no more, and answers what is in hand or gives it back: at most some 13 s. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#started = false;
		await this.#last;
		await Promise.all([...this.#running.values()].map((running) => running.stop()));
		await this.#consumers[Symbol.asyncDispose]();
	}

	async #apply(document: unknown): Promise<Trigger> {
		const { connections, targets, store, log } = this.#deps;
		const trigger = readTrigger(document, (connection) => connections.kindOf(connection));
		const { name, deadLetter } = trigger;
		targets.check(trigger.target);
		if (deadLetter !== undefined && deadLetter !== "broker") checkQueue(deadLetter, () => targets.check(deadLetter));
		const before = this.#running.get(name);
		if (!before && this.#running.size >= maxTriggers)
			throw new SlipwayError("EXHAUSTED", `There are ${maxTriggers} triggers already`);
		if (before && before.trigger.ordered !== trigger.ordered) await this.#requireEmptyLane(name);
		await log.defineLane(triggerLane(name), { ...defaultLaneSettings, ordered: trigger.ordered });
		await store.commit([{ change: "put", kind: triggerKind, namespace: "", name, document: trigger }]);
		await this.#replace(new RunningTrigger(this.#deps, trigger, before?.counters ?? newCounters()));
		return trigger;
	}

	async #replace(next: RunningTrigger): Promise<void> {
		const { name } = next.trigger;
		const before = this.#running.get(name);
		this.#running.set(name, next);
		await before?.stop();
		if (!this.#started) return;
		next.start();
		this.#consumers.poke(triggerLane(name));
	}

	/** A connection's document has changed: its sources connect anew. */
	async #reconnect(connection: string): Promise<void> {
		for (const { trigger, counters } of [...this.#running.values()])
			if (trigger.source.connection === connection)
				await this.#change(async () => {
					if (this.#running.has(trigger.name))
						await this.#replace(new RunningTrigger(this.#deps, this.get(trigger.name), counters));
				});
	}

	async #requireEmptyLane(name: string): Promise<void> {
		const [counts] = await this.#deps.log.lanes(triggerLane(name));
		if (counts?.lane !== triggerLane(name) || counts.visible + counts.delayed + counts.inFlight === 0) return;
		throw new SlipwayError("CONFLICT", `Trigger ${name} has messages that wait: \`ordered\` can't be changed now`, {
			hint: "Wait until they are delivered, or remove the trigger",
		});
	}

	#concurrency(lane: string): number {
		const trigger = this.#running.get(lane.slice(triggerLanes.length))?.trigger;
		return trigger?.enabled ? trigger.concurrency : 0;
	}

	#require(name: string): RunningTrigger {
		const running = this.#running.get(name);
		if (running) return running;
		throw new SlipwayError("NOT_FOUND", `There is no trigger '${name}'`);
	}

	#change<T>(work: () => Promise<T>): Promise<T> {
		const result = this.#last.then(work);
		this.#last = result.catch(() => {});
		return result;
	}
}

function checkQueue(arn: string, check: () => void): void {
	if (arn.split(":")[2] !== "sqs")
		throw new SlipwayError("INVALID", `'${arn}' is no queue: dead letters go to a queue, or to "broker"`);
	check();
}

function newCounters(): TriggerCounters {
	return {
		received: 0,
		filtered: 0,
		duplicates: 0,
		accepted: 0,
		delivered: 0,
		failed: 0,
		deadLettered: 0,
		released: 0,
		reconnects: 0,
	};
}

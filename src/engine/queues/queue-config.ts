import { Semaphore } from "../../base/semaphore.ts";
import type { LaneSettings } from "../../core/message-log/message-log.ts";
import {
	changedSettings,
	defaultSettings,
	differingAttribute,
	type QueueSettings,
} from "../../core/queue/queue-attributes.ts";
import { invalidValue, queueError } from "../../core/queue/queue-error.ts";
import {
	checkQueueName,
	isFifoName,
	laneOf,
	nameOfArn,
	nameOfLane,
	noSuchQueue,
	queueArn,
	queueLanes,
} from "../../core/queue/queue-name.ts";
import { checkTags } from "../../core/queue/queue-tags.ts";
import { allowsSource } from "../../core/queue/redrive-policy.ts";
import {
	deadLetterQueueOf,
	laneSettings,
	putQueue,
	type QueueRecord,
	queueDeletion,
	queueKind,
	queueOf,
} from "./queue-record.ts";
import type { Queue, QueuesDeps } from "./types.ts";

/** Queues at one time: each is some kilobytes in memory and a lane in the log. */
export const maxQueues = 100_000;

type ConfigDeps = Pick<QueuesDeps, "store" | "log" | "clock" | "logger" | "region" | "accountId">;

/** What queues there are and how they are set up: in memory, and on the disk before it is answered. */
export class QueueConfig {
	readonly #deps: ConfigDeps;
	readonly #queues = new Map<string, Queue>();
	/** One change at a time: each checks what the one before it has made. */
	readonly #changes = new Semaphore(1);

	private constructor(deps: ConfigDeps) {
		this.#deps = deps;
	}

	static async open(deps: ConfigDeps): Promise<QueueConfig> {
		const config = new QueueConfig(deps);
		for (const { document } of await deps.store.list(queueKind)) config.#remember(document as QueueRecord);
		await config.#alignLanes();
		return config;
	}

	find(name: string): Queue | undefined {
		return this.#queues.get(name);
	}

	/** Throws QueueDoesNotExist. */
	get(name: string): Queue {
		const queue = this.#queues.get(name);
		if (!queue) throw noSuchQueue();
		return queue;
	}

	/** By name. */
	list(prefix = ""): Queue[] {
		return byName([...this.#queues.values()].filter(({ name }) => name.startsWith(prefix)));
	}

	/** Queues whose dead-letter queue this is, by name. */
	sourcesOf(name: string): Queue[] {
		const arn = queueArn(name, this.#deps);
		return byName(
			[...this.#queues.values()].filter(({ settings }) => settings.redrivePolicy?.deadLetterTargetArn === arn),
		);
	}

	/** With equal attributes it is the queue that is there already; QueueNameExists otherwise. */
	create(
		name: string,
		attributes: Readonly<Record<string, string>>,
		tags: Readonly<Record<string, string>>,
	): Promise<Queue> {
		return this.#changes.run(async () => {
			const fifo = attributes.FifoQueue?.toLowerCase() === "true";
			checkQueueName(name, fifo);
			const settings = changedSettings(defaultSettings, attributes, fifo);
			const known = this.#queues.get(name);
			if (known) return same(known, settings, Object.keys(attributes));
			if (this.#queues.size >= maxQueues)
				throw queueError("OverLimit", `There are ${maxQueues} queues, which is the bound`);
			this.#checkRedrive(name, settings);
			const nowMs = this.#deps.clock.now();
			const record = { name, settings, tags: checkTags({}, tags), createdMs: nowMs, modifiedMs: nowMs };
			// Messages that were under way when a queue of that name was deleted are not this one's.
			await this.#deps.log.removeLane(laneOf(name));
			await this.#put(record);
			await this.#defineSources(name);
			return this.get(name);
		});
	}

	/** Throws InvalidAttributeName and InvalidAttributeValue; all of the attributes or none. */
	setAttributes(name: string, attributes: Readonly<Record<string, string>>): Promise<void> {
		return this.#change(name, (queue) => {
			const settings = changedSettings(queue.settings, attributes, queue.fifo);
			if (attributes.RedrivePolicy) this.#checkRedrive(name, settings);
			return { settings };
		});
	}

	setTags(name: string, change: (tags: Readonly<Record<string, string>>) => Record<string, string>): Promise<void> {
		return this.#change(name, ({ tags }) => ({ tags: change(tags) }));
	}

	/** `change` makes the policy from the one there is, both as JSON. */
	setPolicy(name: string, change: (queue: Queue) => string | undefined): Promise<void> {
		return this.#change(name, (queue) => {
			const { policy: _, ...settings } = queue.settings;
			const policy = change(queue);
			return { settings: policy === undefined ? settings : { ...settings, policy } };
		});
	}

	delete(name: string): Promise<void> {
		return this.#changes.run(async () => {
			this.get(name);
			await this.#deps.store.commit([queueDeletion(name)]);
			this.#queues.delete(name);
			await this.#defineSources(name);
			await this.#deps.log.removeLane(laneOf(name));
		});
	}

	#change(name: string, change: (queue: Queue) => Partial<QueueRecord>): Promise<void> {
		return this.#changes.run(async () => {
			const queue = this.get(name);
			const { settings, tags, createdMs } = queue;
			const changed = { name, settings, tags: { ...tags }, createdMs, ...change(queue) };
			await this.#put({ ...changed, modifiedMs: this.#deps.clock.now() });
		});
	}

	/** The lane first: one that the log made at the first message would not be ordered, and could not become so. */
	async #put(record: QueueRecord): Promise<void> {
		await this.#deps.log.defineLane(laneOf(record.name), this.#laneSettings(queueOf(record, this.#deps)));
		await this.#deps.store.commit([putQueue(record)]);
		this.#remember(record);
	}

	#remember(record: QueueRecord): void {
		const queue = queueOf({ ...record, settings: { ...defaultSettings, ...record.settings } }, this.#deps);
		this.#queues.set(record.name, queue);
	}

	#laneSettings(queue: Queue): LaneSettings {
		const target = deadLetterQueueOf(queue, this.#deps);
		return laneSettings(queue, target !== undefined && this.#queues.has(target) ? target : undefined);
	}

	/** A queue came or went: those whose dead letters it takes have it as their lane's end, or nothing. */
	async #defineSources(name: string): Promise<void> {
		for (const queue of this.sourcesOf(name))
			await this.#deps.log.defineLane(laneOf(queue.name), this.#laneSettings(queue));
	}

	/** The store is what counts: a crash may have come between its commit and the log's. */
	async #alignLanes(): Promise<void> {
		const { log, logger } = this.#deps;
		const lanes = new Map((await log.lanes(queueLanes)).map(({ lane, settings }) => [lane, settings] as const));
		for (const queue of this.#queues.values()) {
			const lane = laneOf(queue.name);
			const settings = this.#laneSettings(queue);
			if (!equalSettings(lanes.get(lane), settings)) await log.defineLane(lane, settings);
			lanes.delete(lane);
		}
		for (const lane of lanes.keys()) {
			logger.warn("A queue's messages are deleted: the queue is not there any more", { queue: nameOfLane(lane) });
			await log.removeLane(lane);
		}
	}

	#checkRedrive(name: string, { redrivePolicy }: QueueSettings): void {
		if (!redrivePolicy) return;
		const refuse = (why: string) => invalidValue(JSON.stringify(redrivePolicy), "RedrivePolicy", why);
		const target = nameOfArn(redrivePolicy.deadLetterTargetArn, this.#deps);
		if (target === undefined)
			throw refuse("Dead letter target owner should be same as the source, in the same region.");
		if (target === name) throw refuse("Dead-letter target can't be the queue itself.");
		const queue = this.#queues.get(target);
		if (!queue) throw refuse("Dead letter target does not exist.");
		if (queue.fifo !== isFifoName(name)) throw refuse("Dead-letter queue must be same type of queue as the source.");
		if (!allowsSource(queue.settings.redriveAllowPolicy, queueArn(name, this.#deps)))
			throw refuse("Source queue is not allowed by the dead-letter queue's redrive allow policy.");
	}
}

function byName(queues: Queue[]): Queue[] {
	return queues.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function same(queue: Queue, settings: QueueSettings, names: readonly string[]): Queue {
	const different = differingAttribute(queue.settings, settings, names);
	if (different === undefined) return queue;
	throw queueError(
		"QueueNameExists",
		`A queue already exists with the same name and a different value for attribute ${different}`,
	);
}

function equalSettings(one: LaneSettings | undefined, other: LaneSettings): boolean {
	const parts = (settings: LaneSettings) => {
		const { ordered, retentionMs, maxMessages, maxInFlight, redrive } = settings;
		return JSON.stringify([ordered, retentionMs, maxMessages, maxInFlight, redrive?.maxLeases, redrive?.lane]);
	};
	return one !== undefined && parts(one) === parts(other);
}

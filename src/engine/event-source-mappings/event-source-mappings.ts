/** Event source mappings: what they are, and their pollers. */
import type { Clock } from "../../base/clock.ts";
import { settledWithin } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { TargetKind } from "../../core/delivery/target.ts";
import { compilePattern } from "../../core/event-pattern/event-pattern.ts";
import type { ResourceStore } from "../../core/resource/resource-store.ts";
import type { EventRoom } from "../delivery/event-room.ts";
import type { BatchDelivery } from "./batch-outcome.ts";
import { queueNameOf } from "./batch-work.ts";
import { type MappingCounters, newMappingCounters } from "./counters.ts";
import { FunctionDelivery } from "./function-delivery.ts";
import {
	type CreateMapping,
	type EventSourceMapping,
	type MappingFilter,
	type MappingState,
	type MappingTarget,
	type MappingView,
	maxMappings,
	type UpdateMapping,
} from "./mapping.ts";
import { checkSettings, checkSource, checkVisibility, missingQueue, withDefaults } from "./mapping-checks.ts";
import { MappingRoom } from "./mapping-room.ts";
import { MemoryBudget } from "./memory-budget.ts";
import { Poller } from "./poller.ts";
import {
	type MappedFunction,
	type MappedFunctions,
	type QueueLog,
	queueLanes,
	type SourceQueue,
	type SourceQueues,
} from "./ports.ts";
import { ServiceDelivery } from "./service-delivery.ts";

export interface EventSourceMappingsDeps {
	store: ResourceStore;
	queues: SourceQueues;
	/** The one that the queues are in. */
	log: QueueLog;
	functions: MappedFunctions;
	services: Pick<TargetKind, "owns" | "check" | "handOver">;
	/** Shared with everything else that has functions run for events; without bounds where it is left out. */
	room?: EventRoom | undefined;
	clock: Clock;
	ids: Pick<Ids, "uuid" | "hex">;
	logger: Log;
	region: string;
	accountId: string;
}

const kind = "event-source-mapping";
/** Milliseconds that batches in hand have to end when the daemon stops; then their messages are left to their visibility timeout. */
const endMs = 30_000;

interface Entry {
	mapping: EventSourceMapping;
	poller: Poller;
	/** What is under way; undefined: nothing. */
	transition: Exclude<MappingState, "Enabled" | "Disabled"> | undefined;
}

/**
 * A batch in hand is leased for the queue's visibility timeout, as any consumer's is, not for as long as this process lives:
 * the function gets receipt handles that mean what they mean in SQS (it may change the visibility, or delete), what is in hand at a
 * crash may still be at work in a container, and a batch that brings the daemon down must not be taken again at once, for ever.
 */
export class EventSourceMappings implements AsyncDisposable {
	readonly counters: MappingCounters = newMappingCounters();
	readonly #deps: EventSourceMappingsDeps;
	readonly #entries = new Map<string, Entry>();
	readonly #byLane = new Map<string, Set<Poller>>();
	readonly #memory = new MemoryBudget();
	/** Checks and the commit that follows them see the same mappings. */
	readonly #oneAtATime = new Semaphore(1);
	readonly #deliveries: Record<MappingTarget["kind"], BatchDelivery>;
	#unwatch: (() => void) | undefined;

	private constructor(deps: EventSourceMappingsDeps) {
		this.#deps = deps;
		this.#deliveries = { function: new FunctionDelivery(deps), service: new ServiceDelivery(deps.services) };
	}

	static async open(deps: EventSourceMappingsDeps): Promise<EventSourceMappings> {
		const mappings = new EventSourceMappings(deps);
		for (const { document } of await deps.store.list(kind)) {
			const mapping = document as EventSourceMapping;
			if (mapping.deleting) await deps.store.commit([{ change: "delete", kind, namespace: "", name: mapping.uuid }]);
			else mappings.#add(mapping);
		}
		return mappings;
	}

	/** From now on messages are taken. */
	start(): void {
		this.#unwatch = this.#deps.log.watch(queueLanes, (lane) => {
			for (const poller of this.#byLane.get(lane) ?? []) poller.poke();
		});
		for (const { mapping, poller } of this.#entries.values()) if (mapping.enabled) poller.start();
	}

	/** INVALID, UNSUPPORTED for another kind of source, CONFLICT for a mapping that is there, NOT_FOUND for a service that is not. */
	create(input: CreateMapping): Promise<MappingView> {
		return this.#oneAtATime.run(async () => {
			const { source, target, tags = {}, ...given } = input;
			const sourceArn = checkSource(source);
			const settings = withDefaults(given, target);
			this.#checkTarget(sourceArn, target, true);
			checkSettings(settings, target, this.#queue(sourceArn), compilePattern);
			this.#checkNew(sourceArn, target);
			const now = this.#deps.clock.now();
			const uuid = this.#deps.ids.uuid();
			const times = { createdMs: now, lastModifiedMs: now };
			const mapping: EventSourceMapping = { uuid, sourceArn, target, ...settings, tags, ...times, deleting: false };
			await this.#save(mapping);
			const entry = this.#add(mapping);
			entry.transition = "Creating";
			return this.#answered(entry, async () => {
				if (mapping.enabled && this.#unwatch) entry.poller.start();
			});
		});
	}

	/** NOT_FOUND. */
	get(uuid: string): MappingView {
		return this.#view(this.#entry(uuid));
	}

	/** In the order of their creation. */
	list(filter: MappingFilter = {}): MappingView[] {
		return [...this.#entries.values()]
			.filter(({ mapping }) => isMeant(mapping, filter))
			.map((entry) => this.#view(entry))
			.sort((a, b) => a.createdMs - b.createdMs || (a.uuid < b.uuid ? -1 : 1));
	}

	/** What is not given stays. Batches in hand end as they began. NOT_FOUND, INVALID, CONFLICT. */
	update(uuid: string, changes: UpdateMapping): Promise<MappingView> {
		return this.#oneAtATime.run(async () => {
			const entry = this.#entry(uuid);
			const before = entry.mapping;
			if (before.deleting) throw inUse("update");
			const after = changed(before, changes, this.#deps.clock.now());
			this.#checkTarget(before.sourceArn, after.target, changes.target !== undefined);
			checkSettings(after, after.target, this.#queue(before.sourceArn), compilePattern);
			if (changes.target) this.#checkNew(before.sourceArn, after.target, before.uuid);
			await this.#save(after);
			entry.mapping = after;
			entry.transition = before.enabled === after.enabled ? "Updating" : after.enabled ? "Enabling" : "Disabling";
			return this.#answered(entry, async () => {
				entry.poller.change(after);
				if (!after.enabled) await entry.poller.stop();
				else if (this.#unwatch) entry.poller.start();
			});
		});
	}

	/** Resolves when it is written down; batches in hand end first, then it is gone. NOT_FOUND. */
	delete(uuid: string): Promise<MappingView> {
		return this.#oneAtATime.run(async () => {
			const entry = this.#entry(uuid);
			if (entry.mapping.deleting) throw inUse("delete");
			const deleting = { ...entry.mapping, deleting: true };
			await this.#save(deleting);
			entry.mapping = deleting;
			entry.transition = "Deleting";
			return this.#answered(entry, async () => {
				await entry.poller.stop();
				await this.#deps.store.commit([{ change: "delete", kind, namespace: "", name: deleting.uuid }]);
				this.#forget(entry);
			});
		});
	}

	async tag(uuid: string, tags: Readonly<Record<string, string>>): Promise<void> {
		await this.#changeTags(uuid, (before) => ({ ...before, ...tags }));
	}

	async untag(uuid: string, keys: readonly string[]): Promise<void> {
		await this.#changeTags(uuid, (before) =>
			Object.fromEntries(Object.entries(before).filter(([key]) => !keys.includes(key))),
		);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#unwatch?.();
		this.#unwatch = undefined;
		const pollers = [...this.#entries.values()].map(({ poller }) => poller);
		await settledWithin(Promise.all(pollers.map((poller) => poller.stop())), endMs, this.#deps.clock);
		for (const poller of pollers) poller.abort();
	}

	/** The answer says what is under way; the change itself goes on after it. */
	#answered(entry: Entry, change: () => Promise<void>): MappingView {
		const { transition } = entry;
		const view = this.#view(entry);
		change()
			.catch((error: unknown) =>
				this.#deps.logger.error("An event source mapping could not be changed", { uuid: view.uuid, error }),
			)
			.finally(() => {
				if (entry.transition === transition && transition !== "Deleting") entry.transition = undefined;
			});
		return view;
	}

	#changeTags(uuid: string, change: (before: EventSourceMapping["tags"]) => EventSourceMapping["tags"]): Promise<void> {
		return this.#oneAtATime.run(async () => {
			const entry = this.#entry(uuid);
			const mapping = { ...entry.mapping, tags: change(entry.mapping.tags) };
			await this.#save(mapping);
			entry.mapping = mapping;
		});
	}

	#add(mapping: EventSourceMapping): Entry {
		const { queues, log, clock, logger, room: shared } = this.#deps;
		const delivery = this.#deliveries[mapping.target.kind];
		const room =
			shared && mapping.target.kind === "function"
				? new MappingRoom(shared, mapping, () => entry.poller.poke())
				: undefined;
		const poller = new Poller(
			{
				queues,
				log,
				delivery: room?.deliverer(delivery) ?? delivery,
				memory: this.#memory,
				counters: this.counters,
				targetConcurrency: (mapping) => {
					const reserved = this.#functionOf(mapping.target)?.reservedConcurrency ?? Number.POSITIVE_INFINITY;
					return room?.allowed(mapping, reserved) ?? Math.max(1, reserved);
				},
				targetTimeoutS: ({ target }) => this.#functionOf(target)?.timeoutS ?? 0,
				matcher: matcherOf,
				clock,
				logger,
			},
			mapping,
		);
		const entry: Entry = { mapping, poller, transition: undefined };
		this.#entries.set(mapping.uuid, entry);
		const pollers = this.#byLane.get(poller.lane) ?? new Set();
		this.#byLane.set(poller.lane, pollers.add(poller));
		return entry;
	}

	#functionOf(target: MappingTarget): MappedFunction | undefined {
		return target.kind === "function" ? this.#deps.functions.find(target.name, target.qualifier) : undefined;
	}

	#forget({ mapping, poller }: Entry): void {
		this.#entries.delete(mapping.uuid);
		const pollers = this.#byLane.get(poller.lane);
		pollers?.delete(poller);
		if (pollers?.size === 0) this.#byLane.delete(poller.lane);
	}

	async #save(mapping: EventSourceMapping): Promise<void> {
		await this.#deps.store.commit([{ change: "put", kind, namespace: "", name: mapping.uuid, document: mapping }]);
	}

	#entry(uuid: string): Entry {
		const entry = this.#entries.get(uuid.toLowerCase());
		if (!entry) throw new SlipwayError("NOT_FOUND", "The resource you requested does not exist.");
		return entry;
	}

	#queue(arn: string): SourceQueue {
		const queue = this.#deps.queues.find(queueNameOf(arn));
		if (queue?.arn !== arn) throw missingQueue();
		return queue;
	}

	#checkTarget(sourceArn: string, target: MappingTarget, isNew: boolean): void {
		const queue = this.#queue(sourceArn);
		if (target.kind === "service") {
			if (!this.#deps.services.owns(target.arn))
				throw new SlipwayError("INVALID", `'${target.arn}' is not the ARN of a service`);
			if (isNew) this.#deps.services.check(target.arn);
			return;
		}
		const found = this.#deps.functions.find(target.name, target.qualifier);
		if (isNew && !found)
			throw new SlipwayError("INVALID", "Function does not exist", {
				hint: `There is no '${target.name}': \`slipway function ls\` lists the functions`,
			});
		if (isNew) checkVisibility(queue, found);
	}

	#checkNew(sourceArn: string, target: MappingTarget, uuid?: string): void {
		if (this.#entries.size >= maxMappings)
			throw new SlipwayError("EXHAUSTED", `There are ${maxMappings} event source mappings, as many as there can be`);
		const name = targetName(target);
		for (const { mapping } of this.#entries.values())
			if (mapping.uuid !== uuid && mapping.sourceArn === sourceArn && targetName(mapping.target) === name)
				throw new SlipwayError(
					"CONFLICT",
					`An event source mapping with SQS arn (" ${sourceArn} ") and function (" ${name} ") already exists. Please update or delete the existing mapping with UUID ${mapping.uuid}`,
				);
	}

	#view({ mapping, poller, transition }: Entry): MappingView {
		const { region, accountId } = this.#deps;
		return {
			...mapping,
			arn: `arn:aws:lambda:${region}:${accountId}:${kind}:${mapping.uuid}`,
			targetArn: this.#targetArn(mapping.target),
			state: transition ?? (mapping.enabled ? "Enabled" : "Disabled"),
			lastProcessingResult: poller.lastProcessingResult,
			inHand: poller.inHand,
		};
	}

	#targetArn(target: MappingTarget): string {
		if (target.kind === "service") return target.arn;
		const { region, accountId } = this.#deps;
		return `arn:aws:lambda:${region}:${accountId}:function:${targetName(target)}`;
	}
}

function targetName(target: MappingTarget): string {
	if (target.kind === "service") return target.arn;
	return target.qualifier === undefined ? target.name : `${target.name}:${target.qualifier}`;
}

function isMeant({ sourceArn, target }: EventSourceMapping, filter: MappingFilter): boolean {
	if (filter.source !== undefined && filter.source !== sourceArn) return false;
	if (filter.functionName === undefined) return true;
	return (
		target.kind === "function" &&
		target.name === filter.functionName &&
		(filter.qualifier === undefined || filter.qualifier === target.qualifier)
	);
}

function matcherOf({ filters }: EventSourceMapping): ((record: Record<string, unknown>) => boolean) | undefined {
	if (filters.length === 0) return undefined;
	const patterns = filters.map((pattern) => compilePattern(pattern));
	return (record) => patterns.some((pattern) => pattern.matches(record));
}

function changed(before: EventSourceMapping, changes: UpdateMapping, now: number): EventSourceMapping {
	const { target = before.target, maximumConcurrency = before.maximumConcurrency } = changes;
	if (target.kind !== before.target.kind)
		throw new SlipwayError("INVALID", "A mapping to a function can't become one to a service, or the other way round");
	return {
		...before,
		target,
		enabled: changes.enabled ?? before.enabled,
		batchSize: changes.batchSize ?? before.batchSize,
		windowS: changes.windowS ?? before.windowS,
		filters: changes.filters ?? before.filters,
		reportsItemFailures: changes.reportsItemFailures ?? before.reportsItemFailures,
		maximumConcurrency: maximumConcurrency === "none" ? undefined : maximumConcurrency,
		lastModifiedMs: now,
	};
}

function inUse(what: string): SlipwayError {
	return new SlipwayError("CONFLICT", `Cannot ${what} the event source mapping because it is in use.`, {
		reason: "ResourceInUseException",
	});
}

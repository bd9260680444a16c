/**
 * Event buses: rules that match events, their targets, archives and replays. An event that has been answered with its id is on the
 * disk for each of its targets, and is tried there until its retry policy gives it up to its dead-letter queue. docs/adr/0016.
 */
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { timeOrderedUuid } from "../../base/ids.ts";
import { compileInput } from "../../core/input-transformer/input-transformer.ts";
import { defaultLaneSettings, type LogChange } from "../../core/message-log/message-log.ts";
import { parseScheduleExpression } from "../../core/schedule-expression/schedule-expression.ts";
import { LaneConsumers } from "../delivery/lane-consumers.ts";
import { Catalog } from "./catalog.ts";
import { checkParameters } from "./check-target.ts";
import { EventDelivery } from "./delivery.ts";
import { FanOut } from "./fan-out.ts";
import {
	fanOutConcurrency,
	maxArchives,
	maxBuses,
	maxReplays,
	maxReplaysAtOnce,
	maxRules,
	maxTargetsPerRule,
	targetConcurrency,
} from "./limits.ts";
import { archiveLane, readTargetLane, ruleArn } from "./names.ts";
import type { BusDeps, RuleTick } from "./ports.ts";
import { Publisher } from "./publisher.ts";
import { Replays } from "./replays.ts";
import { targetLanes } from "./route.ts";
import {
	type ArchiveRecord,
	type BusEvent,
	type BusStatistics,
	defaultBus,
	type EventBusRecord,
	type PublishResult,
	type ReplayRecord,
	type RuleRecord,
	type TargetRecord,
} from "./types.ts";

/** What PutRule may say; what it leaves out is taken away from a rule that is there, as AWS does. */
export type RuleInput = Pick<RuleRecord, "eventPattern" | "scheduleExpression" | "enabled" | "description" | "roleArn">;

const dayMs = 86_400_000;
/** Milliseconds of an archive that keeps events for good: a hundred years. */
const foreverMs = 36_525 * dayMs;

export class Bus implements AsyncDisposable {
	readonly #deps: BusDeps;
	readonly #catalog: Catalog;
	readonly #publisher: Publisher;
	readonly #replays: Replays;
	readonly #consumers: LaneConsumers;
	readonly #fanOuts: LaneConsumers;
	readonly #statistics: BusStatistics = {
		accepted: 0,
		unmatched: 0,
		delivered: 0,
		retried: 0,
		deadLettered: 0,
		dropped: 0,
	};
	/** Changes of what is configured, one after the other: of two that read the same record the first would be lost. */
	#last: Promise<unknown> = Promise.resolve();

	private constructor(deps: BusDeps, catalog: Catalog) {
		this.#deps = deps;
		this.#catalog = catalog;
		const parts = { ...deps, catalog, statistics: this.#statistics };
		this.#publisher = new Publisher(parts);
		this.#replays = new Replays({ ...parts, change: (work) => this.#change(work) });
		const delivery = new EventDelivery({ ...parts, publisher: this.#publisher });
		this.#consumers = new LaneConsumers(deps, {
			prefix: "events/",
			concurrency: () => targetConcurrency,
			handle: (message, signal) => delivery.handle(message, signal),
			onRefused: (message, error) =>
				delivery.refused(
					message,
					isSlipwayError(error) ? error : new SlipwayError("EXHAUSTED", "The target's lane does not take the event"),
				),
		});
		const fanOut = new FanOut(parts);
		this.#fanOuts = new LaneConsumers(deps, {
			prefix: "fan-out/",
			concurrency: () => fanOutConcurrency,
			handle: (message) => fanOut.handle(message),
		});
	}

	/** Reads what is configured. Nothing is delivered before `start`. */
	static async open(deps: BusDeps): Promise<Bus> {
		const catalog = await Catalog.open(deps.store, Math.trunc(deps.clock.now()), deps.logger);
		const bus = new Bus(deps, catalog);
		await bus.#removeEmptyLanes();
		for (const { name } of catalog.buses)
			for (const { record } of catalog.bus(name).rules.values()) await bus.#defineStoredTicks(record);
		return bus;
	}

	start(): void {
		this.#consumers.start();
		this.#fanOuts.start();
		this.#replays.resume();
	}

	/** What is in hand ends, the rest is the next process's. */
	async [Symbol.asyncDispose](): Promise<void> {
		const parts = [this.#replays, this.#fanOuts, this.#consumers];
		await Promise.all(parts.map((part) => part[Symbol.asyncDispose]()));
		await this.#last;
	}

	now(): number {
		return this.#deps.clock.now();
	}

	statistics(): Readonly<BusStatistics> {
		return this.#statistics;
	}

	/** NOT_FOUND when there is no such bus. An event that is malformed has its error in its place; the others go. */
	publish(bus: string, events: readonly BusEvent[]): Promise<PublishResult[]> {
		return this.#publisher.publish(bus, events);
	}

	/** The bus that has accepted the event lately, where no rule and no archive took it: of the last thousand since the start. */
	unmatched(id: string): string | undefined {
		return this.#publisher.unmatched(id);
	}

	/** The appends that publish the event, for the caller to commit with what it settles. INVALID for one that is malformed. */
	changesOf(bus: string, event: BusEvent): LogChange[] {
		return this.#publisher.appends(bus, event);
	}

	listBuses(): EventBusRecord[] {
		return this.#catalog.buses;
	}

	describeBus(name: string): EventBusRecord {
		return this.#catalog.bus(name).record;
	}

	createBus(
		input: Pick<EventBusRecord, "name" | "description" | "kmsKeyIdentifier" | "deadLetterArn" | "tags">,
	): Promise<EventBusRecord> {
		return this.#change(async () => {
			if (this.#catalog.hasBus(input.name))
				throw new SlipwayError("ALREADY_EXISTS", `Event bus ${input.name} already exists.`);
			checkRoom("event buses", this.#catalog.buses.length, maxBuses);
			const nowMs = this.#nowMs();
			const record = { ...input, policy: {}, createdMs: nowMs, modifiedMs: nowMs };
			await this.#catalog.putBus(record);
			return record;
		});
	}

	updateBus(name: string, changes: Partial<Omit<EventBusRecord, "name" | "createdMs">>): Promise<EventBusRecord> {
		return this.#change(async () => {
			const record = { ...this.describeBus(name), ...changes, modifiedMs: this.#nowMs() };
			await this.#catalog.putBus(record);
			return record;
		});
	}

	/** Nothing for a bus that is not there. CONFLICT while it has rules. */
	deleteBus(name: string): Promise<void> {
		return this.#change(async () => {
			if (name === defaultBus) throw new SlipwayError("INVALID", "Cannot delete event bus default.");
			if (!this.#catalog.hasBus(name)) return;
			if (this.#catalog.bus(name).rules.size > 0)
				throw new SlipwayError("INVALID", `Event bus ${name} can't be deleted since it has rules.`);
			await this.#catalog.deleteBus(name);
		});
	}

	/** By name. */
	listRules(bus: string): RuleRecord[] {
		return [...this.#catalog.bus(bus).rules.values()]
			.map(({ record }) => record)
			.sort((a, b) => (a.name < b.name ? -1 : 1));
	}

	describeRule(bus: string, name: string): RuleRecord {
		return this.#catalog.rule(bus, name).record;
	}

	/** INVALID, reason "InvalidEventPattern" or "ScheduleExpression", for what can't be. Keeps the targets of a rule that is there. */
	putRule(bus: string, name: string, input: RuleInput, tags: Record<string, string> = {}): Promise<RuleRecord> {
		return this.#change(async () => {
			const known = this.#catalog.bus(bus).rules.get(name)?.record;
			checkRule(bus, input);
			if (!known) checkRoom("rules", this.#catalog.ruleCount, maxRules);
			const nowMs = this.#nowMs();
			const isSameSchedule = known?.scheduleExpression === input.scheduleExpression && known?.enabled === input.enabled;
			const record: RuleRecord = {
				...input,
				bus,
				name,
				tags: known?.tags ?? tags,
				targets: known?.targets ?? [],
				createdMs: known?.createdMs ?? nowMs,
				scheduledSinceMs: known && isSameSchedule ? known.scheduledSinceMs : nowMs,
			};
			await this.#putRule(record);
			return record;
		});
	}

	setRuleEnabled(bus: string, name: string, enabled: boolean): Promise<void> {
		return this.#changeRule(bus, name, (rule) =>
			rule.enabled === enabled ? rule : { ...rule, enabled, scheduledSinceMs: this.#nowMs() },
		);
	}

	setRuleTags(bus: string, name: string, tags: Record<string, string>): Promise<void> {
		return this.#changeRule(bus, name, (rule) => ({ ...rule, tags }));
	}

	/** Nothing for a rule that is not there. INVALID while it has targets. */
	deleteRule(bus: string, name: string): Promise<void> {
		return this.#change(async () => {
			const known = this.#catalog.bus(bus).rules.get(name)?.record;
			if (!known) return;
			if (known.targets.length > 0) throw new SlipwayError("INVALID", "Rule can't be deleted since it has targets.");
			await this.#catalog.deleteRule(bus, name);
			await this.#deps.ticks?.remove(ruleArn(this.#deps, bus, name));
		});
	}

	/** Adds, or replaces those of the same id; all or none. EXHAUSTED, reason "LimitExceeded", past five. */
	putTargets(bus: string, rule: string, targets: readonly TargetRecord[]): Promise<void> {
		for (const target of targets) this.#checkTarget(target);
		return this.#changeRule(bus, rule, (record) => {
			const merged = new Map([...record.targets, ...targets].map((target) => [target.id, target]));
			if (merged.size > maxTargetsPerRule)
				throw new SlipwayError("EXHAUSTED", "The requested resource exceeds the maximum number allowed.", {
					reason: "LimitExceeded",
				});
			return { ...record, targets: [...merged.values()] };
		});
	}

	/** The ids that were not there. Events that wait for a target that is taken away are dropped. */
	async removeTargets(bus: string, rule: string, ids: readonly string[]): Promise<string[]> {
		const known = this.describeRule(bus, rule).targets.map(({ id }) => id);
		await this.#changeRule(bus, rule, (record) => ({
			...record,
			targets: record.targets.filter(({ id }) => !ids.includes(id)),
		}));
		return ids.filter((id) => !known.includes(id));
	}

	listArchives(): ArchiveRecord[] {
		return [...this.#catalog.archives.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
	}

	describeArchive(name: string): ArchiveRecord {
		return this.#catalog.archive(name);
	}

	/** Events and their bytes in it. */
	async archiveSize(name: string): Promise<{ events: number; bytes: number }> {
		const { visible, delayed, inFlight, bytes } = await this.#deps.log.counts(archiveLane(name));
		return { events: visible + delayed + inFlight, bytes };
	}

	createArchive(input: Omit<ArchiveRecord, "createdMs">): Promise<ArchiveRecord> {
		return this.#change(async () => {
			this.#catalog.bus(input.bus);
			if (this.#catalog.archives.has(input.name))
				throw new SlipwayError("ALREADY_EXISTS", `Archive ${input.name} already exists.`);
			checkRoom("archives", this.#catalog.archives.size, maxArchives);
			return this.#putArchive({ ...input, createdMs: this.#nowMs() });
		});
	}

	updateArchive(
		name: string,
		changes: Partial<Pick<ArchiveRecord, "description" | "eventPattern" | "retentionDays">>,
	): Promise<ArchiveRecord> {
		return this.#change(() => this.#putArchive({ ...this.#catalog.archive(name), ...changes }));
	}

	/** With all its events. */
	deleteArchive(name: string): Promise<void> {
		return this.#change(async () => {
			await this.#catalog.deleteArchive(this.#catalog.archive(name));
			await this.#deps.log.removeLane(archiveLane(name));
		});
	}

	/** The newest first. */
	listReplays(): ReplayRecord[] {
		return [...this.#catalog.replays.values()].sort((a, b) => b.startedMs - a.startedMs || (a.name < b.name ? -1 : 1));
	}

	describeReplay(name: string): ReplayRecord {
		return this.#catalog.replay(name);
	}

	startReplay(
		input: Pick<ReplayRecord, "name" | "description" | "archive" | "bus" | "rules" | "fromMs" | "toMs">,
	): Promise<ReplayRecord> {
		return this.#change(async () => {
			if (this.#catalog.replays.has(input.name))
				throw new SlipwayError("ALREADY_EXISTS", `Replay ${input.name} already exists.`);
			const archive = this.#catalog.archive(input.archive);
			if (archive.bus !== input.bus)
				throw new SlipwayError(
					"INVALID",
					"Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted.",
				);
			if (input.fromMs >= input.toMs)
				throw new SlipwayError(
					"INVALID",
					"Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime.",
				);
			for (const rule of input.rules ?? []) this.#catalog.rule(input.bus, rule);
			await this.#makeRoomForReplay();
			const record: ReplayRecord = { ...input, state: "STARTING", after: 0, replayed: 0, startedMs: this.#nowMs() };
			await this.#catalog.putReplay(record);
			this.#replays.run(record.name);
			return record;
		});
	}

	/** CONFLICT, reason "IllegalStatus", for one that is over. */
	cancelReplay(name: string): Promise<ReplayRecord> {
		return this.#change(async () => {
			const replay = this.#catalog.replay(name);
			if (replay.endedMs !== undefined || replay.state === "CANCELLING")
				throw new SlipwayError("CONFLICT", `Replay ${name} is not in a valid state for this operation.`, {
					reason: "IllegalStatus",
				});
			const record: ReplayRecord = { ...replay, state: "CANCELLING" };
			await this.#catalog.putReplay(record);
			return record;
		});
	}

	async #makeRoomForReplay(): Promise<void> {
		const all = this.listReplays();
		checkRoom("replays at once", all.filter(({ endedMs }) => endedMs === undefined).length, maxReplaysAtOnce);
		if (all.length < maxReplays) return;
		const oldest = all.findLast(({ endedMs }) => endedMs !== undefined);
		if (oldest) await this.#catalog.deleteReplay(oldest.name);
	}

	async #putArchive(record: ArchiveRecord): Promise<ArchiveRecord> {
		const retentionMs = record.retentionDays === 0 ? foreverMs : record.retentionDays * dayMs;
		await this.#deps.log.defineLane(archiveLane(record.name), { ...defaultLaneSettings, retentionMs });
		await this.#catalog.putArchive(record);
		return record;
	}

	/** INVALID for an input or a dead-letter queue that can't be; a target that is not there yet is told with its events. */
	#checkTarget(target: TargetRecord): void {
		compileInput(target);
		checkParameters(target);
		const deadLetters = target.deadLetterArn;
		for (const arn of [target.arn, ...(deadLetters === undefined ? [] : [deadLetters])])
			try {
				this.#deps.targets.check(arn);
			} catch (error) {
				if (!isSlipwayError(error, "NOT_FOUND")) throw error;
			}
		if (deadLetters !== undefined && (!deadLetters.includes(":sqs:") || deadLetters.endsWith(".fifo")))
			throw new SlipwayError(
				"INVALID",
				`Parameter(s) DeadLetterConfig.Arn not valid. Reason: '${deadLetters}' is not the ARN of a standard SQS queue.`,
			);
	}

	#changeRule(bus: string, name: string, changed: (rule: RuleRecord) => RuleRecord): Promise<void> {
		return this.#change(() => this.#putRule(changed(this.describeRule(bus, name))));
	}

	async #putRule(record: RuleRecord): Promise<void> {
		await this.#catalog.putRule(record);
		await this.#defineTicks(record);
	}

	/** One that another version has stored and this one does not take fires no more, and keeps nothing else from starting. */
	async #defineStoredTicks(record: RuleRecord): Promise<void> {
		try {
			await this.#defineTicks(record);
		} catch (error) {
			if (!isSlipwayError(error, "INVALID")) throw error;
			this.#deps.logger.error("A rule's schedule can't be read: it does not fire", { rule: record.name, error });
		}
	}

	async #defineTicks({
		bus,
		name,
		enabled,
		scheduleExpression: expression,
		scheduledSinceMs: sinceMs,
	}: RuleRecord): Promise<void> {
		const arn = ruleArn(this.#deps, bus, name);
		if (!enabled || expression === undefined) return this.#deps.ticks?.remove(arn);
		const newId = () => timeOrderedUuid(this.#deps.clock.now(), this.#deps.ids);
		await this.#deps.ticks?.define(arn, { expression, sinceMs }, (tick) =>
			this.#publisher.tick(this.#tickLanes(bus, name, tick), tick, newId),
		);
	}

	/** The rule's own targets, and the archives of the bus. */
	#tickLanes(bus: string, rule: string, { event }: RuleTick): string[] {
		const { archives } = this.#catalog.match(bus, event);
		return [...targetLanes(this.#catalog, bus, rule), ...archives.map(archiveLane)];
	}

	/** Of targets that are gone, once their last events are. */
	async #removeEmptyLanes(): Promise<void> {
		for (const { lane, visible, delayed, inFlight } of await this.#deps.log.lanes("events/")) {
			const place = readTargetLane(lane);
			const isKnown = place && this.#catalog.findRule(place.bus, place.rule)?.targets.has(place.target);
			if (!isKnown && visible + delayed + inFlight === 0) await this.#deps.log.removeLane(lane);
		}
	}

	#change<T>(work: () => Promise<T>): Promise<T> {
		const done = this.#last.then(work);
		this.#last = done.catch(() => {});
		return done;
	}

	#nowMs(): number {
		return Math.trunc(this.#deps.clock.now());
	}
}

function checkRule(bus: string, { eventPattern, scheduleExpression }: RuleInput): void {
	if (eventPattern === undefined && scheduleExpression === undefined)
		throw new SlipwayError("INVALID", "Parameter(s) EventPattern or ScheduleExpression must be specified.");
	if (scheduleExpression === undefined) return;
	if (bus !== defaultBus)
		throw new SlipwayError("INVALID", "ScheduleExpression is supported only on the default event bus.");
	parseScheduleExpression(scheduleExpression, { dialect: "rule" });
}

function checkRoom(what: string, count: number, limit: number): void {
	if (count < limit) return;
	throw new SlipwayError(
		"EXHAUSTED",
		`The requested resource exceeds the maximum number allowed: there are ${count} ${what}.`,
		{
			reason: "LimitExceeded",
		},
	);
}

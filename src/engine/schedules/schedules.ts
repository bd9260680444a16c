import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { timeOrderedUuid } from "../../base/ids.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { Append } from "../../core/message-log/message-log.ts";
import type { ResourceChange } from "../../core/resource/resource-store.ts";
import { commitsOf } from "../delivery/commits.ts";
import { LaneConsumers } from "../delivery/lane-consumers.ts";
import { checkSpec } from "./check-spec.ts";
import { type MissedTicks, missedTicks, nextTick } from "./due-ticks.ts";
import { OrphanLanes } from "./orphan-lanes.ts";
import { RecentCalls } from "./recent-calls.ts";
import { ScheduleGroups } from "./schedule-groups.ts";
import {
	type GroupRecord,
	keyOf,
	laneOf,
	missedTicksTag,
	type Progress,
	planOf,
	progressKind,
	putProgress,
	putSchedule,
	type ScheduleRecord,
	type ScheduleSpec,
	scheduleDeletion,
	scheduleKind,
} from "./schedule-record.ts";
import { defaultInput } from "./scheduled-event.ts";
import { TickDelivery, type TickHeaders } from "./tick-delivery.ts";
import { type Firing, TickTimer } from "./tick-timer.ts";
import type { SchedulesDeps } from "./types.ts";

/** Of AWS's default of a million: what one process keeps in memory, about 2 KB each. */
export const maxSchedules = 100_000;
/** Changes that wait for the one before. */
const maxWaitingChanges = 1000;
/** Ticks of one schedule in delivery at once. */
const laneConcurrency = 10;
/**
 * Milliseconds for which the log knows a tick that it has: it must be longer than the time from a crash to the next start in
 * which the same tick could fire again. A recurring one is left out after a day (maxLateMs); a one-time schedule fires whenever.
 */
const recurringWindowMs = 26 * 3_600_000;
const onceWindowMs = 365 * 86_400_000;

/**
 * Schedules as EventBridge Scheduler has them. A tick is durable from the moment at which it fires: one commit of the log puts it
 * into the schedule's lane, under a key of schedule and time, so that a crash before that is written down fires it once.
 */
export class Schedules implements AsyncDisposable {
	readonly groups: ScheduleGroups;
	readonly #deps: SchedulesDeps;
	readonly #schedules = new Map<string, ScheduleRecord>();
	readonly #lastMs = new Map<string, number>();
	readonly #turn = new Semaphore(1, maxWaitingChanges);
	readonly #timer: TickTimer;
	readonly #consumers: LaneConsumers;
	readonly #deletions = new RecentCalls();
	readonly #orphans: OrphanLanes;

	private constructor(deps: SchedulesDeps) {
		this.#deps = deps;
		this.groups = new ScheduleGroups(deps, {
			remove: (group) => this.#removeGroup(group),
			changed: (group) => this.#replan(group),
		});
		const { log, clock, logger, lookMs } = deps;
		const isOwned = (lane: string) => this.#schedules.has(lane.slice("schedules/".length));
		this.#orphans = new OrphanLanes({ log, clock, logger, turn: this.#turn, isOwned });
		this.#timer = new TickTimer({ clock, logger, lookMs, fire: (firings) => this.#fire(firings) });
		const delivery = new TickDelivery(deps);
		this.#consumers = new LaneConsumers(
			{ log, clock, logger },
			{
				prefix: "schedules/",
				concurrency: () => laneConcurrency,
				handle: (message, signal) => delivery.handle(message, signal),
				onRefused: (message, error) => delivery.refused(message, error),
			},
		);
	}

	/** Knows all that is stored; fires nothing before `start`. */
	static async open(deps: SchedulesDeps): Promise<Schedules> {
		const schedules = new Schedules(deps);
		await schedules.#read();
		return schedules;
	}

	start(): void {
		this.#consumers.start();
		this.#timer.start();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#orphans[Symbol.dispose]();
		await this.#timer[Symbol.asyncDispose]();
		await this.#consumers[Symbol.asyncDispose]();
	}

	async #read(): Promise<void> {
		const { store } = this.#deps;
		await this.groups.read();
		for (const { document } of await store.list(scheduleKind)) {
			const record = document as ScheduleRecord;
			this.#schedules.set(keyOf(record.group, record.name), record);
		}
		for (const { namespace, name, document } of await store.list(progressKind)) {
			const { uid, lastMs } = document as Progress;
			const key = keyOf(namespace, name);
			if (this.#schedules.get(key)?.uid === uid) this.#lastMs.set(key, lastMs);
		}
		for (const record of this.#schedules.values()) this.#planStored(record);
		await this.#removeEmptyLanes();
	}

	/** One that another version has stored and this one does not take fires no more, and keeps nothing else from starting. */
	#planStored(record: ScheduleRecord): void {
		try {
			this.#plan(record);
		} catch (error) {
			if (!isSlipwayError(error, "INVALID")) throw error;
			const schedule = keyOf(record.group, record.name);
			this.#deps.logger.error("A schedule can't be read: it does not fire", { schedule, error });
		}
	}

	/** Of schedules that deleted themselves. */
	async #removeEmptyLanes(): Promise<void> {
		for (const { lane, visible, delayed, inFlight } of await this.#deps.log.lanes("schedules/")) {
			const isOwned = this.#schedules.has(lane.slice("schedules/".length));
			if (!isOwned && visible + delayed + inFlight === 0) await this.#deps.log.removeLane(lane);
		}
	}

	/** NOT_FOUND without the group; ALREADY_EXISTS unless it is the same call again; INVALID; THROTTLED past `maxSchedules`. */
	create(group: string, name: string, spec: ScheduleSpec, clientToken: string): Promise<ScheduleRecord> {
		return this.#turn.run(async () => {
			this.groups.get(group);
			const known = this.#schedules.get(keyOf(group, name));
			if (known) {
				const isRepeated = known.clientToken === clientToken && JSON.stringify(known.spec) === JSON.stringify(spec);
				if (isRepeated) return known;
				throw new SlipwayError("ALREADY_EXISTS", `Schedule ${name} already exists.`);
			}
			if (this.#schedules.size >= maxSchedules)
				throw new SlipwayError("THROTTLED", `There are ${maxSchedules} schedules, which is the most`);
			const now = this.#deps.clock.now();
			checkSpec(spec, this.#deps, now);
			const uid = this.#deps.ids.uuid();
			const record = { group, name, uid, spec, createdMs: now, modifiedMs: now, sinceMs: now, clientToken };
			await this.#put(record);
			return record;
		});
	}

	/** All of it: what is left out is as it is by default (API_UpdateSchedule). */
	update(group: string, name: string, spec: ScheduleSpec): Promise<ScheduleRecord> {
		return this.#turn.run(async () => {
			const before = this.get(group, name);
			const now = this.#deps.clock.now();
			checkSpec(spec, this.#deps, now, before.spec);
			const sinceMs = keepsTime(before.spec, spec) ? before.sinceMs : now;
			const record = { ...before, spec, sinceMs, modifiedMs: now };
			await this.#put(record);
			return record;
		});
	}

	/** NOT_FOUND. */
	get(group: string, name: string): ScheduleRecord {
		const record = this.#schedules.get(keyOf(group, name));
		if (!record) throw new SlipwayError("NOT_FOUND", `Schedule ${name} does not exist.`);
		return record;
	}

	/** By group, then name. */
	list(): ScheduleRecord[] {
		return [...this.#schedules.values()].sort((a, b) => compare(a.group, b.group) || compare(a.name, b.name));
	}

	/** With its ticks that are not delivered yet. NOT_FOUND, unless the same call has deleted it. */
	delete(group: string, name: string, clientToken?: string): Promise<void> {
		return this.#turn.run(async () => {
			const key = keyOf(group, name);
			if (!this.#schedules.has(key) && this.#deletions.has(clientToken, key)) return;
			await this.#remove(this.get(group, name));
			this.#deletions.add(clientToken, key);
		});
	}

	/** When the next tick fires, epoch milliseconds. */
	nextTick(group: string, name: string): number | undefined {
		return this.#timer.next(keyOf(group, name));
	}

	arnOf(group: string, name: string): string {
		return `arn:aws:scheduler:${this.#deps.region}:${this.#deps.accountId}:schedule/${group}/${name}`;
	}

	async #removeGroup(group: string): Promise<void> {
		await this.#turn.run(async () => {
			for (const record of this.list().filter((one) => one.group === group)) await this.#remove(record);
		});
	}

	async #remove({ group, name }: ScheduleRecord): Promise<void> {
		await this.#deps.store.commit(scheduleDeletion({ group, name }));
		this.#forget(keyOf(group, name));
		await this.#deps.log.removeLane(laneOf(group, name));
	}

	#forget(key: string): void {
		this.#schedules.delete(key);
		this.#lastMs.delete(key);
		this.#timer.delete(key);
	}

	async #put(record: ScheduleRecord): Promise<void> {
		await this.#deps.store.commit([putSchedule(record)]);
		this.#schedules.set(keyOf(record.group, record.name), record);
		this.#plan(record);
	}

	#plan(record: ScheduleRecord): void {
		const key = keyOf(record.group, record.name);
		if (!record.spec.enabled) return this.#timer.delete(key);
		const missed = missedOf(this.groups.find(record.group)) ?? this.#deps.missed ?? "one";
		this.#timer.set(key, planOf(record, this.#lastMs.get(key), missed));
	}

	#replan(group: string): void {
		for (const record of this.#schedules.values()) if (record.group === group) this.#plan(record);
	}

	/** In turn with changes: what is changed or deleted meanwhile must neither be overwritten nor come back. */
	#fire(firings: readonly Firing[]): Promise<void> {
		return this.#turn.run(() => this.#fireInTurn(firings));
	}

	async #fireInTurn(firings: readonly Firing[]): Promise<void> {
		const appends: Append[] = [];
		const changes: ResourceChange[] = [];
		const completed: string[] = [];
		for (const { key, fire, lastMs, skipped } of firings) {
			const record = this.#schedules.get(key);
			if (!record?.spec.enabled) continue;
			const { input } = record.spec.target;
			const body = input === undefined ? undefined : Buffer.from(input);
			for (const scheduledMs of fire) appends.push(this.#append(record, scheduledMs, body));
			if (skipped)
				this.#deps.logger.info("Missed ticks of a schedule were left out", { schedule: key, fired: fire.length });
			const isDeleted = record.spec.deleteAfterCompletion && nextTick(planOf(record, lastMs, "one")) === undefined;
			changes.push(...(isDeleted ? scheduleDeletion(record) : [putProgress(record, lastMs)]));
			if (isDeleted) completed.push(key);
		}
		if (appends.length > 0) await this.#commit(appends);
		await this.#deps.store.commit(changes);
		for (const { key, lastMs } of firings) if (this.#schedules.has(key)) this.#lastMs.set(key, lastMs);
		for (const key of completed) {
			this.#forget(key);
			this.#orphans.add(`schedules/${key}`);
		}
	}

	/** Together; one by one when that fails, so that a full lane holds up its own schedule only. */
	async #commit(appends: readonly Append[]): Promise<void> {
		try {
			for (const commit of commitsOf(appends)) await this.#deps.log.commit(commit);
		} catch (error) {
			if (!(error instanceof SlipwayError) || error.reason !== "LaneFull") throw error;
			for (const append of appends)
				await this.#deps.log.commit([append]).catch((failure: unknown) => {
					if (!(failure instanceof SlipwayError) || failure.reason !== "LaneFull") throw failure;
					this.#deps.logger.error("A tick is dropped: its schedule's lane is full", { lane: append.lane });
				});
		}
	}

	/** `body`: the schedule's own input, one for all its ticks. */
	#append(record: ScheduleRecord, scheduledMs: number, body: Buffer | undefined): Append {
		const { group, name, uid, spec } = record;
		const scheduleArn = this.arnOf(group, name);
		const now = this.#deps.clock.now();
		const id = timeOrderedUuid(now, this.#deps.ids);
		const { input: _input, ...target } = spec.target;
		const headers: TickHeaders = { scheduleArn, scheduledMs, target };
		const windowMs = spec.expression.startsWith("at(") ? onceWindowMs : recurringWindowMs;
		return {
			change: "append",
			lane: laneOf(group, name),
			id,
			body: body ?? Buffer.from(defaultInput({ ...this.#deps, id, scheduleArn, scheduledMs })),
			headers,
			deduplication: { key: `${uid}@${scheduledMs}`, windowMs },
		};
	}
}

/** Whether its ticks are the same ones: otherwise those of the past are not the new one's. */
function keepsTime(before: ScheduleSpec, after: ScheduleSpec): boolean {
	return (
		before.enabled === after.enabled &&
		before.expression === after.expression &&
		before.timeZone === after.timeZone &&
		before.startMs === after.startMs
	);
}

function missedOf(group: GroupRecord | undefined): MissedTicks | undefined {
	return missedTicks.find((policy) => policy === group?.tags[missedTicksTag]);
}

function compare(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}

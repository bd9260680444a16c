import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { RuleMatcher } from "../../core/event-pattern/rule-matcher.ts";
import { compileInput, type InputShape } from "../../core/input-transformer/input-transformer.ts";
import type { ResourceChange, ResourceStore } from "../../core/resource/resource-store.ts";
import {
	type ArchiveRecord,
	defaultBus,
	type EventBusRecord,
	type ReplayRecord,
	type RuleRecord,
	type TargetRecord,
} from "./types.ts";

export const kinds = {
	bus: "event-bus",
	rule: "event-rule",
	archive: "event-archive",
	replay: "event-replay",
} as const;

export interface TargetState {
	readonly record: TargetRecord;
	readonly shape: InputShape;
}

export interface RuleState {
	readonly record: RuleRecord;
	readonly targets: ReadonlyMap<string, TargetState>;
}

interface BusState {
	record: EventBusRecord;
	readonly rules: Map<string, RuleState>;
	/** Enabled rules with a pattern as "rule/NAME", archives as "archive/NAME". */
	readonly matcher: RuleMatcher;
	/** Those without a pattern. */
	readonly archivesOfAll: Set<string>;
}

/** Buses, rules, archives and replays: in memory, and as documents in the store. A change is written before it counts. */
export class Catalog {
	readonly #store: ResourceStore;
	readonly #buses = new Map<string, BusState>();
	readonly archives = new Map<string, ArchiveRecord>();
	readonly replays = new Map<string, ReplayRecord>();

	private constructor(store: ResourceStore) {
		this.#store = store;
	}

	/** What another version has stored and this one does not take is told, and left out of the matching. */
	static async open(store: ResourceStore, nowMs: number, logger: Log): Promise<Catalog> {
		const catalog = new Catalog(store);
		const read = async <T>(kind: string) => (await store.list(kind)).map(({ document }) => document as T);
		for (const record of await read<EventBusRecord>(kinds.bus)) catalog.#setBus(record);
		if (!catalog.#buses.has(defaultBus))
			await catalog.putBus({ name: defaultBus, policy: {}, tags: {}, createdMs: nowMs, modifiedMs: nowMs });
		for (const record of await read<RuleRecord>(kinds.rule))
			if (!isReadable(logger, "rule", record.name, () => catalog.#setRule(record))) catalog.#setUnreadable(record);
		for (const record of await read<ArchiveRecord>(kinds.archive))
			isReadable(logger, "archive", record.name, () => catalog.#setArchive(record));
		for (const record of await read<ReplayRecord>(kinds.replay)) catalog.replays.set(record.name, record);
		return catalog;
	}

	get buses(): EventBusRecord[] {
		return [...this.#buses.values()].map(({ record }) => record);
	}

	/** Rules of all buses. */
	get ruleCount(): number {
		let count = 0;
		for (const { rules } of this.#buses.values()) count += rules.size;
		return count;
	}

	hasBus(name: string): boolean {
		return this.#buses.has(name);
	}

	bus(name: string): BusState {
		const bus = this.#buses.get(name);
		if (bus) return bus;
		throw new SlipwayError("NOT_FOUND", `Event bus ${name.slice(0, 256)} does not exist.`, {
			reason: "EventBus",
			hint: "`slipway bus ls` lists the buses",
		});
	}

	findRule(bus: string, name: string): RuleState | undefined {
		return this.#buses.get(bus)?.rules.get(name);
	}

	rule(bus: string, name: string): RuleState {
		const rule = this.bus(bus).rules.get(name);
		if (rule) return rule;
		throw new SlipwayError("NOT_FOUND", `Rule ${name} does not exist on EventBus ${bus}.`, { reason: "Rule" });
	}

	archive(name: string): ArchiveRecord {
		const archive = this.archives.get(name);
		if (archive) return archive;
		throw new SlipwayError("NOT_FOUND", `Archive ${name} does not exist.`, { reason: "Archive" });
	}

	replay(name: string): ReplayRecord {
		const replay = this.replays.get(name);
		if (replay) return replay;
		throw new SlipwayError("NOT_FOUND", `Replay ${name} does not exist.`, { reason: "Replay" });
	}

	async putBus(record: EventBusRecord): Promise<void> {
		await this.#put(kinds.bus, "", record.name, record);
		const isNew = !this.hasBus(record.name);
		this.#setBus(record);
		// Archives outlive their bus, and take the events of another of its name.
		if (isNew) for (const archive of this.archives.values()) if (archive.bus === record.name) this.#setArchive(archive);
	}

	async deleteBus(name: string): Promise<void> {
		await this.#delete(kinds.bus, "", name);
		this.#buses.delete(name);
	}

	/** INVALID for a pattern or an input that can't be: nothing is written then. */
	async putRule(record: RuleRecord): Promise<void> {
		ruleState(record);
		await this.#put(kinds.rule, record.bus, record.name, record);
		this.#setRule(record);
	}

	async deleteRule(bus: string, name: string): Promise<void> {
		await this.#delete(kinds.rule, bus, name);
		const state = this.bus(bus);
		state.rules.delete(name);
		state.matcher.delete(`rule/${name}`);
	}

	async putArchive(record: ArchiveRecord): Promise<void> {
		if (record.eventPattern !== undefined) new RuleMatcher().set("", record.eventPattern);
		await this.#put(kinds.archive, "", record.name, record);
		this.#setArchive(record);
	}

	async deleteArchive({ name, bus }: ArchiveRecord): Promise<void> {
		await this.#delete(kinds.archive, "", name);
		this.archives.delete(name);
		const state = this.#buses.get(bus);
		state?.archivesOfAll.delete(name);
		state?.matcher.delete(`archive/${name}`);
	}

	async putReplay(record: ReplayRecord): Promise<void> {
		await this.#put(kinds.replay, "", record.name, record);
		this.replays.set(record.name, record);
	}

	async deleteReplay(name: string): Promise<void> {
		await this.#delete(kinds.replay, "", name);
		this.replays.delete(name);
	}

	/** Names of what takes the event. */
	match(bus: string, event: unknown): { rules: string[]; archives: string[] } {
		const { matcher, archivesOfAll } = this.bus(bus);
		const matched = matcher.match(event);
		const named = (kind: string) =>
			matched.filter((name) => name.startsWith(kind)).map((name) => name.slice(kind.length));
		return { rules: named("rule/"), archives: [...archivesOfAll, ...named("archive/")] };
	}

	#setBus(record: EventBusRecord): void {
		const known = this.#buses.get(record.name);
		if (known) known.record = record;
		else
			this.#buses.set(record.name, { record, rules: new Map(), matcher: new RuleMatcher(), archivesOfAll: new Set() });
	}

	#setRule(record: RuleRecord): void {
		const bus = this.#buses.get(record.bus);
		if (!bus) return;
		bus.rules.set(record.name, ruleState(record));
		if (record.enabled && record.eventPattern !== undefined)
			bus.matcher.set(`rule/${record.name}`, record.eventPattern);
		else bus.matcher.delete(`rule/${record.name}`);
	}

	/** It matches nothing; what waits for its targets is delivered, or goes to the dead letters of those whose input can't be read. */
	#setUnreadable(record: RuleRecord): void {
		const targets = record.targets.map(
			(target) => [target.id, { record: target, shape: shapeOrRefusal(target) }] as const,
		);
		this.#buses.get(record.bus)?.rules.set(record.name, { record, targets: new Map(targets) });
	}

	#setArchive(record: ArchiveRecord): void {
		this.archives.set(record.name, record);
		const bus = this.#buses.get(record.bus);
		if (!bus) return;
		bus.archivesOfAll.delete(record.name);
		bus.matcher.delete(`archive/${record.name}`);
		if (record.eventPattern === undefined) bus.archivesOfAll.add(record.name);
		else bus.matcher.set(`archive/${record.name}`, record.eventPattern);
	}

	#put(kind: string, namespace: string, name: string, document: unknown): Promise<void> {
		return this.#commit({ change: "put", kind, namespace, name, document });
	}

	#delete(kind: string, namespace: string, name: string): Promise<void> {
		return this.#commit({ change: "delete", kind, namespace, name });
	}

	#commit(change: ResourceChange): Promise<void> {
		return this.#store.commit([change]);
	}
}

function ruleState(record: RuleRecord): RuleState {
	if (record.eventPattern !== undefined) new RuleMatcher().set("", record.eventPattern);
	const targets = record.targets.map((target) => [target.id, { record: target, shape: compileInput(target) }] as const);
	return { record, targets: new Map(targets) };
}

/** What another version has stored may be what this one does not take. */
function isReadable(logger: Log, what: string, name: string, set: () => void): boolean {
	try {
		set();
		return true;
	} catch (error) {
		if (!isSlipwayError(error)) throw error;
		logger.error(`A stored ${what} can't be read: no event matches it`, { name, error });
		return false;
	}
}

function shapeOrRefusal(target: TargetRecord): InputShape {
	try {
		return compileInput(target);
	} catch (error) {
		return () => {
			throw error;
		};
	}
}

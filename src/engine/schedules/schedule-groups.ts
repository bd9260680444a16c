import { SlipwayError } from "../../base/error.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { missedTicks } from "./due-ticks.ts";
import { RecentCalls } from "./recent-calls.ts";
import { defaultGroup, type GroupRecord, groupKind, missedTicksTag } from "./schedule-record.ts";
import type { SchedulesDeps } from "./types.ts";

/** Quota of the Scheduler: "Number of schedule groups: 500". */
const maxGroups = 500;
const maxTags = 200;
const maxWaitingChanges = 1000;

interface Effects {
	/** Deletes the group's schedules. */
	remove(group: string): Promise<void>;
	/** Its tags have changed. */
	changed(group: string): void;
}

/** Groups of schedules: names, and tags that schedules themselves do not have. "default" is always there. */
export class ScheduleGroups {
	readonly #deps: Pick<SchedulesDeps, "store" | "clock">;
	readonly #effects: Effects;
	readonly #groups = new Map<string, GroupRecord>();
	readonly #deletions = new RecentCalls();
	readonly #turn = new Semaphore(1, maxWaitingChanges);

	constructor(deps: Pick<SchedulesDeps, "store" | "clock">, effects: Effects) {
		this.#deps = deps;
		this.#effects = effects;
		this.#groups.set(defaultGroup, { name: defaultGroup, createdMs: 0, modifiedMs: 0, tags: {}, clientToken: "" });
	}

	async read(): Promise<void> {
		for (const { name, document } of await this.#deps.store.list(groupKind))
			this.#groups.set(name, document as GroupRecord);
	}

	/** ALREADY_EXISTS unless it is the same call again; INVALID for its tags; THROTTLED past 500. */
	create(name: string, tags: Readonly<Record<string, string>>, clientToken: string): Promise<void> {
		return this.#turn.run(async () => {
			const known = this.#groups.get(name);
			if (known && known.clientToken === clientToken && clientToken !== "") return;
			if (known) throw new SlipwayError("ALREADY_EXISTS", `Schedule group ${name} already exists.`);
			if (this.#groups.size >= maxGroups)
				throw new SlipwayError("THROTTLED", `There are ${maxGroups} schedule groups, which is the most`);
			const now = this.#deps.clock.now();
			await this.#put({ name, createdMs: now, modifiedMs: now, tags: checkedTags(tags), clientToken });
		});
	}

	find(name: string): GroupRecord | undefined {
		return this.#groups.get(name);
	}

	/** NOT_FOUND. */
	get(name: string): GroupRecord {
		const group = this.#groups.get(name);
		if (!group) throw new SlipwayError("NOT_FOUND", `Schedule group ${name} does not exist.`);
		return group;
	}

	/** By name. */
	list(): GroupRecord[] {
		return [...this.#groups.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
	}

	/** With its schedules. NOT_FOUND, unless the same call has deleted it. */
	delete(name: string, clientToken?: string): Promise<void> {
		return this.#turn.run(async () => {
			if (!this.#groups.has(name) && this.#deletions.has(clientToken, name)) return;
			const group = this.get(name);
			if (name === defaultGroup) throw new SlipwayError("INVALID", "The default schedule group can't be deleted.");
			// No schedule can be made in it any more, while those that are there are taken away.
			this.#groups.delete(name);
			try {
				await this.#effects.remove(name);
				await this.#deps.store.commit([{ change: "delete", kind: groupKind, namespace: "", name }]);
			} catch (error) {
				this.#groups.set(name, group);
				throw error;
			}
			this.#deletions.add(clientToken, name);
		});
	}

	tag(name: string, added: Readonly<Record<string, string>>): Promise<void> {
		return this.#retag(name, (tags) => ({ ...tags, ...added }));
	}

	untag(name: string, keys: readonly string[]): Promise<void> {
		return this.#retag(name, (tags) => Object.fromEntries(Object.entries(tags).filter(([key]) => !keys.includes(key))));
	}

	#retag(name: string, change: (tags: Record<string, string>) => Record<string, string>): Promise<void> {
		return this.#turn.run(async () => {
			const group = this.get(name);
			await this.#put({ ...group, tags: checkedTags(change(group.tags)), modifiedMs: this.#deps.clock.now() });
			this.#effects.changed(name);
		});
	}

	async #put(group: GroupRecord): Promise<void> {
		await this.#deps.store.commit([
			{ change: "put", kind: groupKind, namespace: "", name: group.name, document: group },
		]);
		this.#groups.set(group.name, group);
	}
}

function checkedTags(tags: Readonly<Record<string, string>>): Record<string, string> {
	if (Object.keys(tags).length > maxTags) throw new SlipwayError("INVALID", `A group has at most ${maxTags} tags`);
	const policy = tags[missedTicksTag];
	if (policy !== undefined && !missedTicks.some((known) => known === policy))
		throw new SlipwayError("INVALID", `The tag ${missedTicksTag} must be one of ${missedTicks.join(", ")}`);
	return { ...tags };
}

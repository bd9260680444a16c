import type { Received } from "./calls.ts";

/** Problems that are told in full; more are counted only. */
const maxTold = 20;

interface Group {
	/** Of each message how often it was delivered, at most 255. */
	delivered: Uint8Array;
	/** Deleted, and that was answered. */
	deleted: Uint8Array;
	/** Deletions that are under way, or whose answer a kill swallowed. */
	maybe: Uint8Array;
	/** All below are deleted. */
	low: number;
	/** Who has messages of it for sure until then, and which. */
	holder: { consumer: number; untilMs: number; messages: Set<number> } | undefined;
}

/** What was sent, given out and deleted, and what may not be. */
export class Ledger {
	readonly groups = new Map<string, Group>();
	readonly #perGroup: number;
	deliveries = 0;
	deletedMessages = 0;
	violations = 0;
	readonly told: string[] = [];

	constructor(names: readonly string[], perGroup: number) {
		this.#perGroup = perGroup;
		const bytes = () => new Uint8Array(perGroup);
		for (const name of names)
			this.groups.set(name, { delivered: bytes(), deleted: bytes(), maybe: bytes(), low: 0, holder: undefined });
	}

	#of(name: string): Group {
		const group = this.groups.get(name);
		if (!group) throw new Error(`No group ${name} was sent`);
		return group;
	}

	/** `untilMs`: the earliest time at which the server may end the lease. */
	received(consumer: number, messages: readonly Received[], untilMs: number, nowMs: number): void {
		this.deliveries += messages.length;
		for (const [name, run] of Map.groupBy(messages, ({ group }) => group)) {
			const group = this.#of(name);
			const { holder } = group;
			if (holder && holder.consumer !== consumer && holder.messages.size > 0 && nowMs < holder.untilMs)
				this.#violation(`${name}: consumers ${holder.consumer} and ${consumer} have messages of it at the same time`);
			this.#checkOrder(name, group, run);
			for (const { n } of run) group.delivered[n] = Math.min(255, (group.delivered[n] ?? 0) + 1);
			group.holder = { consumer, untilMs, messages: new Set(run.map(({ n }) => n)) };
		}
	}

	/** A run has everything of the group from the oldest on that is not deleted, in order. */
	#checkOrder(name: string, group: Group, run: readonly Received[]): void {
		let next = group.low;
		for (const { n } of run) {
			if (n < next && group.deleted[n] === 0) this.#violation(`${name}: ${n} is behind a later one in a batch`);
			if (group.deleted[n] !== 0) this.#violation(`${name}: ${n} was given out after it had been deleted`);
			for (; next < n; next++)
				if (group.deleted[next] === 0 && group.maybe[next] === 0)
					this.#violation(`${name}: ${n} was given out before ${next}`);
			next = Math.max(next, n + 1);
		}
	}

	/** From now on the consumer does not rely on these any more. */
	letGo(consumer: number, messages: readonly Received[]): void {
		for (const { group: name, n } of messages) {
			const { holder } = this.#of(name);
			if (holder?.consumer === consumer) holder.messages.delete(n);
		}
	}

	/** The leases of these end at another time; an answer that is not known leaves the earlier of both. */
	extended(consumer: number, messages: readonly Received[], untilMs: number, isSure: boolean): void {
		for (const { group: name } of messages) {
			const { holder } = this.#of(name);
			if (holder?.consumer === consumer) holder.untilMs = isSure ? untilMs : Math.min(untilMs, holder.untilMs);
		}
	}

	deleting(messages: readonly Received[]): void {
		for (const { group: name, n } of messages) {
			const { maybe } = this.#of(name);
			maybe[n] = Math.min(255, (maybe[n] ?? 0) + 1);
		}
	}

	/** What the server answered; nothing is called for deletions whose answer is not known. */
	deletedOrNot(messages: readonly Received[], done: readonly boolean[]): void {
		for (const [i, { group: name, n }] of messages.entries()) {
			const group = this.#of(name);
			group.maybe[n] = Math.max(0, (group.maybe[n] ?? 0) - 1);
			if (!done[i] || group.deleted[n] !== 0) continue;
			group.deleted[n] = 1;
			this.deletedMessages++;
			while (group.low < this.#perGroup && group.deleted[group.low] !== 0) group.low++;
		}
	}

	#violation(what: string): void {
		this.violations++;
		if (this.told.length < maxTold) this.told.push(what);
	}

	/** With the queue empty: messages that nobody ever got, or that went without anybody having deleted them. */
	lost(): number {
		let lost = 0;
		for (const { delivered, deleted, maybe } of this.groups.values())
			for (let n = 0; n < this.#perGroup; n++) if (delivered[n] === 0 || (deleted[n] === 0 && maybe[n] === 0)) lost++;
		return lost;
	}

	/** Deliveries beyond each message's first. */
	get again(): number {
		let first = 0;
		for (const { delivered } of this.groups.values()) for (const times of delivered) if (times > 0) first++;
		return this.deliveries - first;
	}
}

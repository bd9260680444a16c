import { chooseMember, chooseSurplus, type PoolMember } from "./pool-member.ts";

/** The instances of one revision, in the order of their starts: those that stop are among them until they have ended. */
export class PoolMembers {
	readonly #members = new Set<PoolMember>();

	get size(): number {
		return this.#members.size;
	}

	/** Those that get requests. */
	get serving(): number {
		return count(this.#members, ({ isServing }) => isServing);
	}

	/** Those that are not on their way out. */
	get alive(): number {
		return count(this.#members, ({ isDraining }) => !isDraining);
	}

	/** When the last of those that are not on their way out became idle; undefined without any. */
	get idleSince(): number | undefined {
		let latest: number | undefined;
		for (const { isDraining, idleSince } of this.#members)
			if (!isDraining) latest = Math.max(latest ?? Number.NEGATIVE_INFINITY, idleSince);
		return latest;
	}

	add(member: PoolMember): void {
		this.#members.add(member);
	}

	delete(member: PoolMember): void {
		this.#members.delete(member);
	}

	[Symbol.iterator](): IterableIterator<PoolMember> {
		return this.#members.values();
	}

	/** See chooseMember. */
	choose(concurrency: number, preferred: string | undefined): PoolMember | undefined {
		return chooseMember(this.#members, concurrency, preferred);
	}

	/** See chooseSurplus. */
	chooseSurplus(): PoolMember | undefined {
		return chooseSurplus(this.#members);
	}

	/** Those that have been idle since `beforeMs`; when the next one will have been for as long. */
	freezeIdle(beforeMs: number, freeze: (member: PoolMember) => void): number | undefined {
		let next: number | undefined;
		for (const member of this.#members) {
			if (member.isFrozen || member.isStopping || !member.wasReady || member.inFlight > 0) continue;
			if (member.idleSince > beforeMs) next = Math.min(next ?? Number.POSITIVE_INFINITY, member.idleSince);
			else freeze(member);
		}
		return next;
	}
}

function count<T>(items: Iterable<T>, is: (item: T) => boolean): number {
	let found = 0;
	for (const item of items) if (is(item)) found++;
	return found;
}

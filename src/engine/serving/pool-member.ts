import type { Instance } from "../../core/workload/instance.ts";

/** One instance of a revision, as its pool sees it. */
export class PoolMember {
	readonly instance: Instance;
	/** On the monotonic clock. */
	readonly startedAt: number;
	/** Starts before it, in a row, that came to nothing: it takes the place of one that failed. */
	readonly failures: number;
	readonly releaseSlot: () => void;
	inFlight = 0;
	/** When its last request was over, or its readiness began. */
	idleSince: number;
	wasReady = false;
	/** It gets no more requests, and ends when it has none. */
	isDraining = false;
	isStopping = false;
	isFrozen = false;

	constructor(instance: Instance, start: { at: number; failures: number; releaseSlot: () => void }) {
		this.instance = instance;
		this.startedAt = start.at;
		this.idleSince = start.at;
		this.failures = start.failures;
		this.releaseSlot = start.releaseSlot;
	}

	/** Whether it may get requests, one at a time or more: who hears of its end first may ask before its state has changed. */
	get isServing(): boolean {
		return this.instance.state === "ready" && !this.isDraining && !this.instance.gone.aborted;
	}

	hasRoom(concurrency: number): boolean {
		return this.isServing && (concurrency === 0 || this.inFlight < concurrency);
	}
}

/** Knative's activator takes the first with room where an instance has few, which keeps the others idle (pkg/activator/net/lb_policy.go). */
const fewRequests = 3;

/** Where the next request goes; undefined when there is no room. */
export function chooseMember(
	members: Iterable<PoolMember>,
	concurrency: number,
	preferred: string | undefined,
): PoolMember | undefined {
	const first = concurrency > 0 && concurrency <= fewRequests;
	let chosen: PoolMember | undefined;
	for (const member of members) {
		if (!member.hasRoom(concurrency)) continue;
		if (member.instance.id === preferred) return member;
		if (!chosen || (!first && member.inFlight < chosen.inFlight)) chosen = member;
		if (preferred === undefined && (first || chosen.inFlight === 0)) return chosen;
	}
	return chosen;
}

/** Which of them is missed the least: one that is not ready, the one that has been idle the longest, the one with the fewest requests. */
export function chooseSurplus(members: Iterable<PoolMember>): PoolMember | undefined {
	let chosen: PoolMember | undefined;
	for (const member of members) if (!member.isDraining && (!chosen || isMissedLess(member, chosen))) chosen = member;
	return chosen;
}

function isMissedLess(a: PoolMember, b: PoolMember): boolean {
	if (a.isServing !== b.isServing) return !a.isServing;
	// Of those on their way the newest, which has the longest way to go.
	if (!a.isServing) return a.startedAt >= b.startedAt;
	if (a.inFlight !== b.inFlight) return a.inFlight < b.inFlight;
	return a.idleSince < b.idleSince;
}

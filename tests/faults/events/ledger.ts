/** What the run knows of its events: what it sent, what was accepted, what a function saw, what is in the dead letters. */

/** The four ways in. */
export const sources = ["invocation", "queue", "bus", "schedule"] as const;
export type Source = (typeof sources)[number];

interface Entry {
	source: Source;
	isPoison: boolean;
	/** Undefined: whoever sent it got no answer, or a refusal, and may not rely on it. */
	accepted: boolean;
	deliveries: number;
	/** Faults at which the daemon had it in hand: so often it may come once more. */
	held: number;
	dead: number;
}

export interface Tally {
	sent: number;
	accepted: number;
	/** Accepted, no poison, and neither at the function nor in the dead letters. */
	lost: number;
	/** Times that an event without poison came once more. */
	duplicates: number;
	/** Of them, those that were in nobody's hand at any fault, or came oftener than they were. */
	unexplained: number;
	/** Accepted poison. */
	poison: number;
	/** Of it what is not in the dead letters, and that is there more than once. */
	poisonMissing: number;
	poisonTwice: number;
	/** In the dead letters without being poison. */
	wronglyDead: number;
	/** Came to the function or the dead letters though nobody sent it. */
	unknown: number;
}

export class Ledger {
	readonly #entries = new Map<string, Entry>();
	readonly #unknown = new Set<string>();

	add(id: string, source: Source, isPoison: boolean): void {
		this.#entries.set(id, { source, isPoison, accepted: false, deliveries: 0, held: 0, dead: 0 });
	}

	accept(id: string): void {
		this.#entry(id).accepted = true;
	}

	/** It may come once more. */
	hold(id: string): void {
		const entry = this.#entries.get(id);
		if (entry) entry.held++;
	}

	/** Whether the function may say that it has done it. */
	deliver(id: string): boolean {
		const entry = this.#entries.get(id);
		if (!entry) {
			this.#unknown.add(id);
			return true;
		}
		entry.deliveries++;
		return !entry.isPoison;
	}

	bury(id: string): void {
		const entry = this.#entries.get(id);
		if (entry) entry.dead++;
		else this.#unknown.add(id);
	}

	/** Accepted ones that are neither at the function nor, where they are poison, in the dead letters. */
	get open(): number {
		let open = 0;
		for (const { accepted, isPoison, deliveries, dead } of this.#entries.values())
			if (accepted && dead === 0 && (isPoison || deliveries === 0)) open++;
		return open;
	}

	lostIds(): string[] {
		return [...this.#entries]
			.filter(
				([, { accepted, isPoison, deliveries, dead }]) => accepted && dead === 0 && (isPoison || deliveries === 0),
			)
			.map(([id]) => id);
	}

	/** Events without poison that came oftener than faults explain, or are in the dead letters: how often they were where. */
	oddities(): string[] {
		return [...this.#entries]
			.filter(([, { isPoison, deliveries, held, dead }]) => !isPoison && (dead > 0 || deliveries - 1 > held))
			.map(
				([id, { accepted, deliveries, held, dead }]) =>
					`${id}${accepted ? "" : " (not accepted)"}: ${deliveries} times at the function, ${held} in hand at a fault, ${dead} in the dead letters`,
			);
	}

	tally(of?: Source): Tally {
		const tally: Tally = {
			sent: 0,
			accepted: 0,
			lost: 0,
			duplicates: 0,
			unexplained: 0,
			poison: 0,
			poisonMissing: 0,
			poisonTwice: 0,
			wronglyDead: 0,
			unknown: of === undefined ? this.#unknown.size : 0,
		};
		for (const entry of this.#entries.values()) if (of === undefined || entry.source === of) count(tally, entry);
		return tally;
	}

	#entry(id: string): Entry {
		const entry = this.#entries.get(id);
		if (!entry) throw new Error(`Event ${id} was never sent`);
		return entry;
	}
}

function count(tally: Tally, { isPoison, accepted, deliveries, held, dead }: Entry): void {
	tally.sent++;
	if (accepted) tally.accepted++;
	if (isPoison) {
		if (accepted) tally.poison++;
		if (accepted && dead === 0) tally.poisonMissing++;
		if (dead > 1) tally.poisonTwice++;
		return;
	}
	if (accepted && deliveries === 0 && dead === 0) tally.lost++;
	const again = Math.max(0, deliveries - 1);
	tally.duplicates += again;
	tally.unexplained += Math.max(0, again - held);
	if (dead > 0) tally.wronglyDead++;
}

/** What no fault excuses. */
export function wrongs({ lost, unexplained, poisonMissing, poisonTwice, wronglyDead, unknown }: Tally): number {
	return lost + unexplained + poisonMissing + poisonTwice + wronglyDead + unknown;
}

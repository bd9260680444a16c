/** Sends events by every way in while faults strike, waits until all is quiet, and counts. */
import { cpus, release, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { complaintsOf } from "./complaints.ts";
import { idOf, idOfRecord, type LambdaEvent } from "./event-id.ts";
import type { Fault, Site } from "./faults.ts";
import { heldMessages } from "./held.ts";
import { Ledger, type Source, sources, type Tally } from "./ledger.ts";
import { seeded } from "./seeded.ts";
import type { Verdict } from "./sink.ts";
import { Traffic } from "./traffic.ts";
import { World, type WorldOptions } from "./world.ts";

export interface RunOptions {
	/** Events that are to be accepted, and faults among them. */
	events: number;
	faults: readonly Fault[];
	seed: number;
	world?: Omit<WorldOptions, "verdict">;
	onProgress?: (line: string) => void;
}

export interface Strike {
	name: string;
	/** Messages that the daemon had in hand and may have delivered: each may come once more. */
	held: number;
	/** Pages that were written and not synced, where the fault is about them. */
	unsyncedPages?: number;
	/** The longest time without an accepted event, the fault's own included. */
	gapMs: number;
}

export interface RunReport {
	/** ISO 8601, when it ended. */
	when: string;
	/** Processor, system and the file system of the state folder. */
	machine: string;
	seed: number;
	seconds: number;
	strikes: Strike[];
	total: Tally;
	bySource: Record<Source, Tally>;
	/** Answers that said no, by operation and code: those after which clients try again, and others. */
	refusals: Record<string, number>;
	finalRefusals: Record<string, number>;
	/** Ids of those that are lost, the first `maxNamed`. */
	lost: string[];
	/** What came oftener than faults explain, or is wrongly in the dead letters: as many, in words. */
	oddities: string[];
	/** Warnings and errors in the daemons' logs, by message: how often. */
	complaints: Record<string, number>;
}

/** Events that a report names one by one. */
const maxNamed = 20;
/** Milliseconds without any news after which what is missing counts as lost: longer than poison takes from receive to receive. */
const quietMs = 120_000;
/** Milliseconds after which a daemon that accepts nothing will not come back. */
const comebackMs = 90_000;
/** What was answered so long ago is committed, on a machine that is not at its end. */
const recentMs = 2000;

export async function runFaults(options: RunOptions): Promise<RunReport> {
	const run = new Run(options);
	return run.play();
}

class Run {
	readonly #options: RunOptions;
	readonly #ledger = new Ledger();
	readonly #random: () => number;
	/** Events that came to the function a short time ago: when. */
	readonly #recent = new Map<string, number>();
	#isExcusing = false;
	#held = 0;
	readonly #strikes: Strike[] = [];

	constructor(options: RunOptions) {
		this.#options = options;
		this.#random = seeded(options.seed);
	}

	async play(): Promise<RunReport> {
		const { events, world: worldOptions, seed } = this.#options;
		const started = performance.now();
		await using world = await World.open({ ...worldOptions, verdict: (text) => this.#verdict(text) });
		const traffic = new Traffic({ world, ledger: this.#ledger, random: seeded(seed + 1) });
		try {
			await this.#strikeAll(world, traffic);
			await this.#untilAccepted(traffic, events);
		} finally {
			await traffic.stop();
		}
		await this.#settle(world);
		const { refusals, finalRefusals } = traffic;
		const { model = "an unknown processor" } = cpus()[0] ?? {};
		const seconds = (performance.now() - started) / 1000;
		const bySource = Object.fromEntries(sources.map((source) => [source, this.#ledger.tally(source)]));
		return {
			when: new Date().toISOString(),
			machine: `${model}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`,
			seed,
			seconds,
			strikes: this.#strikes,
			total: this.#ledger.tally(),
			bySource: bySource as Record<Source, Tally>,
			refusals,
			finalRefusals,
			lost: this.#ledger.lostIds().slice(0, maxNamed),
			oddities: this.#ledger.oddities().slice(0, maxNamed),
			complaints: await complaintsOf(world.logPath),
		};
	}

	/** Evenly over the events, each a bit before or after its turn. */
	async #strikeAll(world: World, traffic: Traffic): Promise<void> {
		const { faults, events, onProgress } = this.#options;
		const site: Site = {
			world,
			random: this.#random,
			atRest: () => this.#excuseHeld(world),
			during: (work) => this.#excuseWhile(work),
		};
		for (const [i, fault] of faults.entries()) {
			await this.#untilAccepted(traffic, ((i + 0.2 + 0.6 * this.#random()) * events) / faults.length);
			this.#held = 0;
			traffic.takeLongestGap();
			const unsyncedPages = await fault.strike(site);
			await this.#untilAccepted(traffic, traffic.accepted + 1);
			const gapMs = Math.round(traffic.takeLongestGap());
			const strike = {
				name: fault.name,
				held: this.#held,
				gapMs,
				...(unsyncedPages !== undefined && { unsyncedPages }),
			};
			this.#strikes.push(strike);
			if ((i + 1) % 10 === 0 || faults.length < 20)
				onProgress?.(`${i + 1} of ${faults.length} faults, ${traffic.accepted} accepted; ${JSON.stringify(strike)}`);
		}
	}

	async #untilAccepted(traffic: Traffic, count: number): Promise<void> {
		let before = traffic.accepted;
		for (let since = performance.now(); traffic.accepted < count; await sleep(1)) {
			if (traffic.accepted > before) {
				before = traffic.accepted;
				since = performance.now();
			} else if (performance.now() - since > comebackMs) throw new Error(`Nothing was accepted for ${comebackMs} ms`);
		}
	}

	/** By the log's own file: leases that the daemon held. */
	async #excuseHeld(world: World): Promise<void> {
		for (const body of await heldMessages(world.home)) this.#excuse(idOf(body));
	}

	async #excuseWhile(work: () => Promise<void>): Promise<void> {
		this.#forgetOld();
		for (const id of this.#recent.keys()) this.#excuse(id);
		this.#isExcusing = true;
		try {
			await work();
			await sleep(recentMs);
		} finally {
			this.#isExcusing = false;
		}
	}

	#excuse(id: string): void {
		this.#ledger.hold(id);
		this.#held++;
	}

	#verdict(text: string): Verdict {
		const event = JSON.parse(text) as LambdaEvent;
		if (event.Records) {
			const batchItemFailures = event.Records.filter(({ body }) => !this.#deliver(idOf(body))).map(({ messageId }) => ({
				itemIdentifier: messageId,
			}));
			return { isError: false, answer: JSON.stringify({ batchItemFailures }) };
		}
		if (this.#deliver(idOf(text))) return { isError: false, answer: "null" };
		return { isError: true, answer: '{"errorMessage":"this event is poison","errorType":"Poison"}' };
	}

	#deliver(id: string): boolean {
		this.#recent.set(id, performance.now());
		if (this.#recent.size > 10_000) this.#forgetOld();
		if (this.#isExcusing) this.#excuse(id);
		return this.#ledger.deliver(id);
	}

	#forgetOld(): void {
		const now = performance.now();
		for (const [id, at] of this.#recent) if (now - at > recentMs) this.#recent.delete(id);
	}

	async #settle(world: World): Promise<void> {
		const { onProgress } = this.#options;
		if (this.#options.world?.keepsState) onProgress?.(`the state is in ${world.home}`);
		onProgress?.(`${this.#ledger.open} are still to be done`);
		let open = Number.POSITIVE_INFINITY;
		for (let since = performance.now(); ; await sleep(500)) {
			await this.#collectDead(world);
			const now = this.#ledger.open;
			if (now === 0) break;
			if (now < open) {
				open = now;
				since = performance.now();
			} else if (performance.now() - since > quietMs) break;
		}
		// What would come twice, comes.
		await sleep(recentMs);
		await this.#collectDead(world);
	}

	async #collectDead(world: World): Promise<void> {
		for (const body of await world.takeDead("dead-messages")) this.#ledger.bury(idOf(body));
		for (const body of await world.takeDead("dead-events")) this.#ledger.bury(idOfRecord(body));
	}
}

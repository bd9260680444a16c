import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../simulation/random.ts";
import type { Received } from "./calls.ts";
import { type Killable, Unknown } from "./killable.ts";
import type { Ledger } from "./ledger.ts";

/** What consumers did. */
export interface Tally {
	receives: number;
	givenBack: number;
	extended: number;
	crashes: number;
	late: number;
	refused: number;
}

export interface ConsumerDeps {
	server: Killable;
	ledger: Ledger;
	random: Random;
	tally: Tally;
	/** Of a thousand batches, how many go wrong in each of the ways. */
	perThousand: number;
	isDone: () => boolean;
}

/** Seconds that a batch is hidden. */
const shortestS = 1;
const longestS = 3;
const maxReceived = 10;

/** Receives and deletes as a program would, and now and then crashes, is late, extends or gives back what it has. */
export class Consumer {
	readonly #deps: ConsumerDeps;
	readonly #number: number;

	constructor(deps: ConsumerDeps, number: number) {
		this.#deps = deps;
		this.#number = number;
	}

	async run(): Promise<void> {
		while (!this.#deps.isDone()) await this.#round().catch(passUnknown);
	}

	async #round(): Promise<void> {
		const { server, ledger, random, tally, perThousand } = this.#deps;
		const visibilityS = shortestS + random.below(longestS);
		const askedMs = Date.now();
		const max = random.chance(80) ? maxReceived : 1 + random.below(maxReceived);
		const batch = await server.call<Received[]>({ kind: "receive", max, visibilityS });
		if (batch.length === 0) return;
		tally.receives++;
		ledger.received(this.#number, batch, askedMs + visibilityS * 1000, Date.now());
		const what = Math.floor(random.below(1000) / perThousand);
		if (what === 0) return this.#crash(batch);
		if (what === 1) return await this.#beLate(batch, visibilityS);
		if (what === 2) return await this.#giveBack(batch);
		if (what === 3 || what === 4) await this.#extend(batch);
		await this.#delete(batch);
	}

	/** Nobody settles these; their time ends. */
	#crash(batch: readonly Received[]): void {
		this.#deps.tally.crashes++;
		const some = batch.slice(0, this.#deps.random.below(batch.length));
		void this.#delete(some).catch(passUnknown);
	}

	async #beLate(batch: readonly Received[], visibilityS: number): Promise<void> {
		this.#deps.tally.late++;
		await sleep(visibilityS * 1000 + this.#deps.random.below(200) - 100);
		await this.#delete(batch);
	}

	/** What came before the one that failed is deleted; it and the rest are to be had at once or in a second, in whatever order that is said. */
	async #giveBack(batch: readonly Received[]): Promise<void> {
		const { server, ledger, random, tally } = this.#deps;
		tally.givenBack++;
		const at = random.below(batch.length);
		await this.#delete(batch.slice(0, at));
		const rest = batch.slice(at);
		if (random.chance(50)) rest.reverse();
		// Those that are not named stay hidden, and the group with them.
		const named = random.chance(50) ? rest.slice(0, 1 + random.below(rest.length)) : rest;
		ledger.letGo(this.#number, named);
		const handles = named.map(({ receiptHandle }) => receiptHandle);
		await server.call({ kind: "visibility", handles, seconds: random.below(2) });
	}

	async #extend(batch: readonly Received[]): Promise<void> {
		const { server, ledger, random, tally } = this.#deps;
		tally.extended++;
		const seconds = shortestS + random.below(longestS);
		const untilMs = Date.now() + seconds * 1000;
		ledger.extended(this.#number, batch, untilMs, false);
		const handles = batch.map(({ receiptHandle }) => receiptHandle);
		const done = await server.call<boolean[]>({ kind: "visibility", handles, seconds });
		ledger.extended(this.#number, batch, untilMs, done.every(Boolean));
	}

	async #delete(messages: readonly Received[]): Promise<void> {
		if (messages.length === 0) return;
		const { server, ledger, tally } = this.#deps;
		ledger.letGo(this.#number, messages);
		ledger.deleting(messages);
		const handles = messages.map(({ receiptHandle }) => receiptHandle);
		const done = await server.call<boolean[]>({ kind: "delete", handles });
		ledger.deletedOrNot(messages, done);
		tally.refused += done.filter((one) => !one).length;
	}
}

function passUnknown(error: unknown): void {
	if (!(error instanceof Unknown)) throw error;
}

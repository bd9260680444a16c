/** Clients that send events by all ways in as long as they are told to. What is refused or cut off was not promised. */
import { setTimeout as sleep } from "node:timers/promises";
import { Refusal } from "./api.ts";
import type { Ledger, Source } from "./ledger.ts";
import type { World } from "./world.ts";

const senders = 24;
/** One in so many is poison. */
const poisonOneIn = 100;
const batchSize = 10;
/** Of what is sent, by ways in; schedules are documents of their own, and cost the most. */
const shares: readonly [Source, number][] = [
	["invocation", 0.45],
	["queue", 0.35],
	["bus", 0.15],
	["schedule", 0.05],
];
const retryMs = 20;

export interface TrafficOptions {
	world: World;
	ledger: Ledger;
	random: () => number;
}

export class Traffic {
	readonly #options: TrafficOptions;
	readonly #stop = new AbortController();
	readonly #loops: Promise<void>[];
	#next = 0;
	#lastAcceptAt = performance.now();
	#longestGapMs = 0;
	accepted = 0;
	/** By what was asked and how it was refused: how often. */
	readonly refusals: Record<string, number> = {};
	/** Those after which no client tries again. */
	readonly finalRefusals: Record<string, number> = {};

	constructor(options: TrafficOptions) {
		this.#options = options;
		this.#loops = Array.from({ length: senders }, () => this.#send());
	}

	/** Ends what is under way. */
	async stop(): Promise<void> {
		this.#stop.abort();
		await Promise.all(this.#loops);
	}

	/** Milliseconds in which nothing was accepted, the longest since the last time that this was asked. */
	takeLongestGap(): number {
		const gap = this.#longestGapMs;
		this.#longestGapMs = 0;
		return gap;
	}

	async #send(): Promise<void> {
		while (!this.#stop.signal.aborted) {
			try {
				await this.#sendOne();
			} catch (error) {
				this.#refused(error);
				await sleep(retryMs);
			}
		}
	}

	async #sendOne(): Promise<void> {
		const { world, random } = this.#options;
		const source = this.#pick();
		if (source === "queue" || source === "bus") {
			const events = Array.from({ length: batchSize }, () => this.#event(source));
			const { ids, codes } = source === "queue" ? await world.send(events) : await world.put(events);
			for (const id of ids) this.#accept(id);
			for (const code of codes) this.#count(this.refusals, `entry of ${source}: ${code}`);
			return;
		}
		const { id, isPoison } = this.#event(source);
		if (source === "invocation") await world.invoke(id, isPoison);
		else await world.schedule(id, isPoison, 1 + 4 * random());
		this.#accept(id);
	}

	/** A batch has ten. */
	#pick(): Source {
		const weights = shares.map(([source, share]) =>
			source === "queue" || source === "bus" ? share / batchSize : share,
		);
		let left = this.#options.random() * weights.reduce((sum, weight) => sum + weight, 0);
		for (const [i, [source]] of shares.entries()) {
			left -= weights[i] ?? 0;
			if (left < 0) return source;
		}
		return "invocation";
	}

	#event(source: Source): { id: string; isPoison: boolean } {
		const id = `${source}-${++this.#next}`;
		const isPoison = this.#options.random() < 1 / poisonOneIn;
		this.#options.ledger.add(id, source, isPoison);
		return { id, isPoison };
	}

	#accept(id: string): void {
		this.#options.ledger.accept(id);
		this.accepted++;
		const now = performance.now();
		this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastAcceptAt);
		this.#lastAcceptAt = now;
	}

	#refused(error: unknown): void {
		if (!(error instanceof Refusal)) {
			// A connection that was cut off has a system's code; anything else is a fault of the run, or an answer that is none.
			const code = error instanceof Error && "code" in error ? "connection cut off" : String(error);
			return this.#count(code === "connection cut off" ? this.refusals : this.finalRefusals, code);
		}
		const key = `${error.what}: ${error.status} ${error.code}`;
		this.#count(error.isRetryable ? this.refusals : this.finalRefusals, key);
	}

	#count(counts: Record<string, number>, key: string): void {
		counts[key] = (counts[key] ?? 0) + 1;
	}
}

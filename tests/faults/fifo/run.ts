/** A million messages in order, whatever dies: senders, consumers, and a process with the queues that is killed among them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Random } from "../../simulation/random.ts";
import { Consumer, type Tally } from "./consumer.ts";
import { Killable, Unknown } from "./killable.ts";
import { Ledger } from "./ledger.ts";

export interface FifoOptions {
	messages: number;
	groups: number;
	kills: number;
	seed: number;
	/** Of a thousand batches, how many go wrong in each of the ways. */
	perThousand: number;
	onProgress?: (line: string) => void;
}

export interface FifoReport extends Tally {
	messages: number;
	groups: number;
	kills: number;
	seed: number;
	seconds: number;
	deliveries: number;
	/** Deliveries beyond each message's first. */
	again: number;
	violations: number;
	told: string[];
	lost: number;
}

const senders = 16;
const consumers = 32;
const sentAtOnce = 10;
/** Messages that wait at once: enough that groups are deep, and that sending and receiving go on together. */
const maxBacklog = 100_000;
const progressMs = 10_000;

class Run {
	readonly #options: FifoOptions;
	readonly #server: Killable;
	readonly #ledger: Ledger;
	readonly #random: Random;
	readonly #perGroup: number;
	readonly #names: string[];
	readonly #tally: Tally = { receives: 0, givenBack: 0, extended: 0, crashes: 0, late: 0, refused: 0 };
	#sent = 0;
	#kills = 0;
	#isDone = false;

	constructor(options: FifoOptions, folder: string) {
		this.#options = options;
		this.#server = new Killable(folder);
		this.#random = new Random(options.seed);
		this.#perGroup = Math.ceil(options.messages / options.groups);
		this.#names = Array.from({ length: options.groups }, (_, i) => `group-${i}`);
		this.#ledger = new Ledger(this.#names, this.#perGroup);
	}

	async run(): Promise<FifoReport> {
		const began = performance.now();
		await using _server = this.#server;
		const timer = setInterval(() => this.#progress(), progressMs);
		try {
			const deps = {
				server: this.#server,
				ledger: this.#ledger,
				random: this.#random,
				tally: this.#tally,
				perThousand: this.#options.perThousand,
			};
			const isDone = () => this.#isDone;
			const working = Array.from({ length: consumers }, (_, i) => new Consumer({ ...deps, isDone }, i).run());
			const sending = Array.from({ length: senders }, (_, i) => this.#sendGroups(i));
			await Promise.all([...working, ...sending, this.#killAll(), this.#watchEnd()]);
		} finally {
			this.#isDone = true;
			clearInterval(timer);
		}
		return this.#report((performance.now() - began) / 1000);
	}

	/** A sender has groups of its own, and sends the next of one of them when the one before is answered: that is their order. */
	async #sendGroups(sender: number): Promise<void> {
		const groups = this.#names.filter((_, i) => i % senders === sender).map((name) => ({ name, next: 0 }));
		for (let open = groups; open.length > 0 && !this.#isDone; open = open.filter(({ next }) => next < this.#perGroup)) {
			while (this.#sent - this.#ledger.deletedMessages > maxBacklog && !this.#isDone) await sleep(20);
			const group = this.#random.pick(open);
			const wanted = this.#random.chance(80) ? sentAtOnce : 1 + this.#random.below(sentAtOnce);
			const count = Math.min(wanted, this.#perGroup - group.next);
			await this.#insist(group.name, group.next, count);
			group.next += count;
			this.#sent += count;
		}
	}

	/** Until it is answered: their deduplication ids make one of many. */
	async #insist(group: string, from: number, count: number): Promise<void> {
		for (;;)
			try {
				await this.#server.call({ kind: "send", group, from, count });
				return;
			} catch (error) {
				if (!(error instanceof Unknown)) throw error;
			}
	}

	/** Spread over the work, each in the midst of calls. */
	async #killAll(): Promise<void> {
		const { kills } = this.#options;
		const total = this.#perGroup * this.#names.length;
		for (let kill = 0; kill < kills; kill++) {
			const at = ((kill + this.#random.below(100) / 100) / (kills + 1)) * total;
			while (this.#ledger.deletedMessages < at && !this.#isDone) await sleep(5);
			if (this.#isDone) return;
			await sleep(this.#random.below(50));
			await this.#server.kill();
			this.#kills++;
		}
	}

	async #watchEnd(): Promise<void> {
		const total = this.#perGroup * this.#names.length;
		while ((this.#sent < total || this.#kills < this.#options.kills) && !this.#isDone) await sleep(50);
		for (let left = 1; left > 0 && !this.#isDone; await sleep(50))
			left = await this.#server.call<number>({ kind: "counts" });
		this.#isDone = true;
	}

	#progress(): void {
		const { deletedMessages, violations } = this.#ledger;
		this.#options.onProgress?.(
			`${this.#sent} sent, ${deletedMessages} deleted, ${this.#kills} kills, ${violations} order violations`,
		);
	}

	#report(seconds: number): FifoReport {
		const { groups, seed } = this.#options;
		const { deliveries, again, violations, told } = this.#ledger;
		const found = { deliveries, again, violations, told, lost: this.#ledger.lost() };
		return { messages: this.#sent, groups, seed, kills: this.#kills, seconds, ...this.#tally, ...found };
	}
}

export async function runFifo(options: FifoOptions): Promise<FifoReport> {
	const folder = await mkdtemp(join(tmpdir(), "slipway-fifo-"));
	try {
		return await new Run(options, folder).run();
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

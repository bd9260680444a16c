import { SlipwayError } from "../../base/error.ts";
import type {
	BrokerAdapter,
	BrokerMessage,
	EventSink,
	EventSource,
	OutgoingMessage,
	SourceSession,
	Verdict,
} from "./event-source.ts";
import { InHand } from "./in-hand.ts";

interface Held {
	message: BrokerMessage;
	redelivered: boolean;
}

/** A broker in memory, for tests: places with messages, consumers that share them, dead letters. */
export class FakeBroker {
	readonly #places = new Map<string, { waiting: Held[]; dead: { body: Uint8Array; reason: string }[] }>();
	readonly #wake = new Set<() => void>();
	readonly #cut = new Set<(error: Error) => void>();
	#published = 0;
	/** Set: connections fail with it. */
	refusal: string | undefined;

	/** What is there and in nobody's hand. */
	waiting(place: string): string[] {
		return this.#place(place).waiting.map(({ message }) => Buffer.from(message.body).toString());
	}

	dead(place: string): { body: Uint8Array; reason: string }[] {
		return this.#place(place).dead;
	}

	makePlace(place: string): void {
		this.#places.set(place, { waiting: [], dead: [] });
	}

	publish(place: string, body: Uint8Array | string, more: Partial<BrokerMessage> = {}): void {
		const { waiting } = this.#place(place);
		const empty = { headers: {}, publishedMs: undefined, contentType: undefined, properties: {} };
		const id = `${place}:${++this.#published}`;
		const message = { ...empty, id, body: Buffer.from(body), subject: place, redelivered: false, ...more };
		waiting.push({ message, redelivered: false });
		this.#wakeAll();
	}

	/** Every connection is lost; what was in hand is there again. */
	cut(): void {
		for (const cut of [...this.#cut])
			cut(new SlipwayError("UNAVAILABLE", "The connection to the fake broker was lost"));
	}

	adapter(): BrokerAdapter {
		return {
			source: (_, { queue = "" }) => this.source(queue),
			sink: () => this.sink(),
		};
	}

	source(place: string): EventSource {
		return { run: (session) => this.#run(place, session) };
	}

	sink(): EventSink {
		return {
			publish: async ({ destination, body, headers, contentType, id }: OutgoingMessage) => {
				if (this.refusal !== undefined) throw new SlipwayError("UNAVAILABLE", this.refusal);
				const place = destination.replace(/^queue\//, "");
				this.#place(place);
				this.publish(place, body, { headers, contentType, id: `${place}:${id}` });
			},
			async [Symbol.asyncDispose]() {},
		};
	}

	async #run(place: string, session: SourceSession): Promise<void> {
		if (session.signal.aborted) return;
		if (this.refusal !== undefined) throw new SlipwayError("UNAVAILABLE", this.refusal);
		const { promise: lost, reject: cut } = Promise.withResolvers<never>();
		lost.catch(() => {});
		this.#cut.add(cut);
		const held = new Set<Held>();
		const gone = new AbortController();
		const taking = AbortSignal.any([session.signal, gone.signal]);
		try {
			await Promise.race([this.#consume(place, session, taking, held), lost]);
		} finally {
			gone.abort();
			this.#cut.delete(cut);
			this.#giveBack(place, [...held]);
		}
	}

	async #consume(place: string, session: SourceSession, taking: AbortSignal, held: Set<Held>): Promise<void> {
		const { waiting } = this.#place(place);
		const inHand = new InHand(session.prefetch);
		session.onConnected();
		while (!taking.aborted) {
			const next = inHand.room > 0 ? waiting.shift() : undefined;
			if (!next) {
				await this.#somethingNew(taking);
				continue;
			}
			held.add(next);
			const message = { ...next.message, redelivered: next.redelivered };
			void inHand.during(async () => {
				const verdict = await session.onMessage(message);
				if (held.delete(next)) this.#settle(place, next, verdict);
			});
		}
		await inHand.empty();
	}

	#settle(place: string, held: Held, verdict: Verdict): void {
		if (verdict.verdict === "reject") this.#place(place).dead.push({ body: held.message.body, reason: verdict.reason });
		else if (verdict.verdict === "release") this.#giveBack(place, [held]);
		this.#wakeAll();
	}

	#giveBack(place: string, held: readonly Held[]): void {
		for (const one of held) one.redelivered = true;
		this.#place(place).waiting.unshift(...held);
		this.#wakeAll();
	}

	#somethingNew(signal: AbortSignal): Promise<void> {
		return new Promise((resolve) => {
			const wake = () => {
				this.#wake.delete(wake);
				signal.removeEventListener("abort", wake);
				resolve();
			};
			this.#wake.add(wake);
			signal.addEventListener("abort", wake, { once: true });
		});
	}

	#wakeAll(): void {
		for (const wake of [...this.#wake]) queueMicrotask(wake);
	}

	#place(place: string) {
		const found = this.#places.get(place);
		if (!found) throw new SlipwayError("NOT_FOUND", `The fake broker has no place ${place}`);
		return found;
	}
}

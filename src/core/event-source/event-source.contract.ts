/** What every EventSource and EventSink has to do; an adapter's test calls this with a real broker. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { BrokerMessage, EventSink, EventSource, Verdict } from "./event-source.ts";

export interface BrokerFixture extends AsyncDisposable {
	/** Kills the broker and starts it with the same data; undefined for one without a life of its own. */
	restart: (() => Promise<void>) | undefined;
	/** A destination of its own for each test, empty. */
	makeDestination(): Promise<BrokerDestination>;
}

export interface BrokerDestination {
	/** For `publish`. */
	destination: string;
	/** A consumer of it; two of them share its messages. */
	source(): EventSource;
	sink(): EventSink;
	/** Bodies of those that were rejected. */
	dead(): Promise<string[]>;
}

export interface BrokerContractOptions {
	/** A reason why it can't run here. */
	skip?: string | false;
	/** The broker holds messages back for somebody who is gone so long; what was given out comes again after it. */
	redeliveryMs?: number;
	/** Several consumers get different messages at the same time. */
	competing?: boolean;
	/** One that is connected but never acknowledges stops those behind it: a transaction log. */
	prefetch?: number;
}

/** Milliseconds for what should come. */
const patienceMs = 10_000;
/** Milliseconds for what should not come. */
const quietMs = 150;

export function eventSourceContract(
	name: string,
	open: () => Promise<BrokerFixture>,
	options: BrokerContractOptions = {},
): void {
	describe(`EventSource contract: ${name}`, { skip: options.skip ?? false }, () => {
		let fixture: BrokerFixture;
		before(async () => {
			fixture = await open();
		});
		after(() => fixture?.[Symbol.asyncDispose]());
		const test = (title: string, body: (place: BrokerDestination, fixture: BrokerFixture) => Promise<void>) =>
			it(title, async () => body(await fixture.makeDestination(), fixture));
		deliveryCases(test);
		verdictCases(test);
		lossCases(test, options);
	});
}

type Test = (title: string, body: (place: BrokerDestination, fixture: BrokerFixture) => Promise<void>) => void;

function deliveryCases(test: Test): void {
	test("Gives what was published, in order, with its bytes, headers and a stable id", async (place) => {
		await publishAll(place, ["one", "two", "three"], { "x-colour": "blue" });
		await using run = consume(place.source(), accept);
		await run.until(() => run.seen.length === 3);
		assert.deepEqual(run.bodies(), ["one", "two", "three"]);
		const [first] = run.seen;
		assert.equal(first?.headers["x-colour"], "blue");
		assert.equal(first?.contentType, "text/plain");
		assert.equal(first?.redelivered, false);
		assert.equal(new Set(run.seen.map(({ id }) => id)).size, 3);
		assert.doesNotThrow(() => JSON.stringify(first?.properties));
	});

	test("Bytes that are no text arrive as they were", async (place) => {
		const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
		await using sink = place.sink();
		await sink.publish(
			{
				destination: place.destination,
				id: "bytes",
				body: bytes,
				contentType: "application/octet-stream",
				headers: {},
			},
			AbortSignal.timeout(patienceMs),
		);
		await using run = consume(place.source(), accept);
		await run.until(() => run.seen.length === 1);
		assert.deepEqual(Buffer.from(run.seen[0]?.body ?? []), Buffer.from(bytes));
	});

	test("What comes while nobody has asked yet is given as it comes", async (place) => {
		await using run = consume(place.source(), accept);
		await run.connected;
		await publishAll(place, ["late"]);
		await run.until(() => run.seen.length === 1);
		assert.deepEqual(run.bodies(), ["late"]);
	});

	test("No more than `prefetch` are in hand at once", async (place) => {
		const bodies = Array.from({ length: 12 }, (_, index) => `m${index}`);
		await publishAll(place, bodies);
		const gate = Promise.withResolvers<void>();
		await using run = consume(
			place.source(),
			async () => {
				await gate.promise;
				return { verdict: "acknowledge" };
			},
			3,
		);
		await run.until(() => run.inHand === 3);
		await sleep(quietMs);
		assert.equal(run.mostInHand, 3);
		gate.resolve();
		await run.until(() => run.seen.length === 12);
		assert.equal(run.mostInHand, 3);
		assert.deepEqual(run.bodies(), bodies);
	});
}

function verdictCases(test: Test): void {
	test("Acknowledged ones do not come again, to nobody", async (place) => {
		await publishAll(place, ["a", "b"]);
		{
			await using run = consume(place.source(), accept);
			await run.until(() => run.seen.length === 2);
		}
		await publishAll(place, ["c"]);
		await using again = consume(place.source(), accept);
		await again.until(() => again.seen.length > 0);
		assert.deepEqual(again.bodies(), ["c"]);
	});

	test("A rejected one goes to the dead letters, once, and those behind it are not held up", async (place) => {
		await publishAll(place, ["good", "poison", "better"]);
		{
			await using run = consume(place.source(), async (message) =>
				textOf(message) === "poison"
					? { verdict: "reject", reason: "the function failed" }
					: { verdict: "acknowledge" },
			);
			await run.until(() => run.seen.length === 3);
		}
		const deadline = Date.now() + patienceMs;
		while ((await place.dead()).length === 0 && Date.now() < deadline) await sleep(20);
		assert.deepEqual(await place.dead(), ["poison"]);
		await using again = consume(place.source(), accept);
		await again.connected;
		await sleep(quietMs);
		assert.deepEqual(again.bodies(), []);
	});

	test("A released one comes again, marked", async (place) => {
		await publishAll(place, ["again"]);
		let released = false;
		await using run = consume(place.source(), async () => {
			if (released) return { verdict: "acknowledge" };
			released = true;
			return { verdict: "release" };
		});
		await run.until(() => run.seen.length === 2);
		assert.deepEqual(run.bodies(), ["again", "again"]);
		assert.equal(run.seen[1]?.redelivered, true);
		assert.equal(run.seen[0]?.id, run.seen[1]?.id);
	});

	test("At the end it waits for those in hand, and what they say counts", async (place) => {
		await publishAll(place, ["slow", "next"]);
		const gate = Promise.withResolvers<void>();
		const run = consume(
			place.source(),
			async () => {
				await gate.promise;
				return { verdict: "acknowledge" };
			},
			1,
		);
		await run.until(() => run.seen.length === 1);
		run.abort();
		let ended = false;
		void run.ended.finally(() => {
			ended = true;
		});
		await sleep(quietMs);
		assert.equal(ended, false);
		gate.resolve();
		await run.ended;
		assert.deepEqual(run.bodies(), ["slow"]);
		await using again = consume(place.source(), accept);
		await again.until(() => again.seen.length === 1);
		assert.deepEqual(again.bodies(), ["next"]);
	});
}

function lossCases(test: Test, options: BrokerContractOptions): void {
	test("A consumer that is cut off loses nothing: what it had comes again", async (place, fixture) => {
		if (!fixture.restart) return;
		await publishAll(place, ["kept-1", "kept-2"]);
		const run = consume(place.source(), () => new Promise<Verdict>(() => {}));
		await run.until(() => run.seen.length >= 1);
		await fixture.restart();
		await assert.rejects(run.ended, { code: "UNAVAILABLE" });
		await using again = consume(place.source(), accept);
		await again.until(() => new Set(again.bodies()).size === 2, patienceMs + (options.redeliveryMs ?? 0));
		assert.deepEqual([...new Set(again.bodies())].sort(), ["kept-1", "kept-2"]);
	});

	test("A sink connects again by itself, and what was confirmed is kept", async (place, fixture) => {
		if (!fixture.restart) return;
		await using sink = place.sink();
		const send = (text: string) =>
			sink.publish(
				{ destination: place.destination, id: text, body: Buffer.from(text), contentType: "text/plain", headers: {} },
				AbortSignal.timeout(patienceMs),
			);
		await send("before");
		await fixture.restart();
		const deadline = Date.now() + patienceMs;
		for (let sent = false; !sent; ) {
			sent = await send("after").then(
				() => true,
				(error) => {
					assert.equal(error.code, "UNAVAILABLE");
					if (Date.now() > deadline) throw error;
					return false;
				},
			);
			if (!sent) await sleep(50);
		}
		await using run = consume(place.source(), accept);
		await run.until(() => new Set(run.bodies()).size === 2);
		assert.deepEqual([...new Set(run.bodies())], ["before", "after"]);
	});

	test("Nobody there: UNAVAILABLE, and no secret in the message", async (place) => {
		await using sink = place.sink();
		const unknown = sink.publish(
			{
				destination: `${place.destination}-nowhere`,
				id: "x",
				body: Buffer.from("x"),
				contentType: "text/plain",
				headers: {},
			},
			AbortSignal.timeout(patienceMs),
		);
		await assert.rejects(unknown, (error: Error & { code?: string }) => {
			assert.ok(["NOT_FOUND", "INVALID", "UNAVAILABLE"].includes(error.code ?? ""), `${error}`);
			assert.doesNotMatch(error.message, /s3cret/);
			return true;
		});
	});
}

const accept = async (): Promise<Verdict> => ({ verdict: "acknowledge" });

export function textOf(message: BrokerMessage): string {
	return Buffer.from(message.body).toString();
}

export async function publishAll(
	place: BrokerDestination,
	bodies: readonly string[],
	headers: Readonly<Record<string, string>> = {},
): Promise<void> {
	await using sink = place.sink();
	for (const body of bodies)
		await sink.publish(
			{
				destination: place.destination,
				id: `id-${body}`,
				body: Buffer.from(body),
				contentType: "text/plain",
				headers,
			},
			AbortSignal.timeout(patienceMs),
		);
}

/** A consumer that runs until the end of the scope. */
export function consume(
	source: EventSource,
	answer: (message: BrokerMessage) => Promise<Verdict>,
	prefetch = 100,
): Consumption {
	return new Consumption(source, answer, prefetch);
}

export class Consumption implements AsyncDisposable {
	readonly seen: BrokerMessage[] = [];
	readonly ended: Promise<void>;
	readonly connected: Promise<void>;
	inHand = 0;
	mostInHand = 0;
	readonly #controller = new AbortController();
	#failure: unknown;

	constructor(source: EventSource, answer: (message: BrokerMessage) => Promise<Verdict>, prefetch: number) {
		const connected = Promise.withResolvers<void>();
		this.connected = connected.promise;
		this.ended = source.run({
			prefetch,
			signal: this.#controller.signal,
			onConnected: connected.resolve,
			onMessage: async (message) => {
				this.seen.push(message);
				this.mostInHand = Math.max(this.mostInHand, ++this.inHand);
				try {
					return await answer(message);
				} finally {
					this.inHand--;
				}
			},
		});
		this.ended.catch((error) => {
			this.#failure = error;
			connected.resolve();
		});
	}

	bodies(): string[] {
		return this.seen.map(textOf);
	}

	abort(): void {
		this.#controller.abort();
	}

	async until(done: () => boolean, patience = patienceMs): Promise<void> {
		const deadline = Date.now() + patience;
		while (!done()) {
			if (this.#failure) throw this.#failure;
			assert.ok(Date.now() < deadline, `still waiting; seen so far: ${this.bodies().join(", ")}`);
			await sleep(10);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.abort();
		await this.ended;
	}
}

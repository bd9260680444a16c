/**
 * A consumer of an outside broker: RabbitMQ, NATS JetStream, Redis streams, PostgreSQL. A message is acknowledged at the broker
 * when its verdict says so, never before; one that has no verdict when the connection or the process ends is given again by
 * the broker. Delivery is at least once. Connecting again is the caller's (engine/triggers/source-loop.ts).
 */
export interface EventSource {
	/**
	 * One connection, from its being made to its end. Resolves when `signal` has aborted, with all that was in hand answered or
	 * given back. Rejects with UNAVAILABLE when the broker can't be reached, refuses, or the connection breaks; the message names
	 * no secret.
	 */
	run(session: SourceSession): Promise<void>;
}

export interface SourceSession {
	/** Messages in hand at once, at most: the broker sends no more until some are answered. */
	prefetch: number;
	/** No new messages; those in hand are still answered. */
	signal: AbortSignal;
	/** The broker has accepted the consumer: messages come from now on. */
	onConnected(): void;
	/** Called in the broker's order, without waiting for earlier verdicts, `prefetch` at most at once. Never rejects. */
	onMessage(message: BrokerMessage): Promise<Verdict>;
}

/** What becomes of a message at its broker. */
export type Verdict =
	/** It is done with. */
	| { verdict: "acknowledge" }
	/** To where the broker keeps what nobody could handle; `reason` goes with it where the broker can say so. */
	| { verdict: "reject"; reason: string }
	/** Given again, to this consumer or another. */
	| { verdict: "release" };

export interface BrokerMessage {
	/** The same for each delivery of it, where the broker has such a thing; unique in the source. */
	id: string | undefined;
	body: Uint8Array;
	/** What was published with it: names as they were, values as text. */
	headers: Readonly<Record<string, string>>;
	/** Routing key, subject, stream, table. */
	subject: string;
	/** Epoch milliseconds when it was published, where the broker knows. */
	publishedMs: number | undefined;
	contentType: string | undefined;
	/** It was given out before, to anybody. */
	redelivered: boolean;
	/** The broker's own properties of it, for event shapes that have them; JSON. */
	properties: Readonly<Record<string, unknown>>;
}

/** Publishes to an outside broker. */
export interface EventSink extends AsyncDisposable {
	/**
	 * Resolves when the broker has confirmed that it has the message: on its disk where the destination is durable. NOT_FOUND for a
	 * destination that is not there, INVALID for one the broker refuses for good, UNAVAILABLE otherwise (it may have arrived). Connects at the first message, and again after
	 * a loss.
	 */
	publish(message: OutgoingMessage, signal: AbortSignal): Promise<void>;
}

export interface OutgoingMessage {
	/** Where: what follows CONNECTION/ in the target's ARN, such as "queue/orders". */
	destination: string;
	/** The same when it is tried again: brokers that can, drop the second. */
	id: string;
	body: Uint8Array;
	contentType: string;
	headers: Readonly<Record<string, string>>;
}

/** How to reach a broker, with its secret in clear: kept in memory only while it is used. */
export interface BrokerAddress {
	/** Without a password. */
	url: URL;
	password: string | undefined;
	/** PEM of the authorities that its certificate may come of; the system's without. */
	ca: string | undefined;
	/** How the broker shows it: "slipway/NAME". */
	clientName: string;
}

/** What an adapter gives for its kind of broker. Libraries are loaded at the first connection, not before. */
export interface BrokerAdapter {
	source(address: BrokerAddress, options: SourceOptions): EventSource;
	sink(address: BrokerAddress): EventSink;
}

/** What a trigger's document names in its source, besides the connection; each kind reads its own. */
export type SourceOptions = Readonly<Record<string, string>>;

export const brokerKinds = ["rabbitmq", "nats", "redis", "postgres"] as const;
export type BrokerKind = (typeof brokerKinds)[number];

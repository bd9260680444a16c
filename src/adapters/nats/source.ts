import type { Consumer, ConsumerMessages, JetStreamClient, JetStreamManager, JsMsg } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { SlipwayError } from "../../base/error.ts";
import { brokerUnavailable as unavailable } from "../../core/event-source/broker-unavailable.ts";
import type {
	BrokerAddress,
	BrokerMessage,
	EventSource,
	SourceSession,
	Verdict,
} from "../../core/event-source/event-source.ts";
import { InHand } from "../../core/event-source/in-hand.ts";
import { connectNats } from "./connection.ts";

export interface NatsSourceOptions {
	stream: string;
	/** Of the durable consumer, which is made when it is not there. */
	durable: string;
	/** Only these subjects of the stream; wildcards as NATS has them. All without. */
	subject?: string | undefined;
	/** Where rejected messages are published before they are terminated. Without one they are terminated only. */
	deadLetterSubject?: string | undefined;
	/** Milliseconds after which the server gives a message again whose consumer is not heard of; 60,000 when left out. */
	ackWaitMs?: number | undefined;
}

/** Milliseconds of a pull request at the server: it ends by itself and the next one begins. */
const pullExpiresMs = 30_000;
/** Milliseconds; a consumer that dies holds its messages back so long. While it lives it says so three times in it. */
const defaultAckWaitMs = 60_000;
const nanosecondsPerMs = 1_000_000;

/** A durable pull consumer of a JetStream stream with explicit acknowledgement, confirmed by the server ("double ack"). */
export class NatsSource implements EventSource {
	readonly #address: BrokerAddress;
	readonly #options: NatsSourceOptions;
	readonly #ackWaitMs: number;

	constructor(address: BrokerAddress, options: NatsSourceOptions) {
		this.#address = address;
		this.#options = options;
		this.#ackWaitMs = options.ackWaitMs ?? defaultAckWaitMs;
	}

	async run(session: SourceSession): Promise<void> {
		if (session.signal.aborted) return;
		const connection = await connectNats(this.#address);
		const { promise: lost, reject: lose } = Promise.withResolvers<never>();
		lost.catch(() => {});
		const what = `The connection to NATS at ${this.#address.url.host} was lost`;
		void connection.closed().then((error) => lose(unavailable(error ?? "it was closed", what)));
		const ended = new AbortController();
		try {
			await Promise.race([this.#consume(connection, session, lose, ended.signal), lost]);
		} finally {
			ended.abort();
			await connection.close();
		}
	}

	async #consume(
		connection: NatsConnection,
		session: SourceSession,
		lose: (error: unknown) => void,
		ended: AbortSignal,
	): Promise<void> {
		const { jetstream, jetstreamManager } = await import("@nats-io/jetstream");
		const client = jetstream(connection);
		const consumer = await this.#consumer(client, await jetstreamManager(connection).catch(this.#refused), session);
		session.onConnected();
		const inHand = new InHand(session.prefetch);
		const settled = (message: JsMsg) =>
			inHand
				.during(() => this.#handle(client, message, session, ended))
				.catch((error) => lose(unavailable(error, `NATS did not take an answer for ${this.#options.stream}`)));
		while (!session.signal.aborted) {
			await Promise.race([inHand.roomLeft(), aborted(session.signal)]);
			if (session.signal.aborted) break;
			await this.#pull(consumer, inHand, session.signal, settled);
		}
		await inHand.empty();
	}

	/** One request for as many as there is room for: no more are sent. */
	async #pull(consumer: Consumer, inHand: InHand, signal: AbortSignal, take: (message: JsMsg) => void): Promise<void> {
		let messages: ConsumerMessages;
		try {
			messages = await consumer.fetch({ max_messages: inHand.room, expires: pullExpiresMs });
		} catch (error) {
			throw unavailable(error, `NATS refused to give messages of ${this.#options.stream}`);
		}
		const stop = () => void messages.close();
		signal.addEventListener("abort", stop, { once: true });
		if (signal.aborted) stop();
		try {
			for await (const message of messages) {
				if (signal.aborted) message.nak();
				else take(message);
			}
		} catch (error) {
			throw unavailable(error, `NATS ended the consumer ${this.#options.durable} of ${this.#options.stream}`);
		} finally {
			signal.removeEventListener("abort", stop);
		}
	}

	async #handle(client: JetStreamClient, message: JsMsg, session: SourceSession, ended: AbortSignal): Promise<void> {
		const heartbeat = setInterval(() => message.working(), this.#ackWaitMs / 3);
		ended.addEventListener("abort", () => clearInterval(heartbeat), { once: true });
		let verdict: Verdict;
		try {
			verdict = await session.onMessage(brokerMessage(message));
		} finally {
			clearInterval(heartbeat);
		}
		if (ended.aborted) return;
		if (verdict.verdict === "release") return message.nak();
		if (verdict.verdict === "acknowledge") return void (await message.ackAck());
		await this.#bury(client, message, verdict.reason);
		message.term(verdict.reason);
	}

	async #bury(client: JetStreamClient, message: JsMsg, reason: string): Promise<void> {
		const { deadLetterSubject } = this.#options;
		if (deadLetterSubject === undefined) return;
		const { headers } = await import("@nats-io/transport-node");
		const copy = headers();
		for (const [name, values] of message.headers ?? []) for (const value of values) copy.append(name, value);
		copy.set("Slipway-Dead-Letter-Reason", reason.replace(/[\r\n]+/g, " "));
		copy.set("Slipway-Dead-Letter-Subject", message.subject);
		// The id makes a second copy, after a kill between the two steps, one that the stream drops.
		copy.delete("Nats-Msg-Id");
		await client.publish(deadLetterSubject, message.data, { headers: copy, msgID: `dead:${idOf(message)}` });
	}

	async #consumer(client: JetStreamClient, manager: JetStreamManager, session: SourceSession): Promise<Consumer> {
		const { stream, durable, subject } = this.#options;
		const { AckPolicy, DeliverPolicy } = await import("@nats-io/jetstream");
		const known = await manager.consumers.info(stream, durable).catch((error: unknown) => {
			if (error instanceof Error && error.name === "ConsumerNotFoundError") return undefined;
			throw unavailable(error, `NATS stream ${stream}`);
		});
		if (!known)
			await manager.consumers
				.add(stream, {
					durable_name: durable,
					ack_policy: AckPolicy.Explicit,
					deliver_policy: DeliverPolicy.All,
					ack_wait: this.#ackWaitMs * nanosecondsPerMs,
					max_ack_pending: Math.max(session.prefetch, minAckPending),
					...(subject !== undefined && { filter_subject: subject }),
				})
				.catch(this.#refused);
		else if (known.config.ack_policy !== AckPolicy.Explicit)
			throw new SlipwayError("UNAVAILABLE", `Consumer ${durable} of ${stream} does not have explicit acknowledgement`);
		return client.consumers.get(stream, durable).catch(this.#refused);
	}

	readonly #refused = (error: unknown): never => {
		throw unavailable(error, `NATS refused the consumer ${this.#options.durable} of ${this.#options.stream}`);
	};
}

/** NATS' own default: several consumers may share the durable one. */
const minAckPending = 1000;

function aborted(signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		if (signal.aborted) resolve();
		signal.addEventListener("abort", () => resolve(), { once: true });
	});
}

/** A stream that is deleted and made again counts from 1 again: the time tells them apart. */
function idOf(message: JsMsg): string {
	return `${message.info.stream}:${message.seq}:${message.timestampNanos}`;
}

function brokerMessage(message: JsMsg): BrokerMessage {
	const headers: Record<string, string> = {};
	for (const [name, values] of message.headers ?? []) headers[name] = values.join(", ");
	const { stream, deliveryCount, streamSequence } = message.info;
	return {
		id: idOf(message),
		body: message.data,
		headers,
		subject: message.subject,
		publishedMs: Number(message.timestampNanos / BigInt(nanosecondsPerMs)),
		contentType: headers["Content-Type"] ?? headers["content-type"],
		redelivered: message.redelivered,
		properties: { stream, streamSequence, deliveryCount },
	};
}

import type { Channel, ChannelModel, ConsumeMessage } from "amqplib";
import type { SlipwayError } from "../../base/error.ts";
import { brokerUnavailable as unavailable } from "../../core/event-source/broker-unavailable.ts";
import type { BrokerAddress, EventSource, SourceSession, Verdict } from "../../core/event-source/event-source.ts";
import { InHand } from "../../core/event-source/in-hand.ts";
import { connectRabbitMq } from "./connection.ts";
import { brokerMessage } from "./message.ts";

/** AMQP's prefetch is 16 bits (basic.qos, short). */
const maxPrefetch = 65_535;

/**
 * Consumes one queue with manual acknowledgement. The queue is its owner's: it must be there. A rejected message is nacked without
 * requeue: it goes to the queue's dead-letter exchange, and is dropped by the broker where it has none.
 */
export class RabbitMqSource implements EventSource {
	readonly #address: BrokerAddress;
	readonly #queue: string;

	constructor(address: BrokerAddress, queue: string) {
		this.#address = address;
		this.#queue = queue;
	}

	async run(session: SourceSession): Promise<void> {
		if (session.signal.aborted) return;
		const connection = await connectRabbitMq(this.#address);
		const lost = connectionLoss(connection, `RabbitMQ at ${this.#address.url.host}`);
		try {
			await Promise.race([this.#consume(connection, session, lost), lost.promise]);
		} finally {
			await connection.close().catch(() => {}); // It is closed already when it was lost.
		}
	}

	async #consume(connection: ChannelModel, session: SourceSession, lost: Loss): Promise<void> {
		const channel = await connection.createChannel();
		// A queue that is not there, or was deleted, closes the channel with its own words.
		channel.on("error", (error) => lost.reject(unavailable(error, `RabbitMQ ended the consumer of ${this.#queue}`)));
		channel.on("close", () => lost.reject(unavailable("the channel was closed", `queue ${this.#queue}`)));
		const prefetch = Math.min(session.prefetch, maxPrefetch);
		const inHand = new InHand(prefetch);
		await this.#start(channel, session, inHand, prefetch, lost);
		await inHand.empty();
		// Its answer comes after the broker has read the acknowledgements before it: they are not lost with the connection.
		channel.removeAllListeners("close");
		await channel.close();
	}

	async #start(channel: Channel, session: SourceSession, inHand: InHand, prefetch: number, lost: Loss): Promise<void> {
		await channel.prefetch(prefetch);
		const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
		const onMessage = (message: ConsumeMessage | null) => {
			if (!message) return lost.reject(unavailable("the broker cancelled it", `The consumer of ${this.#queue}`));
			// Given out after the stop: it goes back with the channel.
			if (session.signal.aborted) return;
			inHand
				.during(async () => settle(channel, message, await session.onMessage(brokerMessage(message))))
				.catch((error) => lost.reject(unavailable(error, `An answer for ${this.#queue} failed`)));
		};
		const { consumerTag } = await channel.consume(this.#queue, onMessage);
		session.onConnected();
		if (session.signal.aborted) stop();
		session.signal.addEventListener("abort", () => stop(), { once: true });
		await Promise.race([stopped, lost.promise]);
		await channel.cancel(consumerTag);
	}
}

function settle(channel: Channel, message: ConsumeMessage, { verdict }: Verdict): void {
	try {
		if (verdict === "acknowledge") channel.ack(message);
		else channel.nack(message, false, verdict === "release");
	} catch (error) {
		// The channel is gone, and with it the delivery: the broker gives it again.
		if (!(error instanceof Error && error.name === "IllegalOperationError")) throw error;
	}
}

interface Loss {
	promise: Promise<never>;
	reject(error: SlipwayError): void;
}

function connectionLoss(connection: ChannelModel, what: string): Loss {
	const { promise, reject } = Promise.withResolvers<never>();
	promise.catch(() => {});
	connection.on("close", (error) =>
		reject(unavailable(error ?? "it was closed", `The connection to ${what} was lost`)),
	);
	return { promise, reject };
}

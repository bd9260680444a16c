import type { ChannelModel, ConfirmChannel, Message } from "amqplib";
import { untilAborted } from "../../base/abort.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { brokerUnavailable as unavailable } from "../../core/event-source/broker-unavailable.ts";
import type { BrokerAddress, EventSink, OutgoingMessage } from "../../core/event-source/event-source.ts";
import { connectRabbitMq } from "./connection.ts";

interface Link {
	connection: ChannelModel;
	channel: ConfirmChannel;
	/** Of messages that are published and not confirmed: called when the broker returns one. */
	returned: Map<string, (reply: string) => void>;
	lost: Promise<never>;
}

/**
 * Publishes persistent messages with publisher confirms and `mandatory`: one that no queue takes is NOT_FOUND, not gone.
 * Destinations are "queue/NAME" and "exchange/NAME/ROUTINGKEY".
 */
export class RabbitMqSink implements EventSink {
	readonly #address: BrokerAddress;
	#link: Promise<Link> | undefined;
	#published = 0;

	constructor(address: BrokerAddress) {
		this.#address = address;
	}

	async publish(message: OutgoingMessage, signal: AbortSignal): Promise<void> {
		const { exchange, routingKey } = readDestination(message.destination);
		signal.throwIfAborted();
		const link = await untilAborted(this.#connected(), signal);
		try {
			await untilAborted(Promise.race([this.#send(link, exchange, routingKey, message), link.lost]), signal);
		} catch (error) {
			if (signal.aborted || isSlipwayError(error)) throw error;
			throw unavailable(error, `RabbitMQ did not confirm a message to ${message.destination}`);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const link = await this.#link?.catch(() => undefined);
		this.#link = undefined;
		await link?.connection.close().catch(() => {}); // Lost already.
	}

	#connected(): Promise<Link> {
		if (this.#link) return this.#link;
		const link = this.#connect();
		const forget = () => {
			if (this.#link === link) this.#link = undefined;
		};
		this.#link = link;
		link.then(({ lost }) => lost.catch(forget), forget);
		return link;
	}

	async #connect(): Promise<Link> {
		const connection = await connectRabbitMq(this.#address);
		const { promise: lost, reject } = Promise.withResolvers<never>();
		lost.catch(() => {});
		const { host } = this.#address.url;
		connection.on("close", (error) =>
			reject(unavailable(error ?? "it was closed", `The connection to RabbitMQ at ${host}`)),
		);
		try {
			const channel = await connection.createConfirmChannel();
			const returned: Link["returned"] = new Map();
			channel.on("return", (message: Message) => onReturn(returned, message));
			channel.on("error", (error) => reject(channelError(error)));
			channel.on("close", () => void connection.close().catch(() => {}));
			return { connection, channel, returned, lost };
		} catch (error) {
			await connection.close().catch(() => {});
			throw unavailable(error, `RabbitMQ at ${host} gave no channel`);
		}
	}

	#send(link: Link, exchange: string, routingKey: string, message: OutgoingMessage): Promise<void> {
		const tag = String(++this.#published);
		return new Promise((resolve, reject) => {
			let refusal: string | undefined;
			link.returned.set(tag, (reply) => {
				refusal = reply;
			});
			const onConfirm = (error: unknown) => {
				link.returned.delete(tag);
				// The broker confirms what it has returned, after it (https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed).
				if (refusal !== undefined)
					reject(new SlipwayError("NOT_FOUND", `No queue takes ${message.destination}: ${refusal}`));
				else if (error) reject(unavailable(error, `RabbitMQ refused a message to ${message.destination}`));
				else resolve();
			};
			const options = {
				persistent: true,
				mandatory: true,
				messageId: message.id,
				contentType: message.contentType,
				headers: { ...message.headers, [tagHeader]: tag },
			};
			link.channel.publish(exchange, routingKey, Buffer.from(message.body), options, onConfirm);
		});
	}
}

/** Tells which message a returned one is: message ids may repeat. */
const tagHeader = "x-slipway-publish";

function onReturn(returned: Link["returned"], { fields, properties }: Message): void {
	const tag: unknown = properties.headers?.[tagHeader];
	const reply = "replyText" in fields ? String(fields.replyText) : "it was returned";
	if (typeof tag === "string") returned.get(tag)?.(reply);
}

/** An exchange that is not there closes the channel: 404 NOT_FOUND. */
function channelError(error: unknown): SlipwayError {
	const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
	if (code === 404) return new SlipwayError("NOT_FOUND", errorMessage(error), { cause: error });
	if (code === 403) return new SlipwayError("INVALID", errorMessage(error), { cause: error });
	return unavailable(error, "RabbitMQ closed the channel");
}

function errorMessage(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}

/** INVALID. */
export function readDestination(destination: string): { exchange: string; routingKey: string } {
	const [kind, name = "", ...rest] = destination.split("/");
	if (kind === "queue" && name !== "") return { exchange: "", routingKey: [name, ...rest].join("/") };
	if (kind === "exchange" && name !== "" && rest.length > 0) return { exchange: name, routingKey: rest.join("/") };
	throw new SlipwayError(
		"INVALID",
		`'${destination}' is no destination of RabbitMQ: queue/NAME or exchange/NAME/ROUTINGKEY`,
	);
}

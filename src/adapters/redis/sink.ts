import type { Redis } from "ioredis";
import { untilAborted } from "../../base/abort.ts";
import { SlipwayError } from "../../base/error.ts";
import { brokerUnavailable as unavailable } from "../../core/event-source/broker-unavailable.ts";
import type { BrokerAddress, EventSink, OutgoingMessage } from "../../core/event-source/event-source.ts";
import { connectRedis } from "./connection.ts";
import { headerPrefix } from "./entry.ts";

/**
 * Adds to a stream that is there. Confirmed means what the server's appendfsync says. A message that is sent again after a loss is
 * there twice, with the same field "id". Destinations are "stream/NAME".
 */
export class RedisSink implements EventSink {
	readonly #address: BrokerAddress;
	#link: Promise<Redis> | undefined;

	constructor(address: BrokerAddress) {
		this.#address = address;
	}

	async publish(message: OutgoingMessage, signal: AbortSignal): Promise<void> {
		const stream = readStream(message.destination);
		signal.throwIfAborted();
		const client = await untilAborted(this.#connected(), signal);
		const headers = Object.entries(message.headers).flatMap(([name, value]) => [`${headerPrefix}${name}`, value]);
		const fields = ["id", message.id, "contentType", message.contentType, "body", Buffer.from(message.body)];
		const sent = client.call("XADD", stream, "NOMKSTREAM", "*", ...fields, ...headers);
		const id = await untilAborted(sent, signal).catch((error) => {
			if (signal.aborted) throw error;
			if (error instanceof Error && error.message.startsWith("WRONGTYPE"))
				throw new SlipwayError("INVALID", `The key ${stream} of Redis is no stream`, { cause: error });
			throw unavailable(error, `Redis did not confirm a message to ${stream}`);
		});
		if (id === null)
			throw new SlipwayError("NOT_FOUND", `There is no stream ${stream} in Redis`, {
				hint: `XGROUP CREATE ${stream} GROUP $ MKSTREAM makes it`,
			});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const client = await this.#link?.catch(() => undefined);
		this.#link = undefined;
		client?.disconnect();
	}

	#connected(): Promise<Redis> {
		if (this.#link) return this.#link;
		const link = connectRedis(this.#address);
		const forget = () => {
			if (this.#link === link) this.#link = undefined;
		};
		this.#link = link;
		link.then((client) => client.once("end", forget), forget);
		return link;
	}
}

/** INVALID. */
export function readStream(destination: string): string {
	const [kind, stream = ""] = destination.split(/\/(.*)/s);
	if (kind === "stream" && stream !== "") return stream;
	throw new SlipwayError("INVALID", `'${destination}' is no destination of Redis: stream/NAME`);
}

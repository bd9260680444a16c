import type { JetStreamClient } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { untilAborted } from "../../base/abort.ts";
import { SlipwayError } from "../../base/error.ts";
import { brokerUnavailable as unavailable } from "../../core/event-source/broker-unavailable.ts";
import type { BrokerAddress, EventSink, OutgoingMessage } from "../../core/event-source/event-source.ts";
import { connectNats } from "./connection.ts";

/** Milliseconds for the stream's acknowledgement. */
const publishTimeoutMs = 5000;

interface Link {
	connection: NatsConnection;
	client: JetStreamClient;
}

/**
 * Publishes to JetStream and waits for the stream's acknowledgement; the message id is Nats-Msg-Id, so that the stream drops one that
 * is sent again within its duplicate window. Destinations are "subject/SUBJECT".
 */
export class NatsSink implements EventSink {
	readonly #address: BrokerAddress;
	#link: Promise<Link> | undefined;

	constructor(address: BrokerAddress) {
		this.#address = address;
	}

	async publish(message: OutgoingMessage, signal: AbortSignal): Promise<void> {
		const subject = readSubject(message.destination);
		signal.throwIfAborted();
		const { client } = await untilAborted(this.#connected(), signal);
		const { headers } = await import("@nats-io/transport-node");
		const copy = headers();
		for (const [name, value] of Object.entries(message.headers)) copy.set(name, value.replace(/[\r\n]+/g, " "));
		copy.set("Content-Type", message.contentType);
		const sent = client.publish(subject, message.body, {
			msgID: message.id,
			headers: copy,
			timeout: publishTimeoutMs,
		});
		await untilAborted(sent, signal).catch((error) => {
			if (signal.aborted) throw error;
			throw publishError(error, subject);
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const link = await this.#link?.catch(() => undefined);
		this.#link = undefined;
		await link?.connection.close();
	}

	#connected(): Promise<Link> {
		if (this.#link) return this.#link;
		const link = this.#connect();
		const forget = () => {
			if (this.#link === link) this.#link = undefined;
		};
		this.#link = link;
		link.then(({ connection }) => connection.closed().then(forget), forget);
		return link;
	}

	async #connect(): Promise<Link> {
		const connection = await connectNats(this.#address);
		const { jetstream } = await import("@nats-io/jetstream");
		return { connection, client: jetstream(connection) };
	}
}

function publishError(error: unknown, subject: string): SlipwayError {
	const name = error instanceof Error ? error.name : "";
	const noStream = name === "NoRespondersError" || (error instanceof Error && /no responders/i.test(error.message));
	if (noStream)
		return new SlipwayError("NOT_FOUND", `No JetStream stream takes the subject ${subject}`, { cause: error });
	// The stream's own limits: it never takes this one (a message that is too large).
	if (name === "InvalidArgumentError" || name === "InvalidSubjectError")
		return new SlipwayError("INVALID", `NATS refuses a message to ${subject}: ${error}`, { cause: error });
	return unavailable(error, `JetStream did not confirm a message to ${subject}`);
}

/** INVALID. Wildcards are no place to publish to. */
export function readSubject(destination: string): string {
	const [kind, subject = ""] = destination.split(/\/(.*)/s);
	if (kind === "subject" && /^[^\s*>]+$/.test(subject)) return subject;
	throw new SlipwayError("INVALID", `'${destination}' is no destination of NATS: subject/SUBJECT, without wildcards`);
}

import type { ChannelModel } from "amqplib";
import { brokerUnavailable as unavailable } from "../../core/event-source/broker-unavailable.ts";
import type { BrokerAddress } from "../../core/event-source/event-source.ts";

/** Milliseconds for TCP, TLS and AMQP's handshake. */
const connectTimeoutMs = 10_000;
/** Seconds between heartbeats: a peer that is gone without a word is noticed after two (AMQP 0-9-1, 4.2.7). */
const heartbeatSeconds = 15;
const defaultPorts: Readonly<Record<string, number>> = { "amqp:": 5672, "amqps:": 5671 };

/** Rejects with UNAVAILABLE. An error that comes later ends the connection: listen for "close". */
export async function connectRabbitMq(address: BrokerAddress): Promise<ChannelModel> {
	const { url, password = "guest", ca, clientName } = address;
	// Loaded at the first connection: a daemon without RabbitMQ does not pay for it.
	const { connect } = await import("amqplib");
	try {
		const connection = await connect(
			{
				protocol: url.protocol.slice(0, -1),
				hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"),
				port: Number(url.port) || (defaultPorts[url.protocol] ?? 5672),
				username: decodeURIComponent(url.username) || "guest",
				password,
				// RabbitMQ's URI spec: no path is the default vhost, and "/" is the one with the empty name; few know, none mean the latter.
				vhost: url.pathname.length > 1 ? url.pathname.slice(1) : "/",
				heartbeat: heartbeatSeconds,
			},
			{
				timeout: connectTimeoutMs,
				noDelay: true,
				clientProperties: { connection_name: clientName },
				...(ca !== undefined && { ca }),
			},
		);
		// Without a listener it would be thrown; "close" follows, with the same error.
		connection.on("error", () => {});
		return connection;
	} catch (error) {
		throw unavailable(error, `RabbitMQ at ${url.host} can't be reached`);
	}
}

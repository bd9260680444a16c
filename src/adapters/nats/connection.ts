import type { NatsConnection } from "@nats-io/transport-node";
import { brokerUnavailable as unavailable } from "../../core/event-source/broker-unavailable.ts";
import type { BrokerAddress } from "../../core/event-source/event-source.ts";

/** Milliseconds for TCP, TLS and the server's greeting. */
const connectTimeoutMs = 10_000;
/** Milliseconds between pings: a server that is gone without a word is noticed after two. */
const pingIntervalMs = 15_000;

/** Rejects with UNAVAILABLE. It does not connect again by itself: whoever uses it is told of a loss by `closed()`. */
export async function connectNats(address: BrokerAddress): Promise<NatsConnection> {
	const { url, password, ca, clientName } = address;
	// Loaded at the first connection: a daemon without NATS does not pay for it.
	const { connect } = await import("@nats-io/transport-node");
	const user = decodeURIComponent(url.username);
	try {
		return await connect({
			servers: `${url.hostname}:${url.port || "4222"}`,
			name: clientName,
			reconnect: false,
			timeout: connectTimeoutMs,
			pingInterval: pingIntervalMs,
			// A password without a user is a token (NATS, CONNECT's auth_token).
			...(password !== undefined && (user === "" ? { token: password } : { user, pass: password })),
			...((url.protocol === "tls:" || ca !== undefined) && { tls: ca === undefined ? {} : { ca } }),
		});
	} catch (error) {
		throw unavailable(error, `NATS at ${url.host} can't be reached`);
	}
}

import type { Redis } from "ioredis";
import { brokerUnavailable as unavailable } from "../../core/event-source/broker-unavailable.ts";
import type { BrokerAddress } from "../../core/event-source/event-source.ts";

/** Milliseconds for TCP and TLS. */
const connectTimeoutMs = 10_000;
/** Milliseconds before the first TCP keep-alive probe: a peer that is gone without a word is noticed. */
const keepAliveMs = 15_000;

/** Rejects with UNAVAILABLE. It does not connect again by itself; "end" tells that it is lost. */
export async function connectRedis(address: BrokerAddress): Promise<Redis> {
	const { url, password, ca, clientName } = address;
	// Loaded at the first connection: a daemon without Redis does not pay for it.
	const { Redis } = await import("ioredis");
	const client = new Redis({
		host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
		port: Number(url.port) || 6379,
		db: Number(url.pathname.slice(1)) || 0,
		connectionName: clientName.replace(/\s/g, "_"),
		connectTimeout: connectTimeoutMs,
		keepAlive: keepAliveMs,
		// RESP 2: its lists are what entry.ts reads.
		protocol: 2,
		lazyConnect: true,
		// One connection, one session: whoever uses it connects again, and knows that it was lost.
		retryStrategy: null,
		maxRetriesPerRequest: 0,
		...(url.username !== "" && { username: decodeURIComponent(url.username) }),
		...(password !== undefined && { password }),
		...(url.protocol === "rediss:" && { tls: ca === undefined ? {} : { ca } }),
	});
	let refusal: unknown;
	client.on("error", (error) => {
		refusal = error;
	});
	try {
		await client.connect();
		await client.ping();
		return client;
	} catch (error) {
		client.disconnect();
		throw unavailable(refusal ?? error, `Redis at ${url.host} can't be reached`);
	}
}

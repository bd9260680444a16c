import type { Client } from "pg";
import { SlipwayError } from "../../base/error.ts";
import { brokerUnavailable as unavailable } from "../../core/event-source/broker-unavailable.ts";
import type { BrokerAddress } from "../../core/event-source/event-source.ts";

/** Milliseconds for TCP, TLS and the server's greeting. */
const connectTimeoutMs = 10_000;
/** Milliseconds before the first TCP keep-alive probe. */
const keepAliveMs = 15_000;

/** Rejects with UNAVAILABLE. "end" tells that it is lost. */
export async function connectPostgres(address: BrokerAddress): Promise<Client> {
	const { url, password, ca, clientName } = address;
	// Loaded at the first connection: a daemon without PostgreSQL does not pay for it.
	const { default: pg } = await import("pg");
	const mode = url.searchParams.get("sslmode") ?? (ca === undefined ? "disable" : "verify-full");
	const client = new pg.Client({
		host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
		port: Number(url.port) || 5432,
		user: decodeURIComponent(url.username) || "postgres",
		// Never the environment's, and never ~/.pgpass: an empty one is sent when there is none.
		password: password ?? "",
		database: decodeURIComponent(url.pathname.slice(1)) || "postgres",
		application_name: clientName,
		connectionTimeoutMillis: connectTimeoutMs,
		keepAlive: true,
		keepAliveInitialDelayMillis: keepAliveMs,
		ssl: mode === "disable" ? false : { rejectUnauthorized: mode !== "require", ...(ca !== undefined && { ca }) },
	});
	// Without a listener it would be thrown; "end" follows.
	client.on("error", () => {});
	try {
		await client.connect();
		return client;
	} catch (error) {
		await client.end().catch(() => {});
		throw unavailable(error, `PostgreSQL at ${url.host} can't be reached`);
	}
}

/** `schema.table` or `table`, each part quoted. INVALID for what is no such name. */
export function quotedTable(table: string): string {
	const parts = table.split(".");
	if (parts.length > 2 || parts.some((part) => !/^[a-zA-Z_][a-zA-Z0-9_$]{0,62}$/.test(part)))
		throw new SlipwayError("INVALID", `'${table}' is no table: NAME or SCHEMA.NAME of letters, digits, _ and $`);
	return parts.map((part) => `"${part}"`).join(".");
}

export function quotedName(name: string): string {
	return `"${name.replaceAll('"', '""')}"`;
}

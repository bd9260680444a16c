import type { Client } from "pg";
import { untilAborted } from "../../base/abort.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { brokerUnavailable as unavailable } from "../../core/event-source/broker-unavailable.ts";
import type { BrokerAddress, EventSink, OutgoingMessage } from "../../core/event-source/event-source.ts";
import { connectPostgres, quotedTable } from "./connection.ts";

/** Of SQLSTATE: undefined_table, undefined_column, insufficient_privilege. */
const notThere = new Set(["42P01", "42703"]);
const forbidden = "42501";

/** Inserts into an outbox table: one row for a message, however often it is sent. Destinations are "table/NAME". */
export class PostgresSink implements EventSink {
	readonly #address: BrokerAddress;
	#link: Promise<Client> | undefined;

	constructor(address: BrokerAddress) {
		this.#address = address;
	}

	async publish(message: OutgoingMessage, signal: AbortSignal): Promise<void> {
		const table = readTable(message.destination);
		signal.throwIfAborted();
		const client = await untilAborted(this.#connected(), signal);
		const sql = `INSERT INTO ${quotedTable(table)} (message_id, topic, payload, content_type, headers)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT (message_id) DO NOTHING`;
		const { id, body, contentType, headers } = message;
		const sent = client.query(sql, [id, "", Buffer.from(body), contentType, JSON.stringify(headers)]);
		await untilAborted(sent, signal).catch((error) => {
			if (signal.aborted || isSlipwayError(error)) throw error;
			throw publishError(error, table);
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const client = await this.#link?.catch(() => undefined);
		this.#link = undefined;
		await client?.end().catch(() => {}); // Lost already.
	}

	#connected(): Promise<Client> {
		if (this.#link) return this.#link;
		const link = connectPostgres(this.#address);
		const forget = () => {
			if (this.#link === link) this.#link = undefined;
		};
		this.#link = link;
		link.then((client) => client.once("end", forget), forget);
		return link;
	}
}

function publishError(error: unknown, table: string): SlipwayError {
	const code = error instanceof Error && "code" in error ? String(error.code) : "";
	const what = `The outbox ${table} of PostgreSQL`;
	if (notThere.has(code)) return new SlipwayError("NOT_FOUND", `${what}: ${error}`, { cause: error });
	if (code === forbidden) return new SlipwayError("INVALID", `${what}: ${error}`, { cause: error });
	return unavailable(error, what);
}

/** INVALID. */
export function readTable(destination: string): string {
	const [kind, table = ""] = destination.split(/\/(.*)/s);
	if (kind !== "table")
		throw new SlipwayError("INVALID", `'${destination}' is no destination of PostgreSQL: table/NAME`);
	quotedTable(table);
	return table;
}

import type { Client } from "pg";
import type {
	BrokerAddress,
	BrokerMessage,
	EventSource,
	SourceSession,
	Verdict,
} from "../../core/event-source/event-source.ts";
import { quotedName, quotedTable } from "./connection.ts";
import { type Wake, withConnection } from "./session.ts";

export interface OutboxSourceOptions {
	/** As outbox-table.ts makes it. */
	table: string;
	/** Of NOTIFY; the table's name when left out. */
	channel?: string | undefined;
}

/** Milliseconds between looks at the table when nobody notifies: also how late a released row comes again, at most. */
const lookEveryMs = 5000;
/** Milliseconds until a released row is looked for again. */
const releasedDelayMs = 100;

interface Row {
	id: string;
	topic: string;
	payload: Buffer;
	content_type: string | null;
	headers: Record<string, unknown>;
	created_ms: string;
	attempts: number;
}

/**
 * Takes rows of an outbox table in the order of their ids, several consumers side by side (FOR UPDATE SKIP LOCKED). Rows are
 * deleted, or marked dead, in the transaction that locked them, when all of it are answered.
 */
export class OutboxSource implements EventSource {
	readonly #address: BrokerAddress;
	readonly #options: OutboxSourceOptions;

	constructor(address: BrokerAddress, options: OutboxSourceOptions) {
		this.#address = address;
		this.#options = options;
	}

	run(session: SourceSession): Promise<void> {
		const { table, channel = table } = this.#options;
		return withConnection(this.#address, session, `table ${table}`, async (client, wake) => {
			client.on("notification", () => wake.call());
			// A transaction is open while its messages are in hand: idle for as long as a function takes.
			await client.query("SET idle_in_transaction_session_timeout = 0");
			await client.query(`LISTEN ${quotedName(channel)}`);
			// A table that is not there, or is another, is told before anything is called connected.
			await client.query(selectSql(table), [0]);
			session.onConnected();
			while (!session.signal.aborted) await this.#step(client, session, wake);
		});
	}

	async #step(client: Client, session: SourceSession, wake: Wake): Promise<void> {
		const { table } = this.#options;
		await client.query("BEGIN");
		const { rows } = await client.query<Row>(selectSql(table), [session.prefetch]);
		const verdicts = await Promise.all(rows.map((row) => session.onMessage(brokerMessage(table, row))));
		await settle(client, table, rows, verdicts);
		await client.query("COMMIT");
		const released = verdicts.some(({ verdict }) => verdict === "release");
		if (released) await wake.wait(releasedDelayMs);
		else if (rows.length < session.prefetch) await wake.wait(lookEveryMs);
	}
}

function selectSql(table: string): string {
	return `SELECT o.id::text, topic, payload, content_type, headers, attempts,
		(extract(epoch FROM created_at) * 1000)::bigint::text AS created_ms
		FROM ${quotedTable(table)} o WHERE dead_at IS NULL ORDER BY o.id LIMIT $1 FOR UPDATE SKIP LOCKED`;
}

async function settle(
	client: Client,
	table: string,
	rows: readonly Row[],
	verdicts: readonly Verdict[],
): Promise<void> {
	const name = quotedTable(table);
	const ids = (wanted: Verdict["verdict"]) =>
		rows.filter((_, index) => verdicts[index]?.verdict === wanted).map(({ id }) => id);
	const done = ids("acknowledge");
	if (done.length > 0) await client.query(`DELETE FROM ${name} WHERE id = ANY($1::bigint[])`, [done]);
	const released = ids("release");
	if (released.length > 0)
		await client.query(`UPDATE ${name} SET attempts = attempts + 1 WHERE id = ANY($1::bigint[])`, [released]);
	for (const [index, row] of rows.entries()) {
		const verdict = verdicts[index];
		if (verdict?.verdict !== "reject") continue;
		const set = "dead_at = now(), dead_reason = $2, attempts = attempts + 1";
		await client.query(`UPDATE ${name} SET ${set} WHERE id = $1::bigint`, [row.id, verdict.reason]);
	}
}

function brokerMessage(table: string, row: Row): BrokerMessage {
	const headers = Object.entries(row.headers).map(([name, value]): [string, string] => [
		name,
		typeof value === "string" ? value : JSON.stringify(value),
	]);
	return {
		// A table that is made again counts from 1 again: the time tells them apart.
		id: `${table}:${row.id}:${row.created_ms}`,
		body: row.payload,
		headers: Object.fromEntries(headers),
		subject: row.topic === "" ? table : row.topic,
		publishedMs: Number(row.created_ms),
		contentType: row.content_type ?? undefined,
		redelivered: row.attempts > 0,
		properties: { table, rowId: row.id, attempts: row.attempts },
	};
}

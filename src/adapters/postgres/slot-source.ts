import type { Client } from "pg";
import { SlipwayError } from "../../base/error.ts";
import type { BrokerAddress, BrokerMessage, EventSource, SourceSession } from "../../core/event-source/event-source.ts";
import { InHand } from "../../core/event-source/in-hand.ts";
import { PgOutput, type RowChange } from "./pgoutput.ts";
import { type Wake, withConnection } from "./session.ts";

export interface SlotSourceOptions {
	/** A logical replication slot of the plugin pgoutput; made when it is not there: changes from then on. */
	slot: string;
	/** Its owner's: `CREATE PUBLICATION … FOR TABLE …`. */
	publication: string;
}

/** Milliseconds between looks: the SQL functions do not wait for changes. */
const lookEveryMs = 1000;
const releasedDelayMs = 100;
/** Rows asked for in one look; a transaction is never parted, so that a large one is more. */
const maxRows = 1000;

interface Row {
	lsn: string;
	data: Buffer;
}

/**
 * Row changes of a database, in the order of its commits, by a replication slot. It is read without moving it, and moved past what
 * is acknowledged: the server keeps its log until then (watch `max_slot_wal_keep_size`). It has no dead letters: one that is
 * rejected stops it.
 */
export class SlotSource implements EventSource {
	readonly #address: BrokerAddress;
	readonly #options: SlotSourceOptions;
	/** Ids in the part of the log that is not acknowledged whole: answered ones are not given again, given ones are marked. */
	readonly #answered = new Set<string>();
	readonly #given = new Set<string>();

	constructor(address: BrokerAddress, options: SlotSourceOptions) {
		this.#address = address;
		this.#options = options;
	}

	run(session: SourceSession): Promise<void> {
		return withConnection(this.#address, session, `slot ${this.#options.slot}`, async (client, wake) => {
			await this.#makeSlot(client);
			session.onConnected();
			while (!session.signal.aborted) await this.#step(client, session, wake);
		});
	}

	async #makeSlot(client: Client): Promise<void> {
		const { slot } = this.#options;
		const { rows } = await client.query("SELECT plugin FROM pg_replication_slots WHERE slot_name = $1", [slot]);
		if (rows.length === 0) await client.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
		else if (rows[0].plugin !== "pgoutput")
			throw new SlipwayError("UNAVAILABLE", `The slot ${slot} is of the plugin ${rows[0].plugin}, not pgoutput`);
	}

	async #step(client: Client, session: SourceSession, wake: Wake): Promise<void> {
		const { slot, publication } = this.#options;
		const { rows } = await client.query<Row>(peekSql, [slot, maxRows, publication]);
		const last = rows.at(-1);
		if (!last) return wake.wait(lookEveryMs);
		if (!(await this.#giveAll(rows, session))) return wake.wait(releasedDelayMs);
		// The row of a commit has the position after it.
		await client.query("SELECT pg_replication_slot_advance($1, $2::pg_lsn)", [slot, last.lsn]);
		this.#answered.clear();
		this.#given.clear();
	}

	/** Whether all are done with. */
	async #giveAll(rows: readonly Row[], session: SourceSession): Promise<boolean> {
		const output = new PgOutput();
		const inHand = new InHand(session.prefetch);
		let [transaction, index, isWhole] = [0, 0, true];
		let refused: string | undefined;
		for (const { lsn, data } of rows)
			for (const change of output.read(data)) {
				index = change.xid === transaction ? index + 1 : 0;
				transaction = change.xid;
				const id = `${this.#options.slot}:${change.committedAt}:${change.xid}:${index}`;
				if (this.#answered.has(id)) continue;
				await inHand.roomLeft();
				if (session.signal.aborted) {
					isWhole = false;
					break;
				}
				const message = brokerMessage(change, id, lsn, this.#given.has(id));
				this.#given.add(id);
				void inHand.during(async () => {
					const verdict = await session.onMessage(message);
					if (verdict.verdict === "acknowledge") this.#answered.add(id);
					else isWhole = false;
					if (verdict.verdict === "reject") refused = verdict.reason;
				});
			}
		await inHand.empty();
		if (refused === undefined) return isWhole;
		throw new SlipwayError(
			"UNAVAILABLE",
			`A replication slot keeps no dead letters, and a change was refused: ${refused}`,
		);
	}
}

const peekSql = `SELECT lsn::text, data FROM pg_logical_slot_peek_binary_changes($1, NULL, $2,
	'proto_version', '1', 'publication_names', $3)`;

function brokerMessage(change: RowChange, id: string, lsn: string, redelivered: boolean): BrokerMessage {
	const { schema, table, operation, xid, committedAt } = change;
	return {
		id,
		body: Buffer.from(JSON.stringify({ ...change, lsn })),
		headers: { operation, schema, table },
		subject: `${schema}.${table}`,
		publishedMs: Date.parse(committedAt),
		contentType: "application/json",
		redelivered,
		properties: { schema, table, operation, xid, lsn },
	};
}

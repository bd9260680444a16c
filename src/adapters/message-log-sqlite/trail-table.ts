import { type TrailEntry, trailEntries } from "../../core/message-log/message-log.ts";
import type { Database } from "./database.ts";
import type { Lane } from "./lane-table.ts";
import type { MessageRow } from "./message-table.ts";

/** Entries by which the trail may be too long before the oldest are deleted, so that it is one statement for many. */
const slack = 500;
/** In one answer. */
const maxEntries = 1000;

/** The ends of leases, the newest `trailEntries` of them. */
export class TrailTable {
	readonly #db: Database;
	#last: number;
	#trimmed = 0;

	constructor(db: Database) {
		this.#db = db;
		this.#last = Number(db.get("SELECT max(n) AS n FROM trail")?.n ?? 0);
	}

	record(
		lane: Lane,
		row: MessageRow,
		ended: { result: TrailEntry["result"]; to?: string; detail?: Record<string, unknown> | undefined },
		atMs: number,
	): void {
		const { id, correlation, attempts, sent } = row;
		const detail = ended.detail ? JSON.stringify(ended.detail) : null;
		this.#db.run(
			"INSERT INTO trail (n, id, correlation, lane, attempt, at, sent, result, dest, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			...[++this.#last, id, correlation, lane.name ?? "", attempts, atMs, sent, ended.result, ended.to ?? null, detail],
		);
		const below = this.#last - trailEntries;
		if (below - this.#trimmed < slack) return;
		this.#db.run("DELETE FROM trail WHERE n <= ?", below);
		this.#trimmed = below;
	}

	/** After a rollback: what was trimmed may be there again. */
	reset(): void {
		this.#trimmed = 0;
	}

	of(id: string): TrailEntry[] {
		const sql =
			"SELECT * FROM (SELECT * FROM trail WHERE id = ?1 UNION SELECT * FROM trail WHERE correlation = ?1) WHERE n > ?2 ORDER BY n LIMIT ?3";
		return this.#db.all(sql, id, this.#last - trailEntries, maxEntries).map((row) => ({
			id: row.id as string,
			correlation: (row.correlation as string | null) ?? undefined,
			lane: row.lane as string,
			attempt: row.attempt as number,
			atMs: row.at as number,
			sentMs: row.sent as number,
			result: row.result as TrailEntry["result"],
			to: (row.dest as string | null) ?? undefined,
			detail: row.detail === null ? undefined : (JSON.parse(row.detail as string) as Record<string, unknown>),
		}));
	}
}

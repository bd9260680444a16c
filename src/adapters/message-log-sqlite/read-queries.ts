import { SlipwayError } from "../../base/error.ts";
import type { Row } from "../../base/sqlite-database.ts";
import type { LaneCounts, LogFault, ScanOptions, StoredMessage } from "../../core/message-log/message-log.ts";
import type { Tables } from "./change-queries.ts";
import type { Lane } from "./lane-table.ts";
import { type MessageRow, type StateNumber, states, toStored } from "./message-table.ts";

/** Lanes in one answer. */
export const lanesPerPage = 500;
/** Rows that one step of a scan looks at, matching or not: 20 ms. */
const rowsPerStep = 2000;
/** Bytes of bodies in one step's answer. */
const bytesPerStep = 4_194_304;
const maxFound = 1000;
const maxFaults = 1000;
const allStates: readonly StateNumber[] = [0, 1, 2, 3];

export interface ScanStep {
	messages: StoredMessage[];
	/** Where the next step begins; undefined at the end. */
	after: number | undefined;
}

/** What the log tells about itself. Whatever gives bytes of messages checks them first. */
export class ReadQueries {
	readonly #tables: Tables;

	constructor(tables: Tables) {
		this.#tables = tables;
	}

	counts(name: string): LaneCounts {
		const lane = this.#tables.lanes.byName(name);
		if (!lane) throw new SlipwayError("NOT_FOUND", `There is no lane '${name}'`);
		return this.#countsOf(name, lane);
	}

	#countsOf(name: string, lane: Lane): LaneCounts {
		const { settings, visible, delayed, inFlight, bytes } = lane;
		const oldest = allStates.flatMap((state) => this.#tables.messages.oldest(lane, state, 0, 1));
		oldest.sort((a, b) => a.sequence - b.sequence);
		return { lane: name, settings, visible, delayed, inFlight, bytes, oldestSentMs: oldest[0]?.sent };
	}

	/** A page of those whose name begins so, above `after`. */
	lanes(prefix: string, after: string): LaneCounts[] {
		this.#tables.lanes.flush();
		return this.#named(prefix, after, "").flatMap(({ name }) => {
			const lane = this.#tables.lanes.byName(name as string);
			return lane ? [this.#countsOf(name as string, lane)] : [];
		});
	}

	/** The same, names only, of those with messages to be leased. */
	readyLanes(prefix: string, after: string): string[] {
		this.#tables.lanes.flush();
		return this.#named(prefix, after, "AND visible > 0").map(({ name }) => name as string);
	}

	#named(prefix: string, after: string, and: string): Row[] {
		const sql = `SELECT name FROM lanes WHERE name >= ?1 AND name < ?1 || char(1114111) AND name > ?2 ${and} ORDER BY name LIMIT ?3`;
		return this.#tables.db.all(sql, prefix, after, lanesPerPage);
	}

	scan(name: string, options: ScanOptions, nowMs: number): ScanStep {
		const lane = this.#tables.lanes.byName(name);
		if (!lane) return { messages: [], after: undefined };
		const { limit, state, after = 0, fromMs = -Infinity, toMs = Infinity } = options;
		const wanted = state === undefined ? allStates : allStates.filter((number) => states[number] === state);
		const rows = this.#inOrder(lane, wanted, after);
		const messages: StoredMessage[] = [];
		let bytes = 0;
		for (const row of rows) {
			if (row.sent < fromMs || row.sent > toMs) continue;
			const full = this.#tables.messages.complete(lane, row, nowMs);
			if (full) messages.push(toStored(name, full));
			bytes += row.bytes;
			if (messages.length === limit) return { messages, after: undefined };
			if (bytes >= bytesPerStep) return { messages, after: row.sequence };
		}
		return { messages, after: rows.length < rowsPerStep ? undefined : rows.at(-1)?.sequence };
	}

	/** The next rows of several states, merged; no more than can be known to be in order. */
	#inOrder(lane: Lane, wanted: readonly StateNumber[], after: number): MessageRow[] {
		const pages = wanted.map((state) => this.#tables.messages.oldest(lane, state, after, rowsPerStep));
		return pages
			.flat()
			.sort((a, b) => a.sequence - b.sequence)
			.slice(0, rowsPerStep);
	}

	find(id: string, nowMs: number): StoredMessage[] {
		const { db, lanes, messages } = this.#tables;
		const sql =
			"SELECT sequence FROM messages WHERE id = ?1 UNION SELECT sequence FROM messages WHERE correlation = ?1 ORDER BY sequence LIMIT ?2";
		return db.all(sql, id, maxFound).flatMap(({ sequence }) => {
			const row = messages.get(sequence as number);
			const lane = row && lanes.byId(row.lane);
			if (!lane || lane.name === null) return [];
			const full = messages.complete(lane, row, nowMs);
			return full ? [toStored(lane.name, full)] : [];
		});
	}

	faults(): LogFault[] {
		const sql = "SELECT lane, id, sequence, found, what FROM quarantine ORDER BY found, sequence LIMIT ?";
		return this.#tables.db.all(sql, maxFaults).map((row) => ({
			lane: row.lane as string,
			id: row.id as string,
			sequence: row.sequence as number,
			foundMs: row.found as number,
			what: row.what as string,
		}));
	}
}

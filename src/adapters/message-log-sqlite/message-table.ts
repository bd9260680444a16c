import { crc32 } from "node:zlib";
import type { LogFault, StoredMessage } from "../../core/message-log/message-log.ts";
import type { Database } from "./database.ts";
import type { Lane, LaneTable } from "./lane-table.ts";

/** In the order of the port's names. */
export const states = ["ready", "delayed", "leased", "blocked"] as const;
export type StateNumber = 0 | 1 | 2 | 3;

/** Bytes of content kept in the message's row, which each lease and settle writes anew. */
const inlineBytes = 2048;
/** Sequences set aside at once: one write for so many appends. */
const sequencesAtOnce = 10_000;

/** A row without its content. */
export interface MessageRow {
	sequence: number;
	lane: number;
	state: StateNumber;
	due: number | null;
	id: string;
	correlation: string | null;
	grp: string | null;
	sent: number;
	first_leased: number | null;
	attempts: number;
	lease: number;
	told: 0 | 1;
	note: string | null;
	origin: string | null;
	headers_bytes: number;
	bytes: number;
	crc: number;
}

export type FullRow = MessageRow & { content: Uint8Array };

const columns =
	"sequence, lane, state, due, id, correlation, grp, sent, first_leased, attempts, lease, note, origin, headers_bytes, bytes, crc";
const read = `${columns}, told`;

/** The messages' rows. Every change of them goes through here and is counted. */
export class MessageTable {
	readonly #db: Database;
	readonly #lanes: LaneTable;
	#nextSequence: number;
	#setAside: number;
	#markedSequence = 0;
	#markedFaults = 0;
	/** No message is due before; may be early. */
	nextDueMs = 0;
	/** Faults found since `takeFaults`. */
	readonly #faults: LogFault[] = [];

	constructor(db: Database, lanes: LaneTable) {
		this.#db = db;
		this.#lanes = lanes;
		this.#setAside = Number(db.get("SELECT value FROM numbers WHERE name = 'sequence'")?.value);
		this.#nextSequence = this.#setAside + 1;
		this.mark();
	}

	/** Where a transaction or savepoint begins: `reset` comes back to it. */
	mark(): void {
		this.#markedSequence = this.#nextSequence;
		this.#markedFaults = this.#faults.length;
	}

	/** After a rollback: nobody was told of the sequences since the mark, and what was set aside for them may be undone. */
	reset(): void {
		this.#setAside = Number(this.#db.get("SELECT value FROM numbers WHERE name = 'sequence'")?.value);
		this.#nextSequence = this.#markedSequence;
		this.#faults.length = this.#markedFaults;
		this.nextDueMs = 0;
	}

	/** At the end, so that the next process goes on without a gap. */
	giveBackSequences(): void {
		this.#db.run("UPDATE numbers SET value = ? WHERE name = 'sequence'", this.#nextSequence - 1);
	}

	takeFaults(): LogFault[] {
		return this.#faults.splice(0);
	}

	insert(lane: Lane, message: Omit<FullRow, "sequence" | "lane" | "crc" | "told">): number {
		const sequence = this.#newSequence();
		const { state, due, id, correlation, grp, sent, first_leased, attempts, lease, note, origin } = message;
		const { headers_bytes, bytes, content } = message;
		const crc = checksum({ ...message, sequence, lane: lane.id }, content);
		const inline = content.length <= inlineBytes;
		const marks = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?";
		this.#db.run(
			`INSERT INTO messages (${columns}, content) VALUES (${marks})`,
			...[sequence, lane.id, state, due, id, correlation, grp, sent, first_leased, attempts, lease, note, origin],
			...[headers_bytes, bytes, crc, inline ? content : null],
		);
		if (!inline) this.#db.run("INSERT INTO large (sequence, content) VALUES (?, ?)", sequence, content);
		if (due !== null) this.nextDueMs = Math.min(this.nextDueMs, due);
		this.#lanes.count(lane, undefined, state, bytes);
		return sequence;
	}

	#newSequence(): number {
		if (this.#nextSequence > this.#setAside) {
			this.#setAside = this.#nextSequence + sequencesAtOnce;
			this.#db.run("UPDATE numbers SET value = ? WHERE name = 'sequence'", this.#setAside);
		}
		return this.#nextSequence++;
	}

	get(sequence: number): MessageRow | undefined {
		const row = this.#db.get(`SELECT ${read} FROM messages WHERE sequence = ?`, sequence);
		return row as MessageRow | undefined;
	}

	/** Of a lane and state, above a sequence, with contents that may be null yet: see `complete`. */
	page(lane: Lane, state: StateNumber, after: number, limit: number): MessageRow[] {
		const sql = `SELECT ${read}, content FROM messages WHERE lane = ? AND state = ? AND sequence > ? ORDER BY sequence LIMIT ?`;
		return this.#db.all(sql, lane.id, state, after, limit) as unknown as MessageRow[];
	}

	/** The same of a group, whatever their state. */
	groupPage(lane: Lane, group: string | null, after: number, limit: number): MessageRow[] {
		const sql = `SELECT ${read}, content FROM messages WHERE lane = ? AND grp = ? AND sequence > ? ORDER BY sequence LIMIT ?`;
		return this.#db.all(sql, lane.id, group, after, limit) as unknown as MessageRow[];
	}

	/** Without their contents. */
	oldest(lane: Lane, state: StateNumber, after: number, limit: number): MessageRow[] {
		const sql = `SELECT ${read} FROM messages WHERE lane = ? AND state = ? AND sequence > ? ORDER BY sequence LIMIT ?`;
		return this.#db.all(sql, lane.id, state, after, limit) as unknown as MessageRow[];
	}

	due(nowMs: number, limit: number): MessageRow[] {
		const sql = `SELECT ${read} FROM messages WHERE due IS NOT NULL AND due <= ? ORDER BY due LIMIT ?`;
		return this.#db.all(sql, nowMs, limit) as unknown as MessageRow[];
	}

	/** Milliseconds since the epoch; undefined when nothing waits for the clock. */
	earliestDue(): number | undefined {
		const row = this.#db.get("SELECT due FROM messages WHERE due IS NOT NULL ORDER BY due LIMIT 1");
		return row?.due as number | undefined;
	}

	head(lane: Lane, group: string | null): { sequence: number; state: StateNumber; bytes: number } | undefined {
		const sql = "SELECT sequence, state, bytes FROM messages WHERE lane = ? AND grp = ? ORDER BY sequence LIMIT 1";
		return this.#db.get(sql, lane.id, group) as { sequence: number; state: StateNumber; bytes: number } | undefined;
	}

	/** Reads the content and compares it with its checksum; a message that fails it is set aside, and undefined is the answer. */
	complete(lane: Lane, row: MessageRow & { content?: Uint8Array | null }, nowMs: number): FullRow | undefined {
		const content = row.content ?? this.#content(row.sequence);
		const found = content && checksum(row, content);
		if (content && found === row.crc) return { ...row, content };
		const what = content
			? `checksum is ${hex(found)}, not ${hex(row.crc)}, of ${content.length} bytes`
			: "its content is missing";
		this.#setAsideBad(lane, row, content, what, nowMs);
		return undefined;
	}

	#content(sequence: number): Uint8Array | undefined {
		const sql =
			"SELECT coalesce(content, (SELECT content FROM large WHERE sequence = m.sequence)) AS content FROM messages m WHERE sequence = ?";
		return (this.#db.get(sql, sequence)?.content as Uint8Array | null | undefined) ?? undefined;
	}

	#setAsideBad(lane: Lane, row: MessageRow, content: Uint8Array | undefined, what: string, foundMs: number): void {
		const { sequence, id } = row;
		const fault = { lane: lane.name ?? "", id, sequence, foundMs, what };
		this.#db.run(
			"INSERT OR REPLACE INTO quarantine (sequence, lane, id, found, what, content) VALUES (?, ?, ?, ?, ?, ?)",
			...[sequence, fault.lane, id, foundMs, what, content ?? null],
		);
		this.#faults.push(fault);
		this.delete(lane, row);
	}

	/** Writes the columns that a lease and its end change. */
	update(lane: Lane, row: MessageRow, next: Partial<MessageRow>): void {
		const changed = { ...row, ...next };
		const { state, due, first_leased, attempts, lease, told, note, sequence } = changed;
		this.#db.run(
			"UPDATE messages SET state = ?, due = ?, first_leased = ?, attempts = ?, lease = ?, told = ?, note = ? WHERE sequence = ?",
			...[state, due, first_leased, attempts, lease, told, note, sequence],
		);
		if (due !== null) this.nextDueMs = Math.min(this.nextDueMs, due);
		this.#lanes.count(lane, row.state, state, row.bytes);
	}

	/** And another of its group may then be the one to be had. */
	delete(lane: Lane, row: MessageRow): void {
		this.#db.run("DELETE FROM messages WHERE sequence = ?", row.sequence);
		if (row.headers_bytes + row.bytes > inlineBytes) this.#db.run("DELETE FROM large WHERE sequence = ?", row.sequence);
		this.#lanes.count(lane, row.state, undefined, row.bytes);
		this.wakeGroup(lane, row.grp);
	}

	/** A group's oldest can be had once none of the group is leased. */
	wakeGroup(lane: Lane, group: string | null): void {
		if (!lane.settings.ordered || this.#isHeld(lane, group)) return;
		const head = this.head(lane, group);
		if (head?.state !== 3) return;
		this.#db.run("UPDATE messages SET state = 0 WHERE sequence = ?", head.sequence);
		this.#lanes.count(lane, 3, 0, head.bytes);
	}

	#isHeld(lane: Lane, group: string | null, except = 0): boolean {
		const sql =
			"SELECT 1 FROM messages INDEXED BY messages_held WHERE lane = ? AND grp = ? AND grp IS NOT NULL AND state = 2 AND sequence <> ? LIMIT 1";
		return this.#db.get(sql, lane.id, group, except) !== undefined;
	}

	/** No longer delayed or leased: ready, or blocked when it is not its group's turn or not the first of it. */
	makeReady(lane: Lane, row: MessageRow, next: Partial<MessageRow> = {}): void {
		const isTurn = !lane.settings.ordered || !this.#isHeld(lane, row.grp, row.sequence);
		const isFirst = isTurn && (!lane.settings.ordered || this.head(lane, row.grp)?.sequence === row.sequence);
		this.update(lane, row, { ...next, state: isFirst ? 0 : 3, due: null });
		if (isTurn && !isFirst) this.wakeGroup(lane, row.grp);
	}

	/** To the lane's end, with attempts anew. False for one whose bytes are bad. */
	moveOver(from: Lane, row: MessageRow, to: Lane, nowMs: number, headers?: Record<string, unknown>): boolean {
		const full = this.complete(from, row, nowMs);
		if (!full) return false;
		this.delete(from, row);
		const { headers_bytes, content } = headers ? withHeaders(full, headers) : full;
		const grp = to.settings.ordered ? (row.grp ?? row.id) : row.grp;
		const state = to.settings.ordered && this.head(to, grp) ? 3 : 0;
		const anew = { first_leased: null, attempts: 0, lease: 0, note: null, due: null, origin: from.name };
		this.insert(to, { ...full, headers_bytes, content, grp, state, ...anew });
		return true;
	}
}

type Fixed = Omit<MessageRow, "state" | "due" | "first_leased" | "attempts" | "lease" | "told" | "note" | "crc">;

/** Of all that is written once and never changed. What leases change is not in it: each would have to read the content. */
function checksum(row: Fixed, content: Uint8Array): number {
	const { sequence, lane, id, correlation, grp, sent, origin, headers_bytes, bytes } = row;
	const fixed = `${sequence} ${lane} ${sent} ${headers_bytes} ${bytes}\0${id}\0${correlation}\0${grp}\0${origin}`;
	return crc32(content, crc32(fixed));
}

function hex(crc: number | undefined): string {
	return (crc ?? 0).toString(16).padStart(8, "0");
}

function withHeaders(full: FullRow, over: Record<string, unknown>): Pick<FullRow, "headers_bytes" | "content"> {
	const json = Buffer.from(JSON.stringify({ ...headersOf(full), ...over }));
	const content = Buffer.concat([json, full.content.subarray(full.headers_bytes)]);
	return { headers_bytes: json.length, content };
}

function headersOf(row: FullRow): Record<string, unknown> {
	if (row.headers_bytes === 0) return {};
	const json = Buffer.from(row.content.buffer, row.content.byteOffset, row.headers_bytes).toString();
	return JSON.parse(json) as Record<string, unknown>;
}

export function toStored(lane: string, row: FullRow): StoredMessage {
	return {
		lane,
		id: row.id,
		correlation: row.correlation ?? undefined,
		sequence: row.sequence,
		state: states[row.state],
		body: row.content.slice(row.headers_bytes),
		headers: headersOf(row),
		group: row.grp ?? undefined,
		sentMs: row.sent,
		dueMs: row.due ?? undefined,
		firstLeasedMs: row.first_leased ?? undefined,
		attempts: row.attempts,
		note: row.note ?? undefined,
		origin: row.origin ?? undefined,
	};
}

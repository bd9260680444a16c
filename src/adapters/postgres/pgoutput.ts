/**
 * The messages of PostgreSQL's own output plugin, protocol version 1
 * (https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html), as far as row changes go.
 */

export interface RowChange {
	operation: "insert" | "update" | "delete" | "truncate";
	schema: string;
	table: string;
	/** The key, or the whole row with REPLICA IDENTITY FULL. */
	before?: Record<string, unknown>;
	after?: Record<string, unknown>;
	xid: number;
	/** ISO 8601. */
	committedAt: string;
}

interface Relation {
	schema: string;
	table: string;
	columns: { name: string; type: number; isKey: boolean }[];
}

/** Type OIDs (pg_type.dat) whose text is JSON as well; 64-bit integers and numerics stay text, as they would lose digits. */
const boolean = 16;
const jsonLike = new Set([21, 23, 114, 3802]);
const floats = new Set([700, 701]);
/** Milliseconds from 1970 to PostgreSQL's epoch, 2000-01-01. */
const epochMs = 946_684_800_000;

/** Reads one stream of messages, which begins with the relations that it needs. */
export class PgOutput {
	readonly #relations = new Map<number, Relation>();
	#xid = 0;
	#committedAt = "";

	/** The row changes that a message holds: most have none or one. */
	read(data: Buffer): RowChange[] {
		const reader = new Reader(data);
		const kind = reader.letter();
		if (kind === "B") this.#begin(reader);
		else if (kind === "R") this.#relation(reader);
		else if (kind === "I" || kind === "U" || kind === "D") return [this.#row(kind, reader)];
		else if (kind === "T") return this.#truncated(reader);
		return [];
	}

	#begin(reader: Reader): void {
		reader.int64();
		this.#committedAt = new Date(Number(reader.int64() / 1000n) + epochMs).toISOString();
		this.#xid = reader.int32();
	}

	#relation(reader: Reader): void {
		const id = reader.int32();
		const [schema, table] = [reader.text() || "pg_catalog", reader.text()];
		reader.int8();
		const columns = Array.from({ length: reader.int16() }, () => {
			const isKey = reader.int8() === 1;
			const column = { name: reader.text(), type: reader.int32(), isKey };
			reader.int32();
			return column;
		});
		this.#relations.set(id, { schema, table, columns });
	}

	#row(kind: "I" | "U" | "D", reader: Reader): RowChange {
		const relation = this.#require(reader.int32());
		const change: RowChange = { operation: operations[kind], ...this.#about(relation) };
		for (let part = reader.letter(); part !== ""; part = reader.letter()) {
			const row = readRow(reader, relation, part === "K");
			if (part === "N") change.after = row;
			else change.before = row;
		}
		return change;
	}

	#truncated(reader: Reader): RowChange[] {
		const count = reader.int32();
		reader.int8();
		return Array.from({ length: count }, () => ({
			operation: "truncate",
			...this.#about(this.#require(reader.int32())),
		}));
	}

	#about({ schema, table }: Relation): Pick<RowChange, "schema" | "table" | "xid" | "committedAt"> {
		return { schema, table, xid: this.#xid, committedAt: this.#committedAt };
	}

	#require(id: number): Relation {
		const relation = this.#relations.get(id);
		if (relation) return relation;
		throw new Error(`The change is of relation ${id}, which was not described`);
	}
}

const operations = { I: "insert", U: "update", D: "delete" } as const;

function readRow(reader: Reader, { columns }: Relation, keyOnly: boolean): Record<string, unknown> {
	const row: Record<string, unknown> = {};
	const count = reader.int16();
	for (let index = 0; index < count; index++) {
		const column = columns[index];
		const kind = reader.letter();
		const value = kind === "t" ? columnValue(reader.bytes(reader.int32()), column?.type ?? 0) : null;
		// "u": a large value that was not changed, and is not in the log.
		if (column && kind !== "u" && (!keyOnly || column.isKey)) row[column.name] = value;
	}
	return row;
}

function columnValue(bytes: Buffer, type: number): unknown {
	const text = bytes.toString();
	if (type === boolean) return text === "t";
	if (jsonLike.has(type)) return JSON.parse(text);
	if (floats.has(type)) return Number.isFinite(Number(text)) ? Number(text) : text;
	return text;
}

class Reader {
	readonly #data: Buffer;
	#at = 0;

	constructor(data: Buffer) {
		this.#data = data;
	}

	/** "" at the end. */
	letter(): string {
		return this.#at < this.#data.length ? String.fromCharCode(this.int8()) : "";
	}

	int8(): number {
		return this.#data.readUInt8(this.#take(1));
	}

	int16(): number {
		return this.#data.readInt16BE(this.#take(2));
	}

	int32(): number {
		return this.#data.readUInt32BE(this.#take(4));
	}

	int64(): bigint {
		return this.#data.readBigInt64BE(this.#take(8));
	}

	text(): string {
		const end = this.#data.indexOf(0, this.#at);
		const from = this.#take(end - this.#at + 1);
		return this.#data.toString("utf8", from, end);
	}

	bytes(length: number): Buffer {
		const from = this.#take(length);
		return this.#data.subarray(from, from + length);
	}

	#take(length: number): number {
		const from = this.#at;
		this.#at += length;
		return from;
	}
}

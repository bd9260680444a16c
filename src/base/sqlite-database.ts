import { closeSync, openSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from "node:sqlite";
import { SlipwayError, systemCode } from "./error.ts";

export type Row = Record<string, SQLOutputValue>;

/** What a file is for, and how it is told of. */
export interface SqliteKind {
	/** In the middle of a sentence: "the event log". */
	name: string;
	/** Of errors: "LogCorrupt", "LogTooNew". */
	reasons: { corrupt: string; tooNew: string };
	/** What to do about a damaged file, and about a full disk. */
	hints: { corrupt: string; full: string };
	/** Steps of the schema; `PRAGMA user_version` counts the ones that a file has had. */
	migrations: readonly string[];
	/** Further settings, such as "cache_size = -16384". */
	pragmas: readonly string[];
}

/** How long opening waits for a process that still has the file, such as a daemon that is about to end. Milliseconds. */
const lockWaitMs = 2000;

/** One SQLite file of this process alone, opened, brought up to date, and its statements prepared once each. */
export class SqliteDatabase implements Disposable {
	readonly #sqlite: DatabaseSync;
	readonly #statements = new Map<string, StatementSync>();
	/** Statements that changed rows so far: whether a call that failed has left something behind. */
	writes = 0;

	/** UNAVAILABLE for a file that is damaged or can't be opened, UNSUPPORTED for a newer schema, CONFLICT when another process has it, EXHAUSTED. */
	constructor(path: string, kind: SqliteKind) {
		try {
			// Events' bodies and functions' environment variables are in such files. SQLite gives the -wal file the same mode.
			closeSync(openSync(path, "a", 0o600));
			this.#sqlite = new DatabaseSync(path, { timeout: lockWaitMs, enableForeignKeyConstraints: true });
		} catch (error) {
			throw fromSqliteError(error, path, kind);
		}
		try {
			// Exclusive: one process owns the file, and the index of the write-ahead log is private memory. A shared one is a
			// mapped file, whose growth on a full disk ends the process (SIGBUS).
			const pragmas = ["locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL", ...kind.pragmas];
			this.#sqlite.exec(pragmas.map((pragma) => `PRAGMA ${pragma};`).join("\n"));
			this.#migrate(path, kind);
		} catch (error) {
			this.#sqlite.close();
			throw fromSqliteError(error, path, kind);
		}
	}

	#migrate(path: string, { name, reasons, migrations }: SqliteKind): void {
		const version = Number(this.#sqlite.prepare("PRAGMA user_version").get()?.user_version);
		if (version > migrations.length)
			throw new SlipwayError(
				"UNSUPPORTED",
				`${capital(name)} '${path}' has schema ${version}; this version of Slipway knows schemas up to ${migrations.length}`,
				{ hint: "Run the newer version of Slipway, or use another state folder", reason: reasons.tooNew },
			);
		for (const [step, sql] of migrations.entries()) {
			if (step < version) continue;
			this.#sqlite.exec(`BEGIN; ${sql}; PRAGMA user_version = ${step + 1}; COMMIT`);
		}
	}

	/** Writes all of the write-ahead log back and empties it, each step flushed. Throws when that could not be done. */
	checkpoint(): void {
		const row = this.#sqlite.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
		if (row?.busy !== 0) throw new Error("The write-ahead log could not be written back: somebody else reads it");
	}

	exec(sql: string): void {
		this.#sqlite.exec(sql);
	}

	get inTransaction(): boolean {
		return this.#sqlite.isTransaction;
	}

	/** Runs a statement that changes rows; returns how many. */
	run(sql: string, ...values: SQLInputValue[]): number {
		this.writes++;
		return Number(this.#statement(sql).run(...values).changes);
	}

	get(sql: string, ...values: SQLInputValue[]): Row | undefined {
		return this.#statement(sql).get(...values);
	}

	all(sql: string, ...values: SQLInputValue[]): Row[] {
		return this.#statement(sql).all(...values);
	}

	/** `sql` comes from a fixed set of constants, which bounds the statements kept. */
	#statement(sql: string): StatementSync {
		let statement = this.#statements.get(sql);
		if (!statement) {
			statement = this.#sqlite.prepare(sql);
			this.#statements.set(sql, statement);
		}
		return statement;
	}

	[Symbol.dispose](): void {
		if (this.#sqlite.isOpen) this.#sqlite.close();
	}
}

/** SQLite's primary result code (sqlite.org/rescode.html) of an error that is SQLite's. */
function resultCode(error: unknown): number | undefined {
	return error instanceof Error && "errcode" in error && typeof error.errcode === "number"
		? error.errcode & 0xff
		: undefined;
}

/** The disk failed a read, a write or a flush: what SQLite believes to be on it may not be. */
export function isDiskFailure(error: unknown): boolean {
	return resultCode(error) === 10; // SQLITE_IOERR
}

export function isDiskFull(error: unknown): boolean {
	return resultCode(error) === 13; // SQLITE_FULL
}

/** SQLite's errors in our words; others come back as they are. */
export function fromSqliteError(error: unknown, path: string, kind: SqliteKind): unknown {
	const name = capital(kind.name);
	const why = error instanceof Error ? error.message : String(error);
	const unusable = () =>
		new SlipwayError("UNAVAILABLE", `${name} '${path}' can't be read or written: ${why}`, { cause: error });
	if (systemCode(error) === "ENOSPC") return fullDisk(error, kind);
	if (error instanceof Error && "syscall" in error) return unusable();
	switch (resultCode(error)) {
		case 13: // SQLITE_FULL
			return fullDisk(error, kind);
		case 7: // SQLITE_NOMEM
			return new SlipwayError("EXHAUSTED", `The machine ran out of memory in ${kind.name}`, { cause: error });
		case 5: // SQLITE_BUSY
			return new SlipwayError("CONFLICT", `${name} '${path}' is in use by another process`, { cause: error });
		case 11: // SQLITE_CORRUPT
		case 26: // SQLITE_NOTADB
			return new SlipwayError("UNAVAILABLE", `${name} '${path}' is damaged: ${why}`, {
				cause: error,
				reason: kind.reasons.corrupt,
				hint: kind.hints.corrupt,
			});
		case 8: // SQLITE_READONLY
		case 10: // SQLITE_IOERR
		case 14: // SQLITE_CANTOPEN
			return unusable();
		default:
			return error;
	}
}

function fullDisk(cause: unknown, { name, hints }: SqliteKind): SlipwayError {
	return new SlipwayError("EXHAUSTED", `No space is left on the device while writing ${name}`, {
		cause,
		reason: "DiskFull",
		hint: hints.full,
	});
}

function capital(name: string): string {
	return name.slice(0, 1).toUpperCase() + name.slice(1);
}

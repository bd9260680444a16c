import { closeSync, openSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from "node:sqlite";
import { SlipwayError, systemCode } from "../../base/error.ts";
import { migrations } from "./schema.ts";

export type Row = Record<string, SQLOutputValue>;

/** How long opening waits for a process that still has the file, such as a daemon that is about to end. Milliseconds. */
const lockWaitMs = 2000;

/** One SQLite file, opened, brought up to date, and its statements prepared once each. */
export class Database implements Disposable {
	readonly #sqlite: DatabaseSync;
	readonly #statements = new Map<string, StatementSync>();

	/** UNAVAILABLE for a file that is damaged or can't be opened, UNSUPPORTED for a newer schema, CONFLICT when another process has it, EXHAUSTED. */
	constructor(path: string) {
		try {
			// Functions' environment variables are in it. SQLite gives its -wal file the same mode.
			closeSync(openSync(path, "a", 0o600));
			this.#sqlite = new DatabaseSync(path, { timeout: lockWaitMs, enableForeignKeyConstraints: true });
		} catch (error) {
			throw fromSqliteError(error, path);
		}
		try {
			// Exclusive: one process owns the file, and the index of the log is private memory. A shared one is a mapped
			// file, whose growth on a full disk ends the process (SIGBUS).
			this.#sqlite.exec(`
				PRAGMA locking_mode = EXCLUSIVE;
				PRAGMA journal_mode = WAL;
				PRAGMA synchronous = FULL;
				PRAGMA journal_size_limit = 67108864;
			`);
			this.#migrate(path);
		} catch (error) {
			this.#sqlite.close();
			throw fromSqliteError(error, path);
		}
	}

	#migrate(path: string): void {
		const version = Number(this.#sqlite.prepare("PRAGMA user_version").get()?.user_version);
		if (version > migrations.length)
			throw new SlipwayError(
				"UNSUPPORTED",
				`State '${path}' has schema ${version}; this version of Slipway knows schemas up to ${migrations.length}`,
				{ hint: "Run the newer version of Slipway, or use another state folder", reason: "StoreTooNew" },
			);
		for (const [step, sql] of migrations.entries()) {
			if (step < version) continue;
			this.#sqlite.exec(`BEGIN; ${sql}; PRAGMA user_version = ${step + 1}; COMMIT`);
		}
	}

	exec(sql: string): void {
		this.#sqlite.exec(sql);
	}

	get inTransaction(): boolean {
		return this.#sqlite.isTransaction;
	}

	/** Runs a statement that changes rows; returns how many. */
	run(sql: string, ...values: SQLInputValue[]): number {
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

/** SQLite's primary result codes (sqlite.org/rescode.html) in our words. Errors that are not SQLite's come back as they are. */
export function fromSqliteError(error: unknown, path: string): unknown {
	if (systemCode(error) === "ENOSPC") return fullDisk(error as Error);
	if (error instanceof Error && "syscall" in error) return unusable(error, path);
	if (!(error instanceof Error && "errcode" in error && typeof error.errcode === "number")) return error;
	switch (error.errcode & 0xff) {
		case 13: // SQLITE_FULL
		case 7: // SQLITE_NOMEM
			return fullDisk(error);
		case 5: // SQLITE_BUSY
			return new SlipwayError("CONFLICT", `State '${path}' is in use by another process`, { cause: error });
		case 11: // SQLITE_CORRUPT
		case 26: // SQLITE_NOTADB
			return new SlipwayError("UNAVAILABLE", `State '${path}' is damaged: ${error.message}`, {
				cause: error,
				reason: "StoreCorrupt",
				hint: "Restore it from a backup, or move it away to start empty",
			});
		case 8: // SQLITE_READONLY
		case 10: // SQLITE_IOERR
		case 14: // SQLITE_CANTOPEN
			return unusable(error, path);
		default:
			return error;
	}
}

function unusable(cause: Error, path: string): SlipwayError {
	return new SlipwayError("UNAVAILABLE", `State '${path}' can't be read or written: ${cause.message}`, { cause });
}

function fullDisk(cause: Error): SlipwayError {
	return new SlipwayError("EXHAUSTED", "No space is left on the device while writing the state", {
		cause,
		hint: "Free some disk space (`slipway image rm`, `slipway status`) and try again",
	});
}

import { fromSqliteError, SqliteDatabase, type SqliteKind } from "../../base/sqlite-database.ts";
import { migrations } from "./schema.ts";

const kind: SqliteKind = {
	name: "the state",
	reasons: { corrupt: "StoreCorrupt", tooNew: "StoreTooNew" },
	hints: {
		corrupt: "Restore it from a backup, or move it away to start empty",
		full: "Free some disk space (`slipway image rm`, `slipway status`) and try again",
	},
	migrations,
	// Bytes that a write-ahead log keeps after it was written back.
	pragmas: ["journal_size_limit = 67108864"],
};

/** The state's file. */
export class Database extends SqliteDatabase {
	constructor(path: string) {
		super(path, kind);
	}
}

/** SQLite's errors in our words; others come back as they are. */
export function fromStoreError(error: unknown, path: string): unknown {
	return fromSqliteError(error, path, kind);
}

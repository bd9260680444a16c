import { fromSqliteError, SqliteDatabase, type SqliteKind } from "../../base/sqlite-database.ts";
import { migrations } from "./schema.ts";

/** Pages of 4 KiB in the write-ahead log after which it is written back: 16 MiB, which a start has to read at most about once. */
const checkpointPages = 4000;
/** KiB of pages in memory: the newest ends of the indexes, which is all that appending and leasing touch. */
const cacheKiB = 16_384;

const kind: SqliteKind = {
	name: "the event log",
	reasons: { corrupt: "LogCorrupt", tooNew: "LogTooNew" },
	hints: {
		corrupt:
			"Restore it from a backup, or save what `sqlite3 events.db .recover` finds and move it away to start empty",
		full: "Free some disk space (`slipway image rm`, `slipway queue purge`, `slipway status`) and try again",
	},
	migrations,
	pragmas: [
		`wal_autocheckpoint = ${checkpointPages}`,
		`journal_size_limit = ${2 * checkpointPages * 4096}`,
		`cache_size = -${cacheKiB}`,
	],
};

/** The log's file. */
export class Database extends SqliteDatabase {
	constructor(path: string) {
		super(path, kind);
	}
}

/** SQLite's errors in our words; others come back as they are. */
export function fromLogError(error: unknown, path: string): unknown {
	return fromSqliteError(error, path, kind);
}

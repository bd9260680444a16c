/**
 * The schema as a list of steps; `PRAGMA user_version` counts the ones a file has had. A step that was released is never edited: a
 * change is a new step.
 */
export const migrations: readonly string[] = [
	`
	CREATE TABLE numbers (
		name TEXT PRIMARY KEY,
		value INTEGER NOT NULL
	) STRICT, WITHOUT ROWID;
	-- Sequences are never used twice, whatever was deleted: tokens name them. This one and all below are given away.
	INSERT INTO numbers VALUES ('sequence', 0);

	CREATE TABLE lanes (
		id INTEGER PRIMARY KEY,
		name TEXT UNIQUE, -- NULL for one that was removed and whose messages are being deleted
		settings TEXT NOT NULL, -- JSON, core/message-log/message-log.ts
		-- What its messages add up to, so that nobody has to count them.
		visible INTEGER NOT NULL DEFAULT 0,
		delayed INTEGER NOT NULL DEFAULT 0,
		in_flight INTEGER NOT NULL DEFAULT 0,
		bytes INTEGER NOT NULL DEFAULT 0
	) STRICT;

	CREATE TABLE messages (
		sequence INTEGER PRIMARY KEY,
		lane INTEGER NOT NULL,
		state INTEGER NOT NULL, -- 0 ready, 1 delayed, 2 leased, 3 blocked
		due INTEGER, -- of a delayed one and of a lease for a time; NULL for a lease of the process
		id TEXT NOT NULL,
		correlation TEXT, -- NULL when there is none or it is the id
		grp TEXT,
		sent INTEGER NOT NULL,
		first_leased INTEGER,
		attempts INTEGER NOT NULL,
		lease INTEGER NOT NULL,
		note TEXT,
		origin TEXT,
		headers_bytes INTEGER NOT NULL,
		bytes INTEGER NOT NULL, -- of the body
		crc INTEGER NOT NULL, -- CRC-32 of the content and of the columns that never change: message-table.ts
		content BLOB -- headers as JSON, then the body; NULL when it is in 'large'
	) STRICT;
	CREATE INDEX messages_by_state ON messages (lane, state, sequence);
	CREATE INDEX messages_by_due ON messages (due) WHERE due IS NOT NULL;
	CREATE INDEX messages_by_group ON messages (lane, grp, sequence) WHERE grp IS NOT NULL;
	-- Groups that somebody holds messages of.
	CREATE INDEX messages_held ON messages (lane, grp) WHERE state = 2 AND grp IS NOT NULL;
	CREATE INDEX messages_by_id ON messages (id);
	CREATE INDEX messages_by_correlation ON messages (correlation) WHERE correlation IS NOT NULL;

	-- Contents that would be written anew with each change of their message's row.
	CREATE TABLE large (
		sequence INTEGER PRIMARY KEY,
		content BLOB NOT NULL
	) STRICT;

	CREATE TABLE deduplication (
		lane INTEGER NOT NULL,
		key TEXT NOT NULL,
		until INTEGER NOT NULL,
		id TEXT NOT NULL,
		sequence INTEGER NOT NULL,
		PRIMARY KEY (lane, key)
	) STRICT, WITHOUT ROWID;
	CREATE INDEX deduplication_by_until ON deduplication (until);

	CREATE TABLE trail (
		n INTEGER PRIMARY KEY,
		id TEXT NOT NULL,
		correlation TEXT,
		lane TEXT NOT NULL,
		attempt INTEGER NOT NULL,
		at INTEGER NOT NULL,
		sent INTEGER NOT NULL,
		result TEXT NOT NULL,
		dest TEXT,
		detail TEXT -- JSON
	) STRICT;
	CREATE INDEX trail_by_id ON trail (id);
	CREATE INDEX trail_by_correlation ON trail (correlation) WHERE correlation IS NOT NULL;

	-- Messages whose bytes are not those that were written, as they were found.
	CREATE TABLE quarantine (
		sequence INTEGER PRIMARY KEY,
		lane TEXT NOT NULL,
		id TEXT NOT NULL,
		found INTEGER NOT NULL,
		what TEXT NOT NULL,
		content BLOB
	) STRICT;
	`,
	`
	-- 1: the trail has how the newest lease failed, and need not hear that it ended.
	ALTER TABLE messages ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
	`,
];

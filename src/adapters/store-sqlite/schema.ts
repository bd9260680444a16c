/**
 * The schema as a list of steps; `PRAGMA user_version` counts the ones a database has had. A step that was released is
 * never edited: a change is a new step.
 */
export const migrations: readonly string[] = [
	`
	CREATE TABLE repository (
		name TEXT PRIMARY KEY,
		created_ms INTEGER NOT NULL,
		tag_mutability TEXT NOT NULL,
		tags TEXT NOT NULL -- JSON object
	) STRICT, WITHOUT ROWID;

	CREATE TABLE manifest (
		repository TEXT NOT NULL REFERENCES repository (name) ON DELETE CASCADE,
		digest TEXT NOT NULL,
		media_type TEXT NOT NULL,
		size INTEGER NOT NULL,
		pushed_ms INTEGER NOT NULL,
		image_size INTEGER NOT NULL,
		refs TEXT NOT NULL, -- JSON array of digests
		subject TEXT,
		artifact_type TEXT,
		annotations TEXT, -- JSON object
		PRIMARY KEY (repository, digest)
	) STRICT;
	CREATE INDEX manifest_by_subject ON manifest (repository, subject, digest) WHERE subject IS NOT NULL;

	CREATE TABLE tag (
		repository TEXT NOT NULL,
		tag TEXT NOT NULL,
		digest TEXT NOT NULL,
		PRIMARY KEY (repository, tag),
		FOREIGN KEY (repository, digest) REFERENCES manifest (repository, digest) ON DELETE CASCADE
	) STRICT, WITHOUT ROWID;
	CREATE INDEX tag_by_digest ON tag (repository, digest);

	CREATE TABLE blob_link (
		repository TEXT NOT NULL REFERENCES repository (name) ON DELETE CASCADE,
		digest TEXT NOT NULL,
		PRIMARY KEY (repository, digest)
	) STRICT, WITHOUT ROWID;
	CREATE INDEX blob_link_by_digest ON blob_link (digest);

	CREATE TABLE function (
		name TEXT PRIMARY KEY,
		record TEXT NOT NULL -- JSON, core/function/function.ts
	) STRICT;
	`,
	`
	CREATE TABLE function_version (
		function TEXT NOT NULL REFERENCES function (name) ON DELETE CASCADE,
		version INTEGER NOT NULL,
		record TEXT NOT NULL, -- JSON, core/function/function.ts
		PRIMARY KEY (function, version)
	) STRICT;

	CREATE TABLE deleted_function (
		id INTEGER PRIMARY KEY, -- in the order of the deletions
		name TEXT NOT NULL UNIQUE,
		next_version INTEGER NOT NULL
	) STRICT;
	`,
	`
	CREATE TABLE resource (
		kind TEXT NOT NULL,
		namespace TEXT NOT NULL,
		name TEXT NOT NULL,
		document TEXT NOT NULL, -- JSON, core/resource/resource-store.ts
		PRIMARY KEY (kind, namespace, name)
	) STRICT;
	`,
	`
	CREATE TABLE idempotency (
		owner TEXT NOT NULL,
		key TEXT NOT NULL,
		token TEXT NOT NULL, -- of the newest claim
		attempt INTEGER NOT NULL,
		lease_until_ms INTEGER NOT NULL,
		until_ms INTEGER NOT NULL,
		result BLOB, -- NULL while it is claimed
		PRIMARY KEY (owner, key)
	) STRICT;
	CREATE INDEX idempotency_by_end ON idempotency (until_ms);

	CREATE TABLE idempotency_usage (
		owner TEXT PRIMARY KEY,
		keys INTEGER NOT NULL,
		bytes INTEGER NOT NULL -- of results
	) STRICT, WITHOUT ROWID;
	`,
];

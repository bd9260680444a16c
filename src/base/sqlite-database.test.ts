import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isSlipwayError } from "./error.ts";
import { fromSqliteError, isDiskFailure, isDiskFull, SqliteDatabase, type SqliteKind } from "./sqlite-database.ts";

const kind: SqliteKind = {
	name: "the ledger",
	reasons: { corrupt: "LedgerCorrupt", tooNew: "LedgerTooNew" },
	hints: { corrupt: "Restore it", full: "Make room" },
	migrations: ["CREATE TABLE a (n INTEGER) STRICT", "ALTER TABLE a ADD COLUMN m INTEGER NOT NULL DEFAULT 7"],
	pragmas: ["cache_size = -100"],
};

function folder() {
	const root = mkdtempSync(join(tmpdir(), "slipway-sqlite-"));
	return { path: join(root, "ledger.db"), [Symbol.dispose]: () => rmSync(root, { recursive: true }) };
}

const refused =
	(code: "UNAVAILABLE" | "UNSUPPORTED" | "EXHAUSTED", reason: string, message: RegExp) => (error: unknown) =>
		isSlipwayError(error, code) && error.reason === reason && message.test(error.message);

test("A file gets the steps of the schema that it has not had, is its owner's only, and counts its writes", () => {
	using given = folder();
	{
		using old = new SqliteDatabase(given.path, { ...kind, migrations: kind.migrations.slice(0, 1) });
		old.run("INSERT INTO a (n) VALUES (?)", 1);
	}
	using db = new SqliteDatabase(given.path, kind);
	assert.deepEqual({ ...db.get("SELECT n, m FROM a") }, { n: 1, m: 7 });
	assert.deepEqual([db.writes, db.run("UPDATE a SET m = ?", 8), db.writes], [0, 1, 1]);
	assert.equal(db.get("PRAGMA cache_size")?.cache_size, -100);
	assert.equal(statSync(given.path).mode & 0o777, 0o600);
	db.exec("BEGIN");
	assert.equal(db.inTransaction, true);
	db.exec("COMMIT");
	db.checkpoint();
	assert.equal(statSync(`${given.path}-wal`).size, 0);
});

test("A newer or damaged file is refused by its name, with what to do", () => {
	using given = folder();
	new SqliteDatabase(given.path, kind)[Symbol.dispose]();
	const older = { ...kind, migrations: [] };
	const tooNew = refused("UNSUPPORTED", "LedgerTooNew", /^The ledger '.*' has schema 2; .* up to 0$/);
	assert.throws(() => new SqliteDatabase(given.path, older), tooNew);
	writeFileSync(given.path, "no database".repeat(1000));
	const damaged = refused("UNAVAILABLE", "LedgerCorrupt", /^The ledger '.*' is damaged: file is not a database$/);
	assert.throws(() => new SqliteDatabase(given.path, kind), damaged);
});

test("SQLite's errors are told in our words, others come back as they are", () => {
	const sqlite = (errcode: number) => Object.assign(new Error("from SQLite"), { errcode });
	const told = (error: unknown) => fromSqliteError(error, "/x", kind);
	assert.ok(refused("EXHAUSTED", "DiskFull", /while writing the ledger$/)(told(sqlite(13))));
	assert.ok(isSlipwayError(told(sqlite(10 | (3 << 8))), "UNAVAILABLE"));
	assert.ok(isSlipwayError(told(sqlite(5)), "CONFLICT"));
	assert.deepEqual(
		[isDiskFailure(sqlite(10 | (3 << 8))), isDiskFull(sqlite(13)), isDiskFull(new Error())],
		[true, true, false],
	);
	const bug = new TypeError("x");
	assert.equal(told(bug), bug);
});

import { type DeletedNumber, maxDeletedNumbers } from "../../core/function/function-store.ts";
import type { Database } from "./database.ts";

/** Functions as JSON text: the main thread parses, a page at a time, so that reading many does not block its loop. */
export class FunctionQueries {
	readonly #db: Database;

	constructor(db: Database) {
		this.#db = db;
	}

	put(name: string, record: string, version?: number, versionRecord?: string): void {
		const sql =
			"INSERT INTO function (name, record) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET record = excluded.record";
		this.#db.run(sql, name, record);
		if (version === undefined || versionRecord === undefined) return;
		const versionSql =
			"INSERT INTO function_version (function, version, record) VALUES (?, ?, ?) ON CONFLICT (function, version) DO UPDATE SET record = excluded.record";
		this.#db.run(versionSql, name, version, versionRecord);
	}

	delete(name: string): void {
		const number = "json_extract(record, '$.nextVersion')";
		const kept = this.#db.run(
			`INSERT OR REPLACE INTO deleted_function (name, next_version) SELECT name, ${number} FROM function WHERE name = ? AND ${number} > 1`,
			name,
		);
		const tooOld = "id <= (SELECT max(id) FROM deleted_function) - ?";
		if (kept > 0) this.#db.run(`DELETE FROM deleted_function WHERE ${tooOld}`, maxDeletedNumbers);
		this.#db.run("DELETE FROM function WHERE name = ?", name);
	}

	deleteVersion(name: string, record: string, version: number): void {
		this.put(name, record);
		this.#db.run("DELETE FROM function_version WHERE function = ? AND version = ?", name, version);
	}

	deletedNumbers(): DeletedNumber[] {
		const rows = this.#db.all("SELECT name, next_version FROM deleted_function");
		return rows.map((row) => ({ name: row.name as string, nextVersion: row.next_version as number }));
	}

	page(after: string, limit: number): { name: string; record: string }[] {
		const rows = this.#db.all("SELECT name, record FROM function WHERE name > ? ORDER BY name LIMIT ?", after, limit);
		return rows.map((row) => ({ name: row.name as string, record: row.record as string }));
	}

	versionPage(afterName: string, afterVersion: number, limit: number): VersionRow[] {
		const sql =
			"SELECT function, version, record FROM function_version WHERE (function, version) > (?, ?) ORDER BY function, version LIMIT ?";
		const rows = this.#db.all(sql, afterName, afterVersion, limit);
		return rows.map((row) => ({
			name: row.function as string,
			version: row.version as number,
			record: row.record as string,
		}));
	}
}

export interface VersionRow {
	name: string;
	version: number;
	record: string;
}

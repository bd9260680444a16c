import type { Database } from "./database.ts";

/** Functions as JSON text: the main thread parses, a page at a time, so that reading many does not block its loop. */
export class FunctionQueries {
	readonly #db: Database;

	constructor(db: Database) {
		this.#db = db;
	}

	put(name: string, record: string): void {
		const sql =
			"INSERT INTO function (name, record) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET record = excluded.record";
		this.#db.run(sql, name, record);
	}

	delete(name: string): void {
		this.#db.run("DELETE FROM function WHERE name = ?", name);
	}

	page(after: string, limit: number): { name: string; record: string }[] {
		const rows = this.#db.all("SELECT name, record FROM function WHERE name > ? ORDER BY name LIMIT ?", after, limit);
		return rows.map((row) => ({ name: row.name as string, record: row.record as string }));
	}
}
